"""The port over a client that answers from dictionaries."""

from __future__ import annotations

import time
from typing import Any

import pytest

from multus import errors
from multus.kubernetes import cluster
from multus.networks.nad import Nad
from multus.ports import Pod

SOON = time.monotonic() + 3600
POD = Pod("ns", "web", "u-1", {})


class Answers:
    """What the API server has, and what it was asked to write."""

    def __init__(self, **objects: Any) -> None:
        self.objects = objects
        self.refusal = ""
        self.patches: list[Any] = []
        self.events: list[Any] = []
        self.failures: list[errors.CniError] = []

    def pod(self, namespace: str, name: str, deadline: float) -> Any:
        """The object `pod`."""
        return self._get("pod")

    def network(self, namespace: str, name: str, deadline: float) -> Any:
        """The object `network`."""
        return self._get("network")

    def patch_pod_status(self, namespace: str, name: str, patch: Any, deadline: float) -> str:
        """Kept; `refusal` says whether it was applied."""
        self.patches.append((namespace, name, patch))
        return self.refusal

    def create_event(self, namespace: str, event: Any, deadline: float) -> None:
        """Kept, unless a failure is due."""
        if self.failures:
            raise self.failures.pop(0)
        self.events.append(event)

    def close(self) -> None:
        """Nothing to close."""

    def _get(self, kind: str) -> Any:
        if kind not in self.objects:
            raise errors.NotFound(f"{kind} not found")
        return self.objects[kind]


def made(answers: Answers) -> cluster.KubernetesCluster:
    """The cluster over these answers."""
    return cluster.KubernetesCluster(answers, "node-1")  # type: ignore[arg-type] # a client by shape


def pod_object(**metadata: Any) -> dict[str, Any]:
    """A pod as the API server has it."""
    return {"metadata": {"name": "web", "namespace": "ns", "uid": "u-1", **metadata}, "spec": {}}


def test_pod() -> None:
    """UID and annotations."""
    found = made(Answers(pod=pod_object(annotations={"a": "b"}))).pod("ns", "web", "", SOON)
    assert found == Pod("ns", "web", "u-1", {"a": "b"}, static=False)


def test_missing_pod() -> None:
    """None, not an error."""
    assert made(Answers()).pod("ns", "web", "", SOON) is None


@pytest.mark.parametrize(("source", "static"), [("file", True), ("http", True), ("api", False)])
def test_static_pod(source: str, static: bool) -> None:
    """The kubelet's mark on mirror pods."""
    raw = pod_object(annotations={"kubernetes.io/config.source": source})
    found = made(Answers(pod=raw)).pod("ns", "web", "", SOON)
    assert found is not None
    assert found.static is static


@pytest.mark.parametrize("uid", [None, "", 7])
def test_pod_without_uid_is_no_pod(uid: Any) -> None:
    """Without a UID nothing can be guarded."""
    with pytest.raises(errors.ClusterError, match="has no UID"):
        made(Answers(pod=pod_object(uid=uid))).pod("ns", "web", "", SOON)


@pytest.mark.parametrize(("namespace", "name"), [("", "web"), ("ns", "../x"), ("ns", "\udcff")])
def test_impossible_pod_name(namespace: str, name: str) -> None:
    """Such a pod is not gone: the call itself is wrong."""
    with pytest.raises(errors.InvalidEnvironment, match="CNI_ARGS"):
        made(Answers()).pod(namespace, name, "", SOON)


def test_odd_annotations_are_left_out() -> None:
    """Only strings are annotations."""
    found = made(Answers(pod=pod_object(annotations={"a": 1, "b": "c"}))).pod("ns", "web", "", SOON)
    assert found is not None
    assert found.annotations == {"b": "c"}


@pytest.mark.parametrize(
    ("raw", "config"),
    [
        ({"metadata": {}, "spec": {"config": "{}"}}, "{}"),
        ({"metadata": {}, "spec": {}}, ""),
        ({"metadata": {}, "spec": None}, ""),
        ({"metadata": {}}, ""),
    ],
)
def test_network(raw: Any, config: str) -> None:
    """spec.config, "" when there is none."""
    assert made(Answers(network=raw)).network("ns", "a", SOON) == Nad("ns", "a", config, "")


def test_network_resource() -> None:
    """The resource its devices come from."""
    raw = {"metadata": {"annotations": {"k8s.v1.cni.cncf.io/resourceName": "x/y"}}}
    assert made(Answers(network=raw)).network("ns", "a", SOON).resource_name == "x/y"


def test_network_with_odd_config() -> None:
    """A server without the schema may keep anything there."""
    with pytest.raises(errors.InvalidConfig, match=r"ns/a: spec\.config is not a string"):
        made(Answers(network={"metadata": {}, "spec": {"config": {}}})).network("ns", "a", SOON)


def test_status_is_one_guarded_patch() -> None:
    """The annotation and the UID, nothing else."""
    answers = Answers()
    made(answers).set_status(POD, "[]", SOON)
    patch = {"metadata": {"annotations": {"k8s.v1.cni.cncf.io/network-status": "[]"}, "uid": "u-1"}}
    assert answers.patches == [("ns", "web", patch)]


@pytest.mark.parametrize(("objects", "found"), [({}, "none"), ({"pod": pod_object(uid="u-2")}, '"u-2"')])
def test_status_of_a_pod_that_is_gone(objects: Any, found: str) -> None:
    """A refused patch and another pod (or none) of that name: NotFound."""
    answers = Answers(**objects)
    answers.refusal = "field is immutable"
    with pytest.raises(errors.NotFound, match=f'"u-1" is gone: the API server has {found}'):
        made(answers).set_status(POD, "[]", SOON)


def test_status_refused_for_another_reason() -> None:
    """The pod is there, so the server's words are the error."""
    answers = Answers(pod=pod_object())
    answers.refusal = "metadata.annotations: Too long"
    with pytest.raises(errors.ClusterError, match="Too long") as caught:
        made(answers).set_status(POD, "[]", SOON)
    assert not isinstance(caught.value, errors.NotFound)


def test_events_wait_for_flush() -> None:
    """`event` only queues; `flush` sends in order, once."""
    answers = Answers()
    under_test = made(answers)
    under_test.event(POD, "Normal", "AddedInterface", "one")
    under_test.event(POD, "Warning", "Other", "two")
    assert answers.events == []
    under_test.flush(SOON)
    under_test.flush(SOON)
    assert [(event["type"], event["reason"], event["message"]) for event in answers.events] == [
        ("Normal", "AddedInterface", "one"),
        ("Warning", "Other", "two"),
    ]


def test_events_have_names_of_their_own() -> None:
    """Two in one instant are two."""
    answers = Answers()
    under_test = made(answers)
    for _ in range(50):
        under_test.event(POD, "Normal", "R", "m")
    under_test.flush(SOON)
    assert len({event["metadata"]["name"] for event in answers.events}) == 50


def test_event_that_can_not_be_sent() -> None:
    """It is dropped, the next is sent, nothing is raised."""
    answers = Answers()
    answers.failures = [errors.Denied("no")]
    under_test = made(answers)
    under_test.event(POD, "Normal", "R", "one")
    under_test.event(POD, "Normal", "R", "two")
    under_test.flush(SOON)
    assert [event["message"] for event in answers.events] == ["two"]


def test_queue_is_bounded() -> None:
    """A server that is away for long does not fill the memory; the newest events stay."""
    answers = Answers()
    under_test = made(answers)
    for number in range(cluster.QUEUE_LIMIT + 5):
        under_test.event(POD, "Normal", "R", str(number))
    under_test.flush(SOON)
    assert (len(answers.events), answers.events[0]["message"]) == (cluster.QUEUE_LIMIT, "5")
