"""What every API server must show: the tests' own, and the real one where KUBE_ASSETS has its binaries."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from multus import errors

if TYPE_CHECKING:
    from collections.abc import Callable

    from multus.kubernetes.cluster import KubernetesCluster
    from multus.ports import Pod

    OpenCluster = Callable[..., KubernetesCluster]

pytestmark = pytest.mark.api

STATUS = "k8s.v1.cni.cncf.io/network-status"


def existing(cluster: KubernetesCluster, name: str, soon: float) -> Pod:
    """The pod, which is there."""
    pod = cluster.pod("default", name, "", soon)
    assert pod is not None
    return pod


def test_pod(backend: Any, open_cluster: OpenCluster, soon: float) -> None:
    """Its UID and annotations."""
    raw = backend.add_pod("plain", annotations={"a/b": "c"})
    pod = existing(open_cluster(backend), "plain", soon)
    assert (pod.uid, pod.annotations["a/b"], pod.static) == (raw["metadata"]["uid"], "c", False)


def test_static_pod(backend: Any, open_cluster: OpenCluster, soon: float) -> None:
    """The mark of a mirror pod."""
    backend.add_pod("mirror", annotations={"kubernetes.io/config.source": "file"})
    assert existing(open_cluster(backend), "mirror", soon).static


def test_missing_objects(backend: Any, open_cluster: OpenCluster, soon: float) -> None:
    """A pod that is gone is None, a definition that is missing an error."""
    cluster = open_cluster(backend)
    assert cluster.pod("default", "nobody", "", soon) is None
    assert cluster.pod("no-such-namespace", "nobody", "", soon) is None
    with pytest.raises(errors.NotFound, match='"nothing" not found'):
        cluster.network("default", "nothing", soon)


def test_network(backend: Any, open_cluster: OpenCluster, soon: float) -> None:
    """spec.config as it was written, the resource name."""
    config = json.dumps({"cniVersion": "1.0.0", "type": "bridge", "big": 10**20})
    backend.add_network("described", config, annotations={"k8s.v1.cni.cncf.io/resourceName": "x/y"})
    found = open_cluster(backend).network("default", "described", soon)
    assert (found.config, found.resource_name) == (config, "x/y")


def test_network_without_spec(backend: Any, open_cluster: OpenCluster, soon: float) -> None:
    """A definition that only names a file on the node."""
    backend.add_network("bare", None)
    assert open_cluster(backend).network("default", "bare", soon).config == ""


def test_status(backend: Any, open_cluster: OpenCluster, soon: float) -> None:
    """The annotation is written and replaced; the others stay as they are."""
    backend.add_pod("written", annotations={"keep": "me"})
    cluster = open_cluster(backend)
    pod = existing(cluster, "written", soon)
    cluster.set_status(pod, "[1]", soon)
    cluster.set_status(pod, "[2]", soon)
    assert backend.annotations_of("written") == {"keep": "me", STATUS: "[2]"}


def test_status_beside_another_writer(backend: Any, open_cluster: OpenCluster, soon: float) -> None:
    """What somebody else wrote between our reading and our writing is not lost."""
    backend.add_pod("shared")
    one, other = open_cluster(backend), open_cluster(backend)
    stale = existing(one, "shared", soon)
    other.set_status(existing(other, "shared", soon), "[other]", soon)
    one.set_status(stale, "[one]", soon)
    assert backend.annotations_of("shared") == {STATUS: "[one]"}


def test_status_of_a_successor(backend: Any, open_cluster: OpenCluster, soon: float) -> None:
    """A pod of the same name that came after never gets the status of the one before."""
    backend.add_pod("again")
    cluster = open_cluster(backend)
    pod = existing(cluster, "again", soon)
    backend.add_pod("again")
    with pytest.raises(errors.NotFound, match="is gone"):
        cluster.set_status(pod, "[]", soon)
    assert STATUS not in backend.annotations_of("again")


def test_status_of_a_pod_that_is_gone(backend: Any, open_cluster: OpenCluster, soon: float) -> None:
    """NotFound as well."""
    backend.add_pod("leaving")
    cluster = open_cluster(backend)
    pod = existing(cluster, "leaving", soon)
    backend.remove_pod("leaving")
    with pytest.raises(errors.NotFound):
        cluster.set_status(pod, "[]", soon)


def test_events(backend: Any, open_cluster: OpenCluster, soon: float) -> None:
    """They are accepted, with whatever message, and belong to the pod."""
    backend.add_pod("eventful")
    cluster = open_cluster(backend)
    pod = existing(cluster, "eventful", soon)
    cluster.event(pod, "Normal", "AddedInterface", "Add net1 [10.1.1.2/24] from default/a")
    cluster.event(pod, "Warning", "NoNetworkFound", "ä" * 2000)
    cluster.flush(soon)
    seen = backend.events_of(pod.uid)
    assert [(event["type"], event["reason"], event["source"]["component"]) for event in seen] == [
        ("Normal", "AddedInterface", "multus"),
        ("Warning", "NoNetworkFound", "multus"),
    ]
    assert seen[0]["message"] == "Add net1 [10.1.1.2/24] from default/a"
