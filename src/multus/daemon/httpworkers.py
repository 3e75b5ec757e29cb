"""What takes time to answer: a bounded number of threads, and what waits for them."""

from __future__ import annotations

import select
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, NamedTuple, Protocol

from multus import log
from multus.daemon import httpwire

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from multus.daemon.httpwire import Request, Response


class Handler(Protocol):
    """What is served."""

    def quick(self, request: Request) -> Response | None:
        """The answer of what takes no time; None for the rest."""
        ...

    def aside(self, request: Request) -> bool:
        """Whether a request of the rest never waits behind those that take long."""
        ...

    def work(self, request: Request, started: float) -> Response:
        """The answer of the rest; `started`: when the request was complete (monotonic seconds)."""
        ...

    def busy(self, request: Request) -> Response:
        """The answer when too many requests wait already. Never raises."""
        ...


class Limits(NamedTuple):
    """`workers` requests are worked on at once, `waiting` wait for that, `open_limit` connections are being read."""

    workers: int = 64
    waiting: int = 512
    open_limit: int = 256
    body: int = httpwire.BODY_LIMIT


class Workers:
    """Threads that are made when there is work, and end when there is none."""

    def __init__(self, handler: Handler, limits: Limits, patience: float) -> None:
        self._handler = handler
        self._limits = limits
        self._patience = patience
        self._changed = threading.Condition()
        self._waiting: deque[Callable[[], None]] = deque()
        self._running = 0

    @property
    def pending(self) -> int:
        """Requests that are worked on or wait."""
        return self._running + len(self._waiting)

    def take(self, sock: socket.socket, request: Request, started: float) -> bool:
        """Have it answered and the socket closed; False when too many wait."""
        with self._changed:
            if self._running >= self._limits.workers and len(self._waiting) >= self._limits.waiting:
                return False
            self._waiting.append(lambda: self._serve(sock, request, started))
            if self._running < self._limits.workers:
                return self._start()
        return True

    def _start(self) -> bool:
        """One thread more; False when there is none, and nobody left to do what waits."""
        self._running += 1
        try:
            threading.Thread(target=self._work, name="http-work", daemon=True).start()
        except RuntimeError as error:
            self._running -= 1
            log.error("http: no thread", error=error)
            if not self._running:
                self._waiting.pop()
                return False
        return True

    def wait(self, deadline: float) -> bool:
        """Wait until nothing is left to do; False at `deadline`."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._running, max(0.0, deadline - time.monotonic()))

    def _work(self) -> None:
        while True:
            with self._changed:
                if not self._waiting:
                    self._running -= 1
                    self._changed.notify_all()
                    return
                task = self._waiting.popleft()
            task()

    def _serve(self, sock: socket.socket, request: Request, started: float) -> None:
        with sock:
            if _gone(sock):
                return  # nobody waits for it any more: the runtime gave up
            try:
                response = self._handler.work(request, started)
            except Exception as error:
                response = defect(request, error)
            sock.settimeout(self._patience)
            try:
                sock.sendall(httpwire.encode(response))
            except OSError as error:
                log.warning("http: answer not delivered", path=request.path, error=error.strerror or error)


def defect(request: Request, error: Exception) -> Response:
    """The answer to what should not have happened."""
    log.error("http: internal error", path=request.path, error=f"{error.__class__.__name__}: {error}")
    return httpwire.Response(500)


def _gone(sock: socket.socket) -> bool:
    """Whether the client closed its end; one that only sends no more is still there."""
    poll = select.poll()
    poll.register(sock, 0)
    return any(events & (select.POLLHUP | select.POLLERR) for _, events in poll.poll(0))
