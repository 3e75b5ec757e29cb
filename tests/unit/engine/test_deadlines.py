"""Budgets: how long each step may take, by the fake clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from multus.testing.cluster import FakeCluster
from unit.engine.world import CONTAINER, Node

if TYPE_CHECKING:
    from multus.networks.nad import Nad
    from multus.ports import Pod


class TimedCluster(FakeCluster):
    """Keeps how long each call may take, in seconds from `start`."""

    def __init__(self, start: float) -> None:
        super().__init__()
        self.start = start
        self.given: dict[str, float] = {}

    def pod(self, namespace: str, name: str, uid: str, deadline: float) -> Pod | None:
        """As the fake below."""
        self.given["pod"] = deadline - self.start
        return super().pod(namespace, name, uid, deadline)

    def network(self, namespace: str, name: str, deadline: float) -> Nad:
        """As the fake below."""
        self.given["network"] = deadline - self.start
        return super().network(namespace, name, deadline)

    def set_status(self, pod: Pod, status: str, deadline: float) -> None:
        """As the fake below."""
        self.given["status"] = deadline - self.start
        super().set_status(pod, status, deadline)


def timed(**conf: Any) -> tuple[Node, TimedCluster]:
    """A node with one network, whose cluster keeps deadlines."""
    one = Node(**conf)
    cluster = TimedCluster(one.clock.now)
    one.cluster = cluster
    one.ports = one.ports._replace(cluster=cluster)
    one.wants(1)
    return one, cluster


def test_add() -> None:
    """Lookups and plugins have the budget less what rollback may need; the status its own."""
    one, cluster = timed(addTimeout="100s", rollbackReserve="20s", statusTimeout="7s")
    one.add()
    assert cluster.given == {"pod": 80.0, "network": 80.0, "status": 7.0}
    assert {call.deadline - cluster.start for call in one.plugins.calls} == {80.0}


def test_cluster_network() -> None:
    """Its definition is looked up within the same bound."""
    one, cluster = timed(clusterNetwork="net-1", multusNamespace="default")
    one.pod()
    one.add()
    assert cluster.given["network"] == 170.0


def test_status_in_the_background() -> None:
    """Each try has the whole of `statusTimeout`."""
    one, cluster = timed(statusPolicy="background")
    one.add()
    one.clock.advance(500)
    one.later[0]()
    assert cluster.given["status"] == 510.0


@pytest.mark.parametrize(("budget", "patience"), [("50s", 2.5), ("1s", 1.0)])
def test_delete_without_record(budget: str, patience: float) -> None:
    """The API server is asked for the pod, but never waited for long."""
    one, cluster = timed(deleteTimeout=budget)
    one.run("DEL")
    assert cluster.given["pod"] == patience


@pytest.mark.parametrize(("verb", "key"), [("DEL", "deleteTimeout"), ("CHECK", "checkTimeout"), ("GC", "gcTimeout")])
def test_other_verbs(verb: str, key: str) -> None:
    """The whole budget."""
    one, cluster = timed(**{key: "33s", "gcTimeout": "33s"})
    one.add()
    one.plugins.calls.clear()
    one.run(verb, conf={"cni.dev/valid-attachments": [{"containerID": CONTAINER, "ifname": "eth0"}]})
    assert {call.deadline - cluster.start for call in one.plugins.calls} == {33.0}


def test_readiness_within_the_budget() -> None:
    """The wait for `readinessindicatorfile` ends in time for an answer."""
    one, _ = timed(readinessindicatorfile="/run/ready", addTimeout="30s", rollbackReserve="10s")
    one.plugins.missing.add("/run/ready")
    assert one.add_fails().code == 11
    assert sum(one.clock.sleeps) <= 20.0


def test_no_readiness_file() -> None:
    """Nothing is looked for where none is configured."""
    one, _ = timed()
    one.plugins.missing.add("")
    one.add()
    assert one.clock.sleeps == []
    one.run("STATUS")


def test_delete_without_a_cluster() -> None:
    """No API server, or a call that names no pod: the default network alone."""
    one, _ = timed()
    one.run("DEL", ports=one.ports._replace(cluster=None))
    one.run("DEL", CNI_ARGS="")
    assert one.order("DEL") == [("bridge", "eth0")] * 2
    assert not one.cluster.calls
