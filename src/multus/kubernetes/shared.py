"""Connections for many threads, kept for the next request: for processes that stay, where no proxy is in between.

Each is a `direct.DirectTransport`; all share one TLS context. A request over urllib3 costs four times the CPU.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from multus.kubernetes import sockets, tls
from multus.kubernetes.direct import DirectTransport

if TYPE_CHECKING:
    from multus.kubernetes.access import Endpoint, Headers, Identity
    from multus.kubernetes.transport import Response

#: Connections kept open at most; more are opened when needed, and closed after use.
KEPT = 8

#: So long, in seconds, a request waits for one of them before it opens one more: a handshake costs both ends more than
#: many requests.
PATIENCE = 0.1


class SharedTransport:
    """A `transport.Transport` that is safe to use from many threads at once."""

    def __init__(self, endpoint: Endpoint, identity: Identity) -> None:
        """Raises errors.InvalidConfig for certificates that can't be used."""
        self._endpoint = endpoint
        self._identity = identity
        self._context = tls.context(endpoint, identity) if endpoint.tls else None
        self._lock = threading.Lock()
        self._returned = threading.Condition(self._lock)
        self._used = 0
        self._idle: list[DirectTransport] = []

    def request(self, method: str, path: str, headers: Headers, body: bytes | None, timeout: float) -> Response:
        """As `transport.Transport.request`."""
        until = time.monotonic() + timeout
        with self._lock:
            if not self._idle and self._used >= KEPT:
                self._returned.wait_for(lambda: self._idle, min(timeout, PATIENCE))
            idle = self._idle
            connection = idle.pop() if idle else self._new()
            self._used += 1
        try:
            return connection.request(method, path, headers, body, until - time.monotonic())
        finally:
            with self._lock:
                self._used -= 1
                kept = self._idle is idle and len(idle) < KEPT
                if kept:
                    idle.append(connection)
                    self._returned.notify()
            if not kept:
                connection.close()

    def close(self) -> None:
        """As `transport.Transport.close`; connections in use are closed after it."""
        with self._lock:
            idle, self._idle = self._idle, []
            for connection in idle:
                connection.close()

    def _new(self) -> DirectTransport:
        return DirectTransport(self._endpoint, self._identity, self._context, sockets.OPTIONS)
