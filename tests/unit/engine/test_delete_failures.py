"""DEL that fails or is killed at every step there is: the runtime's retry finishes it."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from multus import errors
from multus.testing import executor
from unit.engine import steps
from unit.engine.steps import Killed, Steps
from unit.engine.world import Node

if TYPE_CHECKING:
    from collections.abc import Iterator

    from multus.cni.invoke import PluginExit

COUNTS = range(5)
LOST = ("", "record", "results", "both")


def attached(count: int, lost: str = "") -> Node:
    """A pod with `count` networks, of which something was lost."""
    one = Node()
    one.wants(count)
    one.add()
    if lost in ("record", "both"):
        one.records.files.clear()
    if lost in ("results", "both"):
        one.results.kept.clear()
    return one


def every_step(count: int, lost: str, **kinds: bool) -> Iterator[tuple[Node, Steps]]:
    """A new node for each step of a DEL, and what fails that step."""
    for number in itertools.count():
        one, failing = attached(count, lost), Steps(number, **kinds)
        yield one, failing
        if not failing.failed_at:
            return


@pytest.mark.parametrize("lost", LOST)
@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("count", COUNTS)
def test_any_step_fails(count: int, before: bool, lost: str) -> None:
    """Whatever fails is either reported or made up for; the next DEL leaves nothing, reported failure or not."""
    for one, failing in every_step(count, lost, before=before):
        try:
            one.run("DEL", ports=failing.ports(one.ports))
        except errors.CniError as error:
            codes = {error.code}
            assert codes == {steps.CODE}, failing.failed_at
            one.run("DEL")
        if lost == "both" and failing.failed_at.startswith("cluster."):
            # Neither record nor API: only the default network can be known.
            assert all(held.ifname != "eth0" for held in one.plugins.held)
        else:
            assert one.is_clean(), (failing.failed_at, failing.at)


@pytest.mark.parametrize("lost", LOST)
@pytest.mark.parametrize("count", COUNTS)
def test_killed_at_any_step(count: int, lost: str) -> None:
    """SIGKILL at any instant: the next DEL finishes, with or without the pod."""
    for one, killing in every_step(count, lost, kills=True, before=False):
        try:
            one.run("DEL", ports=killing.ports(one.ports))
        except Killed:
            if lost != "both":
                one.cluster.pods.clear()
            one.run("DEL")
        assert one.is_clean(), (killing.failed_at, killing.at)


@pytest.mark.parametrize("count", COUNTS)
def test_everything_is_attempted(count: int) -> None:
    """A step of one attachment that fails keeps no other one from being detached."""
    for one, failing in every_step(count, ""):
        try:
            one.run("DEL", ports=failing.ports(one.ports))
        except errors.CniError:
            if failing.failed_at in ("executor.run", "results.load", "results.remove"):
                assert len({held.ifname for held in one.plugins.held}) <= 1


def refused(add: errors.CniError | PluginExit, undo: PluginExit) -> Node:
    """A pod of one network whose plugin refused ADD, and refuses to undo it."""
    one = Node()
    one.wants(1)
    one.plugins.answer("macvlan", "ADD", add)
    one.plugins.answer("macvlan", "DEL", undo)
    one.add_fails()
    record = one.record()
    assert record is not None
    assert [entry.ifname for entry in record.entries] == ["net1"]
    return one


def test_never_attached_and_not_to_be_deleted() -> None:
    """A plugin that refused ADD and refuses DEL (its configuration is wrong, say): reported once more, then forgotten,
    or the pod could never go."""
    no = executor.failed(7, "master eth7 does not exist")
    one = refused(no, no)
    error = one.fails("DEL")
    assert error.code == 7
    assert "network default/net-1, interface net1" in error.message
    assert not one.records.files
    one.run("DEL")


@pytest.mark.parametrize(("code", "reported"), [(7, False), (999, False), (11, True)])
def test_not_known_to_be_attached(code: int, reported: bool) -> None:
    """No record, no results, and the live pod's network refuses DEL: only what may succeed yet is reported."""
    one = attached(1, "both")
    one.plugins.answer("macvlan", "DEL", executor.failed(code, "no"))
    if reported:
        assert one.fails("DEL").code == code
    else:
        one.run("DEL")
    assert ("bridge", "eth0") in one.order("DEL")


def test_never_attached_but_to_be_tried_again() -> None:
    """Code 11 says that it may succeed yet: kept until it does."""
    one = refused(executor.failed(7, "no"), executor.failed(11, "busy"))
    for _ in range(3):
        assert one.fails("DEL").code == 11
    one.plugins.answer("macvlan", "DEL", one.plugins.succeed)
    one.run("DEL")
    assert one.is_clean()


@pytest.mark.parametrize(
    "ended",
    [errors.PluginTimeout("killed after 170 s"), executor.failed(11, "try again"), errors.IoFailure("no answer")],
)
def test_maybe_attached(ended: errors.CniError | PluginExit) -> None:
    """An ADD that ran out of time, or whose end is not known, may have attached something: kept until it is deleted."""
    one = refused(ended, executor.failed(7, "no"))
    for _ in range(3):
        assert one.fails("DEL").code == 7
    one.plugins.answer("macvlan", "DEL", one.plugins.succeed)
    one.run("DEL")
    assert one.is_clean()


def test_attached_but_not_recorded_as_such() -> None:
    """The plugin succeeded and its result could not be written: kept until it is deleted."""
    one = Node()
    one.wants(1)
    one.results.fail("save", errors.IoFailure("disk full"))
    one.plugins.answer("bridge", "DEL", executor.failed(7, "no"))
    one.add_fails()
    for _ in range(3):
        assert one.fails("DEL").code == 7
    one.plugins.answer("bridge", "DEL", one.plugins.succeed)
    one.run("DEL")
    assert one.is_clean()
