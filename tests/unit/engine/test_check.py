"""CHECK covers every attachment."""

from __future__ import annotations

from typing import Any

import pytest

from unit.engine import world
from unit.engine.world import CODE, CONTAINER, NETNS, Node


def attached(**conf: Any) -> Node:
    """A node whose pod has two networks."""
    one = Node(**conf)
    one.wants(2)
    one.add()
    one.plugins.calls.clear()
    return one


def test_all() -> None:
    """The default network and every other one, each plugin in order, in the living sandbox, without the API server."""
    one = attached()
    one.cluster.calls.clear()
    one.run("CHECK")
    assert one.order("CHECK") == [("bridge", "eth0"), ("macvlan", "net1"), ("macvlan", "net2"), ("tuning", "net2")]
    assert {call.environ["CNI_NETNS"] for call in one.plugins.calls} == {NETNS}
    assert all(conf["prevResult"]["interfaces"] for conf in one.plugins.configs("CHECK"))
    assert one.cluster.calls == []


def test_cluster_network() -> None:
    """Also where the default network comes from `clusterNetwork` (upstream checks nothing then)."""
    one = Node(clusterNetwork="cluster")
    one.conf_files.add('{"cniVersion": "1.1.0", "name": "cluster", "type": "bridge"}')
    one.pod()
    one.add()
    one.run("CHECK")
    assert one.order("CHECK") == [("bridge", "eth0")]


@pytest.mark.parametrize(("ifname", "kind"), [("eth0", "bridge"), ("net1", "macvlan"), ("net2", "tuning")])
def test_one_fails(ifname: str, kind: str) -> None:
    """Its code is kept, pod, network and interface are named, and the others are checked all the same."""
    one = attached()
    one.plugins.broken.add(("CHECK", ifname, kind))
    error = one.fails("CHECK")
    assert error.code == CODE
    for part in ("[default/web/uid-1]", f"interface {ifname}", f'type="{kind}" failed (check)', "does not CHECK"):
        assert part in str(error)
    assert {name for _, name in one.order("CHECK")} == {"eth0", "net1", "net2"}
    assert one.record() is not None


def test_old_versions_are_skipped() -> None:
    """A network whose CNI version has no CHECK doesn't make the others uncheckable; `disableCheck` is honoured."""
    one = Node(default=world.network("cluster", version="0.3.1"))
    one.nad(world.network("off", world.plugin("macvlan"), world.plugin("tuning"), disableCheck=True))
    one.nad(world.network("on", world.plugin("ptp"), version="0.4.0"))
    one.pod("off,on")
    one.add()
    one.run("CHECK")
    assert one.order("CHECK") == [("ptp", "net2")]


def test_unknown_container() -> None:
    """Code 3 of the CNI specification."""
    one = Node()
    one.pod()
    error = one.fails("CHECK")
    assert error.code == 3
    assert CONTAINER in error.message


def test_record_damaged() -> None:
    """The cached results stand in."""
    one = attached()
    one.records.files[CONTAINER] = b"[]"
    one.run("CHECK")
    assert {name for _, name in one.order("CHECK")} == {"eth0", "net1", "net2"}
