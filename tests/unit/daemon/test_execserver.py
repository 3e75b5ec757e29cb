"""The executor socket: threads for those being served, the backlog for the others."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest

from multus import errors, log
from multus.daemon import execserver
from multus.execproto import frames, listener

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from multus.execproto.connection import Connection

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the daemon speaks to root's shims only")

PATIENCE = 30.0
HELLO = frames.hello(frames.Hello((1, 1), frames.CALL, 0.0, "1", "/a", {"CNI_COMMAND": "ADD"}, b"{}"))


def soon() -> float:
    return time.monotonic() + PATIENCE


def wait_for(condition: Callable[[], bool]) -> None:
    until = soon()
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.001)


class Server:
    """A server whose handler welcomes, waits for `go`, and answers."""

    def __init__(self, directory: Path, limit: int) -> None:
        self.directory = directory
        self.go = threading.Event()
        self.raises: Exception | None = None
        self.clients: list[socket.socket] = []
        self.server = execserver.ExecServer(listener.listen(str(directory)), self._serve, limit)
        self.server.start()

    def _serve(self, connection: Connection) -> None:
        connection.welcome(1.0)
        self.go.wait(PATIENCE)
        if self.raises is not None:
            raise self.raises
        connection.answer(b"{}", 0)

    def client(self, data: bytes = HELLO) -> socket.socket:
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.clients.append(made)
        made.settimeout(PATIENCE)
        made.connect(str(self.directory / listener.NAME))
        with contextlib.suppress(BrokenPipeError):  # closed already: that will be seen
            made.sendall(data)
        return made

    def close(self) -> None:
        self.go.set()
        self.server.stop(soon())
        for client in self.clients:
            client.close()


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[[int], Server]]:
    made: list[Server] = []

    def build(limit: int) -> Server:
        made.append(Server(tmp_path, limit))
        return made[-1]

    yield build
    for one in made:
        one.close()


def received(client: socket.socket) -> list[int]:
    """The types of the frames that came until the end."""
    decoder, types = frames.of_daemon(), []
    try:
        while data := client.recv(1 << 16):
            types += [frame.type for frame in decoder.feed(data)]
    except ConnectionResetError:
        pass
    return types


def test_served_to_the_end(make: Callable[[int], Server]) -> None:
    """Each connection is greeted, served and closed."""
    made = make(4)
    clients = [made.client() for _ in range(4)]
    wait_for(lambda: made.server.running == 4)
    made.go.set()
    assert [received(client) for client in clients] == [[frames.WELCOME, frames.ANSWER]] * 4
    wait_for(lambda: made.server.running == 0)


def test_more_than_the_limit_wait(make: Callable[[int], Server]) -> None:
    """No more are served at once than allowed; the others are when their turn comes."""
    made = make(2)
    clients = [made.client() for _ in range(6)]
    wait_for(lambda: made.server.running == 2)
    made.go.set()
    assert [received(client) for client in clients] == [[frames.WELCOME, frames.ANSWER]] * 6


def test_stop_finishes_what_has_begun(make: Callable[[int], Server]) -> None:
    """Whoever is being served gets an answer; whoever waits gets nothing, and asks the successor."""
    made = make(1)
    served = made.client()
    wait_for(lambda: made.server.running == 1)
    waiting = made.client()
    done: list[bool] = []
    thread = threading.Thread(target=lambda: done.append(made.server.stop(soon())))
    thread.start()
    assert received(waiting) == []
    made.go.set()
    thread.join(PATIENCE)
    assert done == [True]
    assert received(served) == [frames.WELCOME, frames.ANSWER]


def test_stop_at_the_deadline(make: Callable[[int], Server]) -> None:
    """A call that goes on is not waited for beyond the deadline."""
    made = make(1)
    made.client()
    wait_for(lambda: made.server.running == 1)
    assert not made.server.stop(time.monotonic())
    assert made.server.running == 1


def test_stop_with_nobody_there(make: Callable[[int], Server]) -> None:
    """It ends at once, and nobody can connect."""
    made = make(1)
    assert made.server.stop(time.monotonic())
    with pytest.raises(ConnectionRefusedError):
        made.client()


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n\r\n" + bytes(20), b"", frames.encode(frames.ABANDONED)])
def test_not_a_shim(make: Callable[[int], Server], data: bytes) -> None:
    """Whatever says something else is closed, and costs nobody anything."""
    made = make(1)
    made.go.set()
    stranger = made.client(data)
    stranger.shutdown(socket.SHUT_WR)
    assert frames.WELCOME not in received(stranger)
    assert received(made.client()) == [frames.WELCOME, frames.ANSWER]


@pytest.mark.parametrize("error", [errors.TryAgainLater("bad day"), ValueError("bad day")])
def test_handler_that_raises(make: Callable[[int], Server], error: Exception) -> None:
    """Its connection is closed, what it raised is logged, the next one is served."""
    lines: list[str] = []
    log.configure("verbose", [lines.append])
    try:
        made = make(1)
        made.raises = error
        made.go.set()
        assert received(made.client()) == [frames.WELCOME]
        wait_for(lambda: made.server.running == 0)
    finally:
        log.configure("", [])
    made.raises = None
    assert received(made.client()) == [frames.WELCOME, frames.ANSWER]
    assert "bad day" in "".join(lines)


def test_no_thread_to_be_had(make: Callable[[int], Server], monkeypatch: pytest.MonkeyPatch) -> None:
    """With no further thread the one there is serves one call after the other."""
    made = make(4)
    made.go.set()

    def refused(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refused)
        for _ in range(3):
            assert received(made.client()) == [frames.WELCOME, frames.ANSWER]
    assert received(made.client()) == [frames.WELCOME, frames.ANSWER]
