"""What comes over the executor socket: calls of the runtime, each with its own hands, and the agent."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from multus import errors, log, serving
from multus.daemon import hands
from multus.daemon.node import NodeHost
from multus.execproto import frames

if TYPE_CHECKING:
    from collections.abc import Callable

    from multus.daemon.hands import Hands
    from multus.daemon.node import Node
    from multus.execproto.connection import Connection
    from multus.kubernetes.eventqueue import EventQueue

#: How often an idle agent's connection is looked at, in seconds: its thread must notice that the daemon ends.
LOOK = 1.0


class Calls:
    """Serves connections for `node`; `agent` has the hands of the newest connected agent. `lend_agent` is called
    with an agent's hands now and then, `lend_call` with a call's once its own work is done. `events` are those of
    calls, each of which sends its own after its answer."""

    def __init__(self, node: Node, events: EventQueue | None = None) -> None:
        self._node = node
        self._events = events
        self.lend_agent: Callable[[Hands], None] = _keep_to_oneself
        self.lend_call: Callable[[Hands], None] = _keep_to_oneself
        self._lock = threading.Lock()
        self._agents: list[hands.ShimHands] = []

    @property
    def agent(self) -> hands.ShimHands | None:
        """The hands of an agent, None while none is connected."""
        with self._lock:
            living = [one for one in self._agents if not one.gone]
        return living[-1] if living else None

    def serve(self, connection: Connection) -> None:
        """One connection, to its end."""
        if connection.hello.kind == frames.AGENT:
            self._keep(connection)
        else:
            self._call(connection)

    def _call(self, connection: Connection) -> None:
        """One call, and then its events, however it ended: this thread serves others."""
        if self._events is None:
            self._answer(connection)
            return
        self._events.hold()
        try:
            self._answer(connection)
        finally:
            self._events.release()

    def _answer(self, connection: Connection) -> None:
        begun = time.monotonic()
        request = connection.hello.environ
        own = hands.ShimHands(connection)
        host = NodeHost(self._node, own, begun - connection.elapsed, connection.welcome)
        done = serving.answer(request, lambda: connection.hello.stdin, host, self._node.configurations)
        host.close()
        self.lend_call(own)
        told = connection.answer(done.stdout, done.status)
        seconds = time.monotonic() - begun
        verb = request.get("CNI_COMMAND", "")
        if self._node.observer is not None:
            self._node.observer.call_ended(verb, done.status, seconds)
        log.verbose(
            "answered" if told else "not answered: the runtime gave up",
            command=verb,
            container=request.get("CNI_CONTAINERID", ""),
            status=done.status,
            seconds=f"{seconds:.3f}",
        )

    def _keep(self, connection: Connection) -> None:
        """An agent stays: its hands are lent until it goes or the daemon ends."""
        connection.welcome()
        own = hands.ShimHands(connection)
        with self._lock:
            self._agents.append(own)
        log.verbose("agent connected", release=connection.hello.program)
        try:
            while self._node.ready.is_set():
                self.lend_agent(own)
                if connection.wait_end(time.monotonic() + LOOK):
                    break
        except errors.CniError as error:
            log.verbose("agent's connection ended", error=error)
        finally:
            with self._lock:
                self._agents.remove(own)


def _keep_to_oneself(_hands: Hands) -> None:
    """Nobody needs them."""
