"""The HTTP server under clients that are slow, broken or hostile, and at its end."""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest

from multus import errors
from multus.daemon import httpwire, metricsport
from multus.daemon.httpserver import HttpServer
from multus.daemon.httpworkers import Limits
from multus.daemon.metrics import Metrics
from multus.execproto import listener
from unit.daemon import clients

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from multus.daemon.httpwire import Request, Response

pytestmark = pytest.mark.api

HEALTH = clients.go_request("GET", "/healthz")
WORK = clients.go_request("POST", "/cni", b"{}")


class Handler:
    """`/healthz` is quick, `/bad` and `/worse` are defects, all else works until it is let go."""

    def __init__(self) -> None:
        self.free = threading.Event()
        self.started = threading.Semaphore(0)
        self.bodies: list[bytes] = []
        self.answer = b"done"

    def quick(self, request: Request) -> Response | None:
        if request.path == "/bad":
            raise ValueError("a defect")
        return httpwire.Response(200, b"well\n", httpwire.TEXT) if request.path == "/healthz" else None

    def aside(self, request: Request) -> bool:
        return request.path == "/aside"

    def work(self, request: Request, started: float) -> Response:
        if request.path == "/aside":
            return httpwire.Response(200, b"aside")
        if request.path == "/worse":
            raise ValueError("a defect")
        self.bodies.append(request.body)
        self.started.release()
        assert self.free.wait(30)
        return httpwire.Response(200, self.answer)

    def busy(self, request: Request) -> Response:
        return httpwire.Response(503)


class Served:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.path = str(directory / "multus.sock")
        self.handler = Handler()
        self.servers: list[HttpServer] = []

    def start(self, limits: Limits | None = None, patience: float = 30.0) -> HttpServer:
        server = HttpServer(
            listener.listen(str(self.directory), "multus.sock"), self.handler, limits, patience=patience
        )
        self.servers.append(server)
        server.start()
        return server

    def open(self, data: bytes) -> socket.socket:
        sock = clients.connect(self.path)
        sock.sendall(data)
        return sock

    def is_well(self) -> bool:
        reply = clients.raw(self.path, HEALTH)
        return reply is not None and reply.body == b"well\n"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    one = Served(tmp_path)
    yield one
    one.handler.free.set()
    for server in one.servers:
        server.stop(time.monotonic() + 10)


def soon() -> float:
    return time.monotonic() + 10


def until(condition: Callable[[], bool]) -> None:
    end = soon()
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


# ── clients ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_silent_clients(served: Served) -> None:
    """A hundred clients that say nothing, or half of it, cost no thread and hold up nobody."""
    served.start()
    before = threading.active_count()
    socks = [served.open(data) for data in (b"", b"POST /cni", WORK[:-1], b"POST / HTTP/1.1\r\nA: b\r\n") * 25]
    assert served.is_well()
    assert threading.active_count() == before
    for sock in socks:
        sock.close()


def test_timeout(served: Served) -> None:
    """A request that trickles is ended with 408 when its time is over, however busily it trickles."""
    served.start(patience=0.3)
    sock = served.open(b"POST /cni HTTP/1.1\r\n")
    trickling = threading.Event()

    def trickle() -> None:
        while not trickling.wait(0.02):
            try:
                sock.send(b"a")
            except OSError:
                return

    thread = threading.Thread(target=trickle)
    thread.start()
    data = sock.recv(1 << 16)
    trickling.set()
    thread.join()
    sock.close()
    assert data.startswith(b"HTTP/1.1 408 ")


def test_silence_is_ended(served: Served) -> None:
    """A client that says nothing at all is sent away too."""
    served.start(patience=0.1)
    with served.open(b"") as sock:
        reply = clients.read(sock)
    assert reply is not None
    assert reply.status == 408


@pytest.mark.parametrize(
    ("status", "data"),
    [
        (400, b"\x16\x03\x01" * 100 + b"\r\n\r\n"),
        (413, b"POST /cni HTTP/1.1\r\nContent-Length: 999999999\r\n\r\n"),
        (431, b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 10_000),
    ],
)
def test_refused(served: Served, status: int, data: bytes) -> None:
    """What can't be served is answered with why, even while the client is still sending."""
    served.start()
    reply = clients.raw(served.path, data)
    assert reply is not None
    assert reply.status == status
    assert served.is_well()


def test_large_refused_body(served: Served) -> None:
    """A client that sends a body nobody wants, whole, reads the refusal before it is cut off."""
    served.start()
    reply = clients.raw(served.path, b"POST /cni HTTP/1.1\r\nContent-Length: 9000000\r\n\r\n" + b"x" * 9_000_000)
    assert reply is not None
    assert reply.status == 413


def test_continue(served: Served) -> None:
    """A client that waits to be told to go on is told."""
    served.start()
    served.handler.free.set()
    with served.open(b"POST /cni HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n") as sock:
        assert sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"{}")
        reply = clients.read(sock)
    assert reply is not None
    assert reply.status == 200
    assert served.handler.bodies == [b"{}"]


def test_vanished(served: Served) -> None:
    """Clients that vanish, before or behind their request, leave nothing behind."""
    server = served.start(Limits(workers=1))
    for data in (b"", b"POST", WORK, WORK):
        served.open(data).close()
    served.handler.free.set()
    until(lambda: server.running == 0)
    assert served.is_well()


def test_gone_while_waiting(served: Served) -> None:
    """A request whose client gave up while it waited is not begun."""
    server = served.start(Limits(workers=1))
    with served.open(WORK):
        assert served.handler.started.acquire(timeout=10)
        impatient = served.open(clients.go_request("POST", "/cni", b"impatient"))
        until(lambda: server.running == 2)
        impatient.close()
        served.handler.free.set()
        until(lambda: server.running == 0)
    assert served.handler.bodies == [b"{}"]


def test_reader_that_does_not_read(served: Served) -> None:
    """An answer that nobody takes costs one thread and a timeout."""
    server = served.start(patience=0.2)
    served.handler.answer = b"x" * 1_000_000
    served.handler.free.set()
    with served.open(WORK):
        until(lambda: bool(served.handler.bodies) and server.running == 0)


@pytest.mark.parametrize("path", ["/bad", "/worse"])
def test_defect(served: Served, path: str) -> None:
    """A defect of ours is a 500, and the server lives on."""
    served.start()
    assert clients.ask(served.path, "GET", path).status == 500
    assert served.is_well()


# ── limits ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_workers(served: Served) -> None:
    """So many requests are worked on at once, the rest wait in their order; health never does."""
    server = served.start(Limits(workers=2))
    socks = [served.open(clients.go_request("POST", "/cni", str(number).encode())) for number in range(5)]
    for _ in range(2):
        assert served.handler.started.acquire(timeout=10)
    until(lambda: server.running == 5)
    assert len(served.handler.bodies) == 2
    assert served.is_well()
    served.handler.free.set()
    assert [clients.read(sock) is not None for sock in socks] == [True] * 5
    assert sorted(served.handler.bodies) == [b"0", b"1", b"2", b"3", b"4"]
    assert set(served.handler.bodies[:2]) == {b"0", b"1"}
    for sock in socks:
        sock.close()


def test_aside(served: Served) -> None:
    """What is done aside does not wait for those that take long."""
    served.start(Limits(workers=1))
    with served.open(WORK):
        assert served.handler.started.acquire(timeout=10)
        assert clients.ask(served.path, "GET", "/aside").body == b"aside"


def test_too_many_wait(served: Served) -> None:
    """When too many wait already the next is told so at once."""
    server = served.start(Limits(workers=1, waiting=1))
    socks = [served.open(WORK)]
    assert served.handler.started.acquire(timeout=10)
    socks.append(served.open(WORK))
    until(lambda: server.running == 2)
    reply = clients.raw(served.path, WORK)
    assert reply is not None
    assert reply.status == 503
    for sock in socks:
        sock.close()


def test_open_limit(served: Served) -> None:
    """Connections beyond the limit wait in the backlog until one of the others ends."""
    served.start(Limits(open_limit=2))
    first, second = served.open(b""), served.open(b"")
    third = served.open(HEALTH)
    first.close()
    reply = clients.read(third)
    assert reply is not None
    assert reply.status == 200
    second.close()
    third.close()


# ── the end ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_stop(served: Served) -> None:
    """Whoever has connected is served to the end; nobody else is accepted."""
    server = served.start(Limits(workers=1))
    running = served.open(WORK)
    assert served.handler.started.acquire(timeout=10)
    waiting, half = served.open(WORK), served.open(WORK[:-1])
    until(lambda: server.running == 2)
    ended: list[bool] = []
    thread = threading.Thread(target=lambda: ended.append(server.stop(soon())))
    thread.start()
    until(lambda: _is_refused(served.path))
    half.sendall(WORK[-1:])
    served.handler.free.set()
    replies = [clients.read(sock) for sock in (running, waiting, half)]
    thread.join()
    assert [reply is not None and reply.status for reply in replies] == [200, 200, 200]
    assert ended == [True]
    for sock in (running, waiting, half):
        sock.close()


def test_stop_at_the_deadline(served: Served) -> None:
    """What does not end in time is left behind, and said so."""
    server = served.start()
    with served.open(WORK), served.open(b"POST"):
        assert served.handler.started.acquire(timeout=10)
        assert not server.stop(time.monotonic() + 0.1)


def test_successor(served: Served) -> None:
    """A successor takes the socket over without a moment in which there is none; the predecessor's requests go on."""
    old = served.start()
    with served.open(WORK) as sock:
        assert served.handler.started.acquire(timeout=10)
        served.start()
        assert served.is_well()
        served.handler.free.set()
        assert old.stop(soon())
        reply = clients.read(sock)
    assert reply is not None
    assert reply.status == 200
    assert served.is_well()


def _is_refused(path: str) -> bool:
    try:
        clients.connect(path).close()
    except ConnectionRefusedError:
        return True
    return False


# ── the metrics' port ───────────────────────────────────────────────────────────────────────────────────────────


def scrape(port: int, data: bytes) -> clients.Reply:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as sock:
        sock.sendall(data)
        reply = clients.read(sock)
    assert reply is not None
    return reply


def test_metrics_port() -> None:
    """GET /metrics and nothing else, on every address."""
    server = metricsport.server(0, Metrics())
    port = server.port
    server.start()
    reply = scrape(port, clients.go_request("GET", "/metrics"))
    assert (reply.status, reply.headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert b"multus_build_info{" in reply.body
    assert scrape(port, clients.go_request("POST", "/metrics", b"x")).status == 413
    assert scrape(port, clients.go_request("POST", "/metrics", b"")).status == 405
    assert scrape(port, clients.go_request("POST", "/cni", b"")).status == 404
    assert server.stop(soon())


def test_metrics_port_taken() -> None:
    """A port that somebody else has is an error that names the key; a predecessor's may be shared while it ends."""
    with socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True) as stranger:
        port = stranger.getsockname()[1]
        with pytest.raises(errors.IoFailure, match=f"metricsPort {port}"):
            metricsport.server(port, Metrics())
    first = metricsport.server(0, Metrics())
    second = metricsport.server(first.port, Metrics())
    for one in (first, second):
        one.start()
        assert one.stop(soon())


def test_limits_for_strangers() -> None:
    """On the metrics' port a body is never read, and little is served at once."""
    assert metricsport.LIMITS.body == 0
    assert metricsport.LIMITS.workers < Limits().workers
