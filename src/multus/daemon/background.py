"""Work for after the answer: a few threads, made when there is something to do."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from multus import log

if TYPE_CHECKING:
    from collections.abc import Callable

#: Tasks may wait for an API server that is away; more threads than this would only wait beside them.
THREADS = 4


class Background:
    """Runs what is submitted, in order, `THREADS` at a time."""

    def __init__(self) -> None:
        self._tasks: deque[Callable[[], None]] = deque()
        self._changed = threading.Condition()
        self._workers = 0
        self._busy = 0
        self._stopped = False

    def submit(self, task: Callable[[], None]) -> None:
        """Run it soon. What it raises is logged."""
        with self._changed:
            self._tasks.append(task)
            if self._workers < THREADS and self._workers - self._busy < len(self._tasks):
                self._start()
            self._changed.notify_all()

    def drain(self, deadline: float) -> bool:
        """Wait until nothing is left to do; False at `deadline` (monotonic seconds)."""
        with self._changed:
            idle = self._changed.wait_for(
                lambda: not self._tasks and not self._busy, max(0.0, deadline - time.monotonic())
            )
            self._stopped = True
            self._changed.notify_all()
        return idle

    def _start(self) -> None:
        try:
            threading.Thread(target=self._work, name="background", daemon=True).start()
        except RuntimeError as error:  # the node is out of processes; the next task tries again
            log.error("no thread for background tasks", error=error)
        else:
            self._workers += 1

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._tasks or self._stopped)
                if not self._tasks:
                    return
                task = self._tasks.popleft()
                self._busy += 1
            try:
                task()
            except Exception as error:
                log.error("background task failed", error=f"{error.__class__.__name__}: {error}")
            finally:
                with self._changed:
                    self._busy -= 1
                    self._changed.notify_all()
