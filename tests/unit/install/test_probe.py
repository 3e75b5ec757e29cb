"""The kubelet's probe."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

import pytest

from multus.install import probe

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", ""),
        (b"HTTP/1.1 500 Internal Server Error\r\n\r\n", "/readyz answered HTTP/1.1 500"),
        (b"", "/readyz answered nothing"),
        (b"\xff\xfe", "/readyz answered"),
    ],
)
def test_answers(tmp_path: Path, answer: bytes, said: str) -> None:
    """Only 200 is good."""
    address = str(tmp_path / "sock")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(address)
        listening.listen()

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                assert connection.recv(4096).startswith(b"GET /readyz HTTP/1.1\r\n")
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        found = probe.ask("/readyz", address)
        thread.join()
    assert found.startswith(said)
    assert bool(found) == bool(said)


def test_nobody_there(tmp_path: Path) -> None:
    """No socket is said so."""
    assert "No such file" in probe.ask("/readyz", str(tmp_path / "sock"))
