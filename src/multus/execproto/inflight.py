"""Delegates that outlived their worker or their daemon.

Everything a shim starts for a container inherits a descriptor of `<socketDir>/inflight/<containerID>` with a shared
lock. Whoever can take that lock exclusively knows that nothing of it is left. To be called with the sandbox's own lock
held, before the first order for it: its own shim takes the shared lock with the first EXEC only.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time

from multus import errors
from multus.cni import environment

DIRECTORY = "inflight"

_PAUSE = 0.02


def wait(socket_dir: str, container_id: str, deadline: float) -> bool:
    """Wait until no delegate of that container is left; False when some are at `deadline` (monotonic seconds).

    Raises errors.IoFailure, errors.InvalidEnvironment (not a container id)."""
    descriptor = _open(socket_dir, container_id)
    if descriptor < 0:
        return True
    try:
        while not _exclusive(descriptor):
            if time.monotonic() >= deadline:
                return False
            time.sleep(_PAUSE)
        return True
    finally:
        os.close(descriptor)


def containers(socket_dir: str) -> list[str]:
    """The containers that have a lock file, held or not."""
    try:
        names = os.listdir(os.path.join(socket_dir, DIRECTORY))
    except OSError:
        return []
    return sorted(name for name in names if environment.is_name(name))


def forget(socket_dir: str, container_id: str) -> None:
    """Remove the container's file, unless something still holds it. Raises errors.InvalidEnvironment."""
    try:
        descriptor = _open(socket_dir, container_id)
    except errors.IoFailure:
        return
    if descriptor < 0:
        return
    try:
        if _exclusive(descriptor):
            os.unlink(_path(socket_dir, container_id))
    except FileNotFoundError:
        pass
    finally:
        os.close(descriptor)


def _path(socket_dir: str, container_id: str) -> str:
    return f"{socket_dir}/{DIRECTORY}/{environment.check_container_id(container_id)}"


def _open(socket_dir: str, container_id: str) -> int:
    """A descriptor of the file; -1 when there is none."""
    path = _path(socket_dir, container_id)
    try:
        return os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return -1
        raise errors.IoFailure(f"can't open {path}: {error.strerror}") from error


def _exclusive(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
