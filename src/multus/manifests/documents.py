"""The objects of one manifest file, JSON or YAML, several documents and List kinds included.

Only maps, lists and strings are wanted of YAML, so its parser's events are put together here: no constructor runs, no
recursion, no alias (a few lines of them can describe gigabytes), and ``no`` stays a string.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from multus import errors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from multus.cni.rawjson import Json

#: Manifests nest about ten levels.
DEPTH_LIMIT = 64

#: What YAML reads as null when it is not quoted.
NULLS = frozenset({"", "~", "null", "Null", "NULL"})


def objects(data: bytes, what: str) -> list[Json]:
    """All objects in `data`, those of a List taken out of it. Raises errors.InvalidConfig naming `what` and where."""
    documents = _json(data, what) if what.endswith(".json") else _any(data, what)
    return [item for document in documents for item in _items(document)]


def _any(data: bytes, what: str) -> list[Any]:
    """JSON is YAML; trying it first spares the import of the YAML parser."""
    if data.lstrip()[:1] == b"{":
        try:
            return _json(data, what)
        except errors.InvalidConfig:
            pass  # a flow mapping that only YAML can read, or several documents
    return list(_yaml(data, what))


def _json(data: bytes, what: str) -> list[Any]:
    import json

    try:
        return [json.loads(data)]
    except (ValueError, RecursionError) as error:
        raise errors.InvalidConfig(f"{what}: not JSON: {error}") from error


def _yaml(data: bytes, what: str) -> Iterator[Any]:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    build = _Builder(what)
    try:
        for event in yaml.parse(data, Loader=loader):
            if build.take(event):
                yield build.document
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or str(error)
        raise errors.InvalidConfig(f"{what}: not YAML: {f'line {mark.line + 1}: ' if mark else ''}{problem}") from error


class _Builder:
    """Puts the values of one document after the other together."""

    def __init__(self, what: str) -> None:
        self.document: Any = None
        self._what = what
        self._open: list[dict[str, Any] | list[Any]] = []
        self._keys: list[str | None] = []

    def take(self, event: Any) -> bool:
        """Whether the event ends a document; `document` is its value then."""
        name: str = event.__class__.__name__
        if name == "DocumentStartEvent":
            self.document = None
        elif name == "ScalarEvent":
            self._scalar(event)
        elif name in ("MappingStartEvent", "SequenceStartEvent"):
            self._begin({} if name == "MappingStartEvent" else [], event)
        elif name in ("MappingEndEvent", "SequenceEndEvent"):
            self._open.pop()
            self._keys.pop()
        elif name == "AliasEvent":
            raise self._error(event, "aliases (*name) are not accepted in manifests")
        return name == "DocumentEndEvent"

    def _scalar(self, event: Any) -> None:
        if self._open and isinstance(self._open[-1], dict) and self._keys[-1] is None:
            if event.value in self._open[-1]:
                raise self._error(event, f"key {event.value[:80]!r} is there twice")
            self._keys[-1] = event.value
        else:
            self._put(None if event.implicit[0] and event.value in NULLS else event.value, event)

    def _begin(self, value: dict[str, Any] | list[Any], event: Any) -> None:
        if len(self._open) >= DEPTH_LIMIT:
            raise self._error(event, f"nested deeper than {DEPTH_LIMIT} levels")
        self._put(value, event)
        self._open.append(value)
        self._keys.append(None)

    def _put(self, value: Any, event: Any) -> None:
        if not self._open:
            self.document = value
            return
        holder, key = self._open[-1], self._keys[-1]
        if isinstance(holder, list):
            holder.append(value)
        elif key is None:
            raise self._error(event, "a key that is not a string")
        else:
            holder[key] = value
            self._keys[-1] = None

    def _error(self, event: Any, problem: str) -> errors.InvalidConfig:
        return errors.InvalidConfig(f"{self._what}: line {event.start_mark.line + 1}: {problem}")


def _items(document: Any) -> list[Json]:
    if not isinstance(document, dict):
        return []  # an empty document between two separators
    kind, items = document.get("kind"), document.get("items")
    if isinstance(kind, str) and kind.endswith("List") and isinstance(items, list):
        return [item for item in items if isinstance(item, dict)]
    return [document]
