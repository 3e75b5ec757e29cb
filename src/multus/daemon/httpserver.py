"""Serves HTTP on one socket: one thread reads every connection, a bounded number of others do what takes time.

So a client that is slow, silent or broken costs a descriptor and a timeout, not a thread, and what is answered at once
(health) never waits behind what is not. Requests that find no free thread wait in the order they came; connections
beyond `open_limit` wait in the listen backlog.
"""

from __future__ import annotations

import select
import socket
import threading
import time
from typing import TYPE_CHECKING

from multus import log
from multus.daemon import httpwire, httpworkers

if TYPE_CHECKING:
    from multus.daemon.httpwire import Request
    from multus.daemon.httpworkers import Handler, Limits

#: A request must be complete within this time, an answer taken within as much, in seconds.
PATIENCE = 10.0

#: How long a client that is sent away may go on sending before it is cut off, in seconds.
FAREWELL = 1.0

#: When the kernel is out of descriptors or memory, in seconds.
PAUSE = 0.2

_CHUNK = 1 << 16

#: For what is done aside.
_ASIDE = httpworkers.Limits(workers=1, waiting=16)


class _Reading:
    """A connection that is being read; without a reader it is only waited for to end."""

    def __init__(self, sock: socket.socket, reader: httpwire.Reader | None, deadline: float) -> None:
        self.sock = sock
        self.reader = reader
        self.deadline = deadline


class HttpServer:
    """Serves what connects to the listening socket `sock`, which it owns."""

    def __init__(
        self, sock: socket.socket, handler: Handler, limits: Limits | None = None, *, patience: float = PATIENCE
    ) -> None:
        limits = limits or httpworkers.Limits()
        self._sock = sock
        self._handler = handler
        self._limits = limits
        self._patience = patience
        self._workers = httpworkers.Workers(handler, limits, patience)
        self._aside = httpworkers.Workers(handler, _ASIDE, patience)
        self._reading: dict[int, _Reading] = {}
        self._poll = select.poll()
        self._accepting = False
        self._deadline: float | None = None
        self._wake, self._waker = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, name="http", daemon=True)

    @property
    def running(self) -> int:
        """Requests that are being worked on or wait for it."""
        return self._workers.pending

    @property
    def port(self) -> int:
        """The port of a TCP socket."""
        return int(self._sock.getsockname()[1])

    def start(self) -> None:
        """Begin to accept."""
        self._sock.setblocking(False)
        self._accept_more(True)
        self._poll.register(self._wake, select.POLLIN)
        self._thread.start()

    def stop(self, deadline: float) -> bool:
        """Accept no more; whoever has connected is served yet. False when some are left at `deadline` (monotonic
        seconds)."""
        self._deadline = deadline
        self._waker.close()
        self._thread.join()
        return self._workers.wait(deadline) and self._aside.wait(deadline)

    # ── the reading thread ──────────────────────────────────────────────────────────────────────────────────────

    def _serve(self) -> None:
        while self._deadline is None:
            self._turn()
        self._poll.unregister(self._wake)
        self._accept_all()
        self._accept_more(False)
        self._sock.close()
        while self._reading and time.monotonic() < self._deadline:
            self._turn()
        for reading in list(self._reading.values()):
            self._forget(reading).close()
        self._wake.close()

    def _turn(self) -> None:
        for descriptor, _ in self._poll.poll(self._next_timeout()):
            reading = self._reading.get(descriptor)
            if reading is not None:
                self._read(reading)
            elif descriptor != self._wake.fileno():
                self._accept_all()
        self._expire(time.monotonic())

    def _next_timeout(self) -> float | None:
        """In milliseconds; None where nothing can expire."""
        ends = [reading.deadline for reading in self._reading.values()]
        if self._deadline is not None:
            ends.append(self._deadline)
        return max(0.0, min(ends) - time.monotonic()) * 1000 + 1 if ends else None

    def _accept_more(self, wanted: bool) -> None:
        if wanted and not self._accepting:
            self._poll.register(self._sock, select.POLLIN)
        elif self._accepting and not wanted:
            self._poll.unregister(self._sock)
        self._accepting = wanted

    def _accept_all(self) -> None:
        while len(self._reading) < self._limits.open_limit:
            try:
                accepted, _ = self._sock.accept()
            except BlockingIOError:
                return
            except OSError as error:
                log.warning("http: accept failed", error=error.strerror)
                time.sleep(PAUSE)
                return
            accepted.setblocking(False)
            self._keep(_Reading(accepted, httpwire.Reader(self._limits.body), time.monotonic() + self._patience))
        self._accept_more(False)

    def _keep(self, reading: _Reading) -> None:
        self._reading[reading.sock.fileno()] = reading
        self._poll.register(reading.sock, select.POLLIN)

    def _forget(self, reading: _Reading) -> socket.socket:
        self._poll.unregister(reading.sock)
        del self._reading[reading.sock.fileno()]
        if self._deadline is None:
            self._accept_more(True)
        return reading.sock

    def _read(self, reading: _Reading) -> None:
        try:
            data = reading.sock.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._forget(reading).close()
            return
        if reading.reader is None:
            return
        try:
            request = reading.reader.feed(data)
        except httpwire.Refused as refused:
            self._refuse(reading, refused.status, refused.reason)
            return
        if request is not None:
            self._answer(self._forget(reading), request)
        elif reading.reader.awaited:
            _send(reading.sock, httpwire.CONTINUE)

    def _answer(self, sock: socket.socket, request: Request) -> None:
        response: httpwire.Response | None
        try:
            response = self._handler.quick(request)
        except Exception as error:
            response = httpworkers.defect(request, error)
        if response is None:
            workers = self._aside if self._handler.aside(request) else self._workers
            if not workers.take(sock, request, time.monotonic()):
                response = self._handler.busy(request)
        if response is not None:
            _send(sock, httpwire.encode(response))
            sock.close()

    def _refuse(self, reading: _Reading, status: int, reason: str) -> None:
        """Say why, and let the client finish what it is sending, or it would never read that."""
        response = httpwire.Response(status, f"{reason}\n".encode(), httpwire.TEXT)
        if not _send(reading.sock, httpwire.encode(response)):
            self._forget(reading).close()
            return
        try:
            reading.sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        reading.reader = None
        reading.deadline = time.monotonic() + min(FAREWELL, self._patience)

    def _expire(self, now: float) -> None:
        for reading in [one for one in self._reading.values() if one.deadline <= now]:
            if reading.reader is None:
                self._forget(reading).close()
            else:
                self._refuse(reading, 408, "the request was not complete in time")


def _send(sock: socket.socket, data: bytes) -> bool:
    """Send what the kernel takes at once, which is more than a short answer."""
    try:
        return sock.send(data, socket.MSG_NOSIGNAL) == len(data)
    except OSError:
        return False
