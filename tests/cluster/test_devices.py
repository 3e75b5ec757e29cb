"""Devices that a real kubelet gave to containers, by a device plugin of ours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from support import deviceplugin
from support.node.api import NETWORKS
from support.node.layout import NODE_NAME
from support.node.pods import Namespace, Pod, bridge, container

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.node.cluster import Cluster

pytestmark = pytest.mark.cluster

VF = "vendor.example/vf"
DEVICES = [f"0000:03:02.{function}" for function in range(4)]

PLUGINS = Path("/var/lib/kubelet/device-plugins")
#: Below /run, not /var/run: an absolute link would lead out of the node.
INFOS = Path("/run/k8s.cni.cncf.io/devinfo")


@pytest.fixture(scope="module")
def devices(cluster: Cluster) -> Iterator[list[str]]:
    """Four devices, described, offered to the kubelet and counted by it."""
    for one in DEVICES:
        info = {"type": "pci", "version": "1.1.0", "pci": {"pci-address": one}, "vendor.example/port": 1}
        cluster.write(INFOS / "dp" / f"vendor.example-vf-{one}-device.json", json.dumps(info))
    with deviceplugin.running(cluster.machine.file(PLUGINS), VF, DEVICES):
        cluster.wait("the devices", lambda: _allocatable(cluster) == str(len(DEVICES)))
        yield DEVICES


def _allocatable(cluster: Cluster) -> str:
    allocatable = cluster.api.get(f"/api/v1/nodes/{NODE_NAME}")["status"]["allocatable"]
    return str(allocatable.get(VF, ""))


def network(namespace: Namespace, name: str) -> None:
    """A NAD that names the resource; its plugin makes a bridge, whatever the device."""
    metadata = {"name": name, "annotations": {"k8s.v1.cni.cncf.io/resourceName": VF}}
    config = {**bridge(), "capabilities": {"deviceID": True, "CNIDeviceInfoFile": True}}
    spec = {"config": json.dumps(config)}
    kind = {"apiVersion": "k8s.cni.cncf.io/v1", "kind": "NetworkAttachmentDefinition"}
    namespace.cluster.api.create(NETWORKS.format(namespace.name), {**kind, "metadata": metadata, "spec": spec})


def asking(name: str, count: int) -> dict[str, Any]:
    """A container that asks for so many devices."""
    return container(name, resources={"limits": {VF: str(count)}})


def owned(pod: Pod) -> list[str]:
    """What the containers themselves were told, in the order of the pod, sorted within each."""
    found = []
    for status in sorted(pod.get()["status"]["containerStatuses"], key=lambda one: str(one["name"])):
        identifier = status["containerID"].removeprefix("containerd://")
        lines = pod.cluster.machine.run(*pod.cluster.ctr, "tasks", "ls").splitlines()
        pid = next(line.split()[1] for line in lines if line.startswith(identifier))
        variables = pod.cluster.machine.run("cat", f"/proc/{pid}/environ").split("\0")
        value = next(one.partition("=")[2] for one in variables if one.startswith(f"{deviceplugin.VARIABLE}="))
        found += sorted(value.split(","))
    return found


def shown(pod: Pod) -> list[str]:
    """The devices in its network-status, in order."""
    entries = [entry for entry in pod.status if "device-info" in entry]
    assert all(entry["device-info"]["vendor.example/port"] == 1 for entry in entries)
    return [entry["device-info"]["pci"]["pci-address"] for entry in entries]


def descriptions(cluster: Cluster) -> list[str]:
    """Files of attachments on the node."""
    return sorted(path.name for path in cluster.machine.file(INFOS / "cni").iterdir())


def test_one(namespace: Namespace, devices: list[str]) -> None:
    """The device that the container has; its description goes with the pod."""
    network(namespace, "a")
    pod = namespace.pod("pod", "a", containers=[asking("main", 1)])
    assert shown(pod) == owned(pod)
    assert len(descriptions(namespace.cluster)) == 1
    pod.delete()
    pod.gone()
    assert descriptions(namespace.cluster) == []


def test_two_of_one_resource(namespace: Namespace, devices: list[str]) -> None:
    """Two networks of one container get two different devices, both in the status."""
    network(namespace, "a")
    network(namespace, "b")
    pod = namespace.pod("pod", "a,b", containers=[asking("main", 2)])
    assert len(set(shown(pod))) == 2
    assert shown(pod) == owned(pod)


def test_two_containers(namespace: Namespace, devices: list[str]) -> None:
    """The first network gets the first container's device, the second the second's."""
    network(namespace, "a")
    pod = namespace.pod("pod", "a@one,a@two", containers=[asking("first", 1), asking("second", 1)])
    assert shown(pod) == owned(pod)
    assert pod.links() == {"eth0", "one", "two"}


def test_too_few(namespace: Namespace, devices: list[str]) -> None:
    """A pod with more networks than devices does not start, and says why."""
    network(namespace, "a")
    pod = namespace.start("pod", "a@one,a@two", containers=[asking("main", 1)])
    pod.event(lambda event: "need 2, its containers and claims own 1" in event["message"])
    assert descriptions(namespace.cluster) == []
    pod.delete(0)
    pod.gone()


def test_without_the_kubelets_word(namespace: Namespace, devices: list[str], plugin: Any) -> None:
    """From the kubelet's checkpoint the same device is found."""
    network(namespace, "a")
    with plugin.configured(namespace.cluster, podResourcesSocket="/run/nobody.sock"):
        pod = namespace.pod("pod", "a", containers=[asking("main", 1)])
    assert shown(pod) == owned(pod)
