"""gRPC, as far as a call with one request and one response over a unix socket needs it (HTTP/2 is h2's).

No thread and no event loop: the caller waits, and never beyond its deadline. See docs/design/0005.
"""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, NamedTuple

import h2.config
import h2.connection
import h2.events
import h2.exceptions

from multus import errors

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

#: The longest response, as upstream has it; everything on the wire is at most twice that.
MESSAGE_LIMIT = 16 << 20

#: Status codes that callers tell apart.
OK, UNKNOWN, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, UNIMPLEMENTED = 0, 2, 4, 8, 12

#: What a response has in front of its message: a flag (compressed?) and its length.
_PREFIX = 5

_WINDOW = 1 << 20


class NotListening(Exception):
    """Nobody serves the socket: it does not exist, or nothing listens."""


class Response(NamedTuple):
    """The status of a call, the server's words about it, and the message when the status is `OK`."""

    status: int
    words: str
    message: bytes


class Channel:
    """A connection to the server at `path`, closed at the end of a ``with`` block. Not for several threads."""

    def __init__(self, path: str, deadline: float) -> None:
        """Raises NotListening, errors.TryAgainLater."""
        self._deadline = deadline
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self._http = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        self._left = 2 * MESSAGE_LIMIT
        try:
            self._socket.settimeout(self._time_left())
            self._socket.connect(path)
        except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError) as error:
            self._socket.close()
            raise NotListening(error.strerror) from error
        except (OSError, errors.CniError) as error:
            self._socket.close()
            raise _failed(error) from error
        self._http.initiate_connection()
        self._http.increment_flow_control_window(_WINDOW)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def unary(self, method: str, request: bytes) -> Response:
        """Call ``package.Service/Method``. Raises errors.TryAgainLater for whatever is no gRPC response in time; the
        channel is of no use afterwards."""
        try:
            stream = self._send(method, request)
            exchange = _Exchange(stream)
            while not exchange.ended:
                for event in self._receive():
                    self._acknowledge(event)
                    exchange.take(event)
        except (OSError, h2.exceptions.H2Error, errors.CniError) as error:
            raise _failed(error) from error
        return exchange.response()

    def _send(self, method: str, request: bytes) -> int:
        stream: int = self._http.get_next_available_stream_id()
        milliseconds = max(1, int(self._time_left() * 1000))
        headers = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", f"/{method}"),
            (":authority", "localhost"),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
            ("grpc-timeout", f"{min(milliseconds, 99_999_999)}m"),
        ]
        self._http.send_headers(stream, headers)
        self._http.send_data(stream, b"\0" + len(request).to_bytes(4, "big") + request, end_stream=True)
        self._flush()
        return stream

    def _receive(self) -> list[h2.events.Event]:
        self._flush()
        self._socket.settimeout(self._time_left())
        data = self._socket.recv(1 << 16)
        if not data:
            raise errors.TryAgainLater("closed the connection in the middle of a response")
        self._left -= len(data)
        if self._left < 0:
            raise _too_large()
        return list(self._http.receive_data(data))

    def _acknowledge(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.DataReceived) and event.flow_controlled_length:
            self._http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)

    def _flush(self) -> None:
        self._socket.settimeout(self._time_left())
        self._socket.sendall(self._http.data_to_send())

    def _time_left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


class _Exchange:
    """One stream's response, as it comes in."""

    def __init__(self, stream: int) -> None:
        self.ended = False
        self._stream = stream
        self._headers: dict[bytes, bytes] = {}
        self._data = bytearray()

    def take(self, event: h2.events.Event) -> None:
        """Take what belongs to the stream. Raises errors.TryAgainLater."""
        if isinstance(event, h2.events.ConnectionTerminated):
            raise errors.TryAgainLater("ended the connection")
        if getattr(event, "stream_id", None) != self._stream:
            return
        if isinstance(event, h2.events.StreamReset):
            raise errors.TryAgainLater(f"gave up the call (HTTP/2 error {event.error_code})")
        if isinstance(event, (h2.events.ResponseReceived, h2.events.TrailersReceived)):
            self._headers.update((bytes(name), bytes(value)) for name, value in event.headers or ())
        elif isinstance(event, h2.events.DataReceived):
            self._data += event.data or b""
            if len(self._data) > MESSAGE_LIMIT + _PREFIX:
                raise _too_large()
        self.ended = isinstance(event, h2.events.StreamEnded)

    def response(self) -> Response:
        """What it says. Raises errors.TryAgainLater when it is no gRPC response."""
        http_status = self._headers.get(b":status", b"")
        if http_status != b"200":
            raise errors.TryAgainLater(f"answered with HTTP status {http_status.decode('latin-1')[:10]}, not with gRPC")
        status = self._headers.get(b"grpc-status", b"")
        if not status.isdigit() or len(status) > 3:
            raise errors.TryAgainLater("answered without a gRPC status")
        if int(status) != OK:
            return Response(int(status), _words(self._headers.get(b"grpc-message", b"")), b"")
        return Response(OK, "", self._message())

    def _message(self) -> bytes:
        prefix, message = self._data[:_PREFIX], bytes(self._data[_PREFIX:])
        if len(prefix) < _PREFIX or int.from_bytes(prefix[1:], "big") != len(message):
            raise errors.TryAgainLater("answered with something else than one message")
        if prefix[0]:
            raise errors.TryAgainLater("answered with a compressed message, which nobody asked for")
        return message


def _words(encoded: bytes) -> str:
    """A status message: percent-encoded UTF-8; one line, bounded."""
    from urllib.parse import unquote_to_bytes

    text = unquote_to_bytes(encoded[:2000]).decode("utf-8", "replace")
    return "".join(letter if letter.isprintable() else " " for letter in text)[:300]


def _failed(error: Exception) -> errors.TryAgainLater:
    if isinstance(error, errors.TryAgainLater):
        return error
    if isinstance(error, TimeoutError):
        return errors.TryAgainLater("did not answer in time")
    if isinstance(error, OSError):
        return errors.TryAgainLater(f"can't be talked to: {error.strerror or error}")
    return errors.TryAgainLater(f"does not speak HTTP/2 as it should: {str(error)[:200]}")


def _too_large() -> errors.TryAgainLater:
    return errors.TryAgainLater(f"answered with more than {MESSAGE_LIMIT} bytes")
