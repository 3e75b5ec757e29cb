"""The verbs of CNI beside ADD and DEL: STATUS, which containerd uses, CHECK and GC, which it does not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from support.node import layout, leftovers, machine, plugins, verbs
from support.node.plugins import Thick
from support.node.pods import bridge

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.node.cluster import Cluster
    from support.node.pods import Namespace

Json = dict[str, Any]

pytestmark = pytest.mark.cluster


def ready_condition(cluster: Cluster) -> Json:
    conditions = cluster.api.get(f"/api/v1/nodes/{layout.NODE_NAME}")["status"]["conditions"]
    found: Json = next(one for one in conditions if one["type"] == "Ready")
    return found


def test_status_without_default_network(namespace: Namespace) -> None:
    """STATUS: without a default network the node says NotReady, and it is Ready again when the network is back."""
    cluster = namespace.cluster
    cluster.machine.file(plugins.PRIMARY).unlink()
    cluster.wait("the node to be NotReady", lambda: ready_condition(cluster)["status"] == "False")
    assert "cni" in ready_condition(cluster)["message"].lower()
    cluster.write(plugins.PRIMARY, json.dumps(plugins.PRIMARY_CONF))
    cluster.wait_for_node()
    assert namespace.pod("pod").links() == {"eth0"}


@pytest.fixture
def impatient(cluster: Cluster) -> Iterator[None]:
    """The shim answers STATUS for a daemon that is away for one second only."""
    conf = json.loads(cluster.machine.file(plugins.MULTUS).read_text())
    for keys in ({"statusGrace": 1}, {}):
        cluster.write(plugins.MULTUS, json.dumps({**conf, **keys}))
        cluster.restart_containerd()
        if keys:
            yield


@pytest.mark.parametrize("plugin", ["thick"], indirect=True, scope="session")
def test_status_without_daemon(cluster: Cluster, impatient: None) -> None:
    """STATUS: while the daemon is away for longer than `statusGrace` the node is NotReady; then it is Ready again."""
    cluster.stop_program(Thick.daemon)
    cluster.wait("the node to be NotReady", lambda: ready_condition(cluster)["status"] == "False")
    assert "multus" in ready_condition(cluster)["message"].lower()
    cluster.start_program(Thick.daemon)
    cluster.wait_for_node()


def test_check(namespace: Namespace) -> None:
    """CHECK: a pod is as it was attached; without its second interface the interface and its network are named."""
    namespace.network("one", bridge())
    pod = namespace.pod("pod", "one@data")
    verbs.check(pod)
    pod.ip("link", "delete", "dev", "data")
    with pytest.raises(machine.MachineError, match=f"{namespace.name}/one.*data"):
        verbs.check(pod)


def test_collection(namespace: Namespace) -> None:
    """GC: of a pod that lives nothing is taken; of a sandbox that the runtime has lost nothing is left."""
    cluster = namespace.cluster
    # As a gateway it has a MAC of its own; else it takes one of its ports', and CHECK misses the one of before.
    namespace.network("one", bridge(isGateway=True))
    lives = namespace.pod("lives", "one")
    # The kubelet may just be having a sandbox of before deleted once more: its lock is nothing that stays.
    before = {trace for trace in leftovers.find(cluster) if not trace.startswith("lock ")}
    lost = namespace.pod("lost", "one")
    cluster.stop_program("kubelet")
    try:
        verbs.lose(lost)
        traces = set(leftovers.find(cluster)) - before
        assert {trace.split()[0] for trace in traces} > {"link", "lease", "record", "chain"}
        verbs.collect(cluster)
        assert {trace.split()[0] for trace in set(leftovers.find(cluster)) ^ before} == {"network"}
        leftovers.remove_forgotten_namespaces(cluster)
        assert set(leftovers.find(cluster)) == before
    finally:
        cluster.start_program("kubelet")
    cluster.wait("another sandbox", lambda: verbs.sandbox(lost))
    for pod in (lives, lost):
        assert pod.phase().links() == {"eth0", "net1"}
        verbs.check(pod)
