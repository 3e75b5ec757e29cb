"""How many delegates run at once, who goes first, and what is told of them."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from multus import errors
from multus.cni.invoke import PluginCall, PluginExit
from multus.daemon import limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from multus.cni.invoke import Ended

#: Nothing here takes so long unless it hangs.
PATIENCE = 30.0


def soon() -> float:
    return time.monotonic() + PATIENCE


def wait_for(condition: Callable[[], bool]) -> None:
    until = soon()
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.001)


@contextmanager
def held(limit: limits.DelegateLimit, rank: int, undoing: bool, deadline: float) -> Iterator[None]:
    limit.acquire(rank, undoing, deadline)
    try:
        yield
    finally:
        limit.release()


class Holder:
    """A thread that asks for a slot, and holds it until it is told to let go."""

    def __init__(self, limit: limits.DelegateLimit, rank: int, undoing: bool, order: list[int] | None = None) -> None:
        self.has = threading.Event()
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._hold, args=(limit, rank, undoing, order))
        self._thread.start()

    def _hold(self, limit: limits.DelegateLimit, rank: int, undoing: bool, order: list[int] | None) -> None:
        with held(limit, rank, undoing, soon()):
            if order is not None:
                order.append(rank)
            self.has.set()
            self._enough.wait(PATIENCE)

    def release(self) -> None:
        self._enough.set()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()


def test_slots_for_deletions_stay_free() -> None:
    """Three of four slots are for everybody; the fourth for what undoes."""
    limit = limits.DelegateLimit(4)
    adding = [Holder(limit, 1, False) for _ in range(4)]
    wait_for(lambda: limit.running == 3 and limit.queued == 1)
    deleting = Holder(limit, 0, True)
    assert deleting.has.wait(PATIENCE)
    assert (limit.running, limit.queued) == (4, 1)
    for one in (deleting, *adding):
        one.release()
    assert (limit.running, limit.queued) == (0, 0)


@pytest.mark.parametrize(("slots", "for_others"), [(1, 1), (2, 2), (3, 3), (4, 3), (8, 6), (16, 12)])
def test_share_of_the_others(slots: int, for_others: int) -> None:
    """A quarter of the slots is reserved; the last slot never is."""
    limit = limits.DelegateLimit(slots)
    holders = [Holder(limit, 2, False) for _ in range(slots + 1)]
    wait_for(lambda: limit.running + limit.queued == slots + 1)
    assert limit.running == for_others
    for one in holders:
        one.release()


def test_order_of_those_that_wait() -> None:
    """Deletions first, then default networks, then the others; of one rank, who came first."""
    limit = limits.DelegateLimit(1)
    first = Holder(limit, 2, False)
    assert first.has.wait(PATIENCE)
    order: list[int] = []
    waiting = []
    for number, rank in enumerate((2, 1, 0, 2, 1, 0), 1):
        waiting.append(Holder(limit, rank, rank == 0, order))
        wait_for(lambda number=number: limit.queued == number)  # type: ignore[misc]
    first.release()
    for one in sorted(waiting, key=lambda one: (2, 1, 0, 2, 1, 0)[waiting.index(one)]):
        assert one.has.wait(PATIENCE)
        one.release()
    assert order == [0, 0, 1, 1, 2, 2]


def test_nobody_waits_beyond_the_deadline() -> None:
    """Whoever gives up is told to try again, and is not served later."""
    limit = limits.DelegateLimit(1)
    with held(limit, 1, False, soon()):
        with pytest.raises(errors.TryAgainLater, match="the node runs 1 delegates already"):
            limit.acquire(1, False, time.monotonic())
        assert limit.queued == 0
    assert limit.running == 0


class Recorder:
    """An observer, and the hands below: `outcome` is what they do."""

    def __init__(self, outcome: PluginExit | errors.CniError) -> None:
        self.outcome = outcome
        self.told: list[tuple[str, str, int]] = []
        self.waits: list[float] = []
        self.seconds: list[float] = []
        self.gone = False

    def prepare(self, _call: PluginCall) -> None:
        raise AssertionError("not told of")

    def run(self, _call: PluginCall) -> PluginExit:
        if isinstance(self.outcome, errors.CniError):
            raise self.outcome
        return self.outcome

    def series(self, calls: Sequence[PluginCall], *, go_on: bool) -> Iterable[Ended]:
        for number, call in enumerate(calls):
            call.worked = number + 1.0
            yield self.outcome
            if not go_on:
                return

    def exists(self, path: str) -> bool:
        return path == "/there"

    def open(self, netns: str) -> None:
        raise AssertionError(netns)

    def waited(self, seconds: float) -> None:
        self.waits.append(seconds)

    def delegate_ran(self, plugin: str, verb: str, seconds: float, code: int) -> None:
        self.seconds.append(seconds)
        self.told.append((plugin, verb, code))


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        pytest.param(PluginExit(0, b"{}", b""), 0, id="success"),
        pytest.param(PluginExit(1, b"", b""), 1, id="it failed"),
        pytest.param(errors.PluginTimeout("late"), 11, id="deadline"),
        pytest.param(errors.CniError("odd", code=123), 123, id="its own code"),
    ],
)
def test_what_is_told_of_a_delegate(outcome: PluginExit | errors.CniError, code: int) -> None:
    """Plugin, verb and outcome, whatever the outcome, which is passed on and does not keep the slot."""
    recorder = Recorder(outcome)
    limit = limits.DelegateLimit(1)
    hands = limits.LimitedHands(recorder, limit, "eth0", recorder)  # type: ignore[arg-type]
    call = PluginCall("bridge", {"CNI_COMMAND": "ADD", "CNI_IFNAME": "eth0"}, b"", soon())
    if isinstance(outcome, errors.CniError):
        with pytest.raises(errors.CniError) as caught:
            hands.run(call)
        assert caught.value is outcome
    else:
        assert hands.run(call) == outcome
    assert limit.running == 0
    assert recorder.told == [("bridge", "ADD", code)]
    assert len(recorder.waits) == 1
    assert hands.exists("/there")
    assert not hands.exists("/elsewhere")


def several(verb: str) -> list[PluginCall]:
    return [PluginCall(kind, {"CNI_COMMAND": verb, "CNI_IFNAME": "net1"}, b"", soon()) for kind in ("a", "b", "c")]


@pytest.mark.parametrize("outcome", [PluginExit(1, b"", b""), errors.PluginTimeout("late")])
def test_one_slot_for_a_series(outcome: PluginExit | errors.CniError) -> None:
    """It waits once, and each that had its turn is told of with its own time."""
    recorder = Recorder(outcome)
    limit = limits.DelegateLimit(1)
    hands = limits.LimitedHands(recorder, limit, "eth0", recorder)  # type: ignore[arg-type]
    assert hands.series(several("DEL"), go_on=True) == [outcome] * 3
    code = outcome.code if isinstance(outcome, errors.CniError) else outcome.status
    assert recorder.told == [(kind, "DEL", code) for kind in ("a", "b", "c")]
    assert recorder.seconds == [1.0, 2.0, 3.0]
    assert hands.series(several("ADD"), go_on=False) == [outcome]
    assert recorder.told[3:] == [("a", "ADD", code)]
    assert len(recorder.waits) == 2
    assert limit.running == 0


@pytest.mark.parametrize(("go_on", "count"), [(True, 3), (False, 1)])
def test_no_slot_for_a_series(go_on: bool, count: int) -> None:
    """Each that would have had its turn failed so; nothing ran."""
    recorder = Recorder(PluginExit(0, b"", b""))
    limit = limits.DelegateLimit(1)
    hands = limits.LimitedHands(recorder, limit, "eth0", recorder)  # type: ignore[arg-type]
    calls = [PluginCall("a", {"CNI_COMMAND": "ADD"}, b"", time.monotonic()) for _ in range(3)]
    with held(limit, 1, False, soon()):
        ends = hands.series(calls, go_on=go_on)
    assert [type(ended) for ended in ends] == [errors.TryAgainLater] * count
    assert [call.worked for call in calls] == [None] * 3
    assert recorder.told == []
