"""A process that keeps an installation: the keeper, events, and what happens when it is told to end."""

from __future__ import annotations

import signal
import threading
import time
from typing import TYPE_CHECKING

from multus import errors, log
from multus.host import figures
from multus.install import contest, gates, kubeconfig, lastorders, reports, slippedwatch, uninstall
from multus.install.gone import Fate
from multus.install.keeper import Keeper
from multus.install.source import Report
from multus.kubernetes import client as clients
from multus.kubernetes import connect

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from multus.install.settings import Settings
    from multus.kubernetes.client import Client

#: `<namespace>/<name>` of the DaemonSet that this process is a part of; without it, it never uninstalls at its end.
DAEMONSET = "MULTUS_DAEMONSET"

#: For finding out why we end, out of the thirty seconds that a pod has by default.
FAREWELL = 15.0

#: For the last events.
EVENTS = 3.0


class Running:
    """Keeps what `told` says until SIGTERM or SIGINT."""

    def __init__(self, told: Settings, environ: Mapping[str, str]) -> None:
        self._told = told
        self._environ = environ
        self._client = _client(environ)
        self._node = environ.get("MULTUS_NODE_NAME", "")
        self._figures = figures.Figures(told.state_dir)
        contested = bool(self._figures[figures.CONTESTED])
        self._events = None
        if self._client and self._node:
            self._events = reports.NodeEvents(self._client, self._node, contested=contested)
        self._fate = _fate(self._client, environ)
        self._stopped = threading.Event()

    def run(self) -> None:
        """Ends in order when it is told to; everything stays in place unless Multus is being uninstalled."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stopped.set())
        watcher = threading.Thread(target=self._look_at_fate, name="fate", daemon=True)
        watcher.start()
        self._watch_pods()
        contested = bool(self._figures[figures.CONTESTED])
        keeper = Keeper(
            self._told, self._report, gates=gates.of(self._told), refresh=self._refresh, contested=contested
        )
        keeper.run(self._stopped)
        end(self._told, self._fate, self._report)
        if self._events is not None:
            self._events.close(EVENTS)

    def _watch_pods(self) -> None:
        if self._client is not None and self._node:
            slippedwatch.Watch(self._client, self._node, self._told, self._figures).start(self._stopped)

    def _report(self, report: Report) -> None:
        reports.log_report(report)
        if report.reason in (contest.TAKEN_AWAY, contest.RESTORED):
            self._figures.set(figures.CONTESTED, float(report.reason == contest.TAKEN_AWAY))
        if self._events is not None:
            self._events.send(report)

    def _refresh(self) -> None:
        if self._told.kubeconfig:
            kubeconfig.refresh(self._told.kubeconfig, self._environ, skip_tls_verify=self._told.skip_tls_verify)

    def _look_at_fate(self) -> None:
        """Once, so that at the end it is known that it was there and could be asked for."""
        if self._fate is not None:
            try:
                self._fate.exists(time.monotonic() + FAREWELL)
            except errors.CniError as error:
                log.warning(f"can't see the DaemonSet, so deleting it will not uninstall: {error.message}")


def end(told: Settings, fate: Fate | None, report: Callable[[Report], None]) -> None:
    """What is left to do when the process is told to end: nothing, unless Multus is being uninstalled."""
    if fate is None or not fate.is_gone(time.monotonic() + FAREWELL):
        log.verbose("ending, the configuration stays in place")
        return
    try:
        left = uninstall.busy(told.cni_dir)
        removed = uninstall.uninstall(told)
    except errors.CniError as error:
        report(Report("UninstallationFailed", error.message, "Warning"))
        return
    report(Report("Uninstalled", f"the DaemonSet is gone; removed {', '.join(removed) or 'nothing'}"))
    try:
        lastorders.leave(told.cni_dir, thick=told.wanted.thick)
    except errors.CniError as error:
        report(Report("LastOrdersNotLeft", f"{error.message}: mount cniDir read-write", "Warning"))
    if left:
        shown = ", ".join(str(one) for one in left[:5])
        message = (
            f"{len(left)} pods have further networks: {shown}: multus-shim detaches them when CRI-O deletes the pods;"
            " with containerd only another installation does"
        )
        report(Report("NetworksLeftBehind", message, "Warning"))


def _client(environ: Mapping[str, str]) -> Client | None:
    """None where there is no API server: what is kept on the node needs none."""
    try:
        return connect.client("", environ)
    except errors.CniError as error:
        log.warning("no API server", error=error)
        return None


def _fate(client: Client | None, environ: Mapping[str, str]) -> Fate | None:
    namespace, _, name = environ.get(DAEMONSET, "").partition("/")
    named = clients.is_name(namespace) and clients.is_name(name)
    return Fate(client, namespace, name) if client is not None and named else None
