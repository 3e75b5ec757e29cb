"""What an operator should know goes into the log, and as an event onto the node: `kubectl describe node` shows it.

Events need the API server, which at an installation may be away for long. They are sent by a thread, one after the
other, and dropped when too many wait: nothing that is kept on the node waits for them. What goes on being so is a
condition of the node as well, which is sent until it arrives.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from typing import TYPE_CHECKING

from multus import errors, log
from multus.install import contest
from multus.kubernetes import events

if TYPE_CHECKING:
    from multus.cni.rawjson import Json
    from multus.install.source import Report
    from multus.kubernetes.client import Client

#: Of objects that have no namespace; the API server insists on it for events about nodes.
NAMESPACE = "default"

#: More than that waiting are lost.
WAITING = 32

#: The condition of a node whose configuration is taken away by another agent.
CONDITION = "MultusConfigurationTakenAway"

#: Reports that change it, and to what; both that end it do so only where it is on.
_STATUS = {contest.TAKEN_AWAY: "True", contest.RESTORED: "False", "Uninstalled": "False"}

#: A condition that did not arrive is sent again after so many seconds.
AGAIN = 30.0

#: How long one may take, in seconds: the client tries again within.
PATIENCE = 30.0


def log_report(report: Report) -> None:
    """One line of the log."""
    write = log.error if report.kind == "Warning" else log.verbose
    write(report.message, reason=report.reason)


class NodeEvents:
    """Events about the node `node`, and its condition; `contested`: whether it is in it now."""

    def __init__(self, client: Client, node: str, *, contested: bool = False) -> None:
        self._client = client
        self._node = node
        self._contested = contested
        self._due: Report | None = None
        self._queue: queue.Queue[Report | None] = queue.Queue(WAITING)
        self._thread = threading.Thread(target=self._send, name="events", daemon=True)
        self._thread.start()

    def send(self, report: Report) -> None:
        """Queue it. Never waits."""
        try:
            self._queue.put_nowait(report)
        except queue.Full:
            log.warning("event dropped, too many are waiting", reason=report.reason)

    def close(self, patience: float) -> None:
        """Send what is waiting, for so many seconds at most."""
        try:
            self._queue.put_nowait(None)
        except queue.Full:
            return
        self._thread.join(patience)

    def _send(self) -> None:
        while True:
            try:
                report = self._queue.get(timeout=AGAIN if self._due is not None else None)
                if report is None:
                    return
                self._send_event(report)
                self._note(report)
            except queue.Empty:
                pass
            self._send_condition()

    def _send_event(self, report: Report) -> None:
        try:
            event = render(report, self._node, time.time_ns())
            self._client.create_event(NAMESPACE, event, time.monotonic() + PATIENCE)
        except errors.CniError as error:
            log.warning("event not sent", reason=report.reason, error=error)

    def _note(self, report: Report) -> None:
        """Whether it changes the condition."""
        wanted = _STATUS.get(report.reason)
        if wanted is not None and (wanted == "True") != self._contested:
            self._contested, self._due = wanted == "True", report

    def _send_condition(self) -> None:
        if self._due is None:
            return
        try:
            patch = {"status": {"conditions": [condition(self._due, time.time_ns())]}}
            self._client.patch_node_status(self._node, patch, time.monotonic() + PATIENCE)
            self._due = None
        except errors.Denied as error:
            log.warning("condition of the node not set, and not tried again", error=error)
            self._due = None
        except errors.CniError as error:
            log.warning("condition of the node not set yet", error=error)


def condition(report: Report, time_ns: int) -> Json:
    """The condition that a report makes of it."""
    when = _time(time_ns)
    return {
        "type": CONDITION,
        "status": _STATUS[report.reason],
        "reason": report.reason,
        "message": report.message[: events.MESSAGE_LIMIT],
        "lastHeartbeatTime": when,
        "lastTransitionTime": when,
    }


def render(report: Report, node: str, time_ns: int) -> Json:
    """The Event object. A node's UID in events is its name, as the kubelet has it."""
    when = _time(time_ns)
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{node[:200]}.{time_ns:x}", "namespace": NAMESPACE},
        "involvedObject": {"apiVersion": "v1", "kind": "Node", "name": node, "uid": node},
        "type": report.kind,
        "reason": report.reason[: events.REASON_LIMIT],
        "message": report.message[: events.MESSAGE_LIMIT],
        "count": 1,
        "firstTimestamp": when,
        "lastTimestamp": when,
        "source": {"component": "multus-install", "host": node},
        "reportingComponent": "multus-install",
        "reportingInstance": f"{node[:100]}-{os.getpid()}",
    }


def _time(time_ns: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time_ns // 1_000_000_000))
