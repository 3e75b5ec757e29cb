"""The parts of one daemon process, put together: what is started, in which order it ends."""

from __future__ import annotations

import functools
import os
import threading
import time
from typing import TYPE_CHECKING

from multus import errors, log
from multus.daemon import (
    calls,
    certificate,
    execserver,
    heartbeat,
    httpapi,
    metricsport,
    services,
    systemd,
    termination,
)
from multus.daemon.metrics import Metrics
from multus.daemon.node import Node
from multus.daemon.owed import Owed
from multus.execproto import listener
from multus.host import figures

if TYPE_CHECKING:
    from multus.daemon.settings import Settings
    from multus.kubernetes.watching import WatchingCluster

#: Our threads call nothing deep; the default of 8 MiB is only address space, but many of them are a lot of it.
STACK = 256 << 10

#: What the end of the process may take after the last call: events on their way, watches.
FAREWELL = 5.0


#: Metrics, and what the installer calls them.
_OF_THE_INSTALLER = (
    ("multus_configuration_contested", "Another agent takes the runtime's configuration away.", figures.CONTESTED),
    ("multus_pods_without_networks", "Pods that run without their networks.", figures.WITHOUT_NETWORKS),
    ("multus_pods_evicted", "Those that the installer evicted since its start.", figures.EVICTED),
)


class Daemon:
    """All parts of one daemon process."""

    def __init__(self, told: Settings) -> None:
        threading.stack_size(STACK)
        self._settings = told
        _check_directories(told)
        self._metrics = Metrics()
        self._cluster = _cluster(told, self._metrics)
        self._node = Node(told, self._cluster, self._metrics)
        self._calls = calls.Calls(self._node, self._cluster.events if self._cluster is not None else None)
        offered = services.NodeServices(self._node, self._calls)
        self._owed = Owed(told.cni_dir, offered.configuration, offered.host)
        debts = services.Debts(self._owed, self._node)
        self._calls.lend_agent, self._calls.lend_call = debts.by_agent, debts.by_call
        limit = told.connection_limit or told.handler_limit
        self._http = [httpapi.server(told.socket_dir, offered, self._owed, self._metrics, limit)]
        if told.metrics_port:
            self._http.append(metricsport.server(told.metrics_port, self._metrics))
        self._exec = execserver.ExecServer(listener.listen(told.socket_dir), self._calls.serve, told.handler_limit)
        self._heartbeat = heartbeat.Heartbeat(told.socket_dir)
        self._show()

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT, then end what has begun."""
        end = termination.Termination()
        if self._cluster is not None:
            self._cluster.start()
        self._heartbeat.start()
        self._node.ready.set()
        self._exec.start()
        for server in self._http:
            server.start()
        systemd.notify("READY=1")
        log.verbose("serving", socket_dir=self._settings.socket_dir, node=self._settings.node_name)
        end.wait()
        self._stop()

    def _stop(self) -> None:
        """Not ready at once; running calls have the grace period, new ones wait in their shims for the successor."""
        self._node.ready.clear()
        systemd.notify("STOPPING=1")
        log.verbose("ending", running=self._exec.running)
        deadline = time.monotonic() + self._settings.grace_period
        if not self._exec.stop(deadline):
            log.warning("calls were still running at the end of the grace period", running=self._exec.running)
        for server in self._http:
            server.stop(deadline)
        self._node.background.drain(time.monotonic() + FAREWELL)
        if self._cluster is not None:
            self._cluster.stop(time.monotonic() + FAREWELL)
        self._heartbeat.stop()
        self._node.close()
        log.verbose("ended")

    def _show(self) -> None:
        """The figures that are read when somebody asks (docs/metrics.md)."""
        watch, node = self._metrics.watch, self._node
        watch("multus_calls_running", "Calls that are being served.", lambda: self._exec.running)
        watch("multus_delegates_running", "Delegates that run.", lambda: node.limit.running)
        watch("multus_delegates_queued", "Delegates that wait for a slot.", lambda: node.limit.queued)
        records = node.records(self._settings.cni_dir)
        watch("multus_records", "Sandboxes on record.", lambda: len(records.containers()))
        watch("multus_owed_deletes", "DELs that wait for hands.", lambda: self._owed.count)
        for name, about, figure in _OF_THE_INSTALLER:
            watch(name, about, functools.partial(figures.read, self._settings.conf_dir, figure))
        if self._cluster is None:
            return
        events = self._cluster.events
        watch("multus_events_queued", "Events on their way.", lambda: events.size())
        watch("multus_events_dropped", "Events that were given up.", lambda: events.dropped)
        for one in self._cluster.reflectors:
            watch("multus_watch_age_seconds", "Since the server's last word.", one.age, resource=one.name)
            watch("multus_watch_objects", "Objects known.", one.size, resource=one.name)


def _cluster(told: Settings, metrics: Metrics) -> WatchingCluster | None:
    from multus.kubernetes import connect

    kubeconfig = certificate.kubeconfig(told, os.environ)
    if not kubeconfig and not all(os.environ.get(name) for name in connect.IN_CLUSTER):
        log.warning("no API server: neither kubeconfig nor a service account; pods are looked up nowhere")
        return None
    made = connect.watching(
        kubeconfig,
        os.environ,
        node=told.node_name,
        watch_all_pods=told.watch_all_pods,
        observe=metrics.api_request,
    )
    if not told.node_name and not told.watch_all_pods:
        log.warning("MULTUS_NODE_NAME is not set: pods are not watched, each is asked for")
    return made


def _check_directories(told: Settings) -> None:
    """A directory that can't be written is said at start, not at the first pod. Raises errors.IoFailure."""
    for key, path in (("socketDir", told.socket_dir), ("cniDir", told.cni_dir)):
        try:
            os.makedirs(path, 0o700, exist_ok=True)
        except OSError as error:
            raise errors.IoFailure(f"{key} {path} can't be made: {error.strerror}") from error
        if not os.access(path, os.W_OK | os.X_OK):
            raise errors.IoFailure(f"{key} {path} can't be written: mount it read-write")
