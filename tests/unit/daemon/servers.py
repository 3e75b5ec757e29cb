"""A daemon's HTTP API over a node in memory, its records on disk."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from multus import errors
from multus.cni import invoke
from multus.daemon import httpapi
from multus.daemon.metrics import Metrics
from multus.daemon.owed import Owed
from multus.host import clock, records
from multus.host import results as result_files
from unit.engine.world import Node

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from multus.cni.environment import Environment
    from multus.cni.invoke import Ended, PluginCall, PluginExit
    from multus.cni.rawjson import Json
    from multus.daemon.hands import Hands
    from multus.engine.call import Call, Ports
    from multus.networks.netconf import MultusConf
    from multus.testing.netlink import FakeSandboxNet


class NodeHands:
    """Hands on the node; once they are gone each order is refused."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self.gone = False
        #: Plugins wait for it: a test decides when they go on.
        self.free = threading.Event()
        self.free.set()
        self.entered = threading.Semaphore(0)

    def prepare(self, call: PluginCall) -> None:
        self._node.plugins.prepare(call)

    def run(self, call: PluginCall) -> PluginExit:
        if self.gone:
            raise errors.TryAgainLater("the hands are gone")
        self.entered.release()
        assert self.free.wait(30)
        return self._node.plugins.run(call)

    def series(self, calls: Sequence[PluginCall], *, go_on: bool) -> Iterable[Ended]:
        return invoke.in_turn(self, calls, go_on=go_on)

    def exists(self, path: str) -> bool:
        return self._node.plugins.exists(path)

    def vouches(self, netns: str) -> bool:
        return False

    def open(self, netns: str) -> FakeSandboxNet:
        return self._node.netlink.open(netns)


class NodeHost:
    """A `serving.Host`."""

    def __init__(self, server: Server, hands: Hands, started: float) -> None:
        self._server = server
        self._hands = hands
        self._started = started

    def configuration(self, raw: Json) -> Json:
        return self._server.configuration(raw)

    def begin(self, request: Environment, conf: MultusConf) -> None:
        if request.command in ("ADD", "CHECK"):
            self._hands.open(request.netns).close()

    def deadline(self, budget: float) -> float:
        return self._started + budget

    def ports(self, call: Call) -> Ports:
        server = self._server
        return server.node.ports._replace(
            executor=self._hands,
            netlink=self._hands,
            records=server.records,
            results=server.results,
            clock=clock.SystemClock(),
        )


class Server:
    """`httpapi.Services`, served on `path`; `agent` is None where nothing lends hands."""

    path = "/opt/cni/bin"

    def __init__(self, directory: Path, workers: int = 8) -> None:
        self.node = Node()
        self.node.pod()
        self.cni_dir = str(directory / "cni")
        self.node.conf["cniDir"] = self.cni_dir
        self.records = records.RecordFiles(self.cni_dir, clock.SystemClock(), inherit=False)
        self.results = result_files.ResultFiles(self.cni_dir)
        self.overlay: Json = {"cniDir": self.cni_dir, "binDir": "/elsewhere", "multusNamespace": "other"}
        self.agent: NodeHands | None = NodeHands(self.node)
        self.ready = True
        self.metrics = Metrics()
        self.owed = Owed(self.cni_dir, self.configuration, self.host)
        self.http = httpapi.server(str(directory / "run"), self, self.owed, self.metrics, workers)
        self.socket = str(directory / "run" / "multus.sock")
        self.http.start()

    def hands(self) -> Hands | None:
        return self.agent

    def configuration(self, raw: Json) -> Json:
        return {**raw, **self.overlay}

    def host(self, hands: Hands, started: float) -> NodeHost:
        return NodeHost(self, hands, started)

    def stop(self) -> bool:
        return self.http.stop(time.monotonic() + 10)

    def on_record(self, container: str) -> list[str]:
        known = self.records.load(container, "eth0")
        return [entry.ifname for entry in known.entries] if known is not None else []
