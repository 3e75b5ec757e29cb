"""Keeps what the API server has of one resource: a list, then a watch, for ever, in a thread of its own."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from multus import log
from multus.kubernetes import kept
from multus.kubernetes.backoff import Backoff
from multus.kubernetes.watchstream import OPENED, Expired, Failed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from multus.cni.rawjson import Json
    from multus.kubernetes.watchstream import Change, Page

#: A watch that ended sooner than this many seconds, without having told anything, is a failure: a server that closes
#: each watch at once is not asked again at once.
SHORTEST_WATCH = 1.0

V = TypeVar("V")


class Feed(Protocol):
    """Where the objects are from: `watchstream.WatchStream`."""

    def pages(self) -> Iterator[Page]:
        """All objects. Raises `watchstream.Expired`, `watchstream.Failed`."""
        ...

    def changes(self, version: str) -> Iterator[Change]:
        """What happens after that version. Raises `watchstream.Expired`, `watchstream.Failed`."""
        ...

    def abort(self) -> None:
        """From another thread: end what is going on, for good."""
        ...

    def close(self) -> None:
        """Drop the connection."""
        ...


class Reflector(Generic[V]):
    """What `decode` makes of each object, by ``namespace/name``; objects of which it makes None are not kept.

    `synced` is set when the first list is complete. What is known stays known while the server is away."""

    def __init__(
        self,
        name: str,
        feed: Feed,
        decode: Callable[[Json], V | None],
        *,
        backoff: Backoff | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.synced = threading.Event()
        self._feed = feed
        self._decode = decode
        self._backoff = backoff or Backoff()
        self._clock = clock
        self._objects: dict[str, V] = {}
        self._version = ""
        self._heard: float | None = None
        self._told = False
        self._stopping = threading.Event()
        # Nothing of it needs an orderly end, so it never keeps the process from ending.
        self._thread = threading.Thread(target=self._run, name=f"reflector-{name}", daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def cancel(self) -> None:
        """Let it end, without waiting for that."""
        self._stopping.set()
        self._feed.abort()

    def stop(self, deadline: float) -> bool:
        """End it and wait until it has, or `deadline`. Returns whether it has."""
        self.cancel()
        if self._thread.ident is not None:
            self._thread.join(max(deadline - time.monotonic(), 0.0))
        return not self._thread.is_alive()

    def get(self, key: str) -> V | None:
        """What is known of ``namespace/name``."""
        return self._objects.get(key)

    def size(self) -> int:
        """How many objects are kept."""
        return len(self._objects)

    def age(self) -> float:
        """Seconds since the last word from the server; infinite before the first. When nothing happens at all, that
        is the beginning of the watch, up to five minutes ago (`watchstream.WATCH_SECONDS`)."""
        return float("inf") if self._heard is None else self._clock() - self._heard

    # ── the thread ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _run(self) -> None:
        pause = 0.0
        while not self._stopping.wait(pause):
            pause = self._turn()
        self._feed.close()

    def _turn(self) -> float:
        """A list if one is needed, and a watch until it ends. The pause before the next turn."""
        self._told = False
        began = self._clock()
        asked = None
        try:
            if not self._version:
                self._list()
            began = self._clock()
            self._watch()
        except Expired:
            log.verbose("watch: the server no longer knows our version, listing again", watch=self.name)
            self._version = ""
        except Failed as failed:
            asked = failed.pause
            self._complain(failed)
            self._version = "" if failed.anew else self._version
        except Exception as error:
            # A defect of ours; a thread that ends in silence would be worse.
            log.error("watch: internal error, listing again", watch=self.name, error=repr(error))
            self._version = ""
        else:
            if self._clock() - began >= SHORTEST_WATCH:
                self._backoff.reset()
                return 0.0
        if self._told:
            self._backoff.reset()
        return self._backoff.next(asked)

    def _complain(self, failed: Failed) -> None:
        if not self._stopping.is_set():
            log.warning("watch: trying again", watch=self.name, error=failed)

    def _list(self) -> None:
        """Take over all pages; what none of them names is gone. Old and new are never held side by side."""
        present: set[str] = set()
        version = ""
        for page in self._feed.pages():
            self._heard = self._clock()
            version = page.version
            page.items.reverse()
            while page.items:
                present.add(self._put(page.items.pop()))
        for key in [key for key in self._objects if key not in present]:
            del self._objects[key]
        self._version = version
        log.verbose("watch: listed", watch=self.name, objects=len(self._objects), version=version)
        self.synced.set()

    def _watch(self) -> None:
        for change in self._feed.changes(self._version):
            self._heard = self._clock()
            if change.kind == OPENED:
                continue
            self._told = True
            if change.kind in ("ADDED", "MODIFIED"):
                self._put(change.object)
            elif change.kind == "DELETED":
                self._objects.pop(kept.key(change.object), None)
            self._advance(change)

    def _put(self, raw: Json) -> str:
        """Keep the object; its key. One that has not changed in what we keep stays the very same."""
        key = kept.key(raw)
        value = self._decode(raw) if key else None
        if value is None:
            self._objects.pop(key, None)
        elif self._objects.get(key) != value:
            self._objects[key] = value
        return key

    def _advance(self, change: Change) -> None:
        metadata = change.object.get("metadata")
        version = metadata.get("resourceVersion") if isinstance(metadata, dict) else None
        if isinstance(version, str) and version:
            self._version = version
