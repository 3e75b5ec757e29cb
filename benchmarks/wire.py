"""One connection to an API server, kept open: the least that a request can cost this interpreter.

The bytes of a request are made beforehand; of the answer only status and length are looked at.
"""

from __future__ import annotations

import base64
import json
import socket
import ssl
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from pathlib import Path

_CHUNK = 1 << 18


class Wire:
    """Speaks to the server that the kubeconfig (JSON) names, with its token."""

    def __init__(self, kubeconfig: Path) -> None:
        value = json.loads(kubeconfig.read_text())
        cluster = value["clusters"][0]["cluster"]
        self._token = value["users"][0]["user"]["token"]
        authority = base64.b64decode(cluster.get("certificate-authority-data", "")).decode()
        context = ssl.create_default_context(cafile=cluster.get("certificate-authority"), cadata=authority or None)
        address = urlsplit(cluster["server"])
        plain = socket.create_connection((address.hostname, address.port), 120)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._host = address.netloc
        self._socket = context.wrap_socket(plain, server_hostname=address.hostname)

    def request(self, method: str, path: str, body: Any = None) -> bytes:
        """The bytes of a request; `body` is made JSON."""
        data = b"" if body is None else json.dumps(body).encode()
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        head = f"{method} {path} HTTP/1.1\r\nHost: {self._host}\r\nAuthorization: Bearer {self._token}\r\n"
        head += f"Accept: application/json\r\nContent-Type: {kind}\r\nContent-Length: {len(data)}\r\n\r\n"
        return head.encode() + data

    def send(self, request: bytes) -> bytes:
        """Send it and return the answer's body. Exits when the server refuses."""
        self._socket.sendall(request)
        data = self._socket.recv(_CHUNK)
        while b"\r\n\r\n" not in data:
            data += self._more()
        head, _, body = data.partition(b"\r\n\r\n")
        lower = head.lower()
        if b"transfer-encoding: chunked" in lower:
            body = self._chunks(body)
        else:
            length = int(lower.partition(b"content-length:")[2].split(b"\r\n", 1)[0])
            while len(body) < length:
                body += self._more()
        if not head.split(b" ", 2)[1].startswith(b"2"):
            raise SystemExit(f"bench: the API server refused {request[:200]!r}: {body[:500]!r}")
        return body

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Make the request, send it, and decode the answer."""
        return json.loads(self.send(self.request(method, path, body)))

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def _chunks(self, data: bytes) -> bytes:
        whole = b""
        while True:
            while b"\r\n" not in data:
                data += self._more()
            size_text, _, data = data.partition(b"\r\n")
            size = int(size_text.split(b";")[0], 16)
            while len(data) < size + 2:
                data += self._more()
            whole, data = whole + data[:size], data[size + 2 :]
            if size == 0:
                return whole

    def _more(self) -> bytes:
        data = self._socket.recv(_CHUNK)
        if not data:
            raise SystemExit("bench: the API server closed the connection")
        return data
