"""Files that are used again instead of being deleted, for a process that stays.

Every pod brings files that go with it. To free an inode, and to look for another one soon after, costs more than to
write into it: on ext4 without a journal, which passes over those that were freed within the last seconds, 0.25 ms each.

Who is killed leaves a file's new content under its name, or no such name. Who loses power may leave what the spare held
before: it is for files whose content says what they are.
"""

from __future__ import annotations

import itertools
import os
import time
from collections import deque

from multus.host import atomic

#: The files of a hundred pods with four attachments.
LIMIT = 512


class Spares:
    """The spare files in `directory`, on the file system of those that come and go. Thread-safe. What predecessors left
    there is removed; one that still lives does without, its names are others."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        # The oldest is taken first: who gave the newest may still hold a lock on it.
        self._free: deque[str] = deque()
        self._numbers = itertools.count()
        self._prefix = f"{directory}/{time.time_ns()}"
        atomic.sweep(directory, "")

    def write(self, path: str, data: bytes) -> atomic.Stamp:
        """As `atomic.write`."""
        spare = self._take()
        if spare is None:
            return atomic.write(path, data)
        try:
            written = atomic.fill(spare, data, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            os.rename(spare, path)
        except OSError:
            atomic.discard(spare)
            return atomic.write(path, data)
        return written

    def make(self, path: str) -> None:
        """Make a file of what a spare holds, if there is a spare, and nothing at `path`."""
        spare = self._take()
        if spare is None:
            return
        try:
            os.link(spare, path)
        except FileExistsError:
            self._free.append(spare)
            return
        except OSError:
            pass
        atomic.discard(spare)  # this name of it

    def remove(self, path: str, *, whole: bool = False) -> None:
        """As `atomic.remove`; only of a file that is known to be whole a spare is made."""
        if whole and len(self._free) < LIMIT:
            spare = f"{self._prefix}-{next(self._numbers)}"
            try:
                self._move(path, spare)
            except OSError:
                pass
            else:
                self._free.append(spare)
                return
        atomic.remove(path, whole=whole)

    def clear(self) -> None:
        """Remove them all, and the directory with the last."""
        while self._free:
            atomic.discard(self._free.popleft())
        try:
            os.rmdir(self._directory)
        except OSError:
            pass

    def _take(self) -> str | None:
        try:
            return self._free.popleft()
        except IndexError:
            return None

    def _move(self, path: str, spare: str) -> None:
        try:
            os.rename(path, spare)
        except FileNotFoundError:
            os.makedirs(self._directory, 0o700, exist_ok=True)
            os.rename(path, spare)
