"""HTTP/1.1 as far as a client of an API server needs it (RFC 9112), over bytes: no socket in here.

`http.client` does more and costs thirty milliseconds of import, four times what a whole bare process does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from multus import errors
from multus.kubernetes.transport import BODY_LIMIT, Response

if TYPE_CHECKING:
    from collections.abc import Callable

    from multus.kubernetes.access import Headers

#: Status line and header lines together, and each line within a chunked body.
HEAD_LIMIT = 64 << 10


class Closed(Exception):
    """The peer closed the connection before the first byte of a response."""


def encode(method: str, path: str, authority: str, headers: Headers, body: bytes | None) -> bytes:
    """A whole request, so that it leaves in one write. Raises errors.InvalidConfig for a header that would break it."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {authority}"]
    lines += [f"{name}: {value}" for name, value in headers]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    if not all(line.isascii() and line.isprintable() for line in lines):
        raise errors.InvalidConfig("a credential or name holds characters that can't be part of an HTTP header")
    return "\r\n".join([*lines, "", ""]).encode("ascii") + (body or b"")


class Reader:
    """Reads responses of one connection from `receive`, which gives some bytes, b"" at the end of the stream."""

    def __init__(self, receive: Callable[[], bytes]) -> None:
        self._receive = receive
        self._buffer = bytearray()

    def response(self) -> tuple[Response, bool]:
        """The next final response, and whether the connection can be used again. Raises `Closed`,
        errors.ClusterError when it is cut off, too large, or not HTTP."""
        if not self._buffer and not self._more():
            raise Closed
        status = 100
        while 100 <= status < 200:
            version, status = _status_line(self._line())
            headers = self._headers()
        reusable = version == b"HTTP/1.1" and "close" not in headers.get("connection", "").lower()
        if status in (204, 304):
            return Response(status, headers, b""), reusable
        coding = headers.get("transfer-encoding", "").lower()
        if coding:
            if coding != "chunked":
                raise _malformed(f"transfer-encoding {coding[:40]!r}")
            return Response(status, headers, self._chunks()), reusable
        length = headers.get("content-length")
        if length is None:
            return Response(status, headers, self._rest()), False
        return Response(status, headers, self._exactly(_length(length, 10))), reusable

    def _more(self) -> bool:
        data = self._receive()
        self._buffer += data
        return bool(data)

    def _line(self) -> bytes:
        while (end := self._buffer.find(b"\n", 0, HEAD_LIMIT)) < 0:
            if len(self._buffer) >= HEAD_LIMIT:
                raise _malformed("a header line without end")
            if not self._more():
                raise _cut()
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line.removesuffix(b"\r")

    def _headers(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        left = HEAD_LIMIT
        while line := self._line():
            left -= len(line)
            name, colon, value = line.decode("latin-1").partition(":")
            if left < 0 or not colon or not name or name != name.strip():
                raise _malformed("bad header lines")
            key, text = name.lower(), value.strip()
            if key == "content-length" and headers.get(key, text) != text:
                raise _malformed("two different content-length headers")
            headers[key] = text
        return headers

    def _exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            if not self._more():
                raise _cut()
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    def _chunks(self) -> bytes:
        body = bytearray()
        while size := _length(self._line().decode("latin-1").partition(";")[0].strip(), 16):
            if len(body) + size > BODY_LIMIT:
                raise _too_large()
            body += self._exactly(size)
            if self._line():
                raise _malformed("a chunk longer than announced")
        self._headers()  # trailers, usually none
        return bytes(body)

    def _rest(self) -> bytes:
        while len(self._buffer) <= BODY_LIMIT:
            if not self._more():
                return self._exactly(len(self._buffer))
        raise _too_large()


def _status_line(line: bytes) -> tuple[bytes, int]:
    version, _, rest = line.partition(b" ")
    code = rest[:3]
    if version not in (b"HTTP/1.1", b"HTTP/1.0") or not code.isdigit() or len(code) < 3 or rest[3:4] not in (b"", b" "):
        raise _malformed("no HTTP status line")
    return version, int(code)


def _length(text: str, base: int) -> int:
    digits = "0123456789abcdef"[:base]
    if not text or len(text) > 19 or any(character not in digits for character in text.lower()):
        raise _malformed(f"bad length {text[:40]!r}")
    size = int(text, base)
    if size > BODY_LIMIT:
        raise _too_large()
    return size


def _malformed(what: str) -> errors.ClusterError:
    return errors.ClusterError(f"answered with malformed HTTP: {what}")


def _cut() -> errors.ClusterError:
    return errors.ClusterError("closed the connection in the middle of a response")


def _too_large() -> errors.ClusterError:
    return errors.ClusterError(f"answered with more than {BODY_LIMIT} bytes")
