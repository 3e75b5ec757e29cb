"""What lives as long as the daemon, and one request's share of it (`serving.Host`)."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Protocol

from multus import oneshot, serving
from multus.daemon import limits, records, settings
from multus.daemon.background import Background
from multus.daemon.hands import EarlyNetlink
from multus.engine.call import Ports
from multus.host import clock, conffiles
from multus.host import records as host_records
from multus.host import results as result_files
from multus.host.remembered import Remembered

if TYPE_CHECKING:
    from collections.abc import Callable

    from multus.cni.environment import Environment
    from multus.cni.rawjson import Json
    from multus.daemon.hands import Hands
    from multus.daemon.settings import Settings
    from multus.engine.call import Call
    from multus.networks.netconf import MultusConf
    from multus.networks.record import Record
    from multus.oneshot import FetchingCluster


class Observer(limits.Observer, Protocol):
    """Told of what happens: for metrics."""

    def call_ended(self, verb: str, status: int, seconds: float) -> None:
        """A request was answered; `status` is the exit status the runtime sees."""
        ...


class Node:
    """The daemon's belongings. `cluster` is None where there is no API server."""

    def __init__(self, told: Settings, cluster: FetchingCluster | None, observer: Observer | None = None) -> None:
        self.settings = told
        self.cluster = cluster
        self.observer = observer
        self.limit = limits.DelegateLimit(settings.delegate_limit(told))
        self.background = Background()
        self.clock = clock.SystemClock()
        #: Of the requests that came from runtimes, by their text (`serving.answer`).
        self.configurations: dict[bytes, MultusConf] = {}
        self._records: Remembered[Record] = Remembered()
        self._results: Remembered[result_files.Written] = Remembered()
        self._spares = host_records.spare_files(told.cni_dir)
        #: Cleared on SIGTERM, at once.
        self.ready = threading.Event()

    def records(self, cni_dir: str) -> records.NodeRecords:
        """The records in `cni_dir`: requests may name another one than the daemon's."""
        spares = self._spares_of(cni_dir)
        return records.NodeRecords(cni_dir, self.settings.socket_dir, self.clock, self._records, spares)

    def results(self, cni_dir: str) -> result_files.ResultFiles:
        """The cached results there."""
        spares = self._spares_of(cni_dir)
        return result_files.ResultFiles(cni_dir, self._results, spares.files if spares is not None else None)

    def close(self) -> None:
        """The process ends: it keeps nothing for the next call."""
        self._spares.clear()

    def _spares_of(self, cni_dir: str) -> host_records.SpareFiles | None:
        """Another directory may be on another file system."""
        return self._spares if cni_dir == self.settings.cni_dir else None

    def cluster_for(self, conf: MultusConf) -> FetchingCluster | None:
        """Where a request's pods and networks are looked up."""
        if not conf.manifests_dir:
            return self.cluster
        from multus.manifests.cluster import ManifestCluster

        directory = conf.manifests_dir
        return oneshot.OneShotCluster(lambda: ManifestCluster(directory), self.background.submit)


class NodeHost:
    """One request's `serving.Host`. `started`: when the runtime began to wait (monotonic seconds); `welcome` is told
    the seconds that are left, once the request is understood."""

    def __init__(
        self, node: Node, hands: Hands, started: float, welcome: Callable[[float], None] | None = None
    ) -> None:
        self._node = node
        self._hands = hands
        self._started = started
        self._welcome = welcome
        self._netlink = EarlyNetlink(hands)

    def configuration(self, raw: Json) -> Json:
        """As `serving.Host.configuration`."""
        return settings.laid_over(raw, self._node.settings)

    def begin(self, request: Environment, conf: MultusConf) -> None:
        """As `serving.Host.begin`. The hands refuse a CNI_NETNS that is the host's own."""
        if self._welcome is not None:
            self._welcome(max(1.0, self.deadline(serving.budget(conf, request.command)) - time.monotonic()))
        if request.command in ("ADD", "CHECK"):
            self._netlink.look(request.netns)
            if self._welcome is None or request.command == "CHECK":
                self._netlink.close()

    def close(self) -> None:
        """Before the answer: let go of the sandbox."""
        self._netlink.close()

    def deadline(self, budget: float) -> float:
        """As `serving.Host.deadline`."""
        return self._started + budget

    def ports(self, call: Call) -> Ports:
        """As `serving.Host.ports`."""
        node, cni_dir = self._node, call.conf.cni_dir
        cluster = node.cluster_for(call.conf) if call.environment.command != "CHECK" else None
        return Ports(
            executor=limits.LimitedHands(
                self._hands, node.limit, call.environment.ifname, node.observer, self._netlink.close
            ),
            cluster=cluster,
            records=node.records(cni_dir),
            results=node.results(cni_dir),
            conf_files=conffiles.ConfDirectory(call.conf.conf_dir),
            netlink=self._netlink,
            devices=oneshot.OneShotDevices(call.conf, cluster) if cluster is not None else None,
            device_files=oneshot.OneShotDeviceFiles(call.conf.device_info_dir),
            clock=node.clock,
            later=node.background.submit,
        )
