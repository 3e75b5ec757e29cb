"""What files of ours hold, for a process that stays: what it wrote it need not read again.

The file decides: what is remembered counts only while the file is the very one that was written, by its inode, size and
time. Another process of ours (one-shot, or a daemon's successor) may have put another in its place.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from multus.host.atomic import Stamp

V = TypeVar("V")

#: The pods of a large node, with four attachments each; of more the oldest are read again.
LIMIT = 1024


class Remembered(Generic[V]):
    """Values by path. Thread-safe."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._values: dict[str, tuple[Stamp, V]] = {}

    def put(self, path: str, written: Stamp, value: V) -> None:
        """`value` is in the file that was `written` as `path`."""
        with self._lock:
            self._values.pop(path, None)
            if len(self._values) >= self._limit:
                del self._values[next(iter(self._values))]
            self._values[path] = written, value

    def get(self, path: str, found: Stamp) -> V | None:
        """What is in the file `found` at `path`, if that is known."""
        known = self._values.get(path)
        return known[1] if known is not None and known[0] == found else None

    def forget(self, path: str) -> bool:
        """It is no more. Whether it was known: then its last writer was this process, and not interrupted."""
        return self._values.pop(path, None) is not None
