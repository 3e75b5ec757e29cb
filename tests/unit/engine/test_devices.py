"""Devices in ADD and DEL: who gets which, what is told to whom, and what is left when something fails."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from multus import errors
from multus.manifests.cluster import ManifestCluster
from multus.networks.claims import PodClaims
from multus.testing.devices import FakeDeviceFiles
from multus.testing.executor import failed
from unit.engine import world

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from multus.cni.rawjson import Json
    from multus.ports import Pod

VF = "vendor.example/vf"
INFO = {"type": "pci", "version": "1.1.0", "pci": {"pci-address": "1"}, "more": True}

#: A plugin that declares what can be declared of devices.
DECLARING = {"capabilities": {"deviceID": True, "CNIDeviceInfoFile": True}}

EXAMPLES = Path(__file__).parents[3] / "examples" / "devices"


class Node(world.Node):
    """A node with devices and their descriptions."""

    def __init__(self, **conf: Any) -> None:
        super().__init__(**conf)
        self.files = FakeDeviceFiles()
        self.ports = self.ports._replace(device_files=self.files)

    def owns(self, *ids: str) -> None:
        """The pod's devices."""
        self.devices.given["default", "web"] = {VF: ids}

    def configs(self, verb: str) -> list[Json]:
        """What the plugins of the networks beside the default one were called with."""
        return [conf for conf in self.plugins.configs(verb) if conf["name"] != "cluster"]


@pytest.fixture
def node() -> Node:
    """The pod wants a and b, of one resource; b's plugin declares the capabilities."""
    made = Node()
    made.pod("a,b")
    made.nad(world.network("a", world.plugin("sriov")), resource_name=VF)
    made.nad(world.network("b", world.plugin("sriov", **DECLARING)), resource_name=VF)
    return made


def test_two_networks_two_devices(node: Node) -> None:
    """Each gets its own; a plugin that declares the capabilities is told there too."""
    node.owns("1", "2")
    node.add()
    one, two = node.configs("ADD")
    assert (one["deviceID"], two["deviceID"], two["pciBusID"]) == ("1", "2", "2")
    assert "runtimeConfig" not in one
    path = f"/var/run/k8s.cni.cncf.io/devinfo/cni/default-b-{world.CONTAINER}_net2"
    assert two["runtimeConfig"] == {"deviceID": "2", "CNIDeviceInfoFile": path}


def test_asked_for_the_kubelets_pod(node: Node) -> None:
    """Of a static pod the kubelet knows the UID in CNI_ARGS, not the mirror pod's."""
    asked: list[Pod] = []

    class Asked:
        def ids(self, pod: Pod, deadline: float) -> Mapping[str, Sequence[str]]:
            asked.append(pod)
            return {VF: ["1", "2"]}

    node.pod("a,b", uid="mirror", static=True)
    node.run("ADD", ports=node.ports._replace(devices=Asked()))
    assert asked[0].uid == "uid-1"


def test_nobody_is_asked_without_a_resource() -> None:
    """Neither for devices nor for files."""
    node = Node()
    node.wants(2)
    node.add()
    node.run("DEL")
    assert (node.devices.calls, node.files.calls) == ([], [])


def test_device_info_in_the_status(node: Node) -> None:
    """What the device plugin published becomes the attachment's file and its status; the other has none."""
    node.owns("1", "2")
    node.files.published[VF, "1"] = INFO
    node.add()
    _, one, two = node.status()
    assert one["device-info"] == INFO
    assert "device-info" not in two


def test_files_go_with_the_attachment(node: Node) -> None:
    """After DEL none is left, and nobody looked for devices."""
    node.owns("1", "2")
    node.files.published.update({(VF, "1"): INFO, (VF, "2"): INFO})
    node.add()
    assert len(node.files.files) == 2
    node.devices.calls.clear()
    node.run("DEL")
    assert node.files.files == {}
    assert node.devices.calls == []
    assert [conf["deviceID"] for conf in node.configs("DEL")] == ["2", "1"]
    assert node.is_clean()


def test_files_go_with_a_stale_sandbox(node: Node) -> None:
    """GC of a sandbox that is no more."""
    node.owns("1", "2")
    node.files.published[VF, "1"] = INFO
    node.add()
    node.run("GC", conf={"cni.dev/valid-attachments": []})
    assert node.files.files == {}


def test_files_go_with_a_failed_add(node: Node) -> None:
    """Also those of attachments that were never begun."""
    node.owns("1", "2")
    node.files.published.update({(VF, "1"): INFO, (VF, "2"): INFO})
    node.plugins.answer("sriov", "ADD", failed(7, "no"))
    node.add_fails()
    assert node.files.files == {}
    assert node.is_clean()


def test_a_stale_file_is_not_believed(node: Node) -> None:
    """What an earlier attempt of the same sandbox left is gone before the plugins run."""
    node.owns("1", "2")
    node.files.files[f"default-a-{world.CONTAINER}_net1"] = INFO
    node.add()
    assert all("device-info" not in entry for entry in node.status())


@pytest.mark.parametrize("call", ["share", "load", "remove"])
def test_files_never_fail_an_attachment(node: Node, call: str) -> None:
    """A description that can't be copied, read or removed: everything else is as always."""
    node.owns("1", "2")
    node.files.published[VF, "1"] = INFO
    node.files.fail(call, errors.IoFailure("broken"), times=9)
    node.add()
    node.run("DEL")
    assert node.is_clean()


def test_shortage(node: Node) -> None:
    """Refused before anything runs, naming the pod; upstream's silence where it is asked for."""
    node.owns("1")
    error = node.add_fails()
    assert isinstance(error, errors.DeviceShortage)
    assert error.message.startswith("[default/web/uid-1]: devices: network default/b")
    assert node.plugins.calls == []
    node.add(conf={"deviceShortage": "ignore"})
    assert ["deviceID" in conf for conf in node.configs("ADD")] == [True, False]


def test_devices_that_can_not_be_learnt(node: Node) -> None:
    """The error keeps its code; nothing runs, nothing is left."""
    node.devices.fail("ids", errors.TryAgainLater("the kubelet is away"))
    error = node.add_fails()
    assert (error.code, error.message) == (11, "[default/web/uid-1]: devices: the kubelet is away")
    assert node.plugins.calls == []
    assert node.is_clean()


def test_nothing_tells_of_devices(node: Node) -> None:
    """Where no source of devices is configured the pod owns none."""
    ports = node.ports._replace(devices=None)
    with pytest.raises(errors.DeviceShortage, match="own 0"):
        node.run("ADD", ports=ports)


def test_strict_capabilities(node: Node) -> None:
    """A device is no request that a plugin would have to declare."""
    node.owns("1", "2")
    node.add(conf={"strictCapabilities": True})
    assert node.cluster.events[0].reason == "AddedInterface"


def test_claims_reach_the_source(node: Node) -> None:
    """The pod is handed down with its claims."""
    node.owns("1", "2")
    pod = node.cluster.pods["default", "web"]
    node.cluster.pods["default", "web"] = pod._replace(claims=PodClaims(("c",)))
    node.add()
    assert node.devices.calls == [("ids", "default", "web")]


# ── the examples ────────────────────────────────────────────────────────────────────────────────────────────────


class Plenty:
    """Two devices of every resource that the examples name, whoever asks."""

    def ids(self, pod: Pod, deadline: float) -> Mapping[str, Sequence[str]]:
        return {f"vendor.example/{name}": ["1", "2"] for name in ("sriov", "vdpa", "dra-vf")}


PODS = {
    "two-functions": ["1", "1", "2", "2"],  # two plugins each
    "virtio": ["1"],
    "dpdk": [""],
    "claiming": ["1"],
}


@pytest.mark.parametrize("name", PODS)
def test_examples(name: str) -> None:
    """Each example is attached: its plugins are told the device they should have, those that declare it a path."""
    node = Node()
    ports = node.ports._replace(cluster=ReadOnly(str(EXAMPLES)), devices=Plenty())
    args = f"IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME={name}"
    node.run("ADD", ports=ports, CNI_ARGS=args)
    told = node.configs("ADD")
    assert [conf.get("deviceID", "") for conf in told] == PODS[name]
    if name in ("virtio", "dpdk"):
        assert told[0]["runtimeConfig"]["CNIDeviceInfoFile"].endswith("_net1")


class ReadOnly(ManifestCluster):
    """Manifests beside which nothing is written."""

    def set_status(self, pod: Pod, status: str, deadline: float) -> None:
        """Not kept."""
