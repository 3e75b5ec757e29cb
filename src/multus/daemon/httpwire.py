"""HTTP/1.1 as far as the daemon's clients speak it: one request a connection, read within bounds, one answer.

A reader is fed what arrives and never blocks; whatever it is fed, it gives a request, wants more, or raises `Refused`.
The standard library's server reads line by line with a timeout for each, which a client that trickles never meets.
"""

from __future__ import annotations

from typing import NamedTuple

#: Request line and headers together, in bytes.
HEAD_LIMIT = 16 << 10

#: A body: a configuration of 4 MiB in base64, and an environment.
BODY_LIMIT = 8 << 20

#: A line that gives a chunk's size, extensions included, in bytes.
_CHUNK_LINE = 256

REASONS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    413: "Request Entity Too Large",
    417: "Expectation Failed",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    501: "Not Implemented",
    503: "Service Unavailable",
    505: "HTTP Version Not Supported",
}

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

TEXT = "text/plain; charset=utf-8"
JSON = "application/json"

_TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_DIGITS = frozenset("0123456789")
_HEX = frozenset("0123456789abcdefABCDEF")


class Refused(Exception):
    """What arrived is no request that is served here; the answer's status, and why."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class Request(NamedTuple):
    """One request; `path` without its query."""

    method: str
    path: str
    body: bytes = b""


class Response(NamedTuple):
    """One answer."""

    status: int
    body: bytes = b""
    content_type: str = ""


def encode(response: Response) -> bytes:
    """The answer as it is sent; the connection is closed behind it."""
    lines = [f"HTTP/1.1 {response.status} {REASONS.get(response.status, 'Status')}"]
    if response.content_type:
        lines.append(f"Content-Type: {response.content_type}")
    lines += [f"Content-Length: {len(response.body)}", "Connection: close", "", ""]
    return "\r\n".join(lines).encode("ascii") + response.body


class Reader:
    """Reads one request. What follows it is not looked at: there is one request a connection."""

    def __init__(self, body_limit: int = BODY_LIMIT) -> None:
        self._limit = body_limit
        self._data = bytearray()
        self._head: _Head | None = None
        self._body = bytearray()
        self._chunk = -1  # bytes left of the chunk, its line end included; -1: its size comes next
        self._last = False
        #: The client waits for `CONTINUE` before it sends the body.
        self.awaited = False

    def feed(self, data: bytes) -> Request | None:
        """The request once it is complete. Raises `Refused`."""
        self._data += data
        if self._head is None:
            end = self._data.find(b"\r\n\r\n")
            if (end if end >= 0 else len(self._data)) > HEAD_LIMIT:
                raise Refused(431, "headers are too long")
            if end < 0:
                return None
            self._head = _head(bytes(self._data[:end]), self._limit)
            del self._data[: end + 4]
        complete = self._chunked() if self._head.length is None else len(self._data) >= self._head.length
        self.awaited = self._head.awaits and not complete and not self._data and not self._body
        if not complete:
            return None
        body = bytes(self._body) if self._head.length is None else bytes(self._data[: self._head.length])
        return Request(self._head.method, self._head.path, body)

    def _chunked(self) -> bool:
        while True:
            if self._chunk < 0:
                line = self._line()
                if line is None:
                    return False
                if self._last:
                    if not line:
                        return True
                    continue  # trailers say nothing to us
                self._chunk = _chunk_size(line)
                if len(self._body) + self._chunk > self._limit:
                    raise Refused(413, "the body is too long")
                self._last = self._chunk == 0
                self._chunk = -1 if self._last else self._chunk + 2
            if self._last:
                continue
            if not self._take():
                return False

    def _line(self) -> bytes | None:
        end = self._data.find(b"\r\n")
        if (end if end >= 0 else len(self._data)) > _CHUNK_LINE:
            raise Refused(400, "a chunk begins with a line that is too long")
        if end < 0:
            return None
        line = bytes(self._data[:end])
        del self._data[: end + 2]
        return line

    def _take(self) -> bool:
        """Move on within a chunk; True at its end."""
        if len(self._data) < self._chunk:
            return False
        if self._data[self._chunk - 2 : self._chunk] != b"\r\n":
            raise Refused(400, "a chunk has no end")
        self._body += self._data[: self._chunk - 2]
        del self._data[: self._chunk]
        self._chunk = -1
        return True


class _Head(NamedTuple):
    """`length` None: the body comes in chunks."""

    method: str
    path: str
    length: int | None
    awaits: bool


def _head(data: bytes, limit: int) -> _Head:
    try:
        first, *lines = data.decode("ascii").split("\r\n")
    except UnicodeDecodeError:
        raise Refused(400, "headers must be ASCII") from None
    method, path = _request_line(first)
    headers = _headers(lines)
    expected = headers.get("expect", "").lower()
    if expected not in ("", "100-continue"):
        raise Refused(417, "this expectation can't be met")
    return _Head(method, path, _length(headers, limit), bool(expected))


def _request_line(line: str) -> tuple[str, str]:
    parts = line.split(" ")
    if len(parts) != 3 or not parts[0] or not _TOKEN.issuperset(parts[0]):
        raise Refused(400, "this is not an HTTP request")
    method, target, version = parts
    if version not in ("HTTP/1.1", "HTTP/1.0"):
        raise Refused(505 if version.startswith("HTTP/") else 400, "this is not HTTP/1.1")
    if not target.startswith("/") or not target.isprintable():
        raise Refused(400, "the request's target must be a path")
    return method, target.partition("?")[0]


def _headers(lines: list[str]) -> dict[str, str]:
    """The headers by name in lower case. One that is repeated and says something else each time is refused."""
    found: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or not _TOKEN.issuperset(name):
            raise Refused(400, "a header is malformed")
        name, value = name.lower(), value.strip(" \t")
        if name in ("content-length", "transfer-encoding") and found.get(name, value) != value:
            raise Refused(400, f"{name} is contradictory")
        found[name] = value
    return found


def _length(headers: dict[str, str], limit: int) -> int | None:
    coding, length = headers.get("transfer-encoding"), headers.get("content-length")
    if coding is not None:
        if length is not None:
            raise Refused(400, "content-length and transfer-encoding exclude each other")
        if coding.lower() != "chunked":
            raise Refused(501, "this transfer encoding is not supported")
        return None
    if length is None:
        return 0
    if not length or not _DIGITS.issuperset(length):
        raise Refused(400, "content-length is not a number")
    if len(length) > len(str(limit)) or int(length) > limit:
        raise Refused(413, "the body is too long")
    return int(length)


def _chunk_size(line: bytes) -> int:
    digits = line.partition(b";")[0].strip(b" \t").decode("latin-1")
    if not digits or not _HEX.issuperset(digits):
        raise Refused(400, "a chunk's size is not a number")
    return int(digits, 16) if len(digits) <= 8 else BODY_LIMIT + 1
