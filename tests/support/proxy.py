"""An HTTP proxy for tests: CONNECT only, as for HTTPS."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType


class ConnectProxy:
    """Listens on loopback once entered; `targets` lists what it was asked to connect to, `credentials` the
    Proxy-Authorization headers it saw."""

    def __init__(self) -> None:
        self.targets: list[str] = []
        self.credentials: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []
        self._sockets: list[socket.socket] = []

    @property
    def address(self) -> str:
        """``host:port``."""
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> ConnectProxy:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        # close() alone does not wake up accept() in another thread.
        self._listener.shutdown(socket.SHUT_RDWR)
        for connection in list(self._sockets):
            _shutdown(connection)
        for thread in self._threads:
            thread.join()
        for connection in (self._listener, *self._sockets):
            connection.close()

    def _start(self, work: object, *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments)  # type: ignore[arg-type] # a callable, said shorter
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._sockets.append(client)
            self._serve(client)

    def _serve(self, client: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            part = client.recv(4096)
            if not part:
                return
            head += part
        lines = head.decode().split("\r\n")
        target = lines[0].split()[1]
        self.targets.append(target)
        self.credentials += [line.split(": ")[1] for line in lines if line.lower().startswith("proxy-authorization")]
        host, _, port = target.rpartition(":")
        server = socket.create_connection((host.strip("[]"), int(port)))
        self._sockets.append(server)
        client.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
        self._start(_relay, client, server)
        self._start(_relay, server, client)


def _relay(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(1 << 16):
            sink.sendall(data)
    except OSError:
        pass
    _shutdown(sink)


def _shutdown(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
