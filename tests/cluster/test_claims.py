"""Devices that the scheduler allocated by dynamic resource allocation, from slices of a driver of ours."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from support import dradriver
from support.node.api import NETWORKS
from support.node.layout import NODE_NAME
from support.node.pods import Namespace, Pod, bridge, container

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.node.cluster import Cluster

    Json = dict[str, Any]

pytestmark = pytest.mark.cluster

DRIVER = "nic.example"
GROUP = "/apis/resource.k8s.io/v1"
API: Json = {"apiVersion": "resource.k8s.io/v1"}

#: Devices by claim, and devices behind an extended resource: the device class of each takes its name.
CLAIMED, EXTENDED = "vendor.example/dra-vf", "vendor.example/ext-vf"
DEVICES = {"d0": CLAIMED, "d1": CLAIMED, "e0": EXTENDED}


def device(name: str, resource: str) -> Json:
    """A device as its driver publishes it."""
    attributes = {"deviceID": f"id-{name}", "resourceName": resource}
    return {
        "name": name,
        "attributes": {f"k8s.cni.cncf.io/{key}": {"string": value} for key, value in attributes.items()},
    }


def device_class(name: str, resource: str) -> Json:
    """A class of the devices of one resource."""
    wanted = f'device.attributes["k8s.cni.cncf.io"].resourceName == "{resource}"'
    spec: Json = {"selectors": [{"cel": {"expression": f'device.driver == "{DRIVER}" && {wanted}'}}]}
    if resource == EXTENDED:
        spec["extendedResourceName"] = resource
    return {**API, "kind": "DeviceClass", "metadata": {"name": name}, "spec": spec}


@pytest.fixture(scope="module")
def driver(cluster: Cluster) -> Iterator[None]:
    """The driver, its classes and its slice."""
    pool = {"name": NODE_NAME, "generation": 1, "resourceSliceCount": 1}
    devices = [device(name, resource) for name, resource in DEVICES.items()]
    spec = {"driver": DRIVER, "nodeName": NODE_NAME, "pool": pool, "devices": devices}
    with dradriver.running(cluster.machine.file, DRIVER):
        for name, resource in (("vf.nic.example", CLAIMED), ("ext.nic.example", EXTENDED)):
            cluster.api.create(f"{GROUP}/deviceclasses", device_class(name, resource))
        made = {**API, "kind": "ResourceSlice", "metadata": {"name": "nic"}, "spec": spec}
        cluster.api.create(f"{GROUP}/resourceslices", made)
        yield
        cluster.api.delete(f"{GROUP}/resourceslices/nic")


def network(namespace: Namespace, name: str, resource: str) -> None:
    """A NAD that names a resource; its plugin makes a bridge, whatever the device."""
    kind = {"apiVersion": "k8s.cni.cncf.io/v1", "kind": "NetworkAttachmentDefinition"}
    metadata = {"name": name, "annotations": {"k8s.v1.cni.cncf.io/resourceName": resource}}
    spec = {"config": json.dumps(bridge())}
    namespace.cluster.api.create(NETWORKS.format(namespace.name), {**kind, "metadata": metadata, "spec": spec})


def request(count: int = 1) -> Json:
    """What a claim asks for."""
    exactly = {"deviceClassName": "vf.nic.example", "count": count}
    return {"devices": {"requests": [{"name": "vf", "exactly": exactly}]}}


def claim(namespace: Namespace, name: str, count: int = 1) -> None:
    """A claim that a pod can name."""
    body = {**API, "kind": "ResourceClaim", "metadata": {"name": name}, "spec": request(count)}
    namespace.cluster.api.create(f"{GROUP}/namespaces/{namespace.name}/resourceclaims", body)


def template(namespace: Namespace, name: str) -> None:
    """A template that a claim is made from for each pod."""
    body = {**API, "kind": "ResourceClaimTemplate", "metadata": {"name": name}, "spec": {"spec": request()}}
    namespace.cluster.api.create(f"{GROUP}/namespaces/{namespace.name}/resourceclaimtemplates", body)


def recorded(pod: Pod) -> list[str]:
    """The devices that its networks were given, as the record on the node has them."""
    folder = pod.cluster.machine.file("/var/lib/cni/multus")
    uid = pod.get()["metadata"]["uid"]
    for path in folder.iterdir():
        record = json.loads(path.read_text()) if path.is_file() else []
        if record and uid in record[0]["multus.io"]["pod"]:
            return [entry["deviceID"] for entry in record if "deviceID" in entry]
    raise AssertionError(f"no record of {pod.name}")


def allocated(namespace: Namespace) -> list[str]:
    """The devices of all claims of the namespace."""
    found = namespace.cluster.api.get(f"{GROUP}/namespaces/{namespace.name}/resourceclaims")["items"]
    results = [one for item in found for one in item["status"]["allocation"]["devices"]["results"]]
    return sorted(f"id-{one['device']}" for one in results)


@pytest.mark.parametrize("way", ["named", "template"])
def test_a_claim(namespace: Namespace, driver: None, way: str) -> None:
    """The device that the scheduler chose, by a claim that the pod names or that is made for it."""
    network(namespace, "a", CLAIMED)
    if way == "named":
        claim(namespace, "mine")
        wanted = {"name": "nic", "resourceClaimName": "mine"}
    else:
        template(namespace, "each")
        wanted = {"name": "nic", "resourceClaimTemplateName": "each"}
    containers = [container(resources={"claims": [{"name": "nic"}]})]
    pod = namespace.pod("pod", "a", containers=containers, resourceClaims=[wanted])
    assert len(recorded(pod)) == 1
    assert recorded(pod) == allocated(namespace)


def test_two_devices_of_a_claim(namespace: Namespace, driver: None) -> None:
    """Two networks, a device each."""
    network(namespace, "a", CLAIMED)
    claim(namespace, "both", 2)
    containers = [container(resources={"claims": [{"name": "nic"}]})]
    wanted = [{"name": "nic", "resourceClaimName": "both"}]
    pod = namespace.pod("pod", "a@one,a@two", containers=containers, resourceClaims=wanted)
    assert recorded(pod) == allocated(namespace) == ["id-d0", "id-d1"]


def test_an_extended_resource(namespace: Namespace, driver: None) -> None:
    """A container asks for a resource as of a device plugin; a claim stands behind it."""
    network(namespace, "a", EXTENDED)
    pod = namespace.pod("pod", "a", containers=[container(resources={"limits": {EXTENDED: "1"}})])
    assert recorded(pod) == ["id-e0"]


def test_no_claim(namespace: Namespace, driver: None) -> None:
    """A pod that claims nothing has no device, and does not start."""
    network(namespace, "a", CLAIMED)
    pod = namespace.start("pod", "a")
    pod.event(lambda event: "its containers and claims own 0" in event["message"])
    pod.delete(0)
    pod.gone()
