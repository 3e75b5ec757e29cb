"""Chooses settings and transport: the one place that knows all of this package."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from multus.kubernetes.client import Client
from multus.kubernetes.cluster import KubernetesCluster

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from multus.kubernetes.access import Access, Endpoint, Identity
    from multus.kubernetes.transport import Observe, Transport
    from multus.kubernetes.watching import WatchingCluster
    from multus.kubernetes.watchstream import Source, WatchStream

#: What the kubelet sets in each container, and a host does not.
IN_CLUSTER = ("KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT")


def cluster(
    kubeconfig: str, environ: Mapping[str, str], *, long_running: bool, observe: Observe | None = None
) -> KubernetesCluster | None:
    """The cluster that `kubeconfig` (a path) names, else the one we run in, else None. Nothing is sent yet.

    A process that stays gets connections for many threads; a one-shot process a single one.
    Raises errors.IoFailure, errors.InvalidConfig."""
    client = _client(kubeconfig, environ, long_running, observe)
    return None if client is None else KubernetesCluster(client, _host(environ))


def watching(
    kubeconfig: str,
    environ: Mapping[str, str],
    *,
    node: str,
    watch_all_pods: bool = False,
    observe: Observe | None = None,
) -> WatchingCluster | None:
    """The same for a process that stays: pods of `node` and all NADs are watched once it is started.

    Without a node's name, pods are not watched but asked for one by one: no node should hold all pods of a cluster,
    unless `watch_all_pods` says so. Raises errors.IoFailure, errors.InvalidConfig."""
    from multus.kubernetes import watches
    from multus.kubernetes.watching import WatchingCluster

    client = _client(kubeconfig, environ, True, observe)
    if client is None:
        return None
    networks = watches.networks(stream(client, watches.NETWORKS, environ, observe))
    pods = None
    if node or watch_all_pods:
        pods = watches.pods(stream(client, watches.pods_of(node), environ, observe))
    return WatchingCluster(KubernetesCluster(client, node or _host(environ)), networks, pods)


def stream(client: Client, source: Source, environ: Mapping[str, str], observe: Observe | None = None) -> WatchStream:
    """Lists and watches `source` as whom `client` is. Nothing is sent yet."""
    from multus.kubernetes.streaming import Cutter, StreamTransport
    from multus.kubernetes.watchstream import WatchStream

    def connect(endpoint: Endpoint, identity: Identity, cutter: Cutter) -> StreamTransport:
        return StreamTransport(endpoint, identity, _proxy(endpoint, environ), cutter)

    return WatchStream(client.settings, connect, source, observe=observe)


def client(kubeconfig: str, environ: Mapping[str, str]) -> Client | None:
    """The bare client, for other requests than an engine's. Raises errors.IoFailure, errors.InvalidConfig."""
    return _client(kubeconfig, environ, True, None)


def _client(kubeconfig: str, environ: Mapping[str, str], long_running: bool, observe: Observe | None) -> Client | None:
    load = _source(kubeconfig, environ)
    if load is None:
        return None

    def connect(endpoint: Endpoint, identity: Identity) -> Transport:
        return _transport(endpoint, identity, environ, long_running)

    return Client(load, connect, observe=observe)


def _host(environ: Mapping[str, str]) -> str:
    return environ.get("MULTUS_NODE_NAME") or os.uname().nodename


def _source(kubeconfig: str, environ: Mapping[str, str]) -> Callable[[], Access] | None:
    if kubeconfig:
        from multus.kubernetes import kubeconfig as files

        return lambda: files.load(kubeconfig)
    if all(environ.get(name) for name in IN_CLUSTER):
        from multus.kubernetes import incluster

        return lambda: incluster.load(environ)
    return None


def _transport(endpoint: Endpoint, identity: Identity, environ: Mapping[str, str], long_running: bool) -> Transport:
    proxy = _proxy(endpoint, environ)
    if proxy:
        from multus.kubernetes import pooled

        return pooled.PooledTransport(endpoint, identity, proxy)
    if long_running:
        from multus.kubernetes import shared

        return shared.SharedTransport(endpoint, identity)
    from multus.kubernetes import direct

    return direct.DirectTransport(endpoint, identity)


def _proxy(endpoint: Endpoint, environ: Mapping[str, str]) -> str:
    if not endpoint.proxy and not any(name.lower() in ("https_proxy", "http_proxy") for name in environ):
        return ""
    from multus.kubernetes import proxies

    return proxies.choose(endpoint, environ)
