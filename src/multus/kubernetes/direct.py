"""One connection, opened when first needed, over `socket` and `ssl` alone. For one-shot processes; not for threads.

What it saves: importing urllib3 takes longer than the rest of an ADD. What it leaves out: proxies, redirects, pools.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from multus import errors
from multus.kubernetes import http1

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Sequence

    from multus.kubernetes.access import Endpoint, Headers, Identity
    from multus.kubernetes.transport import Response


class DirectTransport:
    """A `transport.Transport` over one keep-alive connection."""

    def __init__(
        self,
        endpoint: Endpoint,
        identity: Identity,
        context: ssl.SSLContext | None = None,
        options: Sequence[tuple[int, int, int]] = (),
    ) -> None:
        """`context`: of TLS, made when needed where none is given; `options`: of the socket."""
        self._endpoint = endpoint
        self._identity = identity
        self._context = context
        self._options = options
        self._socket: socket.socket | None = None
        self._reader = http1.Reader(self._receive)
        self._deadline = 0.0

    def request(self, method: str, path: str, headers: Headers, body: bytes | None, timeout: float) -> Response:
        """As `transport.Transport.request`.

        A server may close an idle connection at any moment. When it did so before the first byte of the response, the
        request is sent once more: all requests of ours may be repeated (reads, a merge patch, events with a name)."""
        self._deadline = time.monotonic() + timeout
        data = http1.encode(method, path, self._endpoint.authority, headers, body)
        attempts = 1 if self._socket is None else 2
        try:
            return self._exchange(data, attempts)
        except errors.ClusterError as error:
            raise error.within(f"API server {self._endpoint.url}") from error

    def close(self) -> None:
        """As `transport.Transport.close`."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _exchange(self, data: bytes, attempts: int) -> Response:
        """Send and receive; a connection that failed, or that the server wants closed, is gone afterwards."""
        reusable = False
        try:
            response, reusable = self._once(data)
            return response
        except http1.Closed as error:
            if attempts < 2:
                raise errors.ClusterError("closed the connection without an answer") from error
        finally:
            if not reusable:
                self.close()
        return self._exchange(data, attempts - 1)

    def _once(self, data: bytes) -> tuple[Response, bool]:
        reused = self._socket is not None
        try:
            connection = self._socket or self._connect()
            connection.settimeout(self._left())
            connection.sendall(data)
            return self._reader.response()
        except OSError as error:
            if reused and not isinstance(error, TimeoutError):
                raise http1.Closed from error
            from multus.kubernetes import tls

            raise tls.failure(error, self._endpoint) from error

    def _receive(self) -> bytes:
        assert self._socket is not None
        self._socket.settimeout(self._left())
        return self._socket.recv(1 << 16)

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def _connect(self) -> socket.socket:
        import socket

        endpoint, context = self._endpoint, self._context
        if endpoint.tls and context is None:
            from multus.kubernetes import tls

            context = tls.context(endpoint, self._identity)
        plain = self._reach()
        try:
            for option in (*self._options, (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)):
                plain.setsockopt(*option)
            plain.settimeout(self._left())
            name = (endpoint.server_name or endpoint.host).encode("ascii")
            self._socket = context.wrap_socket(plain, server_hostname=name) if context else plain
        except BaseException:
            plain.close()
            raise
        self._reader = http1.Reader(self._receive)
        return self._socket

    def _reach(self) -> socket.socket:
        """The first of the host's addresses that takes the connection; each gets its share of the time left.

        The host is bytes here, and the server's name above: for text both imports the codec for international names."""
        import socket

        endpoint = self._endpoint
        addresses = socket.getaddrinfo(endpoint.host.encode("ascii"), endpoint.port, type=socket.SOCK_STREAM)
        failure: OSError = OSError("the host has no address")
        for number, (family, kind, protocol, _, address) in enumerate(addresses):
            candidate = socket.socket(family, kind, protocol)
            try:
                candidate.settimeout(self._left() / (len(addresses) - number))
                candidate.connect(address)
                return candidate
            except OSError as error:
                candidate.close()
                failure = error
        raise failure
