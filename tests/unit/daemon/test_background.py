"""Work for after the answer."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from multus import log
from multus.daemon import background

if TYPE_CHECKING:
    import pytest

PATIENCE = 30.0


def soon() -> float:
    return time.monotonic() + PATIENCE


def test_all_is_done() -> None:
    """Every task runs once, and drain waits for the last."""
    work, done = background.Background(), []
    for number in range(50):
        work.submit(lambda number=number: done.append(number))  # type: ignore[misc]
    assert work.drain(soon())
    assert sorted(done) == list(range(50))


def test_threads_are_bounded() -> None:
    """However much there is to do, `THREADS` tasks run at once, in the order in which they came."""
    work = background.Background()
    running, most, begun = threading.Semaphore(0), [0], []
    go, lock, now = threading.Event(), threading.Lock(), [0]

    def task(number: int) -> None:
        with lock:
            begun.append(number)
            now[0] += 1
            most[0] = max(most[0], now[0])
        running.release()
        go.wait(PATIENCE)
        with lock:
            now[0] -= 1

    for number in range(3 * background.THREADS):
        work.submit(lambda number=number: task(number))  # type: ignore[misc]
    for _ in range(background.THREADS):
        assert running.acquire(timeout=PATIENCE)
    assert sorted(begun) == list(range(background.THREADS))
    assert not work.drain(time.monotonic())
    go.set()
    assert work.drain(soon())
    assert most[0] == background.THREADS


def test_a_task_that_fails() -> None:
    """It is logged, and the next one runs."""
    lines: list[str] = []
    log.configure("error", [lines.append])
    try:
        work, done = background.Background(), []

        def fails() -> None:
            raise ValueError("bad day")

        work.submit(fails)
        work.submit(lambda: done.append(1))
        assert work.drain(soon())
    finally:
        log.configure("", [])
    assert done == [1]
    assert "ValueError: bad day" in "".join(lines)


def test_no_thread_to_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    """A node without room for another thread fails nobody's call; the next task brings the thread for both."""
    work, done = background.Background(), []

    def refused(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refused)
        work.submit(lambda: done.append(1))
    assert done == []
    work.submit(lambda: done.append(2))
    assert work.drain(soon())
    assert sorted(done) == [1, 2]


def test_nothing_to_do() -> None:
    """Draining what never had anything to do is done at once."""
    assert background.Background().drain(time.monotonic())
