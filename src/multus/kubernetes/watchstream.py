"""List and watch of one resource: pages and lines from HTTP, and what their failures mean. The reflector decides what
to do about it."""

from __future__ import annotations

import json
import random
import time
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode

from multus import __version__, errors
from multus.kubernetes import refusal
from multus.kubernetes.session import Connections
from multus.kubernetes.streaming import Cutter, StreamTransport
from multus.kubernetes.transport import BODY_LIMIT, Response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from multus.cni.rawjson import Json
    from multus.kubernetes.access import Access, Endpoint, Identity
    from multus.kubernetes.session import Settings
    from multus.kubernetes.streaming import Stream
    from multus.kubernetes.transport import Observe

#: A watch is asked to last this many seconds, or up to a quarter more, so that not all nodes begin anew together.
WATCH_SECONDS = 240

#: A server that should have ended the watch may be this much later, in seconds; then it is taken for dead.
GRACE = 10.0

#: The longest that one page may take, in seconds.
PAGE_TIMEOUT = 60.0


class Source(NamedTuple):
    """What is watched. `selector` is a field selector; `page` objects are decoded at a time, which is what the process'
    memory grows by."""

    resource: str
    path: str
    selector: str = ""
    page: int = 100


class Page(NamedTuple):
    """Some of the objects there are, and the resourceVersion of the whole list."""

    items: list[Json]
    version: str


class Change(NamedTuple):
    """A line of a watch: ``ADDED``, ``MODIFIED``, ``DELETED`` or ``BOOKMARK``, and the object; before the first of them
    `OPENED`, with none."""

    kind: str
    object: Json


#: The server has accepted a watch.
OPENED = "OPENED"


class Expired(Exception):
    """The server no longer knows what changed since: list again (410)."""


class Failed(Exception):
    """Worth another try, after `pause` seconds where the server says so. `anew`: with a list."""

    def __init__(self, failure: errors.CniError, pause: float | None = None, *, anew: bool = False) -> None:
        super().__init__(str(failure))
        self.pause = pause
        self.anew = anew


class WatchStream:
    """Lists and watches `source`, for one thread; `abort` is for another."""

    def __init__(
        self,
        settings: Settings,
        connect: Callable[[Endpoint, Identity, Cutter], StreamTransport],
        source: Source,
        *,
        observe: Observe | None = None,
        watch_seconds: float = WATCH_SECONDS,
        grace: float = GRACE,
    ) -> None:
        self._settings = settings
        self._source = source
        self._observe = observe
        self._watch_seconds = watch_seconds
        self._grace = grace
        self._limit = source.page
        self._cutter = Cutter()
        self._connections = Connections(lambda endpoint, identity: connect(endpoint, identity, self._cutter))

    def pages(self) -> Iterator[Page]:
        """All objects, as of one moment. Raises `Expired`, `Failed`."""
        token = ""
        while True:
            page = self._page({"limit": str(self._limit), "continue": token})
            token = str(page["metadata"].get("continue") or "")
            yield Page(page.pop("items") or [], str(page["metadata"].get("resourceVersion") or ""))
            if not token:
                return

    def changes(self, version: str) -> Iterator[Change]:
        """What happens after `version`, until the server ends it. Raises `Expired`, `Failed`."""
        seconds = int(self._watch_seconds * random.uniform(1, 1.25)) or 1  # noqa: S311 - spreads load
        query = {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(seconds),
        }
        latest = time.monotonic() + seconds + self._grace
        stream = self._open("watch", query, seconds + self._grace)
        try:
            yield Change(OPENED, {})
            for line in self._lines(stream, latest):
                yield self._change(line)
        finally:
            stream.close()

    def abort(self) -> None:
        """Cut the connection, from any thread, for good: whatever is going on ends soon, with `Failed`."""
        self._cutter.cut()

    def close(self) -> None:
        """Drop the connection."""
        self._connections.close()

    # ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _page(self, query: dict[str, str]) -> Json:
        stream = self._open("list", query, PAGE_TIMEOUT)
        latest = time.monotonic() + PAGE_TIMEOUT
        body = bytearray()
        try:
            while part := self._read(stream):
                body += part
                if len(body) > BODY_LIMIT:
                    # A few large objects: fewer at a time, down to one, which can't be as large.
                    self._limit = max(1, self._limit // 8)
                    raise self._failed(f"a page of the list has more than {BODY_LIMIT} bytes", anew=True)
                if time.monotonic() > latest:
                    raise self._failed("the list does not end")
        finally:
            stream.close()
        value = self._decoded(body)
        if not isinstance(value.get("metadata"), dict) or not isinstance(value.get("items") or [], list):
            raise self._failed("the answer is no list")
        return value

    def _lines(self, stream: Stream, latest: float) -> Iterator[bytes]:
        """Complete lines. What the last one lacks when the connection ends is lost, and comes again with the next
        watch, because only what was complete has moved the version."""
        buffer = bytearray()
        while time.monotonic() < latest and (part := self._read(stream)):
            searched = len(buffer)
            buffer += part
            begin = 0
            while (end := buffer.find(b"\n", max(searched, begin))) >= 0:
                line = bytes(buffer[begin:end])
                begin = end + 1
                if line.strip():
                    yield line
            del buffer[:begin]
            if len(buffer) > BODY_LIMIT:
                raise self._failed(f"a line of the watch has more than {BODY_LIMIT} bytes", anew=True)

    def _change(self, line: bytes) -> Change:
        value = self._decoded(line)
        kind, changed = value.get("type"), value.get("object")
        if not isinstance(kind, str) or not isinstance(changed, dict):
            raise self._failed("a line of the watch is no event")
        if kind == "ERROR":
            raise self._told(changed)
        return Change(kind, changed)

    def _decoded(self, data: bytes | bytearray) -> Json:
        try:
            value = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise self._failed("the answer is not JSON") from error
        if not isinstance(value, dict):
            raise self._failed("the answer is no object")
        return value

    def _read(self, stream: Stream) -> bytes:
        try:
            return stream.read()
        except errors.ClusterError as error:
            raise Failed(error.within(self._source.resource)) from error

    # ── requests ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _open(self, verb: str, query: dict[str, str], silence: float) -> Stream:
        path = f"{self._source.path}?{urlencode(self._query(query))}"
        try:
            opened = self._settings.authorized(lambda access: self._once(access, verb, path, silence))
        except errors.CniError as error:
            raise Failed(error.within(f"{verb} {self._source.resource}")) from error
        if isinstance(opened, Response):
            raise self._refused(opened, verb)
        return opened

    def _query(self, query: dict[str, str]) -> dict[str, str]:
        selected = {**query, "fieldSelector": self._source.selector}
        return {name: value for name, value in selected.items() if value}

    def _once(self, access: Access, verb: str, path: str, silence: float) -> Stream | Response:
        began = time.monotonic()
        identity = access.credentials.identity(began + PAGE_TIMEOUT)
        common = (("User-Agent", f"multus/{__version__}"), ("Accept", "application/json"))
        headers = (*common, *identity.headers)
        status = 0
        try:
            opened = self._connections.to(access, identity).open(access.endpoint.prefix + path, headers, silence)
            status = opened.status
            return opened
        finally:
            if self._observe is not None:
                self._observe(verb, self._source.resource, status, time.monotonic() - began)

    # ── failures ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _failed(self, what: str, *, anew: bool = False) -> Failed:
        return Failed(errors.ClusterError(f"{self._source.resource}: {what}"), anew=anew)

    def _refused(self, response: Response, verb: str) -> Exception:
        if response.status == 410:
            return Expired()
        origin = self._settings.access.endpoint.origin
        error = refusal.of(response, verb, self._source.resource, origin)
        # 400: the server does not understand our version, so it is of no use.
        return Failed(error, refusal.retry_after(response), anew=response.status == 400)

    def _told(self, status: Json) -> Exception:
        """The Status of an ERROR line."""
        if status.get("code") == 410 or status.get("reason") in ("Expired", "Gone"):
            return Expired()
        details: Any = status.get("details")
        pause = details.get("retryAfterSeconds") if isinstance(details, dict) else None
        said = " ".join(str(status.get("message", "no reason given")).split())[: refusal.QUOTED]
        error = errors.ClusterError(f"watch {self._source.resource}: API server says: {said}")
        return Failed(error, float(pause) if isinstance(pause, int) else None, anew=status.get("code") == 400)
