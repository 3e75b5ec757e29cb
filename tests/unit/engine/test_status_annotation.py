"""network-status and events: required or in the background, and never for another pod."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from multus import errors
from multus.testing.namespaces import FakeNamespace
from unit.engine import world
from unit.engine.world import CONTAINER, Node

if TYPE_CHECKING:
    from multus.cni.invoke import PluginCall, PluginExit


def test_entry_for_every_attachment() -> None:
    """Also where a plugin reports no interface, or is of a version that knows none."""
    one = Node()
    one.nad(world.network("silent", world.plugin("odd", silent=True)))
    one.nad(world.network("old", world.plugin("macvlan"), version="0.2.0"))
    one.pod("silent,old@data0")
    one.add()
    assert [(entry["name"], entry["interface"], entry["ips"]) for entry in one.status()] == [
        ("cluster", "eth0", ["10.1.0.2"]),
        ("default/silent", "net1", ["10.1.0.3"]),
        ("default/old", "data0", ["10.1.0.4"]),
    ]
    assert [entry.get("default") for entry in one.status()] == [True, None, None]


def test_in_the_order_of_the_annotation() -> None:
    """Whatever the order of execution."""
    one = Node(delegateConcurrency="auto")
    one.wants(3)
    one.pod("net-3,net-1,net-2")
    one.add()
    assert [entry["name"] for entry in one.status()] == [
        "cluster",
        "default/net-3",
        "default/net-1",
        "default/net-2",
    ]


def test_required() -> None:
    """It can't be written: ADD fails with 11 within `statusTimeout`, and is undone."""
    one = Node(statusTimeout=3)
    one.wants(2)
    one.cluster.fail("set_status", errors.Denied('pods "web" is forbidden'))
    error = one.add_fails()
    assert error.code == 11
    assert "error setting the networks status" in error.message
    assert "forbidden" in error.message
    assert one.is_clean()
    assert [event.reason for event in one.cluster.events] == ["FailedAddingNetworks"]


def test_pod_that_asked_for_nothing() -> None:
    """Its status can't be written: it starts all the same, and the status follows."""
    one = Node()
    one.wants(0)
    one.cluster.fail("set_status", errors.ClusterError("the API server is away"))
    one.add()
    assert one.cluster.statuses == []
    one.later[0]()
    assert len(one.cluster.statuses) == 1


def test_pod_goes_meanwhile() -> None:
    """A pod deleted while its status is written is no failure: its DEL is on the way."""
    one = Node()
    one.wants(1)

    def leave(call: PluginCall) -> PluginExit:
        one.cluster.pods.clear()
        return one.plugins.succeed(call)

    one.plugins.answer("macvlan", "ADD", leave)
    one.add()
    assert one.cluster.statuses == []
    one.run("DEL")
    assert one.is_clean()


# ── statusPolicy: background ────────────────────────────────────────────────────────────────────────────────────


def background(count: int = 1) -> Node:
    """A pod attached, its status still to be written."""
    one = Node(statusPolicy="background")
    one.wants(count)
    one.add()
    assert one.cluster.statuses == []
    assert len(one.later) == 1
    return one


def test_background() -> None:
    """ADD answers first."""
    one = background()
    one.later[0]()
    assert [entry["interface"] for entry in one.status()] == ["eth0", "net1"]


def test_background_is_tried_again() -> None:
    """For about a minute, waiting longer each time."""
    one = background()
    one.cluster.fail("set_status", errors.ClusterError("away"), times=3)
    one.later[0]()
    assert one.clock.sleeps == [1.0, 2.0, 4.0]
    assert len(one.cluster.statuses) == 1


def test_background_gives_up() -> None:
    """The attachments stay."""
    one = background()
    one.cluster.fail("set_status", errors.ClusterError("away"), times=100)
    one.later[0]()
    assert one.cluster.statuses == []
    assert 30 <= sum(one.clock.sleeps) <= 90
    assert not one.order("DEL")


def test_background_after_delete() -> None:
    """A DEL came: the status is dropped."""
    one = background()
    one.run("DEL")
    one.later[0]()
    assert one.cluster.statuses == []


def test_background_after_a_newer_sandbox() -> None:
    """A newer sandbox of the pod has its own status, which the old one must not overwrite."""
    one = background()
    one.netlink.namespaces["/run/netns/two"] = FakeNamespace()
    one.run("ADD", CNI_CONTAINERID="sandbox-2", CNI_NETNS="/run/netns/two")
    old, new = one.later
    new()
    old()
    (written,) = one.cluster.statuses
    assert "10.1.0.4" in written.status
    assert set(one.records.files) == {CONTAINER, "sandbox-2"}


def test_background_superseded_between_tries() -> None:
    """It is asked again before each try."""
    one = background()
    one.cluster.fail("set_status", errors.ClusterError("away"), times=2)
    one.clock.at(one.clock.now + 1.5, lambda: one.run("DEL"))
    one.later[0]()
    assert one.cluster.statuses == []
    assert one.is_clean()


@pytest.mark.parametrize("policy", ["require", "background"])
def test_another_pod_of_that_name(policy: str) -> None:
    """A successor of the same name never gets the status of its predecessor."""
    one = Node(statusPolicy=policy)
    one.wants(1)
    plain = one.plugins.succeed

    def replaced(call: PluginCall) -> PluginExit:
        one.pod("net-1", uid="uid-2")
        return plain(call)

    one.plugins.answer("macvlan", "ADD", replaced)
    one.add()
    for work in one.later:
        work()
    assert one.cluster.statuses == []
