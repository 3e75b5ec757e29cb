"""Pods as Kubernetes really makes them: static ones, restarts, workloads that come and go."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from support.node import layout
from support.node.pods import NETWORKS_KEY, Pod, Workload, bridge, container, pod_template

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.node.plugins import Plugin
    from support.node.pods import Namespace

pytestmark = pytest.mark.cluster

#: As many as one node is asked for at once in the field when a deployment is rolled out.
REPLICAS = 30


def test_static_pod(namespace: Namespace) -> None:
    """A static pod has its networks: the kubelet starts it before it has a UID in the API."""
    namespace.network("one", bridge())
    manifest = {"apiVersion": "v1", "kind": "Pod", **pod_template("one")}
    manifest["metadata"] |= {"name": "static", "namespace": namespace.name}
    path = layout.MANIFESTS_DIR / "static.json"
    namespace.cluster.write(path, json.dumps(manifest))
    pod = Pod(namespace.cluster, namespace.name, f"static-{layout.NODE_NAME}")
    namespace.cluster.wait("the mirror of the static pod", lambda: namespace.cluster.api.find(pod.path))
    pod.phase()
    assert pod.links() == {"eth0", "net1"}
    assert [entry["interface"] for entry in pod.status] == ["eth0", "net1"]
    namespace.cluster.machine.file(path).unlink()
    pod.gone()


def test_host_network_pod(namespace: Namespace) -> None:
    """A pod in the node's network is none of ours, whatever its annotation asks for."""
    namespace.network("one", bridge())
    pod = namespace.pod("pod", "one", hostNetwork=True)
    assert pod.get()["status"]["podIP"] == namespace.cluster.machine.address
    assert "k8s.v1.cni.cncf.io/network-status" not in pod.get()["metadata"]["annotations"]


def test_init_container(namespace: Namespace) -> None:
    """The networks are there before the first init container starts."""
    namespace.network("one", bridge())
    look = container("look", command=["/bin/sh", "-c", "ip address show dev net1 | grep 'inet '"])
    pod = namespace.pod("pod", "one", initContainers=[look])
    assert pod.links() == {"eth0", "net1"}


def test_container_restart(namespace: Namespace) -> None:
    """A container that ends and is started again finds the same interfaces with the same addresses."""
    namespace.network("one", bridge())
    once = "if [ -e /work/was ]; then sleep 10000; else touch /work/was; until [ -e /work/end ]; do sleep 1; done; fi"
    work = {"name": "work", "emptyDir": {}}
    sleeper = container(command=["/bin/sh", "-c", once], volumeMounts=[{"name": "work", "mountPath": "/work"}])
    pod = namespace.pod("pod", "one", containers=[sleeper], volumes=[work], terminationGracePeriodSeconds=0)
    before = pod.addresses("net1")
    namespace.cluster.kubectl("-n", namespace.name, "exec", "pod", "--", "touch", "/work/end")
    namespace.cluster.wait(
        "the container's restart", lambda: pod.get()["status"]["containerStatuses"][0]["restartCount"] == 1
    )
    pod.phase()
    assert pod.addresses("net1") == before


def test_deployment(namespace: Namespace, plugin: Plugin, record_property: Callable[[str, object], None]) -> None:
    """30 pods, each with three networks beside the default one, are scaled up and down twice; addresses are unique."""
    networks = ["one", "two", "three"]
    for network in networks:
        namespace.network(network, bridge())
    template = pod_template(",".join(networks), terminationGracePeriodSeconds=0)
    work = Workload.create(namespace, "Deployment", 0, template)
    for _ in range(2):
        started = time.monotonic()
        work.scale(REPLICAS)
        work.ready()
        record_property("note", f"{REPLICAS} pods ready after {time.monotonic() - started:.1f} s")
        addresses = [ip for pod in namespace.pods() for entry in pod.status for ip in entry["ips"]]
        assert len(set(addresses)) == (1 + len(networks)) * REPLICAS
        work.scale(0)
        work.ready()
    record_property("note", plugin.usage(namespace.cluster))


def test_stateful_set(namespace: Namespace) -> None:
    """Pods that are deleted and made again at once under the same name get networks and status of their own."""
    namespace.network("one", bridge())
    template = pod_template("one", terminationGracePeriodSeconds=0)
    work = Workload.create(namespace, "StatefulSet", 3, template, serviceName="none", podManagementPolicy="Parallel")
    work.ready()
    for _ in range(3):
        seen = frozenset(namespace.uids())
        for pod in namespace.pods():
            pod.delete(grace=0)
        namespace.cluster.wait("other pods of the same names", lambda known=seen: _others(namespace, known))
        work.ready()
        for pod in namespace.pods():
            assert pod.status[1]["ips"] == pod.addresses("net1")
            assert pod.status[1]["mac"] == pod.ip("link", "show", "dev", "net1")[0]["address"]


def _others(namespace: Namespace, known: frozenset[str]) -> bool:
    there = namespace.uids()
    return len(there) == 3 and not there & known


def test_annotation_is_kept(namespace: Namespace) -> None:
    """The status is added beside what the author wrote; the annotations of the author are untouched."""
    namespace.network("one", bridge())
    pod = namespace.pod("pod", "one", annotations={"example.com/owner": "somebody"})
    annotations = pod.get()["metadata"]["annotations"]
    assert annotations["example.com/owner"] == "somebody"
    assert annotations[NETWORKS_KEY] == "one"
