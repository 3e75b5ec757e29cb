"""The cluster in memory that other tests rely on, and that all three clusters are the same port."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from multus import errors
from multus.networks.nad import Nad
from multus.ports import Pod
from multus.testing.cluster import FakeCluster, RecordedEvent, WrittenStatus

if TYPE_CHECKING:
    from multus.kubernetes.cluster import KubernetesCluster
    from multus.manifests.cluster import ManifestCluster
    from multus.ports import Cluster

    def _same_port(one: FakeCluster, two: KubernetesCluster, three: ManifestCluster) -> tuple[Cluster, ...]:
        """For the type checker."""
        return one, two, three


def test_objects() -> None:
    """What was added is found, what was not is missing as in a real cluster."""
    cluster = FakeCluster()
    pod = cluster.add_pod("web", annotations={"a": "b"})
    assert cluster.add_network("a", "{}") == Nad("default", "a", "{}", "")
    assert cluster.pod("default", "web", "", 0.0) == pod == Pod("default", "web", "uid-1", {"a": "b"}, static=False)
    assert cluster.pod("other", "web", "", 0.0) is None
    assert cluster.network("default", "a", 0.0).config == "{}"
    with pytest.raises(errors.NotFound):
        cluster.network("other", "a", 0.0)
    assert cluster.calls[-1] == ("network", "other", "a")


def test_writes() -> None:
    """Statuses and events are kept; another UID is refused."""
    cluster = FakeCluster()
    pod = cluster.add_pod("web")
    cluster.set_status(pod, "[]", 0.0)
    cluster.event(pod, "Normal", "R", "m")
    assert cluster.statuses == [WrittenStatus(pod, "[]")]
    assert cluster.events == [RecordedEvent(pod, "Normal", "R", "m")]
    with pytest.raises(errors.NotFound):
        cluster.set_status(pod._replace(uid="other"), "[]", 0.0)


def test_failures() -> None:
    """As many as were asked for, then all is well."""
    cluster = FakeCluster()
    cluster.add_pod("web")
    cluster.fail("pod", errors.ClusterError("away"), times=2)
    for _ in range(2):
        with pytest.raises(errors.ClusterError, match="away"):
            cluster.pod("default", "web", "", 0.0)
    assert cluster.pod("default", "web", "", 0.0) is not None
