"""Locks of the node: one call per sandbox at a time, GC alone.

`flock` files, so that one-shot processes exclude each other and the kernel frees what a killed one held. With `inherit`
the delegates hold the locks too: those of a killed call still work on the sandbox, and its DEL waits until they have
ended, and ends those that hang. A lock is released by unlocking, not by closing, so a daemon that a plugin leaves
behind holds nothing.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from multus import errors
from multus.host import atomic

if TYPE_CHECKING:
    from collections.abc import Iterator

    from multus.host.spares import Spares
    from multus.ports import Clock

#: Held shared by every call, exclusively by GC. No container id begins with a dot.
NODE = ".node"

#: How long the delegates of a call that was killed may take to finish, and then to heed SIGTERM, in seconds.
FINISH, HEED = 2.0, 1.0

#: Between two attempts, in seconds: the first, and the longest.
SOON, LATER = 0.005, 0.1


class LockDirectory:
    """The lock files in `path`, which is made when first needed. `spares`: those of a process that stays, which never
    writes into them."""

    def __init__(self, path: str, clock: Clock, *, inherit: bool, spares: Spares | None = None) -> None:
        self._path = path
        self._spares = spares
        self._clock = clock
        self._inherit = inherit

    @contextmanager
    def sandbox(self, container_id: str, deadline: float) -> Iterator[None]:
        """As `ports.Records.lock`. Raises errors.TryAgainLater, errors.IoFailure."""
        node = self._acquire(NODE, fcntl.LOCK_SH, deadline, "garbage collection (GC) is running")
        try:
            why = f"another call for container {container_id} is running"
            path = f"{self._path}/{container_id}"
            if self._spares is not None:
                self._spares.make(path)
            own = self._acquire(container_id, fcntl.LOCK_EX, deadline, why)
            try:
                yield
            finally:  # while it is held: whoever waits for it finds that the name is gone, and opens the next one
                self._forget(path)
                _release(own)
        finally:
            _release(node)

    @contextmanager
    def node(self, deadline: float) -> Iterator[None]:
        """As `ports.Records.exclusive`. Raises errors.TryAgainLater, errors.IoFailure."""
        held = self._acquire(NODE, fcntl.LOCK_EX, deadline, "other calls are running")
        try:
            yield
        finally:
            _release(held)

    def _forget(self, path: str) -> None:
        if self._spares is None:
            atomic.discard(path)
            return
        try:
            self._spares.remove(path, whole=True)
        except errors.IoFailure:
            pass

    def _acquire(self, name: str, kind: int, deadline: float, why: str) -> int:
        path = f"{self._path}/{name}"
        pause = SOON
        orphaned = _Orphaned(name, self._clock)
        while True:
            descriptor = self._open(path)
            try:
                if self._try(descriptor, path, kind):
                    self._sign(descriptor, kind)
                    return descriptor
                if kind == fcntl.LOCK_EX:
                    orphaned.look(os.pread(descriptor, 64, 0).decode("ascii", "replace"))
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)
            if self._clock.monotonic() + pause > deadline:
                raise errors.TryAgainLater(f"{why}, and did not end in time")
            self._clock.sleep(pause)
            pause = min(pause * 2, LATER)

    def _try(self, descriptor: int, path: str, kind: int) -> bool:
        """Whether the lock is ours, and still the one that others find under that name."""
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            raise errors.IoFailure(f"can't lock {path}: {error.strerror}") from error
        try:
            return os.path.samestat(os.fstat(descriptor), os.stat(path))
        except FileNotFoundError:
            return False

    def _sign(self, descriptor: int, kind: int) -> None:
        """Write down who holds the lock, where delegates may go on holding it."""
        if not self._inherit or kind != fcntl.LOCK_EX:
            return
        from multus.host import stragglers

        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, stragglers.identity(os.getpid()).encode(), 0)
        except OSError:
            pass  # a full disk: delegates that hang are then waited for, no more

    def _open(self, path: str) -> int:
        try:
            descriptor = atomic.opened(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise errors.IoFailure(f"can't open the lock {path}: {error.strerror}") from error
        if self._inherit:
            os.set_inheritable(descriptor, True)
        return descriptor


def _release(descriptor: int) -> None:
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    os.close(descriptor)


class _Orphaned:
    """Watches a lock whose holder may have been killed, and ends the delegates that hold it in its stead."""

    def __init__(self, container_id: str, clock: Clock) -> None:
        self._container_id = container_id
        self._clock = clock
        self._since: float | None = None
        self._due = [(FINISH, "SIGTERM"), (FINISH + HEED, "SIGKILL")]

    def look(self, owner: str) -> None:
        """`owner` is what the holder wrote into the lock file; "" tells nothing."""
        from multus.host import stragglers

        if not owner or stragglers.is_running(owner):
            self._since = None
            return
        now = self._clock.monotonic()
        if self._since is None:
            self._since = now
        if self._due and now - self._since >= self._due[0][0]:
            stragglers.end(self._container_id, self._due.pop(0)[1])
