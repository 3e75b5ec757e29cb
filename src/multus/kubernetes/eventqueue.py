"""Events sent in the background, in order: a call never waits for them, and a server that is away loses the oldest.

A thread that has just spoken to the server, and has answered its caller, sends its own (`hold`, `release`): for the
queue's thread that would mean to wake twice and to find cold caches. Whenever that does not go at once it is left to
the queue's thread. A few may send at once, or a storm's events would wait for each other's round trips; events of one
pod may overtake each other then, their times tell.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from multus import errors, log
from multus.kubernetes.backoff import Backoff
from multus.kubernetes.events import Event

if TYPE_CHECKING:
    from collections.abc import Callable

    from multus.ports import Pod

#: Events waiting at most.
LIMIT = 1000

#: The longest that sending one may take before it is put off, in seconds.
PATIENCE = 10.0


#: How many are on their way to the server at once.
SENDERS = 4

#: How long a thread that sends its own events may take, in seconds.
HELPING = 1.0

#: How long the first event after a rest waits, in seconds: the answer that it follows goes out first, undisturbed.
LINGER = 0.02


class EventQueue:
    """One thread that hands events to `send`, which gets a deadline and raises errors.CniError."""

    def __init__(
        self, send: Callable[[Event, float], None], *, limit: int = LIMIT, backoff: Backoff | None = None
    ) -> None:
        self._send = send
        self._limit = limit
        self._backoff = backoff or Backoff()
        self._waiting: deque[Event] = deque()
        self._changed = threading.Condition()
        self._newest = 0
        self._held = threading.local()
        self._sending = threading.BoundedSemaphore(SENDERS)
        self._pausing = False
        self._deadline: float | None = None
        self._thread = threading.Thread(target=self._run, name="events", daemon=True)
        #: How many were lost: the queue was full, the server refused them, or there was no time left at the end.
        self.dropped = 0

    def start(self) -> None:
        """Begin sending; returns at once."""
        self._thread.start()

    def put(self, pod: Pod, kind: str, reason: str, message: str) -> None:
        """Queue an event. Never raises, never waits."""
        with self._changed:
            # The time names the event, so no two may have the same.
            self._newest = max(time.time_ns(), self._newest + 1)
            if len(self._waiting) >= self._limit:
                self._waiting.popleft()
                self.dropped += 1
            self._waiting.append(Event(pod, kind, reason, message, self._newest))
            if not getattr(self._held, "value", False):
                self._changed.notify()

    def hold(self) -> None:
        """What this thread puts from here on it sends itself, with `release`."""
        self._held.value = True

    def release(self) -> None:
        """Send what waits; where enough threads do so already, or it does not go at once, leave it to them."""
        self._held.value = False
        if not self._waiting or self._pausing or not self._sending.acquire(blocking=False):
            return
        latest = time.monotonic() + HELPING
        try:
            while time.monotonic() < latest and (event := self._take()) is not None:
                if self._attempt(event, latest):
                    break
        finally:
            self._sending.release()
        with self._changed:
            if self._waiting:
                self._changed.notify()

    def size(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def stop(self, deadline: float) -> bool:
        """Send what waits, until `deadline`; the rest is dropped. Returns whether the thread has ended."""
        with self._changed:
            self._deadline = deadline
            self._changed.notify()
        if self._thread.ident is not None:
            self._thread.join(max(deadline - time.monotonic(), 0.0))
        with self._changed:
            if self._waiting:
                log.warning("events not sent", count=len(self._waiting))
                self.dropped += len(self._waiting)
                self._waiting.clear()
        return not self._thread.is_alive()

    # ── the thread ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _run(self) -> None:
        while self._is_more():
            with self._sending:
                event = self._take()
                pause = self._attempt(event, self._latest()) if event is not None else 0.0
            if pause:
                self._pausing = True
                self._wait(pause)
                self._pausing = False

    def _is_more(self) -> bool:
        """Wait for an event; False at the end."""
        with self._changed:
            while not self._waiting:
                if self._deadline is not None:
                    return False
                self._changed.wait()
                self._changed.wait_for(lambda: self._deadline is not None, LINGER)
            return self._deadline is None or time.monotonic() < self._deadline

    def _take(self) -> Event | None:
        """The oldest that waits."""
        with self._changed:
            return self._waiting.popleft() if self._waiting else None

    def _attempt(self, event: Event, latest: float) -> float:
        """Send it, whoever has taken it. The pause before the next try, for which it waits again."""
        try:
            self._send(event, latest)
        except errors.CniError as error:
            pod = f"{event.pod.namespace}/{event.pod.name}"
            log.warning("event not sent", pod=pod, reason=event.reason, error=error)
            if error.code == errors.TryAgainLater.default_code:
                self._put_back(event)
                return self._backoff.next()
            self.dropped += 1
        except Exception as error:
            # A defect of ours must not end the thread.
            log.error("event: internal error", error=repr(error))
            self.dropped += 1
        else:
            self._backoff.reset()
        return 0.0

    def _latest(self) -> float:
        latest = time.monotonic() + PATIENCE
        return latest if self._deadline is None else min(latest, self._deadline)

    def _put_back(self, event: Event) -> None:
        """To be sent first, unless so many newer ones have come that it is lost."""
        with self._changed:
            if len(self._waiting) < self._limit:
                self._waiting.appendleft(event)
            else:
                self.dropped += 1

    def _wait(self, pause: float) -> None:
        """Let `pause` seconds pass, fewer when stopped."""
        latest = time.monotonic() + pause
        with self._changed:
            while self._deadline is None and (left := latest - time.monotonic()) > 0:
                self._changed.wait(left)
            if self._deadline is not None:
                self._changed.wait(min(max(self._deadline - time.monotonic(), 0.0), 0.2))
