"""`<socketDir>/exec.sock`: a thread for each shim that is being served, the others wait in the listen backlog.

Before WELCOME nothing has begun: a daemon that goes away until then only sends the shim to its successor. So a stopping
daemon ends what it has begun and closes the rest.
"""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING

from multus import errors, log
from multus.execproto import greeting

if TYPE_CHECKING:
    from collections.abc import Callable

    from multus.execproto.connection import Connection

#: A shim says HELLO at once.
HELLO_PATIENCE = 10.0

#: When the kernel is out of descriptors or memory, in seconds.
PAUSE = 0.2

#: Threads that may wait for a connection at once; others end when they have served theirs.
SPARE = 4


class ExecServer:
    """Serves each accepted connection with `serve`, `limit` at a time. Threads wait in accept(2) themselves, a few more
    than needed: a call then costs neither a new thread nor a hand-over."""

    def __init__(self, sock: socket.socket, serve: Callable[[Connection], None], limit: int) -> None:
        self._sock = sock
        self._serve = serve
        self._limit = limit
        self._changed = threading.Condition()
        self._running = 0
        self._idle = 0
        self._stopped = False

    @property
    def running(self) -> int:
        """Connections that are being served."""
        return self._running

    def start(self) -> None:
        """Begin to accept."""
        with self._changed:
            self._hire()

    def stop(self, deadline: float) -> bool:
        """Accept no more; whoever waits in the backlog asks the next daemon. Waits for those being served; False when
        some are left at `deadline` (monotonic seconds)."""
        with self._changed:
            if not self._stopped:
                self._stopped = True
                self._sock.shutdown(socket.SHUT_RDWR)  # accept returns, in every thread
                self._changed.wait_for(lambda: not self._idle)
                self._sock.close()
            return self._changed.wait_for(lambda: not self._running, max(0.0, deadline - time.monotonic()))

    def _hire(self) -> None:
        """One more thread that waits; with the lock held. Where there is none to be had, those there are go on."""
        self._idle += 1
        try:
            threading.Thread(target=self._work, name="exec", daemon=True).start()
        except RuntimeError as error:
            self._idle -= 1
            log.warning("no further thread for calls", running=self._running, error=error)

    def _work(self) -> None:
        while (accepted := self._accept()) is not None:
            self._handle(accepted)
            with self._changed:
                self._running -= 1
                self._changed.notify_all()
                if self._stopped or self._idle >= SPARE:
                    return
                self._idle += 1

    def _accept(self) -> socket.socket | None:
        """The next connection, None once stopped; this thread is then idle no more."""
        while True:
            accepted = None
            try:
                accepted, _ = self._sock.accept()
            except OSError as error:
                if not self._stopped:
                    log.warning("executor socket: accept failed", error=error.strerror)
                    time.sleep(PAUSE)
                    continue
            with self._changed:
                self._idle -= 1
                if not self._stopped and accepted is not None:
                    self._running += 1
                    if not self._idle and self._running < self._limit:
                        self._hire()
                    return accepted
                self._changed.notify_all()
            if accepted is not None:
                accepted.close()
            return None

    def _handle(self, accepted: socket.socket) -> None:
        try:
            with greeting.greet(accepted, time.monotonic() + HELLO_PATIENCE) as connection:
                self._serve(connection)
        except errors.CniError as error:
            log.verbose("executor connection ended", error=error)
        except Exception as error:
            log.error("executor connection failed", error=f"{error.__class__.__name__}: {error}")
