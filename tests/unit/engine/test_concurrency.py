"""`delegateConcurrency: auto`: neighbours side by side where that is safe, strict order by default."""

from __future__ import annotations

import itertools
import threading
from typing import TYPE_CHECKING, Any

import pytest

from multus import errors
from multus.testing import executor
from multus.testing.namespaces import FakeNamespace
from unit.engine import world
from unit.engine.steps import Killed, Steps
from unit.engine.world import CODE, NETNS, Node

if TYPE_CHECKING:
    from multus.cni.invoke import PluginCall, PluginExit

#: Seconds after which a test is given up; nothing waits that long when all is well.
PATIENCE = 20.0


class Together:
    """Plugins that answer only once `count` of them are running."""

    def __init__(self, one: Node, count: int) -> None:
        self.most = 0
        self._plain = one.plugins.succeed
        self._barrier = threading.Barrier(count)
        self._lock = threading.Lock()
        self._running = 0
        one.plugins.answer("macvlan", "ADD", self._add)

    def _add(self, call: PluginCall) -> PluginExit:
        with self._lock:
            self._running += 1
            self.most = max(self.most, self._running)
        self._barrier.wait(PATIENCE)
        with self._lock:
            self._running -= 1
            return self._plain(call)


def node(count: int, **conf: Any) -> Node:
    """A pod with `count` networks of a proven plugin."""
    one = Node(delegateConcurrency="auto", **conf)
    for number in range(1, count + 1):
        one.nad(world.network(f"net-{number}", world.plugin("macvlan", master=f"eth{number}")))
    one.pod(",".join(f"net-{number}" for number in range(1, count + 1)))
    return one


def test_side_by_side() -> None:
    """Proven neighbours run at the same time; results, status and record keep the annotation's order."""
    one = node(3)
    together = Together(one, 3)
    one.add()
    assert together.most == 3
    assert [entry["name"] for entry in one.status()] == ["cluster"] + [f"default/net-{n}" for n in (1, 2, 3)]
    assert [entry["interface"] for entry in one.status()] == ["eth0", "net1", "net2", "net3"]
    record = one.record()
    assert record is not None
    assert [entry.ifname for entry in record.entries] == ["eth0", "net1", "net2", "net3"]
    one.run("DEL")
    assert [ifname for _, ifname in one.order("DEL")] == ["net3", "net2", "net1", "eth0"]
    assert one.is_clean()


def test_default_network_is_alone() -> None:
    """It has answered before any other one is started (NPWG 6.2)."""
    one = node(2)
    Together(one, 2)
    one.add()
    assert one.plugins.order[0] == ("ADD", "bridge", "eth0")


@pytest.mark.parametrize("mode", ["strict", "auto"])
def test_strict_order(mode: str) -> None:
    """By default, and with an unproven plugin between them, one after another in the annotation's order."""
    one = node(3)
    one.conf["delegateConcurrency"] = mode
    if mode == "auto":
        one.nad(world.network("net-2", world.plugin("sriov")))
    running: list[str] = []
    plain = one.plugins.succeed

    def attach(call: PluginCall) -> PluginExit:
        assert not running
        running.append(call.environ["CNI_IFNAME"])
        done = plain(call)
        running.remove(call.environ["CNI_IFNAME"])
        return done

    for kind in ("macvlan", "sriov"):
        one.plugins.answer(kind, "ADD", attach)
    one.add()
    assert [ifname for _, ifname in one.order("ADD")] == ["eth0", "net1", "net2", "net3"]


def test_one_of_them_fails() -> None:
    """Its neighbours finish, then all that was started is undone in reverse; the failure's own code is kept."""
    one = node(3)
    plain = one.plugins.succeed
    barrier = threading.Barrier(3)
    lock = threading.Lock()

    def attach(call: PluginCall) -> PluginExit:
        barrier.wait(PATIENCE)
        if call.environ["CNI_IFNAME"] == "net2":
            return executor.failed(CODE, "no such parent")
        with lock:
            return plain(call)

    one.plugins.answer("macvlan", "ADD", attach)
    error = one.add_fails()
    assert error.code == CODE
    assert "default/net-2" in error.message
    assert [ifname for _, ifname in one.order("DEL")] == ["net3", "net2", "net1", "eth0"]
    assert one.is_clean()


@pytest.mark.parametrize("kills", [False, True])
@pytest.mark.parametrize("before", [False, True])
def test_any_step_fails(before: bool, kills: bool) -> None:
    """Side by side as one after another: whatever fails, nothing is left, or the next DEL finishes it."""
    for number in itertools.count():
        one, failing = node(3), Steps(number, before=before, kills=kills)
        try:
            one.add(ports=failing.ports(one.ports))
        except errors.CniError:
            assert one.is_clean(), failing.failed_at
        except Killed:
            one.netlink.open_sockets = 0
            one.run("DEL")
            assert one.is_clean(), failing.failed_at
        if not failing.failed_at:
            return


def test_two_sandboxes_at_once() -> None:
    """Different sandboxes don't wait for each other."""
    one = node(1)
    one.netlink.namespaces["/run/netns/two"] = FakeNamespace()
    together = Together(one, 2)
    two = [
        threading.Thread(target=one.run, args=("ADD",), kwargs={"CNI_CONTAINERID": name, "CNI_NETNS": path})
        for name, path in (("sandbox-1", NETNS), ("sandbox-2", "/run/netns/two"))
    ]
    for thread in two:
        thread.start()
    for thread in two:
        thread.join()
    assert together.most == 2
    assert set(one.records.files) == {"sandbox-1", "sandbox-2"}


def test_calls_for_one_sandbox_overlap_not() -> None:
    """A DEL that arrives while ADD is at work waits for it, and then undoes it."""
    one = Node()
    one.wants(1)
    begun = threading.Event()
    proceed = threading.Event()
    plain = one.plugins.succeed

    def attach(call: PluginCall) -> PluginExit:
        begun.set()
        assert proceed.wait(PATIENCE)
        return plain(call)

    one.plugins.answer("macvlan", "ADD", attach)
    adding = threading.Thread(target=one.add)
    deleting = threading.Thread(target=one.run, args=("DEL",))
    adding.start()
    assert begun.wait(PATIENCE)
    deleting.start()
    assert not one.order("DEL")
    proceed.set()
    adding.join()
    deleting.join()
    assert one.order("DEL")
    assert one.is_clean()
