"""The settings in force and the connections that belong to them, for everything that talks to one API server.

In a process that stays, tokens, certificates and the kubeconfig itself are replaced while it runs.
"""

from __future__ import annotations

import _thread
import os
import time
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from multus import errors, log

if TYPE_CHECKING:
    from collections.abc import Callable

    from multus.kubernetes.access import Access, Endpoint, Identity, Pem


#: Settings read less than this many seconds ago are not read again because the server is not trusted by them.
FRESH = 10.0


class Answer(Protocol):
    """Anything that has an HTTP status."""

    @property
    def status(self) -> int:
        """The HTTP status."""
        ...


class Closing(Protocol):
    """Anything that holds connections."""

    def close(self) -> None:
        """Drop them."""
        ...


A = TypeVar("A", bound=Answer)
C = TypeVar("C", bound=Closing)


class Settings:
    """What `load` gave last. Safe to use from many threads at once."""

    def __init__(self, load: Callable[[], Access]) -> None:
        """Raises what `load` raises."""
        self._load = load
        # `threading` would be slower to import than all requests of a one-shot call take.
        self._lock = _thread.allocate_lock()
        self._loaded = time.monotonic()
        self.access = load()

    def authorized(self, exchange: Callable[[Access], A]) -> A:
        """`exchange` with the settings in force. When the server does not accept them, or its certificate is not
        trusted by them, they are read again and it is made once more."""
        access = self.access
        try:
            answer = exchange(access)
            if answer.status != 401:
                return answer
        except errors.Denied:
            if time.monotonic() < self._loaded + FRESH:
                raise
        return exchange(self._renewed(access))

    def _renewed(self, refused: Access) -> Access:
        """The settings read again, unless another thread did that since `refused` were used."""
        with self._lock:
            if self.access is refused:
                log.verbose("API server does not accept the credentials, reading them again")
                self.access = self._load()
                self._loaded = time.monotonic()
            return self.access


class Connections(Generic[C]):
    """The open transport: one at a time, a new one when settings, client certificate or a certificate's file have
    changed, which belong to the connection. Safe to use from many threads at once."""

    def __init__(self, connect: Callable[[Endpoint, Identity], C]) -> None:
        self._connect = connect
        self._lock = _thread.allocate_lock()
        self._open: tuple[Access, object, C] | None = None

    def to(self, access: Access, identity: Identity) -> C:
        """The transport for these settings. Raises errors.InvalidConfig for certificates that can't be used, unless
        there is one from before their files were replaced: certificate and key may be half-way."""
        belongs = (identity[1:], _stamps(access.endpoint.ca, identity.certificate, identity.key))
        with self._lock:
            opened = self._open
            if opened is not None and opened[0] is access and opened[1] == belongs:
                return opened[2]
            try:
                transport = self._connect(access.endpoint, identity)
            except errors.CniError as error:
                if opened is None or opened[0] is not access:
                    raise
                log.warning("new certificates can't be used, going on with the old ones", error=error)
                return opened[2]
            self._drop()
            self._open = (access, belongs, transport)
            return transport

    def close(self) -> None:
        """Drop the connections."""
        with self._lock:
            self._drop()

    def _drop(self) -> None:
        opened, self._open = self._open, None
        if opened is not None:
            opened[2].close()


def _stamps(*pems: Pem) -> list[tuple[int, int, int]]:
    """What changes when one of the files does; a file that can't be looked at now is left to whoever opens it."""
    stamps = []
    for pem in pems:
        if pem.file and not pem.data:
            try:
                status = os.stat(pem.file)
            except OSError:
                continue
            stamps.append((status.st_mtime_ns, status.st_ino, status.st_size))
    return stamps
