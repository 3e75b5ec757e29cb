"""Hot plug: one network attached to, and detached from, a sandbox that lives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from multus import errors, serving
from multus.cni import config
from multus.engine import hotplug
from multus.networks.selection import Selection
from multus.testing import executor
from unit.engine import world
from unit.engine.world import CODE, CONTAINER, NETNS, Node

if TYPE_CHECKING:
    from collections.abc import Callable

    from multus.cni.rawjson import Json
    from multus.cni.results import Result

NET = world.network("extra", world.plugin("macvlan"))
CHAIN = world.network("extra", world.plugin("macvlan"), world.plugin("tuning"))


def running(**conf: Any) -> Node:
    """A node whose pod runs with eth0 and net1."""
    one = Node(**conf)
    one.wants(1)
    one.add()
    one.plugins.calls.clear()
    one.cluster.calls.clear()
    one.cluster.events.clear()
    return one


def attach(one: Node, conf: Json = NET, ifname: str = "ens4", **asked: Any) -> Result:
    call = one.call("ADD", CNI_IFNAME=ifname)
    return hotplug.attach(call, one.ports, config.from_object(conf, "config"), Selection("", "", **asked))


def detach(one: Node, conf: Json = NET, ifname: str = "ens4") -> None:
    hotplug.detach(one.call("DEL", CNI_IFNAME=ifname), one.ports, config.from_object(conf, "config"))


def fails(function: Callable[..., Any], *args: Any, **keys: Any) -> errors.CniError:
    try:
        function(*args, **keys)
    except errors.CniError as error:
        return error
    raise AssertionError("it succeeded")


def on_record(one: Node) -> list[str]:
    record = one.record()
    return [entry.ifname for entry in record.entries] if record is not None else []


def test_attached() -> None:
    """The plugins run for that interface in the living sandbox; the answer is the last one's."""
    one = running()
    result = attach(one, CHAIN)
    assert one.order("ADD") == [("macvlan", "ens4"), ("tuning", "ens4")]
    assert [interface.name for interface in result.interfaces] == ["ens4"]
    assert {call.environ["CNI_NETNS"] for call in one.plugins.calls} == {NETNS}


def test_recorded_before_it_runs() -> None:
    """The attachment is on record before its first plugin runs, and durable at the end; so is its cached result."""
    one = running()
    seen: list[list[str]] = []

    def look(call: Any) -> Any:
        seen.append(on_record(one))
        return one.plugins.succeed(call)

    one.plugins.answer("macvlan", "ADD", look)
    attach(one)
    assert seen == [["eth0", "net1", "ens4"]]
    assert one.records.durable == one.records.files
    assert ("extra", CONTAINER, "ens4") in one.results.kept


def test_pods_del_tears_it_down() -> None:
    """The pod's own DEL detaches it first, and nothing of the sandbox is left."""
    one = running()
    attach(one)
    one.run("DEL")
    assert one.order("DEL") == [("macvlan", "ens4"), ("macvlan", "net1"), ("bridge", "eth0")]
    assert one.is_clean()


def test_detached() -> None:
    """DEL of one attachment runs its plugins in reverse with their result; it leaves record and cache, others stay."""
    one = running()
    attach(one, CHAIN)
    one.cluster.calls.clear()
    detach(one, CHAIN)
    assert one.order("DEL") == [("tuning", "ens4"), ("macvlan", "ens4")]
    assert all(conf["prevResult"]["interfaces"][0]["name"] == "ens4" for conf in one.plugins.configs("DEL"))
    assert on_record(one) == ["eth0", "net1"]
    assert ("extra", CONTAINER, "ens4") not in one.results.kept
    assert one.records.durable == one.records.files
    assert one.cluster.calls == []


def test_detached_as_it_was_attached() -> None:
    """A definition that was edited meanwhile changes nothing: the recorded configuration and arguments are used."""
    one = running()
    attach(one, mac="02:00:00:00:00:99")
    detach(one, world.network("extra", world.plugin("vlan")))
    assert one.order("DEL") == [("macvlan", "ens4")]
    assert "MAC=02:00:00:00:00:99" in one.plugins.calls[-1].environ["CNI_ARGS"]


def test_detached_without_record() -> None:
    """What nothing is known of is detached with the configuration given, as upstream does."""
    one = running()
    detach(one)
    assert one.order("DEL") == [("macvlan", "ens4")]
    assert on_record(one) == ["eth0", "net1"]


def test_detached_from_the_cached_result() -> None:
    """An attachment of upstream's making is known by its cached result alone."""
    one = running()
    attach(one, CHAIN)
    record = one.record()
    assert record is not None
    one.records.save(CONTAINER, record._replace(entries=record.entries[:2]))
    detach(one, NET)
    assert one.order("DEL") == [("tuning", "ens4"), ("macvlan", "ens4")]


def test_default_network_stays() -> None:
    """The default network is detached by the pod's DEL alone."""
    one = running()
    error = fails(detach, one, world.network("cluster"), "eth0")
    assert "default network" in error.message
    assert one.order("DEL") == []


def test_interface_of_another_network() -> None:
    """DEL of a network at another one's interface is refused: its plugin would delete a link that isn't its own."""
    one = running()
    error = fails(detach, one, NET, "net1")
    assert "belongs to network net-1" in error.message
    assert one.order("DEL") == []


def test_attributes() -> None:
    """MAC, addresses and cni-args reach the plugin as for ADD: CNI_ARGS, runtimeConfig, args.cni."""
    one = running()
    conf = world.network("extra", world.plugin("macvlan", capabilities={"mac": True, "ips": True}))
    attach(one, conf, mac="02:00:00:00:00:99", ips=("10.9.9.9/24",), cni_args={"k": "v"})
    environ, stdin = one.plugins.calls[-1].environ, one.plugins.configs("ADD")[-1]
    assert environ["CNI_ARGS"].endswith(";MAC=02:00:00:00:00:99;IP=10.9.9.9/24")
    assert "K8S_POD_NAME=web" in environ["CNI_ARGS"]
    assert stdin["runtimeConfig"] == {"mac": "02:00:00:00:00:99", "ips": ["10.9.9.9/24"]}
    assert stdin["args"] == {"cni": {"k": "v"}}


def test_own_version() -> None:
    """A delegate's configuration is its own: the daemon's cniVersion and other keys never reach it."""
    one = running(cniVersion="0.4.0", binDir="/elsewhere")
    attach(one, world.network("extra", world.plugin("macvlan"), version="1.0.0"))
    assert one.plugins.configs("ADD")[-1] == {"cniVersion": "1.0.0", "name": "extra", "type": "macvlan"}


def test_event() -> None:
    """One AddedInterface event, naming interface, address and network."""
    one = running()
    attach(one)
    assert [(event.kind, event.reason) for event in one.cluster.events] == [("Normal", "AddedInterface")]
    assert one.cluster.events[0].message.startswith("Add ens4 [10.1.0.")
    assert one.cluster.events[0].message.endswith("from extra")
    assert one.cluster.statuses[1:] == []


@pytest.mark.parametrize("ifname", ["eth0", "net1"])
def test_taken_on_record(ifname: str) -> None:
    """An interface of another attachment is refused before anything runs."""
    one = running()
    error = fails(attach, one, ifname=ifname)
    assert isinstance(error, errors.InterfaceCollision)
    assert f"default/web/uid-1:extra]: interface {ifname}" in error.message
    assert one.order("ADD") == []


def test_taken_in_the_kernel() -> None:
    """So is one that only the kernel knows."""
    one = running()
    one.netlink.namespaces[NETNS].add_link("ens4")
    error = fails(attach, one)
    assert isinstance(error, errors.InterfaceCollision)
    assert one.order("ADD") == []
    assert one.netlink.open_sockets == 0


def test_twice() -> None:
    """The same attachment a second time is refused, and the first one stands."""
    one = running()
    attach(one)
    assert isinstance(fails(attach, one), errors.InterfaceCollision)
    assert on_record(one) == ["eth0", "net1", "ens4"]
    assert one.order("DEL") == []


def test_failure_is_undone() -> None:
    """A plugin's failure keeps its code, names pod, network and interface, and leaves nothing."""
    one = running()
    one.plugins.broken.add(("ADD", "ens4", "tuning"))
    error = fails(attach, one, CHAIN)
    assert error.code == CODE
    assert "[default/web/uid-1:extra]" in error.message
    assert "ens4" in error.message
    assert one.order("DEL") == [("tuning", "ens4"), ("macvlan", "ens4")]
    assert on_record(one) == ["eth0", "net1"]
    assert one.records.durable == one.records.files


def test_what_cannot_be_undone_stays_on_record() -> None:
    """Where undoing fails too, the attachment stays on record for the pod's DEL, or the next attempt."""
    one = running()
    one.plugins.broken |= {("ADD", "ens4", "macvlan"), ("DEL", "ens4", "macvlan")}
    fails(attach, one)
    assert on_record(one) == ["eth0", "net1", "ens4"]
    one.plugins.broken.clear()
    attach(one)
    assert one.order("DEL") == [("macvlan", "ens4"), ("macvlan", "ens4")]
    assert on_record(one) == ["eth0", "net1", "ens4"]


def test_killed_before_it_ended() -> None:
    """An attachment that was begun and has no result (the daemon was killed) is undone, then made anew."""
    one = running()
    attach(one)
    one.results.kept.pop(("extra", CONTAINER, "ens4"))
    attach(one)
    assert one.order("DEL") == [("macvlan", "ens4")]
    assert on_record(one) == ["eth0", "net1", "ens4"]


def test_record_not_written() -> None:
    """Nothing runs that is not on record."""
    one = running()
    one.records.fail("save", errors.IoFailure("disk full"))
    error = fails(attach, one)
    assert "disk full" in error.message
    assert one.order("ADD") == []


def test_record_not_durable() -> None:
    """What may be forgotten by a power failure is undone."""
    one = running()
    one.records.fail("sync", errors.IoFailure("disk full"))
    fails(attach, one)
    assert one.order("DEL") == [("macvlan", "ens4")]
    assert on_record(one) == ["eth0", "net1"]


def test_terminated() -> None:
    """SIGTERM while the plugin runs undoes it."""
    one = running()

    def terminate(_: Any) -> Any:
        raise serving.Terminated

    one.plugins.answer("macvlan", "ADD", terminate)
    with pytest.raises(serving.Terminated):
        attach(one)
    assert one.order("DEL") == [("macvlan", "ens4")]
    assert on_record(one) == ["eth0", "net1"]


def test_detaching_fails() -> None:
    """The plugin's code is kept, and the attachment stays on record for the next attempt."""
    one = running()
    attach(one)
    one.plugins.broken.add(("DEL", "ens4", "macvlan"))
    error = fails(detach, one)
    assert error.code == CODE
    assert "ens4" in error.message
    assert on_record(one) == ["eth0", "net1", "ens4"]
    one.plugins.broken.clear()
    detach(one)
    assert on_record(one) == ["eth0", "net1"]


@pytest.mark.parametrize("kind", ["multus", "multus-shim", "multus-daemon"])
def test_multus_itself(kind: str) -> None:
    """Multus never calls itself."""
    one = running()
    error = fails(attach, one, world.network("extra", world.plugin(kind)))
    assert isinstance(error, errors.SelfDelegation)
    assert one.order("ADD") == []


def test_pod_gone() -> None:
    """A pod that is gone gets nothing attached; the message is upstream's."""
    one = running()
    one.cluster.pods.clear()
    assert "pod not found during Multus GetPod" in fails(attach, one).message
    assert one.order("ADD") == []


def test_another_pod() -> None:
    """A pod of the same name with another UID is another pod."""
    one = running()
    one.pod("net-1", uid="uid-2")
    assert fails(attach, one).code == errors.TryAgainLater.default_code
    assert one.order("ADD") == []


def test_sandbox_without_record() -> None:
    """A sandbox attached by somebody else: its DEL detaches the default network as well as what was plugged."""
    one = Node()
    one.pod()
    attach(one)
    attach(one, world.network("more", world.plugin("vlan")), "ens5")
    detach(one)
    one.plugins.calls.clear()
    one.run("DEL")
    assert one.order("DEL") == [("vlan", "ens5"), ("bridge", "eth0")]
    assert one.is_clean()


def test_last_one_detached() -> None:
    """A sandbox that had no record has none again."""
    one = Node()
    one.pod()
    attach(one)
    detach(one)
    assert one.record() is None


def test_default_network_that_was_never_ours() -> None:
    """Where its plugin refuses the DEL, that is reported once and forgotten."""
    one = Node()
    one.pod()
    attach(one)
    one.plugins.broken.add(("DEL", "eth0", "bridge"))
    assert one.fails("DEL").code == CODE
    assert one.is_clean()


def test_check() -> None:
    """CHECK of this attachment alone, with its result."""
    one = running()
    attach(one)
    one.plugins.calls.clear()
    hotplug.check(one.call("CHECK", CNI_IFNAME="ens4"), one.ports, config.from_object(NET, "config"))
    assert one.order("CHECK") == [("macvlan", "ens4")]
    assert one.plugins.configs("CHECK")[0]["prevResult"]["interfaces"][0]["name"] == "ens4"


def test_check_of_what_is_not_attached() -> None:
    """CHECK of an interface nothing is known of is the specification's "unknown container"."""
    one = running()
    call = one.call("CHECK", CNI_IFNAME="ens4")
    assert fails(hotplug.check, call, one.ports, config.from_object(NET, "config")).code == 3


def test_status() -> None:
    """STATUS asks the network's own plugins, and keeps their code."""
    one = running()
    one.plugins.answer("macvlan", "STATUS", executor.failed(51, "no addresses left"))
    call = one.call("STATUS")
    assert fails(hotplug.status, call, one.ports, config.from_object(NET, "config")).code == 51
