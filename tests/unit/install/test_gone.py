"""Whether Multus is restarted or uninstalled."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from multus import errors
from multus.install.gone import Fate

if TYPE_CHECKING:
    from multus.cni.rawjson import Json

THERE: Json = {"metadata": {"name": "kube-multus-ds"}}
DELETED: Json = {"metadata": {"name": "kube-multus-ds", "deletionTimestamp": "2026-01-01T00:00:00Z"}}
UNKNOWN_ACCOUNT = errors.Denied("get daemonsets.apps: 401 Unauthorized: token expired")
FORBIDDEN = errors.Denied("get daemonsets.apps: 403 Forbidden: RBAC")
AWAY = errors.ClusterError("connection refused")
MISSING = errors.NotFound("no such daemonset")


class Answering:
    """A client with a list of answers; the last one is repeated."""

    def __init__(self, *answers: Json | errors.CniError) -> None:
        self.answers = list(answers)
        self.paths: list[str] = []

    def fetch(self, what: str, path: str, deadline: float) -> Json:
        self.paths.append(path)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, errors.CniError):
            raise answer
        return answer


def fate(*answers: Json | errors.CniError) -> Fate:
    client: Any = Answering(*answers)
    return Fate(client, "kube-system", "kube-multus-ds")


@pytest.mark.parametrize(
    ("answer", "gone"),
    [(THERE, False), (DELETED, True), (MISSING, True), (UNKNOWN_ACCOUNT, False), (FORBIDDEN, False), (AWAY, False)],
)
def test_one_answer(answer: Json | errors.CniError, gone: bool) -> None:
    """Only a clear answer is one: no such DaemonSet, or one that is being deleted."""
    assert fate(answer).is_gone(time.monotonic()) is gone


def test_account_that_was_known() -> None:
    """An account that could ask before and is not known now was deleted with the DaemonSet."""
    asked = fate(THERE, FORBIDDEN, UNKNOWN_ACCOUNT)
    assert asked.exists(time.monotonic())
    assert asked.is_gone(time.monotonic() + 10)


def test_where_it_asks() -> None:
    """It asks for exactly one object, so that a role can name it."""
    client: Any = Answering(THERE)
    assert not Fate(client, "kube-system", "kube-multus-ds").is_gone(0.0)
    assert client.paths == ["/apis/apps/v1/namespaces/kube-system/daemonsets/kube-multus-ds"]
