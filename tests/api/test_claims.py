"""Resource claims and slices of a real API server: what its drivers publish and allocate is what a pod owns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from multus import errors
from multus.devices import dra, slices
from multus.devices.holdings import Holding
from multus.networks.claims import PodClaims

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from multus.kubernetes.cluster import KubernetesCluster
    from support.kubeapi import KubeApi

    Json = dict[str, Any]

pytestmark = pytest.mark.api

GROUP = "/apis/resource.k8s.io/v1"
CLAIMS = f"{GROUP}/namespaces/default/resourceclaims"
DRIVER = "nic.example"
VF = "vendor.example/vf"


def publish(server: KubeApi, name: str, *ids: str, node: str = "node-1", generation: int = 1, count: int = 1) -> None:
    """A slice of `count` in its pool, with a device for each id, called as it is."""
    devices = [
        {"name": one, "attributes": {slices.DEVICE_ID: {"string": one}, slices.RESOURCE_NAME: {"string": VF}}}
        for one in ids
    ]
    pool = {"name": node or "fabric", "generation": generation, "resourceSliceCount": count}
    place: Json = {"nodeName": node} if node else {"allNodes": True}
    spec = {"driver": DRIVER, "pool": pool, "devices": devices, **place}
    body = {"apiVersion": "resource.k8s.io/v1", "kind": "ResourceSlice", "metadata": {"name": name}, "spec": spec}
    server.call("POST", f"{GROUP}/resourceslices", body)


def allocate(server: KubeApi, name: str, *results: tuple[str, str]) -> None:
    """A claim to which these (pool, device) were allocated."""
    request = {"name": "vf", "exactly": {"deviceClassName": "vf", "allocationMode": "ExactCount", "count": 2}}
    body: Json = {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceClaim",
        "metadata": {"name": name},
        "spec": {"devices": {"requests": [request]}},
    }
    made = server.call("POST", CLAIMS, body)
    if results:
        found = [{"request": "vf", "driver": DRIVER, "pool": pool, "device": device} for pool, device in results]
        made["status"] = {"allocation": {"devices": {"results": found}}}
        server.call("PUT", f"{CLAIMS}/{name}/status", made)


@pytest.fixture
def server(real_server: KubeApi) -> Iterator[KubeApi]:
    """A server with a node's slices, more than one page of them, and one of devices in the network."""
    for number in range(20):
        publish(real_server, f"node-1-{number}", f"vf{number}a", f"vf{number}b", count=20)
    publish(real_server, "node-2", "vf0a", node="node-2")
    publish(real_server, "fabric", "port7", node="")
    yield real_server
    real_server.call("DELETE", f"{GROUP}/resourceslices")
    real_server.call("DELETE", CLAIMS)


def add_pod(server: KubeApi) -> None:
    """A pod of node-1 with a claim it names itself and one made from a template."""
    spec = {
        "nodeName": "node-1",
        "containers": [{"name": "main", "image": "example"}],
        "automountServiceAccountToken": False,
        "resourceClaims": [
            {"name": "made", "resourceClaimTemplateName": "t"},
            {"name": "own", "resourceClaimName": "shared"},
        ],
    }
    pods = "/api/v1/namespaces/default/pods"
    made = server.call("POST", pods, {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "dra"}, "spec": spec})
    made["status"]["resourceClaimStatuses"] = [{"name": "made", "resourceClaimName": "dra-made-x7"}]
    server.call("PUT", f"{pods}/dra/status", made)


def test_a_pods_claims(
    server: KubeApi, open_cluster: Callable[..., KubernetesCluster], soon: float, request: pytest.FixtureRequest
) -> None:
    """From the pod to its devices: of the last page of its node's slices, and of the network's."""
    add_pod(server)
    request.addfinalizer(lambda: server.remove_pod("dra"))
    allocate(server, "dra-made-x7", ("node-1", "vf0a"), ("node-1", "vf19b"))
    allocate(server, "shared", ("fabric", "port7"))
    cluster = open_cluster(server)
    pod = cluster.pod("default", "dra", "", soon)
    assert pod is not None
    assert pod.claims == PodClaims(("dra-made-x7", "shared"), node="node-1")
    found = dra.Claims(cluster.fetch).of(pod.claims, "default", soon)
    assert found == [Holding("claim dra-made-x7", VF, ("vf0a", "vf19b")), Holding("claim shared", VF, ("port7",))]


def test_claims_that_can_not_be_used(
    server: KubeApi, open_cluster: Callable[..., KubernetesCluster], soon: float
) -> None:
    """One that is missing, one without an allocation."""
    claims = dra.Claims(open_cluster(server).fetch)
    with pytest.raises(errors.NotFound, match=r'resourceclaims.resource.k8s.io "gone" not found'):
        claims.of(PodClaims(("gone",), node="node-1"), "default", soon)
    allocate(server, "waiting")
    with pytest.raises(errors.TryAgainLater, match="resource claim default/waiting has no device allocation"):
        claims.of(PodClaims(("waiting",), node="node-1"), "default", soon)


def test_a_pod_without_claims(server: KubeApi, open_cluster: Callable[..., KubernetesCluster], soon: float) -> None:
    """It says so."""
    server.add_pod("plain")
    pod = open_cluster(server).pod("default", "plain", "", soon)
    assert pod is not None
    assert pod.claims is None
