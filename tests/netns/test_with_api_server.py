"""The whole plugin, one-shot and with its daemon, with real plugins and an API server over TLS."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from support.apiserver import ApiServer, failing
from support.inside import inside
from support.runtime import NETNS_DIR, PluginError, Runtime, Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = [pytest.mark.netns, pytest.mark.api]

STATUS = "k8s.v1.cni.cncf.io/network-status"
NETWORKS = "k8s.v1.cni.cncf.io/networks"


class Cluster:
    """A runtime whose pods are on an API server that listens inside its host namespace."""

    def __init__(self, runtime: Runtime, server: ApiServer, directory: Path, thick: bool) -> None:
        self.runtime, self.server = runtime, server
        self.kubeconfig = server.write_kubeconfig(directory)
        self.thick = thick
        if thick:
            runtime.start_daemon(kubeconfig=self.kubeconfig, nodeName="node1")

    def conf(self, **keys: Any) -> dict[str, Any]:
        access = {} if self.thick else {"kubeconfig": self.kubeconfig}
        return self.runtime.conf(**{"manifestsDir": "", **access, **keys})

    def network(self, name: str, number: int, **rest: Any) -> None:
        ipam = self.runtime.host_local(f"10.{number}.0.0/24")
        config = {"cniVersion": "1.0.0", "type": "bridge", "bridge": f"br{number}", "ipam": ipam, **rest}
        self.server.add_network(name, json.dumps(config))

    def pod(self, networks: str, name: str = "pod", **annotations: str) -> Sandbox:
        made = self.server.add_pod(name, annotations={NETWORKS: networks, **annotations})
        made["spec"]["nodeName"] = "node1"
        return self.runtime.sandbox(name, uid=made["metadata"]["uid"])

    def status(self, name: str = "pod") -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.server.annotations_of(name)[STATUS])
        return found

    def events(self, pod: Sandbox, reason: str) -> list[str]:
        return [event["message"] for event in self.server.events_of(pod.uid) if event["reason"] == reason]


def eventually(holds: Callable[[], object]) -> None:
    """Wait for what happens after the answer."""
    patience = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < patience
        time.sleep(0.02)


@pytest.fixture(params=["thin", "thick"])
def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Cluster]:
    runtime = Runtime(tmp_path)
    server = ApiServer()
    try:
        inside(str(NETNS_DIR / runtime.host), server.__enter__)
        yield Cluster(runtime, server, tmp_path, request.param == "thick")
    finally:
        runtime.close()
        server.__exit__(None, None, None)


def test_status_and_event(cluster: Cluster) -> None:
    """network-status lists every attachment, other annotations stay, one event lists the interfaces."""
    cluster.network("a", 11)
    cluster.network("b", 12)
    pod, conf = cluster.pod("a,b", other="kept"), cluster.conf()
    cluster.runtime.add(pod, conf)
    assert [(one["name"], one["interface"], one.get("default", False)) for one in cluster.status()] == [
        ("cluster", "eth0", True),
        ("default/a", "net1", False),
        ("default/b", "net2", False),
    ]
    assert cluster.status()[1]["ips"] == [pod.addresses("net1")[0].partition("/")[0]]
    assert cluster.server.annotations_of("pod")["other"] == "kept"
    eventually(lambda: cluster.events(pod, "AddedInterface"))
    [message] = cluster.events(pod, "AddedInterface")
    assert all(part in message for part in ("eth0 [10.88.0.", "net1 [10.11.0.", "net2 [10.12.0."))
    cluster.runtime.delete(pod, conf)
    cluster.runtime.nothing_left(pod)


def test_definition_that_is_missing(cluster: Cluster) -> None:
    """A network that nobody defined: ADD says which, an event tells the pod's owner, nothing is left."""
    pod = cluster.pod("nosuch")
    with pytest.raises(PluginError, match=r"network-attachment-definition \(nosuch\) in namespace \(default\)"):
        cluster.runtime.add(pod, cluster.conf())
    eventually(lambda: cluster.events(pod, "NoNetworkFound"))
    cluster.runtime.nothing_left(pod)


def test_another_pod_of_that_name(cluster: Cluster) -> None:
    """The API's pod has another UID than the call: its networks are not this sandbox's; the runtime tries again."""
    cluster.network("a", 11)
    cluster.pod("a")
    other = cluster.runtime.sandbox("pod", uid="00000000-0000-4000-8000-00000000ffff")
    with pytest.raises(PluginError, match="expected pod UID") as failure:
        cluster.runtime.add(other, cluster.conf())
    assert failure.value.code == 11
    cluster.runtime.nothing_left(other)


def test_pod_that_is_gone(cluster: Cluster) -> None:
    """The pod was deleted meanwhile: a valid result, nothing attached."""
    pod = cluster.runtime.sandbox("gone", uid="u")
    result = cluster.runtime.add(pod, cluster.conf())
    assert result["cniVersion"] == "1.0.0"
    cluster.runtime.nothing_left(pod)


def test_status_that_cannot_be_written(cluster: Cluster) -> None:
    """The annotation is refused: ADD fails, everything is undone."""
    cluster.network("a", 11)
    pod = cluster.pod("a")
    cluster.server.forbidden.add(("patch", "pods/status"))
    with pytest.raises(PluginError, match="setting the networks status") as failure:
        cluster.runtime.add(pod, cluster.conf(statusTimeout=2))
    assert failure.value.code == 11
    cluster.runtime.nothing_left(pod)


def test_status_in_the_background(cluster: Cluster) -> None:
    """With `statusPolicy: background` ADD succeeds, the status follows when the server lets it."""
    cluster.network("a", 11)
    pod, conf = cluster.pod("a"), cluster.conf(statusPolicy="background", statusTimeout=2)
    cluster.server.forbidden.add(("patch", "pods/status"))
    cluster.runtime.add(pod, conf)
    assert STATUS not in cluster.server.annotations_of("pod")
    cluster.server.forbidden.clear()
    eventually(lambda: STATUS in cluster.server.annotations_of("pod"))
    cluster.runtime.delete(pod, conf)
    cluster.runtime.nothing_left(pod)


def test_server_in_trouble(cluster: Cluster) -> None:
    """Errors that pass, connections that break: ADD gets through them."""
    cluster.network("a", 11)
    pod, conf = cluster.pod("a"), cluster.conf()
    cluster.runtime.add(pod, conf)
    cluster.runtime.delete(pod, conf)
    again = cluster.pod("a", name="again")
    cluster.server.script(failing(500), failing(429, "TooManyRequests", retry_after="1"), failing(503))
    cluster.runtime.add(again, conf)
    cluster.runtime.delete(again, conf)
    cluster.runtime.nothing_left(again)


def test_delete_without_the_server(cluster: Cluster) -> None:
    """The record is enough for DEL; the server may be away."""
    cluster.network("a", 11)
    pod, conf = cluster.pod("a"), cluster.conf()
    cluster.runtime.add(pod, conf)
    cluster.runtime.check(pod, conf)
    cluster.server.__exit__(None, None, None)
    try:
        cluster.runtime.check(pod, conf)
        cluster.runtime.delete(pod, conf)
        cluster.runtime.nothing_left(pod)
    finally:
        inside(str(NETNS_DIR / cluster.runtime.host), cluster.server.__enter__)


def test_isolation(cluster: Cluster) -> None:
    """With `namespaceIsolation` a pod may not use another namespace's network."""
    cluster.network("a", 11)
    pod = cluster.pod("other/a")
    with pytest.raises(PluginError, match="other"):
        cluster.runtime.add(pod, cluster.conf(namespaceIsolation=True))
    cluster.runtime.nothing_left(pod)


@pytest.mark.parametrize("cluster", ["thick"], indirect=True)
def test_plain_pod_while_the_server_is_away(cluster: Cluster) -> None:
    """A pod known to ask for nothing starts without the API server; its status follows when that is back."""
    pod, conf = cluster.pod(""), cluster.conf()
    cluster.runtime.add(pod, conf)
    cluster.runtime.delete(pod, conf)
    del cluster.server.annotations_of("pod")[STATUS]
    again = cluster.runtime.sandbox("pod", uid=pod.uid)
    cluster.server.forbidden.add(("patch", "pods/status"))
    cluster.runtime.add(again, conf)
    assert STATUS not in cluster.server.annotations_of("pod")
    cluster.server.forbidden.clear()
    eventually(lambda: STATUS in cluster.server.annotations_of("pod"))
    cluster.runtime.delete(again, conf)
    cluster.runtime.nothing_left(again)
