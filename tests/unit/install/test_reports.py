"""What goes onto the node as events."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, cast

import pytest

from multus import errors
from multus.install import contest, reports
from multus.install.source import Report

if TYPE_CHECKING:
    from multus.cni.rawjson import Json

NODE = "node1"


class Server:
    """Takes events, after it was away for some of them; holds each until it may go on."""

    def __init__(self, away: int = 0) -> None:
        self.events: list[Json] = []
        self.away = away
        self.may_go_on = threading.Event()

    def create_event(self, namespace: str, event: Json, deadline: float) -> None:
        self.may_go_on.wait()
        assert namespace == event["metadata"]["namespace"] == "default"
        if self.away:
            self.away -= 1
            raise errors.ClusterError("connection refused")
        self.events.append(event)


def events(server: Any) -> reports.NodeEvents:
    return reports.NodeEvents(server, NODE)


def test_in_order_and_before_the_end() -> None:
    """All that were reported are sent in order, the last ones while it ends; they are about the node."""
    server = Server()
    sending = events(server)
    for reason in ("One", "Two"):
        sending.send(Report(reason, "what", "Warning"))
    server.may_go_on.set()
    sending.close(30)
    assert [event["reason"] for event in server.events] == ["One", "Two"]
    assert server.events[0]["involvedObject"] == {"apiVersion": "v1", "kind": "Node", "name": NODE, "uid": NODE}


def test_server_that_is_away() -> None:
    """An event that can't be sent is lost, the next one is not."""
    server = Server(away=1)
    server.may_go_on.set()
    sending = events(server)
    sending.send(Report("Lost", ""))
    sending.send(Report("Sent", ""))
    sending.close(30)
    assert [event["reason"] for event in server.events] == ["Sent"]


def test_nobody_waits() -> None:
    """However many wait, reporting one more takes no time: it is dropped."""
    server = Server()
    sending = events(server)
    for number in range(2 * reports.WAITING):
        sending.send(Report(str(number), ""))
    server.may_go_on.set()
    sending.close(0)


def test_limits() -> None:
    """The API server's limits on names and messages are kept."""
    event = reports.render(Report("r" * 500, "m" * 5000), "n" * 253, 1)
    assert len(event["metadata"]["name"]) <= 253
    assert (len(event["reason"]), len(event["message"])) == (128, 1024)


class Node(Server):
    """Takes the node's conditions too; `refusals` are what it answers first."""

    def __init__(self, *refusals: errors.CniError) -> None:
        super().__init__()
        self.may_go_on.set()
        self.refusals = list(refusals)
        self.conditions: list[Json] = []

    def patch_node_status(self, name: str, patch: Json, deadline: float) -> None:
        assert name == NODE
        if self.refusals:
            raise self.refusals.pop(0)
        self.conditions += patch["status"]["conditions"]

    def seen(self) -> list[tuple[str, str]]:
        return [(one["status"], one["reason"]) for one in self.conditions]


def report(server: Node, *reasons: str, contested: bool = False) -> None:
    """These reports, one after the other."""
    sending = reports.NodeEvents(cast("Any", server), NODE, contested=contested)
    for reason in reasons:
        sending.send(Report(reason, f"about {reason}", "Warning"))
    sending.close(30)


def test_condition_of_the_node() -> None:
    """On while the configuration is taken away, off once it stays; other reports are none."""
    server = Node()
    report(server, "DefaultNetworkChosen", contest.TAKEN_AWAY, "InstallationWaits", contest.RESTORED)
    assert server.seen() == [("True", contest.TAKEN_AWAY), ("False", contest.RESTORED)]
    assert {one["type"] for one in server.conditions} == {"MultusConfigurationTakenAway"}
    assert server.conditions[0]["message"] == f"about {contest.TAKEN_AWAY}"


@pytest.mark.parametrize(
    ("contested", "reasons", "seen"),
    [
        (False, ["Uninstalled"], []),
        (False, [contest.RESTORED], []),
        (True, [contest.TAKEN_AWAY], []),
        (True, ["Uninstalled"], [("False", "Uninstalled")]),
        (True, [contest.RESTORED], [("False", contest.RESTORED)]),
    ],
)
def test_condition_only_changes(contested: bool, reasons: list[str], seen: list[tuple[str, str]]) -> None:
    """A node that was never in it has none; one that the process before left in it gets out of it."""
    server = Node()
    report(server, *reasons, contested=contested)
    assert server.seen() == seen


def test_condition_that_does_not_arrive() -> None:
    """It is sent again with whatever comes next."""
    server = Node(errors.ClusterError("connection refused"))
    report(server, contest.TAKEN_AWAY, "InstallationWaits")
    assert server.seen() == [("True", contest.TAKEN_AWAY)]


def test_condition_that_arrives_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is sent again though nothing else is reported."""
    monkeypatch.setattr(reports, "AGAIN", 0.01)
    server = Node(errors.ClusterError("connection refused"), errors.ClusterError("connection refused"))
    sending = reports.NodeEvents(cast("Any", server), NODE)
    sending.send(Report(contest.TAKEN_AWAY, "", "Warning"))
    while not server.conditions:
        time.sleep(0.01)
    sending.close(30)
    assert server.seen() == [("True", contest.TAKEN_AWAY)]


def test_condition_that_is_forbidden() -> None:
    """Without the permission it is given up; events go on."""
    server = Node(errors.Denied("forbidden"))
    report(server, contest.TAKEN_AWAY, "InstallationWaits")
    assert server.seen() == []
    assert len(server.events) == 2
