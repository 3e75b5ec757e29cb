"""ADD that fails, at every step there is: all of it is undone, or what could not be is on record for DEL."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest

from multus import errors
from unit.engine import steps, world
from unit.engine.steps import Killed, Steps
from unit.engine.world import CODE, CONTAINER, Node

if TYPE_CHECKING:
    from collections.abc import Iterator

COUNTS = range(5)

#: Steps that fail before they take effect, or not at all.
WITHOUT_EFFECT = ("records.lock", "netlink.open")


def node(count: int, **conf: Any) -> Node:
    """A pod of `count` networks; the last one takes the default route over."""
    made = Node(default=world.network("cluster", world.plugin(gateways=["10.1.0.1"]), world.plugin("portmap")), **conf)
    made.wants(count)
    if count:
        elements: list[dict[str, Any]] = [{"name": f"net-{number}"} for number in range(1, count + 1)]
        elements[-1]["default-route"] = ["10.9.0.1"]
        made.pod(elements)
    return made


def every_step(count: int, **kinds: bool) -> Iterator[tuple[Node, Steps]]:
    """A new node for each step of an ADD, and what fails that step."""
    for number in itertools.count():
        one, failing = node(count), Steps(number, **kinds)
        yield one, failing
        if not failing.failed_at:
            return


def attempt(one: Node, failing: Steps) -> errors.CniError | None:
    """An ADD with that failure; its error."""
    try:
        one.add(ports=failing.ports(one.ports))
    except errors.CniError as error:
        return error
    return None


def test_every_step_is_met() -> None:
    """The steps of an ADD are those that the tests below speak of."""
    one, watching = node(2), Steps()
    one.add(ports=watching.ports(one.ports))
    assert set(watching.taken) == {
        "records.lock",
        "records.load",
        "records.save",
        "records.sync",
        "executor.run",
        "results.keep",
        "results.save",
        "cluster.pod",
        "cluster.network",
        "cluster.set_status",
        "netlink.open",
        "net.links",
        "net.default_routes",
        "net.delete_route",
        "net.add_default",
    }
    assert watching.taken.count("executor.run") == 5


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("count", COUNTS)
def test_any_step_fails(count: int, before: bool) -> None:
    """Whatever fails, before or after it took effect: nothing is left, and the error is the one that happened."""
    for one, failing in every_step(count, before=before):
        error = attempt(one, failing)
        if error is None:
            # A pod that asked for nothing does not depend on its status either.
            of_no_concern = WITHOUT_EFFECT if count else (*WITHOUT_EFFECT, "cluster.set_status")
            assert failing.failed_at in ("", *of_no_concern)
            continue
        assert error.code == (11 if failing.failed_at == "cluster.set_status" else steps.CODE), failing.failed_at
        assert f"injected at {failing.failed_at}" in str(error)
        assert str(error).count("[default/web/uid-1") == 1
        assert one.is_clean(), (failing.failed_at, failing.at)


@pytest.mark.parametrize("count", COUNTS)
def test_rollback_is_in_reverse(count: int) -> None:
    """What was started is detached in reverse order, each once."""
    for one, failing in every_step(count, before=False):
        if attempt(one, failing) is not None:
            started = list(dict.fromkeys(ifname for _, ifname in one.order("ADD")))
            stopped = list(dict.fromkeys(ifname for _, ifname in one.order("DEL")))
            assert stopped == started[::-1], failing.failed_at
            assert len(one.order("DEL")) == len(set(one.order("DEL")))


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("count", COUNTS)
def test_killed_at_any_step(count: int, before: bool) -> None:
    """SIGKILL at any instant: the next DEL releases everything, from what is on disk."""
    for one, killing in every_step(count, before=before, kills=True):
        try:
            one.add(ports=killing.ports(one.ports))
        except Killed:
            one.netlink.open_sockets = 0
            one.cluster.pods.clear()
            one.run("DEL")
            assert one.is_clean(), (killing.failed_at, killing.at)


@pytest.mark.parametrize("count", COUNTS)
def test_killed_then_added_again(count: int) -> None:
    """The runtime may repeat ADD for a sandbox without a DEL in between: leftovers are undone first."""
    for one, killing in every_step(count, kills=True, before=False):
        try:
            one.add(ports=killing.ports(one.ports))
        except Killed:
            one.add()
            one.run("DEL")
            one.netlink.open_sockets = 0
            assert one.is_clean(), (killing.failed_at, killing.at)


PLUGINS = [("eth0", "bridge"), ("eth0", "portmap"), ("net1", "macvlan"), ("net2", "macvlan"), ("net2", "tuning")]


@pytest.mark.parametrize(("ifname", "kind"), PLUGINS)
def test_plugin_fails(ifname: str, kind: str) -> None:
    """A delegate's code, message and details survive; pod, network and interface are named."""
    one = node(2)
    one.plugins.broken.add(("ADD", ifname, kind))
    error = one.add_fails()
    name = {"eth0": "cluster", "net1": "default/net-1", "net2": "default/net-2"}[ifname]
    assert error.code == CODE
    assert error.details == "it is broken"
    for part in (f"[default/web/uid-1:{name}]", f'"{name}" as {ifname}', f'type="{kind}" failed (add)', "does not ADD"):
        assert part in error.message
    assert one.is_clean()
    assert not one.cluster.statuses


@pytest.mark.parametrize(("ifname", "kind"), PLUGINS)
def test_rollback_fails(ifname: str, kind: str) -> None:
    """What can't be detached stays on record, that alone, durable; the following DEL finishes it."""
    one = node(2)
    one.cluster.fail("set_status", errors.ClusterError("away"))
    one.plugins.broken.add(("DEL", ifname, kind))
    error = one.add_fails()
    assert "away" in error.message
    record = one.record()
    assert record is not None
    assert [entry.ifname for entry in record.entries] == [ifname]
    assert one.records.durable == one.records.files
    assert {held.ifname for held in one.plugins.held} == {ifname}
    assert "net1" in {name for _, name in one.order("DEL")}
    one.plugins.broken.clear()
    one.run("DEL")
    assert one.is_clean()


def test_nothing_ran() -> None:
    """A plugin that is not there was never started: nothing to detach."""
    one = node(1)
    one.plugins.answer("bridge", "ADD", errors.PluginNotFound('failed to find plugin "bridge" in path [/opt/cni/bin]'))
    error = one.add_fails()
    assert 'failed to find plugin "bridge"' in error.message
    assert not one.order("DEL")
    assert one.is_clean()


def test_times_out() -> None:
    """A plugin that was killed at its deadline had begun: it is detached, and the runtime shall retry (11)."""
    one = node(1)
    one.plugins.answer("macvlan", "ADD", errors.PluginTimeout("killed after 170 s"))
    assert one.add_fails().code == 11
    assert one.order("DEL") == [("macvlan", "net1"), ("portmap", "eth0"), ("bridge", "eth0")]
    assert one.is_clean()


def test_budget() -> None:
    """Delegates get the call's budget less what is kept for rollback; rollback gets all of it."""
    one = node(1)
    one.plugins.broken.add(("ADD", "net1", "macvlan"))
    start = one.clock.now
    one.add_fails()
    deadlines = {call.environ["CNI_COMMAND"]: call.deadline - start for call in one.plugins.calls}
    assert deadlines == {"ADD": 170.0, "DEL": 200.0}


def test_interrupted() -> None:
    """SIGTERM, which arrives as an exception of its own, undoes what was started too."""
    one = node(2)

    class Terminated(BaseException):
        pass

    def end(_: object) -> Any:
        raise Terminated

    one.plugins.answer("tuning", "ADD", end)
    with pytest.raises(Terminated):
        one.add()
    assert {ifname for _, ifname in one.order("DEL")} == {"eth0", "net1", "net2"}
    assert one.is_clean()


def test_failure_event() -> None:
    """One event tells the pod's owner what went wrong."""
    one = node(2)
    one.plugins.broken.add(("ADD", "net1", "macvlan"))
    one.add_fails()
    (event,) = one.cluster.events
    assert (event.kind, event.reason) == ("Warning", "FailedAddingNetworks")
    assert "default/net-1" in event.message
    assert "does not ADD" in event.message


def test_leftovers_that_stay() -> None:
    """An earlier ADD that still can't be undone: this one is refused, and nothing new is started."""
    one = node(1)
    one.cluster.fail("set_status", errors.ClusterError("away"))
    one.plugins.broken.add(("DEL", "net1", "macvlan"))
    one.add_fails()
    begun = len(one.order("ADD"))
    error = one.add_fails()
    assert error.code == CODE
    assert "an earlier ADD of this sandbox is not undone yet" in error.message
    assert len(one.order("ADD")) == begun
    assert one.record() is not None
    assert CONTAINER in one.records.files


def test_leftovers_are_undone_first() -> None:
    """In reverse order, and off the record even when this ADD is refused then."""
    one = node(2)
    one.cluster.fail("set_status", errors.ClusterError("away"))
    one.plugins.broken |= {("DEL", ifname, kind) for ifname, kind in PLUGINS}
    one.add_fails()
    record = one.record()
    assert record is not None
    assert len(record.entries) == 3
    one.plugins.broken.clear()
    one.plugins.calls.clear()
    one.netlink.fail("links", errors.IoFailure("no such namespace"))
    one.add_fails()
    assert [ifname for _, ifname in one.order("DEL")] == ["net2", "net2", "net1", "eth0", "eth0"]
    assert not one.order("ADD")
    assert one.is_clean()
