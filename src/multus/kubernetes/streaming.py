"""Responses read as they come, over a connection that another thread can cut: what a watch needs, over urllib3."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from multus import errors
from multus.kubernetes import pooled
from multus.kubernetes.transport import Response

if TYPE_CHECKING:
    from collections.abc import Callable

    from multus.kubernetes.access import Endpoint, Headers, Identity

#: The longest that connecting may take, and the wait for the head of a response, in seconds.
CONNECT_TIMEOUT = 5.0
HEAD_TIMEOUT = 30.0

#: An answer that is no success is read up to this many bytes, for its message.
REFUSAL_LIMIT = 64 << 10

_PART = 64 << 10


class Cutter:
    """Cuts the connection that a thread reads from, whatever it waits for; none that come after live."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._done = False
        self._connection: HTTPConnection | None = None
        self._socket: Any = None

    def follow(self, connection: HTTPConnection) -> None:
        """Called before and after a connection is made. Raises OSError once cut."""
        with self._lock:
            self._connection, self._socket = connection, connection.sock
            if self._done:
                raise OSError("stopped")

    def timeout(self, seconds: float) -> None:
        """The longest wait for the next byte from now on."""
        with self._lock:
            if self._socket is not None:
                self._socket.settimeout(seconds)

    def cut(self) -> None:
        """End the connection, from any thread."""
        with self._lock:
            self._done = True
            # While it is being made (TLS handshake), the connection knows its socket before we do.
            found = self._socket or getattr(self._connection, "sock", None)
        # TLS through a proxy that speaks TLS itself is an object around the socket.
        plain = found if isinstance(found, socket.socket) else getattr(found, "socket", None)
        if isinstance(plain, socket.socket):
            try:
                # Not through TLS: that would take from under the reader what it reads with.
                socket.socket.shutdown(plain, socket.SHUT_RDWR)
            except OSError:
                pass


class Stream:
    """A response whose body is read as it comes."""

    def __init__(self, answer: urllib3.BaseHTTPResponse, endpoint: Endpoint) -> None:
        self._answer = answer
        self._endpoint = endpoint
        self._ended = False
        self.status = answer.status

    def read(self) -> bytes:
        """Some bytes; b"" at the end. Raises errors.ClusterError when the connection breaks."""
        try:
            part = self._answer.read1(_PART, decode_content=False)
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise pooled.failure(error, self._endpoint) from error
        self._ended = not part
        return part

    def close(self) -> None:
        """Keep the connection when the body was read to its end, else drop it."""
        if not self._ended:
            self._answer.close()
        self._answer.release_conn()


class StreamTransport:
    """One endpoint, one identity, one connection at a time, for one thread. `proxy` is a URL, "" for none."""

    def __init__(self, endpoint: Endpoint, identity: Identity, proxy: str, cutter: Cutter) -> None:
        """Raises errors.InvalidConfig for certificates that can't be used."""
        self._endpoint = endpoint
        self._cutter = cutter
        self._pool = pooled.manager(endpoint, identity, proxy)
        self._pool.pool_classes_by_scheme = _pools(cutter.follow)

    def open(self, path: str, headers: Headers, silence: float) -> Stream | Response:
        """GET. A success is a stream, whose reads wait `silence` seconds at most; anything else is read here. Raises
        errors.ClusterError, errors.Denied as `transport.Transport.request` does."""
        try:
            answer = self._pool.request(
                "GET",
                self._endpoint.url + path,
                headers=urllib3.HTTPHeaderDict(headers),
                timeout=urllib3.Timeout(connect=CONNECT_TIMEOUT, read=HEAD_TIMEOUT),
                retries=False,
                redirect=False,
                preload_content=False,
            )
            stream = Stream(answer, self._endpoint)
            if answer.status >= 300:
                return Response(answer.status, pooled.lowered(answer), _refusal(stream))
            self._cutter.timeout(silence)
            return stream
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise pooled.failure(error, self._endpoint).within(f"API server {self._endpoint.url}") from error

    def close(self) -> None:
        """Drop the connection."""
        self._pool.clear()


def _pools(follow: Callable[[HTTPConnection], None]) -> dict[str, Any]:
    """urllib3's pools, of connections that are followed."""

    class Plain(HTTPConnection):
        def connect(self) -> None:
            follow(self)
            super().connect()
            follow(self)

    class Tls(HTTPSConnection):
        def connect(self) -> None:
            follow(self)
            super().connect()
            follow(self)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class TlsPool(HTTPSConnectionPool):
        ConnectionCls = Tls

    return {"http": PlainPool, "https": TlsPool}


def _refusal(stream: Stream) -> bytes:
    body = b""
    try:
        while len(body) < REFUSAL_LIMIT and (part := stream.read()):
            body += part
    except errors.ClusterError:
        # The status says enough.
        pass
    stream.close()
    return body
