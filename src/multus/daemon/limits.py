"""How many delegates run at once on the node: a reboot storm must not bury it.

The rest queue. Deletions come first and have slots of their own, so that what is to go is never held up by what comes;
then default networks, then the others. A slot is held by a running delegate and by nothing else; the delegates that run
one after another for a pod, its default network's first, use the same one.
"""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from typing import TYPE_CHECKING, Protocol

from multus import errors
from multus.cni import invoke

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from multus.cni.invoke import Ended, PluginCall, PluginExit
    from multus.daemon.hands import Hands

#: Verbs that undo, and may use every slot.
UNDOING = ("DEL", "GC")

#: One slot in so many is kept for them.
RESERVED = 4


class Observer(Protocol):
    """Told of each delegate that ran: for metrics."""

    def waited(self, seconds: float) -> None:
        """How long a delegate queued."""
        ...

    def delegate_ran(self, plugin: str, verb: str, seconds: float, code: int) -> None:
        """A delegate ended; `code` is its exit status, or the CNI code of what kept it from running."""
        ...


class DelegateLimit:
    """`slots` delegates at once. Thread-safe."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self._for_others = max(1, slots - slots // RESERVED)
        self._lock = threading.Lock()
        self._running = 0
        self._waiting: list[tuple[int, int, bool, threading.Event]] = []
        self._numbers = itertools.count()

    @property
    def running(self) -> int:
        """Slots in use."""
        return self._running

    @property
    def queued(self) -> int:
        """Delegates that wait."""
        return len(self._waiting)

    def acquire(self, rank: int, undoing: bool, deadline: float) -> None:
        """Take a slot; of those that wait, the lowest `rank` is served first. Raises errors.TryAgainLater."""
        with self._lock:
            if not self._waiting and self._running < (self.slots if undoing else self._for_others):
                self._running += 1
                return
            admitted = threading.Event()
            entry = (rank, next(self._numbers), undoing, admitted)
            heapq.heappush(self._waiting, entry)
            self._admit()
        if admitted.wait(max(0.0, deadline - time.monotonic())):
            return
        with self._lock:
            if admitted.is_set():
                return
            self._waiting.remove(entry)
            heapq.heapify(self._waiting)
        raise errors.TryAgainLater(f"the node runs {self.slots} delegates already, and none ended in time")

    def release(self) -> None:
        """Give it back."""
        with self._lock:
            self._running -= 1
            if self._waiting:
                self._admit()

    def _admit(self) -> None:
        """Give free slots to those first in line. Deletions rank first, so nobody is passed over."""
        while self._waiting:
            _, _, undoing, admitted = self._waiting[0]
            if self._running >= (self.slots if undoing else self._for_others):
                return
            heapq.heappop(self._waiting)
            self._running += 1
            admitted.set()


class LimitedHands:
    """Hands whose delegates queue for a slot. `runtime_ifname` is the default network's interface; `before` is called
    when delegates are about to be run."""

    def __init__(
        self,
        hands: Hands,
        limit: DelegateLimit,
        runtime_ifname: str,
        observer: Observer | None,
        before: Callable[[], None] = lambda: None,
    ) -> None:
        self._hands = hands
        self._limit = limit
        self._runtime_ifname = runtime_ifname
        self._observer = observer
        self._before = before

    def prepare(self, call: PluginCall) -> None:
        """As `ports.Executor.prepare`."""
        self._before()
        self._hands.prepare(call)

    def run(self, call: PluginCall) -> PluginExit:
        """As `ports.Executor.run`."""
        self._acquire(call)
        try:
            done = self._hands.run(call)
        except errors.CniError as error:
            self._observe(call, error)
            raise
        finally:
            self._limit.release()
        self._observe(call, done)
        return done

    def series(self, calls: Sequence[PluginCall], *, go_on: bool) -> Sequence[Ended]:
        """As `ports.Executor.series`. One of them runs at a time: they need one slot, and keep it."""
        try:
            self._acquire(calls[0])
        except errors.CniError as error:
            return invoke.all_failed(calls, error, go_on=go_on)
        try:
            ends = list(self._hands.series(calls, go_on=go_on))
        finally:
            self._limit.release()
        for call, ended in zip(calls, ends, strict=False):
            self._observe(call, ended)
        return ends

    def _acquire(self, call: PluginCall) -> None:
        undoing = call.environ.get("CNI_COMMAND") in UNDOING
        rank = 0 if undoing else 1 if call.environ.get("CNI_IFNAME") == self._runtime_ifname else 2
        queued = time.monotonic()
        self._limit.acquire(rank, undoing, call.deadline)
        if self._observer is not None:
            self._observer.waited(time.monotonic() - queued)

    def _observe(self, call: PluginCall, ended: Ended) -> None:
        if self._observer is not None:
            code = ended.code if isinstance(ended, errors.CniError) else ended.status
            self._observer.delegate_ran(call.plugin, call.environ.get("CNI_COMMAND", ""), call.worked or 0.0, code)

    def exists(self, path: str) -> bool:
        """As `ports.Executor.exists`."""
        return self._hands.exists(path)
