"""Files that others read while they are written: put in place whole, durable, with the mode they are to have."""

from __future__ import annotations

import itertools
import os
import stat

from multus import errors
from multus.host import atomic

#: The largest configuration anybody has.
LIMIT = 4 << 20

#: The names of files that are being written begin so: no runtime reads them.
TEMPORARY = "._multus-"

_numbers = itertools.count()


def read(path: str, limit: int = LIMIT) -> bytes:
    """The content of a regular file; symbolic links are followed, as installers use them. Raises errors.IoFailure."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise errors.IoFailure(f"not a regular file: {path}")
            data = file.read(limit + 1)
    except OSError as error:
        raise errors.IoFailure(f"can't read {path}: {error.strerror}") from error
    if len(data) > limit:
        raise errors.IoFailure(f"{path} is larger than {limit} bytes")
    return data


def find(path: str, limit: int = LIMIT) -> bytes | None:
    """The content, None where there is no such file. Raises errors.IoFailure."""
    try:
        return read(path, limit)
    except errors.IoFailure as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return None
        raise


def write(path: str, data: bytes, mode: int = 0o600) -> None:
    """Put `data` in place of `path`, durably; its directory is made (0755). Raises errors.IoFailure; then `path` is as
    it was, and nothing else is left."""
    directory, name = os.path.split(path)
    temporary = os.path.join(directory, f"{TEMPORARY}{name}.{os.getpid()}-{next(_numbers)}")
    try:
        os.makedirs(directory, 0o755, exist_ok=True)
        _fill(temporary, data, mode)
        os.rename(temporary, path)
        _sync(directory)
    except OSError as error:
        raise errors.IoFailure(f"can't write {path}: {error.strerror}") from error
    finally:
        atomic.discard(temporary)


def remove(path: str) -> bool:
    """Remove a file; whether there was one. Raises errors.IoFailure."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise errors.IoFailure(f"can't remove {path}: {error.strerror}") from error
    return True


def sweep(directory: str) -> None:
    """Remove what installers left that were killed while they wrote; only one may run in a directory."""
    atomic.sweep(directory, TEMPORARY)


def _fill(path: str, data: bytes, mode: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(path, flags, 0o600), "wb", buffering=0) as file:
        left = memoryview(data)
        while left:
            left = left[file.write(left) :]
        # The mode at last: whoever may execute it finds it whole. The umask has no say.
        os.fchmod(file.fileno(), mode)
        os.fsync(file.fileno())


def _sync(directory: str) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
