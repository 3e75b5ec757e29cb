"""What changed at the tests' API server, in order: lists as of one moment, and watches that begin anywhere."""

from __future__ import annotations

import copy
import itertools
import json
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs

if TYPE_CHECKING:
    from collections.abc import Iterator

Json = dict[str, Any]


class Entry(NamedTuple):
    """One change."""

    version: int
    resource: str
    kind: str
    object: Json


class Expired(Exception):
    """What was asked for is forgotten (410)."""


class History:
    """The changes since `oldest`. Safe to use from many threads at once."""

    def __init__(self) -> None:
        self.version = 100
        self.oldest = 0
        self.entries: list[Entry] = []
        self.closed = False
        self.changed = threading.Condition()
        #: Lists that are not finished, of whatever resource: as of which version, and everything in them.
        self._snapshots: dict[int, tuple[int, list[Json]]] = {}
        self._numbers = itertools.count(1)

    def record(self, resource: str, kind: str, made: Json) -> None:
        """A change; the object gets its resourceVersion."""
        with self.changed:
            self.version += 1
            made["metadata"]["resourceVersion"] = str(self.version)
            self.entries.append(Entry(self.version, resource, kind, copy.deepcopy(made)))
            self.changed.notify_all()

    def bookmark(self, resource: str) -> None:
        """Tell watches how far they are."""
        self.record(resource, "BOOKMARK", {"kind": "Any", "metadata": {}})

    def expire(self) -> None:
        """Forget everything so far: watches that begin before now, and lists that are not finished, get 410."""
        with self.changed:
            self.version += 1
            self.oldest = self.version
            self.entries.clear()
            self._snapshots.clear()

    def close(self) -> None:
        """End all watches."""
        with self.changed:
            self.closed = True
            self.changed.notify_all()

    def wait_closed(self) -> None:
        """Wait for `close`."""
        with self.changed:
            self.changed.wait_for(lambda: self.closed, 60)

    def page(self, objects: list[Json], query: dict[str, str]) -> Json:
        """A page of a list, which is as of the moment of its first."""
        limit = int(query.get("limit", "0"))
        with self.changed:
            if "continue" in query:
                number, offset = (int(part) for part in query["continue"].split("-"))
                if number not in self._snapshots:
                    raise Expired
                version, items = self._snapshots[number]
            else:
                number, offset = next(self._numbers), 0
                version, items = self.version, [copy.deepcopy(one) for one in objects if selected(one, query)]
            end = offset + limit if limit else len(items)
            metadata: Json = {"resourceVersion": str(version)}
            if end < len(items):
                self._snapshots[number] = version, items
                metadata |= {"continue": f"{number}-{end}", "remainingItemCount": len(items) - end}
            return {"kind": "List", "apiVersion": "v1", "metadata": metadata, "items": items[offset:end]}

    def lines(self, resource: str, query: dict[str, str]) -> Iterator[bytes]:
        """The lines of a watch, until its time is over. Raises `Expired` before the first."""
        latest = time.monotonic() + float(query.get("timeoutSeconds", "30"))
        version = int(query["resourceVersion"])
        while time.monotonic() < latest and not self.closed:
            for entry in self._after(version, resource, latest):
                version = entry.version
                if entry.kind == "BOOKMARK" or selected(entry.object, query):
                    yield json.dumps({"type": entry.kind, "object": entry.object}).encode() + b"\n"

    def _after(self, version: int, resource: str, latest: float) -> list[Entry]:
        with self.changed:
            while True:
                if version < self.oldest:
                    raise Expired
                found = [entry for entry in self.entries if entry.version > version and entry.resource == resource]
                left = latest - time.monotonic()
                if found or self.closed or left <= 0:
                    return found
                self.changed.wait(left)


def parsed(text: str) -> dict[str, str]:
    """The query of a URL."""
    return {name: values[0] for name, values in parse_qs(text).items()}


def selected(one: Json, query: dict[str, str]) -> bool:
    """Whether a field selector, of which only spec.nodeName is known, takes the object."""
    name, _, value = query.get("fieldSelector", "").partition("=")
    assert name in ("", "spec.nodeName")
    return not name or one.get("spec", {}).get("nodeName") == value
