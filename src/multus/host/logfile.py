"""The log file: lines appended, rotated as upstream's library does it (same names, so its tools find them).

Several one-shot processes write at once: each line is one append under a shared lock on the file, and a rotation is
done by whoever has that lock alone. So no line goes to a file that was moved away, and might be compressed already.
"""

from __future__ import annotations

import fcntl
import os
import time

SECONDS_A_DAY = 86400


class RotatingFile:
    """A log sink. `max_size` in megabytes, `max_age` in days (0: forever), `max_backups` (0: all)."""

    def __init__(self, path: str, max_size: int, max_backups: int, max_age: int, compress: bool) -> None:
        self._path = path
        self._limit = max_size * 1_000_000 or 100_000_000
        self._max_backups = max_backups
        self._max_age = max_age
        self._compress = compress

    def __call__(self, line: str) -> None:
        """Append a line. Never raises: a log that can't be written must not fail a pod."""
        try:
            self._write(line.encode("utf-8", "backslashreplace"))
        except OSError:
            pass

    def _write(self, data: bytes) -> None:
        os.makedirs(os.path.dirname(self._path) or ".", 0o755, exist_ok=True)
        descriptor = self._open()
        try:
            size = os.fstat(descriptor).st_size
            if size and size + len(data) > self._limit:
                self._rotate(descriptor)
                os.close(descriptor)
                descriptor = self._open()
            os.write(descriptor, data)
        finally:
            os.close(descriptor)

    def _open(self) -> int:
        """The log, with a shared lock: as long as it is held nobody moves the file away."""
        while True:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_SH)
                if self._is_current(descriptor):
                    return descriptor
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)

    def _is_current(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), os.stat(self._path))
        except FileNotFoundError:
            return False

    def _rotate(self, descriptor: int) -> None:
        """Move the full file away, unless others write to it just now: one of the next lines will find it alone."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        if self._is_current(descriptor):  # the shared lock was let go of for an instant
            os.rename(self._path, self._backup_name())
            self._tidy_alone()

    def _stem(self) -> tuple[str, str, str]:
        directory, name = os.path.split(self._path)
        stem, suffix = os.path.splitext(name)
        return directory or ".", f"{stem}-", suffix

    def _backup_name(self) -> str:
        """A name with the time, of no other backup: the next millisecond's when this one's is taken."""
        directory, stem, suffix = self._stem()
        now = time.time_ns() // 1_000_000
        while True:
            stamp = time.strftime("%Y-%m-%dT%H-%M-%S", time.gmtime(now // 1000))
            name = os.path.join(directory, f"{stem}{stamp}.{now % 1000:03d}{suffix}")
            if not os.path.exists(name) and not os.path.exists(f"{name}.gz"):
                return name
            now += 1

    def _tidy_alone(self) -> None:
        """Tidy, unless another process just does: it, or the next rotation, sees to what is left."""
        descriptor = os.open(os.path.dirname(self._path) or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._tidy()
        except BlockingIOError:
            pass
        finally:
            os.close(descriptor)

    def _tidy(self) -> None:
        backups = self._backups()
        keep = len(backups) - self._max_backups if self._max_backups else 0
        oldest = time.time() - self._max_age * SECONDS_A_DAY if self._max_age else 0.0
        for number, path in enumerate(backups):
            if number < keep or os.stat(path).st_mtime < oldest:
                os.unlink(path)
            elif self._compress and not path.endswith(".gz"):
                _compress(path)

    def _backups(self) -> list[str]:
        """Oldest first: the time is in the name."""
        directory, stem, suffix = self._stem()
        names = sorted(name for name in os.listdir(directory) if name.startswith(stem))
        return [os.path.join(directory, name) for name in names if name.endswith((suffix, f"{suffix}.gz"))]


def _compress(path: str) -> None:
    import gzip
    import shutil

    with open(path, "rb") as source, gzip.open(f"{path}.gz", "wb") as target:
        shutil.copyfileobj(source, target)
    os.chmod(f"{path}.gz", 0o600)
    os.unlink(path)
