"""GC: the runtime's list says which sandboxes live; what belongs to them stays, everything else goes."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest

from multus import errors
from multus.testing import executor
from multus.testing.namespaces import FakeNamespace
from unit.engine import world
from unit.engine.steps import Killed, Steps
from unit.engine.world import CODE, CONTAINER, Held, Node

if TYPE_CHECKING:
    from multus.cni.rawjson import Json

KEY = "cni.dev/valid-attachments"


def sandbox(one: Node, container: str, networks: str = "net-1") -> None:
    """ADD of another sandbox."""
    path = f"/run/netns/{container}"
    one.netlink.namespaces[path] = FakeNamespace()
    one.pod(networks)
    one.run("ADD", CNI_CONTAINERID=container, CNI_NETNS=path)


def node(**conf: Any) -> Node:
    """Definitions net-1, net-2, and the sandbox of the tests attached to both."""
    one = Node(**conf)
    one.wants(2)
    one.add()
    return one


def collect(one: Node, *living: str, ifname: str = "eth0") -> None:
    """GC as a runtime calls it: it knows eth0 only."""
    one.plugins.calls.clear()
    one.run("GC", conf={KEY: [{"containerID": container, "ifname": ifname} for container in living]})


def told(one: Node) -> dict[str, list[tuple[str, str]]]:
    """What the plugins of each network were told to be alive."""
    found: dict[str, list[tuple[str, str]]] = {}
    for conf in one.plugins.configs("GC"):
        assert conf[KEY] == conf["cni.dev/attachments"]
        found[conf["name"]] = sorted((item["containerID"], item["ifname"]) for item in conf[KEY])
    return found


def test_living_sandbox_loses_nothing() -> None:
    """GC with a live net1 removes nothing: not in the plugins, not on disk, and no DEL is sent."""
    one = node()
    before = (list(one.plugins.held), dict(one.records.files), dict(one.results.kept))
    collect(one, CONTAINER)
    assert (one.plugins.held, one.records.files, one.results.kept) == before
    assert not one.order("DEL")
    assert told(one) == {
        "cluster": [(CONTAINER, "eth0")],
        "net-1": [(CONTAINER, "net1")],
        "net-2": [(CONTAINER, "net2")],
    }


def test_every_plugin_of_every_network() -> None:
    """Those of a list too; CNI variables are set but empty, but for CNI_PATH."""
    one = node()
    collect(one, CONTAINER)
    assert sorted(kind for kind, _ in one.order("GC")) == ["bridge", "macvlan", "macvlan", "tuning"]
    for call in one.plugins.calls:
        assert call.environ["CNI_PATH"] == "/opt/cni/bin"
        assert not any(call.environ[key] for key in ("CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"))


def test_stale_sandbox() -> None:
    """A sandbox that the runtime doesn't know is detached from its record in reverse order; its neighbour stays."""
    one = node()
    sandbox(one, "stale", "net-1,net-2")
    collect(one, CONTAINER)
    assert one.order("DEL") == [("tuning", "net2"), ("macvlan", "net2"), ("macvlan", "net1"), ("bridge", "eth0")]
    assert {call.environ["CNI_CONTAINERID"] for call in one.plugins.calls if call.environ["CNI_COMMAND"] == "DEL"} == {
        "stale"
    }
    assert all("prevResult" in conf for conf in one.plugins.configs("DEL"))
    assert "K8S_POD_NAME=web" in one.plugins.calls[0].environ["CNI_ARGS"]
    assert set(one.records.files) == {CONTAINER}
    assert {key[1] for key in one.results.kept} == {CONTAINER}
    assert {held.container for held in one.plugins.held} == {CONTAINER}
    assert all(pair[0] == CONTAINER for pairs in told(one).values() for pair in pairs)


@pytest.mark.parametrize(
    ("netns", "there", "given"),
    [
        ("/run/netns/stale", True, "/run/netns/stale"),
        ("/run/netns/stale", False, ""),
        ("/proc/7/ns/net", True, ""),
        (world.NETNS, True, ""),
    ],
    ids=["held", "gone", "of a process", "a living sandbox's"],
)
def test_network_namespace_of_a_stale_sandbox(netns: str, there: bool, given: str) -> None:
    """Plugins are given the one of ADD where it is still there and surely nobody else's: the links in it go, too."""
    one = node()
    one.netlink.namespaces[netns] = FakeNamespace()
    one.pod("net-1")
    one.run("ADD", CNI_CONTAINERID="stale", CNI_NETNS=netns)
    if not there:
        del one.netlink.namespaces[netns]
    collect(one, CONTAINER)
    assert {call.environ["CNI_NETNS"] for call in one.plugins.calls if call.environ["CNI_COMMAND"] == "DEL"} == {given}


def test_nothing_lives() -> None:
    """An empty list is a list: everything goes, and every network is told that nothing of it lives."""
    one = node()
    collect(one)
    assert not one.plugins.held
    assert not one.records.files
    assert not one.results.kept
    assert set(told(one)) == {"cluster", "net-1", "net-2"}
    assert all(not pairs for pairs in told(one).values())


def test_list_missing() -> None:
    """A missing list is no empty one: an error, and nothing is collected."""
    one = node()
    held = list(one.plugins.held)
    one.plugins.calls.clear()
    error = one.fails("GC")
    assert error.code == 7
    assert KEY in error.message
    assert not one.plugins.calls
    assert one.plugins.held == held


def test_name_shared_by_several_configurations() -> None:
    """Two definitions of one network name: the plugins of each are told the attachments of both."""
    one = Node()
    one.cluster.add_network("a", '{"cniVersion": "1.1.0", "name": "shared", "type": "macvlan", "master": "eth1"}')
    one.cluster.add_network("b", '{"cniVersion": "1.1.0", "name": "shared", "type": "macvlan", "master": "eth2"}')
    one.pod("a,b")
    one.add()
    collect(one, CONTAINER)
    configs = [conf for conf in one.plugins.configs("GC") if conf["name"] == "shared"]
    assert sorted(conf["master"] for conf in configs) == ["eth1", "eth2"]
    for conf in configs:
        assert [(item["containerID"], item["ifname"]) for item in conf[KEY]] == [
            (CONTAINER, "net1"),
            (CONTAINER, "net2"),
        ]
    assert len([held for held in one.plugins.held if held.network == "shared"]) == 2


def test_configuration_of_many_sandboxes() -> None:
    """The same configuration in several sandboxes is collected once."""
    one = node()
    sandbox(one, "sandbox-2", "net-1")
    collect(one, CONTAINER, "sandbox-2")
    assert told(one)["net-1"] == [(CONTAINER, "net1"), ("sandbox-2", "net1")]
    assert len(one.order("GC")) == 4


def test_left_by_a_crash() -> None:
    """What a plugin still holds of a sandbox that nobody knows any more goes, by the plugin's own GC."""
    one = node()
    one.plugins.held.append(Held("long-gone", "net1", "net-1", "macvlan"))
    collect(one, CONTAINER)
    assert {held.container for held in one.plugins.held} == {CONTAINER}


def test_disable_gc() -> None:
    """Honoured per network: neither GC nor the DEL that GC would send; the others are collected."""
    one = Node()
    one.nad(world.network("net-1", world.plugin("macvlan"), world.plugin("tuning"), disableGC=True))
    one.nad(world.network("net-2", world.plugin("ptp")))
    one.pod("net-1,net-2")
    one.add()
    collect(one)
    assert one.order("DEL") == [("ptp", "net2"), ("bridge", "eth0")]
    assert set(told(one)) == {"cluster", "net-2"}
    record = one.record()
    assert record is not None
    assert [entry.ifname for entry in record.entries] == ["net1"]
    assert {held.network for held in one.plugins.held} == {"net-1"}


def test_older_versions() -> None:
    """Below CNI 1.1.0 there is no GC verb, but stale sandboxes are detached all the same."""
    one = Node(default=world.network("cluster", version="0.4.0"))
    one.pod()
    one.add()
    collect(one)
    assert one.plugins.order == [("DEL", "bridge", "eth0")]
    assert not one.records.files


@pytest.mark.parametrize("lost", ["record", "damaged"])
def test_living_sandbox_known_by_its_results(lost: str) -> None:
    """Its record is lost or damaged: the cached results say what lives."""
    one = node()
    if lost == "record":
        one.records.files.clear()
    else:
        one.records.files[CONTAINER] = b"{"
    collect(one, CONTAINER)
    assert told(one)["net-1"] == [(CONTAINER, "net1")]
    assert not one.order("DEL")
    assert len(one.plugins.held) == 4


def test_living_sandbox_that_nobody_recorded() -> None:
    """Attached before Multus came: the runtime's own pair is kept on the default network, and given away nowhere."""
    one = node()
    one.plugins.held.append(Held("older", "eth0", "cluster", "bridge"))
    collect(one, CONTAINER, "older")
    assert told(one)["cluster"] == [("older", "eth0"), (CONTAINER, "eth0")]
    assert told(one)["net-1"] == [(CONTAINER, "net1")]
    assert Held("older", "eth0", "cluster", "bridge") in one.plugins.held


def test_fresh_node() -> None:
    """Nothing was ever attached: no error (upstream's has one)."""
    one = Node()
    collect(one)
    assert told(one) == {"cluster": []}


def test_default_network_not_found() -> None:
    """The recorded networks are collected all the same."""
    one = node()
    del one.conf["delegates"]
    one.conf["clusterNetwork"] = "gone"
    collect(one, CONTAINER)
    assert told(one)["cluster"] == [(CONTAINER, "eth0")]


def test_failures_are_joined() -> None:
    """All is attempted; the error has the first code and names every network; what was not released stays on record."""
    one = node()
    sandbox(one, "stale")
    one.plugins.broken.add(("DEL", "net1", "macvlan"))
    one.plugins.answer("tuning", "GC", executor.failed(99, "can't collect"))
    one.plugins.calls.clear()
    error = one.fails("GC", conf={KEY: [{"containerID": CONTAINER, "ifname": "eth0"}]})
    assert error.code == CODE
    for part in ("container stale", "interface net1", "does not DEL", "network net-2", "can't collect"):
        assert part in error.message
    assert {conf["name"] for conf in one.plugins.configs("GC")} == {"cluster", "net-1", "net-2"}
    assert "stale" in one.records.files
    one.plugins.broken.clear()
    one.plugins.answer("tuning", "GC", one.plugins.succeed)
    collect(one, CONTAINER)
    assert set(one.records.files) == {CONTAINER}


def test_what_is_undone_is_told_to_be_dead() -> None:
    """A stale sandbox that could not be detached is not told to be alive."""
    one = node()
    sandbox(one, "stale")
    one.plugins.broken.add(("DEL", "net1", "macvlan"))
    one.plugins.calls.clear()
    one.fails("GC", conf={KEY: [{"containerID": CONTAINER, "ifname": "eth0"}]})
    assert told(one)["net-1"] == [(CONTAINER, "net1")]


def test_excludes_everything_else() -> None:
    """No other call of the node runs meanwhile: 11 while one does."""
    one = node()
    with one.records.lock("another", 0.0):
        error = one.fails("GC", conf={KEY: []})
    assert error.code == 11
    assert len(one.records.files) == 1


def test_runtime_lists_other_interfaces() -> None:
    """Whatever interface the runtime names: the sandbox lives."""
    one = node()
    collect(one, CONTAINER, ifname="other0")
    assert told(one)["net-1"] == [(CONTAINER, "net1")]
    assert not one.order("DEL")


@pytest.mark.parametrize("value", [5, {}, ["x"], [{"containerID": "a"}], [{"containerID": 1, "ifname": "b"}]])
def test_list_malformed(value: Json) -> None:
    """An error that names the key; nothing is collected."""
    one = node()
    error = one.fails("GC", conf={KEY: value})
    assert KEY in error.message
    assert len(one.records.files) == 1


@pytest.mark.parametrize("kills", [False, True])
@pytest.mark.parametrize("before", [True, False])
def test_any_step_fails(before: bool, kills: bool) -> None:
    """Whatever fails, or is the process's last step: the living sandbox loses nothing, and the next GC finishes."""
    for number in itertools.count():
        one, failing = node(), Steps(number, before=before, kills=kills)
        sandbox(one, "stale")
        one.plugins.held.append(Held("long-gone", "net1", "net-1", "macvlan"))
        conf = {KEY: [{"containerID": CONTAINER, "ifname": "eth0"}]}
        try:
            one.run("GC", conf=conf, ports=failing.ports(one.ports))
        except (errors.CniError, Killed):
            assert [held.container for held in one.plugins.held].count(CONTAINER) == 4
            one.run("GC", conf=conf)
        assert [held.container for held in one.plugins.held] == [CONTAINER] * 4, failing.failed_at
        assert set(one.records.files) == {CONTAINER}
        assert len(one.results.kept) == 3
        if not failing.failed_at:
            return
