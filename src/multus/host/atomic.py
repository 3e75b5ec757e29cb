"""Files that are whole or not there: read within a bound, written by rename, set aside when damaged.

One writer of a file at a time, by the caller's lock. A file that is being written has a name of its own, made of the
file's: what a killed writer leaves goes with the file.
"""

from __future__ import annotations

import itertools
import os
from typing import Protocol

from multus import errors

#: The largest file of ours: 64 attachments with configurations as large as an annotation may be.
LIMIT = 64 << 20

#: Begins the names of files that are being written.
TEMPORARY = ".tmp-"

#: What tells a file from another one that had its name before: inode, size, time of its last change.
Stamp = tuple[int, int, int]


class Files(Protocol):
    """Who writes and removes files: this module, or `spares.Spares`."""

    def write(self, path: str, data: bytes) -> Stamp:
        """As `write`."""
        ...

    def remove(self, path: str, *, whole: bool = False) -> None:
        """As `remove`."""
        ...


def stamp(status: os.stat_result) -> Stamp:
    """The stamp of a file."""
    return status.st_ino, status.st_size, status.st_mtime_ns


def read(path: str, limit: int = LIMIT) -> bytes | None:
    """The content of a regular file, None when there is none. Raises errors.IoFailure."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise errors.IoFailure(f"can't read {path}: {error.strerror}") from error
    try:
        size = os.fstat(descriptor).st_size
        if size > limit:
            raise errors.IoFailure(f"can't read {path}: {size} bytes are more than the {limit} allowed")
        data = os.read(descriptor, size + 1)
        if len(data) != size:  # it grows, or lies about its size
            with open(descriptor, "rb", closefd=False) as file:
                data += file.read(limit + 1)
        return data
    except OSError as error:
        raise errors.IoFailure(f"can't read {path}: {error.strerror}") from error
    finally:
        os.close(descriptor)


def write(path: str, data: bytes) -> Stamp:
    """Put `data` in place of `path` (0600), whose directory is made (0700). Raises errors.IoFailure; then `path` is as
    it was."""
    temporary = _temporary(path)
    try:
        written = fill(temporary, data, _ANEW)
        os.rename(temporary, path)
    except OSError as error:
        discard(temporary)
        raise errors.IoFailure(f"can't write {path}: {error.strerror}") from error
    except BaseException:
        discard(temporary)
        raise
    return written


_ANEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC


def fill(path: str, data: bytes, flags: int) -> Stamp:
    """Make `data` the content of a file that is opened with these flags, as `opened` does. Raises OSError."""
    descriptor = opened(path, flags)
    try:
        done = os.write(descriptor, data)
        while done < len(data):
            done += os.write(descriptor, memoryview(data)[done:])
        found = os.fstat(descriptor)
        if found.st_size != done:
            os.ftruncate(descriptor, done)
            found = os.fstat(descriptor)
        return stamp(found)
    finally:
        os.close(descriptor)


def opened(path: str, flags: int) -> int:
    """A descriptor of a file that is made (0600) where there is none, as is its directory (0700). Raises OSError."""
    try:
        return os.open(path, flags, 0o600)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
        return os.open(path, flags, 0o600)


def sync(path: str) -> None:
    """Make the file and its name durable. Raises errors.IoFailure."""
    try:
        for target in (path, os.path.dirname(path)):
            descriptor = os.open(target, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
    except OSError as error:
        raise errors.IoFailure(f"can't sync {path} to disk: {error.strerror}") from error


def remove(path: str, *, whole: bool = False) -> None:
    """Remove a file, and what a killed writer of it left (not where it is known to be `whole`); no error when there is
    none. Raises errors.IoFailure."""
    if not whole:
        discard(_temporary(path))
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise errors.IoFailure(f"can't remove {path}: {error.strerror}") from error


def set_aside(path: str, directory: str) -> str:
    """Move a damaged file into `directory`, where it is in nobody's way; where it is now, or `path` if it could not be
    moved."""
    for number in itertools.count():
        target = os.path.join(directory, f"{os.path.basename(path)[:200]}.{number}")
        if os.path.lexists(target):
            continue
        try:
            os.makedirs(directory, 0o700, exist_ok=True)
            os.rename(path, target)
        except OSError:
            return path
        return target
    raise AssertionError("unreachable")


def sweep(directory: str, prefix: str = TEMPORARY) -> None:
    """Remove what writers left behind that were killed: names that begin so. Only where nobody writes meanwhile."""
    try:
        names = os.listdir(directory)
    except OSError:
        return
    for name in names:
        if name.startswith(prefix):
            discard(os.path.join(directory, name))


def _temporary(path: str) -> str:
    directory, slash, name = path.rpartition("/")
    return f"{directory}{slash}{TEMPORARY}{name[: 255 - len(TEMPORARY)]}"


def discard(path: str) -> None:
    """Remove a file, or not: nothing depends on it."""
    try:
        os.unlink(path)
    except OSError:
        pass
