"""Pods that started without Multus."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from multus.cni.arguments import PodArgs
from multus.install import slipped
from multus.networks import selection

if TYPE_CHECKING:
    from multus.cni.rawjson import Json

NOTHING = slipped.on_record([])


def pod(name: str = "pod", networks: str = "one", **changes: Any) -> Json:
    """A pod that runs and asks for a network."""
    annotations = {selection.NETWORKS: networks} | changes.pop("annotations", {})
    meta = {"namespace": "ns", "name": name, "uid": f"uid-{name}", "annotations": annotations}
    return {
        "metadata": meta | changes.pop("metadata", {}),
        "spec": changes.pop("spec", {}),
        "status": {"phase": changes.pop("phase", "Running")},
    }


def names(pods: list[Json], on_record: slipped.OnRecord = NOTHING) -> list[str]:
    return [found.name for found in slipped.find(pods, on_record).slipped]


def recorded(*pods: PodArgs) -> slipped.OnRecord:
    return slipped.on_record((pod, f"sandbox-{number}") for number, pod in enumerate(pods))


def test_nothing_on_record() -> None:
    """A pod that runs, asks for networks and is not on record is found; a network-status of before does not hide it."""
    assert names([pod(), pod("old", annotations={selection.STATUS: "[]"})]) == ["pod", "old"]


@pytest.mark.parametrize(
    "other",
    [
        pod(networks=""),
        pod(networks=" [] "),
        pod(phase="Pending"),
        pod(phase="Succeeded"),
        pod(spec={"hostNetwork": True}),
        pod(metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"}),
        {"metadata": None, "spec": [], "status": "x"},
        {},
    ],
)
def test_pods_without_a_claim(other: Json) -> None:
    """Pods that ask for none, don't run, are the host's or are going; and what is no pod."""
    assert names([other]) == []


@pytest.mark.parametrize("uid", ["uid-pod", ""])
def test_on_record(uid: str) -> None:
    """A record of the same pod; one that does not know the UID is of it too."""
    assert names([pod()], recorded(*[PodArgs("ns", "pod", "x", uid)])) == []


def test_record_of_its_predecessor() -> None:
    """A record of another pod of that name is not its own."""
    assert names([pod()], recorded(*[PodArgs("ns", "pod", "x", "other")])) == ["pod"]


def test_static_pod() -> None:
    """The runtime knows it by the hash of its manifest."""
    mirror = pod(annotations={slipped.CONFIG_HASH: "hash"})
    assert names([mirror], recorded(*[PodArgs("ns", "pod", "x", "hash")])) == []


def test_records_that_name_no_pod() -> None:
    """Among records of upstream's making a network-status is what tells."""
    upstreams = recorded(*[PodArgs()])
    assert names([pod(), pod("old", annotations={selection.STATUS: "[{}]"})], upstreams) == ["pod"]


def test_on_record_without_a_status() -> None:
    """It has its networks; what is missing is told apart."""
    pods = [pod("seen", annotations={selection.STATUS: "[{}]"}), pod()]
    found = slipped.find(pods, recorded(PodArgs("ns", "seen", "x", ""), PodArgs("ns", "pod", "x", "uid-pod")))
    assert found.slipped == []
    assert [(one.name, sandbox) for one, sandbox in found.silent] == [("pod", "sandbox-1")]


@pytest.mark.parametrize(
    ("owners", "expected"),
    [
        ([{"kind": "ReplicaSet", "controller": True}], True),
        ([{"kind": "Node", "controller": True}], False),
        ([{"kind": "ReplicaSet"}], False),
        ([], False),
        (None, False),
        (["x"], False),
    ],
)
def test_who_makes_another_one(owners: Any, expected: bool) -> None:
    """A pod without a controller would be lost, and a static pod is the node's own."""
    assert slipped.is_evictable(pod(metadata={"ownerReferences": owners})) is expected
