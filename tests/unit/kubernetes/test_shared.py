"""Connections that threads share: as many as are needed, and no more than that."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from multus.kubernetes import shared
from multus.kubernetes.access import Endpoint, Identity
from multus.kubernetes.transport import Response

if TYPE_CHECKING:
    from multus.kubernetes.access import Headers

PATIENCE = 30.0


class Connections:
    """Stand-ins for `direct.DirectTransport`, which answer when they are told to."""

    def __init__(self) -> None:
        self.opened = 0
        self.closed = 0
        self.asked = threading.Semaphore(0)
        self.answer = threading.Semaphore(0)
        self.left: list[float] = []

    def __call__(self, *_: object) -> Connections:
        self.opened += 1
        return self

    def request(self, method: str, path: str, headers: Headers, body: bytes | None, timeout: float) -> Response:
        self.left.append(timeout)
        self.asked.release()
        assert self.answer.acquire(timeout=PATIENCE)
        return Response(200, {}, b"")

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> Connections:
    made = Connections()
    monkeypatch.setattr(shared, "DirectTransport", made)
    return made


def start(transport: shared.SharedTransport, count: int) -> list[threading.Thread]:
    threads = [threading.Thread(target=transport.request, args=("GET", "/", (), None, 10.0)) for _ in range(count)]
    for thread in threads:
        thread.start()
    return threads


def transport() -> shared.SharedTransport:
    return shared.SharedTransport(Endpoint("127.0.0.1", 1, "a test", tls=False), Identity())


def test_a_storm_opens_no_more_than_are_kept(connections: Connections, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests that are answered soon wait for each other's connections."""
    monkeypatch.setattr(shared, "PATIENCE", PATIENCE)
    threads = start(transport(), 3 * shared.KEPT)
    for _ in threads:
        assert connections.asked.acquire(timeout=PATIENCE)
        connections.answer.release()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    assert connections.opened <= shared.KEPT
    assert connections.closed == 0


def test_a_slow_server_keeps_nobody_waiting(connections: Connections, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has waited opens one more, which is closed after use; what was waited counts."""
    monkeypatch.setattr(shared, "PATIENCE", 0.01)
    threads = start(transport(), shared.KEPT + 2)
    for _ in threads:
        assert connections.asked.acquire(timeout=PATIENCE)
    assert connections.opened == shared.KEPT + 2
    for _ in threads:
        connections.answer.release()
    for thread in threads:
        thread.join(PATIENCE)
    assert connections.closed == 2
    assert min(connections.left) < 10.0 - 0.01 <= max(connections.left) <= 10.0


def test_one_after_another_has_one(connections: Connections) -> None:
    """The same connection, without a wait."""
    made = transport()
    for _ in range(3):
        connections.answer.release()
        before = time.monotonic()
        made.request("GET", "/", (), None, 10.0)
        assert time.monotonic() - before < PATIENCE
    assert connections.opened == 1
