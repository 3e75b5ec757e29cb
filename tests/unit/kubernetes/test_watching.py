"""Which lookups are answered by what is known."""

from __future__ import annotations

import time
from typing import Any

import pytest

from multus import errors
from multus.kubernetes import watches
from multus.kubernetes.watching import WatchingCluster
from multus.networks.nad import Nad
from multus.ports import Pod
from multus.testing.cluster import FakeCluster

SOON = time.monotonic() + 3600


class Live(FakeCluster):
    """The live cluster, which also sends and closes."""

    def send(self, event: Any, deadline: float) -> None:
        """Kept."""
        self.event(event.pod, event.kind, event.reason, event.message)

    def close(self) -> None:
        """Nothing to close."""


class NoFeed:
    """A feed that is never asked."""

    def pages(self) -> Any:
        """Nothing."""
        raise AssertionError

    def changes(self, version: str) -> Any:
        """Nothing."""
        raise AssertionError

    def abort(self) -> None:
        """Nothing to end."""

    def close(self) -> None:
        """Nothing to close."""


def made(live: Live, *, synced: bool = True, with_pods: bool = True) -> WatchingCluster:
    """A cluster that knows the pods `web` (u-1) and `mirror` (static), and the definition `net`."""
    pods, networks = watches.pods(NoFeed()), watches.networks(NoFeed())
    pods._objects["ns/web"] = Pod("ns", "web", "u-1", {})
    pods._objects["ns/mirror"] = Pod("ns", "mirror", "u-2", {}, static=True)
    networks._objects["ns/net"] = '{"known": 1}'
    if synced:
        pods.synced.set()
        networks.synced.set()
    return WatchingCluster(live, networks, pods if with_pods else None)  # type: ignore[arg-type] # live by shape


@pytest.mark.parametrize(
    ("name", "uid", "asked"),
    [
        ("web", "u-1", False),
        ("web", "", False),
        ("web", "u-9", True),
        ("mirror", "u-9", False),
        ("other", "", True),
    ],
)
def test_pod(name: str, uid: str, asked: bool) -> None:
    """Known as the call means it: no request. Else exactly one."""
    live = Live()
    made(live).pod("ns", name, uid, SOON)
    assert live.calls == ([("pod", "ns", name)] if asked else [])


def test_another_uid_gets_the_live_pod() -> None:
    """Not the known one."""
    live = Live()
    current = live.add_pod("web", "ns", "u-9", {"a": "b"})
    assert made(live).pod("ns", "web", "u-9", SOON) == current


def test_pod_that_is_gone() -> None:
    """What the server says counts."""
    assert made(Live()).pod("ns", "web", "u-9", SOON) is None


def test_failures_of_live_lookups_are_told() -> None:
    """They are the caller's to handle."""
    live = Live()
    live.fail("pod", errors.ClusterError("away"))
    with pytest.raises(errors.ClusterError):
        made(live).pod("ns", "other", "", SOON)


@pytest.mark.parametrize(("name", "asked"), [("net", False), ("other", True)])
def test_network(name: str, asked: bool) -> None:
    """The same for definitions."""
    live = Live()
    live.add_network("other", "{}", "ns")
    found = made(live).network("ns", name, SOON)
    assert found == Nad("ns", name, "{}" if asked else '{"known": 1}')
    assert live.calls == ([("network", "ns", name)] if asked else [])


def test_before_the_first_list() -> None:
    """What is known by half is not used."""
    live = Live()
    live.add_network("net", "{}", "ns")
    cluster = made(live, synced=False)
    cluster.pod("ns", "web", "u-1", SOON)
    cluster.network("ns", "net", SOON)
    assert len(live.calls) == 2
    assert not cluster.wait(time.monotonic())


def test_without_a_pod_watch() -> None:
    """Pods are asked for; there is one reflector."""
    live = Live()
    cluster = made(live, with_pods=False)
    cluster.pod("ns", "web", "u-1", SOON)
    assert live.calls == [("pod", "ns", "web")]
    assert [item.name for item in cluster.reflectors] == ["network-attachment-definitions"]
    assert cluster.wait(time.monotonic())


def test_events_go_through_the_queue() -> None:
    """And are sent by the time it has stopped."""
    live = Live()
    cluster = made(live)
    cluster.event(Pod("ns", "web", "u-1", {}), "Normal", "R", "m")
    assert live.events == []
    cluster.events.start()
    assert cluster.stop(time.monotonic() + 30)
    assert [event.reason for event in live.events] == ["R"]


def test_sources() -> None:
    """One node's pods by a selector; a name that could change the request is refused."""
    assert watches.pods_of("node-1").selector == "spec.nodeName=node-1"
    assert watches.pods_of("").selector == ""
    with pytest.raises(errors.InvalidConfig, match="name of a node"):
        watches.pods_of("a,b=c")
