"""Devices end to end: a kubelet's gRPC socket, the executable, real links that a plugin moves into the sandbox.

The devices are links of the host's namespace, called by their device ids. The plugin `vf` does with them what
SR-IOV plugins do with virtual functions.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from support import kubelet, runtime
from support.kubelet import Container, Kubelet
from support.runtime import PluginError, Runtime, Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.netns

VF = "vendor.example/vf"

PLUGIN = """
import json, os, subprocess, sys
conf = json.load(sys.stdin)
verb, ifname = os.environ["CNI_COMMAND"], os.environ["CNI_IFNAME"]
with open(conf["calls"], "a") as log:
    print(json.dumps([verb, ifname, conf]), file=log)
def ip(*words):
    subprocess.run(["ip", *words], check=True)
if verb == "ADD":
    if conf.get("refuse"):
        print(json.dumps({"code": 123, "msg": "refused"}))
        sys.exit(1)
    if "describe" in conf:
        with open(conf["runtimeConfig"]["CNIDeviceInfoFile"], "w") as file:
            json.dump(conf["describe"], file)
    sandbox = os.environ["CNI_NETNS"]
    if "deviceID" in conf:
        ip("link", "set", conf["deviceID"], "netns", os.path.basename(sandbox))
        ip("-n", os.path.basename(sandbox), "link", "set", conf["deviceID"], "name", ifname)
    made = {"name": ifname, "sandbox": sandbox}
    print(json.dumps({"cniVersion": "1.0.0", "interfaces": [made], "ips": []}))
elif verb == "DEL" and "deviceID" in conf and os.environ["CNI_NETNS"]:
    name = os.path.basename(os.environ["CNI_NETNS"])
    if subprocess.run(["ip", "-n", name, "link", "set", ifname, "name", conf["deviceID"]]).returncode == 0:
        ip("-n", name, "link", "set", conf["deviceID"], "netns", str(os.getpid()))
"""


class Node(Runtime):
    """A runtime on a node that has devices."""

    def __init__(self, tmp_path: Path) -> None:
        super().__init__(tmp_path)
        (tmp_path / "vf.py").write_text(PLUGIN)
        self.own_plugins(vf=f"exec {sys.executable} -I {tmp_path}/vf.py")
        self.socket = str(tmp_path / "kubelet.sock")
        self.infos = tmp_path / "devinfo"
        (self.infos / "dp").mkdir(parents=True)
        (self.infos / "cni").mkdir()

    def devices(self, *ids: str) -> None:
        """Devices of the node, and what their device plugin says of them."""
        for one in ids:
            runtime.run(["ip", "-n", self.host, "link", "add", one, "type", "veth", "peer", "name", f"{one}-pf"])
            info = {"type": "pci", "version": "1.1.0", "pci": {"pci-address": one}, "vendor.example/slot": one}
            (self.infos / "dp" / f"vendor.example-vf-{one}-device.json").write_text(json.dumps(info))

    def network(self, name: str, config: dict[str, Any] | None = None, **rest: Any) -> None:
        """A network whose NAD names the resource (`resource` for another, None for none)."""
        resource = rest.pop("resource", VF)
        annotations = {"k8s.v1.cni.cncf.io/resourceName": resource} if resource else {}
        whole = {"cniVersion": "1.0.0", "type": "vf", "calls": str(self.dir / "calls"), **(config or {})}
        spec = {"config": json.dumps(whole)}
        self.manifest("NetworkAttachmentDefinition", name, annotations=annotations, spec=spec, **rest)

    def conf(self, **keys: Any) -> dict[str, Any]:
        """As `Runtime.conf`, with this node's kubelet and files."""
        own = {"podResourcesSocket": self.socket, "deviceInfoDir": str(self.infos), "deviceCheckpoint": "/nowhere"}
        return super().conf(**own, **keys)

    def given(self, *containers: Container) -> list[kubelet.Pod]:
        """What the kubelet gave to the pod, and to a neighbour."""
        return [kubelet.Pod("default", "other", (container("vf9"),)), kubelet.Pod("default", "pod", containers)]

    def seen(self, verb: str) -> list[dict[str, Any]]:
        """The configurations that the plugin was called with."""
        calls = [json.loads(line) for line in (self.dir / "calls").read_text().splitlines()]
        return [conf for called, _, conf in calls if called == verb]

    def status(self) -> list[dict[str, Any]]:
        """The pod's network-status."""
        state = json.loads((self.dir / "manifests.status" / "default_pod.json").read_text())
        entries: list[dict[str, Any]] = json.loads(state["annotations"]["k8s.v1.cni.cncf.io/network-status"])
        return entries

    def descriptions(self) -> list[str]:
        """Files of attachments that are there."""
        return sorted(path.name for path in (self.infos / "cni").iterdir())

    def clean(self, pod: Sandbox, *ids: str) -> None:
        """Nothing of the sandbox is left, and its devices are the host's again."""
        self.nothing_left(pod)
        assert self.descriptions() == []
        assert self.host_links() >= set(ids)


def container(*ids: str, name: str = "main", resource: str = VF) -> Container:
    """A container with these devices."""
    return Container(name, ((resource, ids),))


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    made = Node(tmp_path)
    yield made
    made.close()


@pytest.fixture
def served(node: Node) -> Iterator[Kubelet]:
    """The node's kubelet; its pods are to be filled in."""
    with kubelet.running(node.socket) as running:
        yield running


def test_two_of_one_resource(node: Node, served: Kubelet) -> None:
    """A pod with two containers gets both devices, one a network, told in conf and status; DEL gives them back, and
    needs no kubelet."""
    node.devices("vf0", "vf1")
    served.pods = node.given(container("vf1"), container("vf0", name="second"))
    node.network("a")
    node.network("b", {"capabilities": {"deviceID": True, "CNIDeviceInfoFile": True}})
    node.pod("pod", "a, b")
    pod, conf = node.sandbox(), node.conf()
    node.add(pod, conf)
    assert pod.links() == {"lo", "eth0", "net1", "net2"}
    first, second = node.seen("ADD")
    assert (first["deviceID"], first["pciBusID"], second["deviceID"]) == ("vf1", "vf1", "vf0")
    assert "runtimeConfig" not in first
    path = str(node.infos / "cni" / f"default-b-{pod.container_id}_net2")
    assert second["runtimeConfig"] == {"deviceID": "vf0", "CNIDeviceInfoFile": path}
    _, one, two = node.status()
    assert one["device-info"]["pci"] == {"pci-address": "vf1"}
    assert two["device-info"] == {
        "type": "pci",
        "version": "1.1.0",
        "pci": {"pci-address": "vf0"},
        "vendor.example/slot": "vf0",
    }
    node.check(pod, conf)
    served.pods, served.silent = [], True
    node.delete(pod, conf)
    assert [conf["deviceID"] for conf in node.seen("DEL")] == ["vf0", "vf1"]
    node.clean(pod, "vf0", "vf1")


def test_the_default_network_has_one_too(node: Node, served: Kubelet) -> None:
    """The default-network annotation and the networks annotation share one supply."""
    node.devices("vf0", "vf1")
    served.pods = node.given(container("vf0", "vf1"))
    node.network("main", namespace="kube-system")
    node.network("a")
    node.pod("pod", "a", annotations={"v1.multus-cni.io/default-network": "main"})
    pod, conf = node.sandbox(), node.conf()
    node.add(pod, conf)
    assert [seen["deviceID"] for seen in node.seen("ADD")] == ["vf0", "vf1"]
    assert [entry["device-info"]["pci"]["pci-address"] for entry in node.status()] == ["vf0", "vf1"]
    node.delete(pod, conf)
    node.clean(pod, "vf0", "vf1")


def test_chosen_devices(node: Node, served: Kubelet) -> None:
    """Each network the device that its element names."""
    node.devices("vf0", "vf1")
    served.pods = node.given(container("vf0", "vf1"))
    node.network("a")
    node.network("b")
    node.pod("pod", [{"name": "a", "deviceID": "vf1"}, {"name": "b", "cni-args": {"device": "vf0"}}])
    pod, conf = node.sandbox(), node.conf()
    node.add(pod, conf)
    assert [seen["deviceID"] for seen in node.seen("ADD")] == ["vf1", "vf0"]
    node.delete(pod, conf)
    node.clean(pod, "vf0", "vf1")


def test_a_neighbours_device(node: Node, served: Kubelet) -> None:
    """The device of another pod is refused before anything runs."""
    served.pods = node.given(container("vf0"))
    node.network("a")
    node.pod("pod", [{"name": "a", "deviceID": "vf9"}])
    pod = node.sandbox()
    with pytest.raises(PluginError) as caught:
        node.add(pod, node.conf())
    assert caught.value.code == 7
    assert 'device "vf9" of resource "vendor.example/vf" is not the pod\'s; it owns "vf0"' in caught.value.msg
    node.clean(pod)


def test_too_few(node: Node, served: Kubelet) -> None:
    """Two networks and one device: refused before anything runs; with `deviceShortage: ignore` the second network goes
    without."""
    node.devices("vf0")
    served.pods = node.given(container("vf0"))
    node.network("a")
    node.network("b")
    node.pod("pod", "a, b")
    pod = node.sandbox()
    with pytest.raises(PluginError, match=r"network default/b: no device .* need 2, .* own 1") as caught:
        node.add(pod, node.conf())
    assert caught.value.code == 7
    node.clean(pod, "vf0")
    conf = node.conf(deviceShortage="ignore")
    node.add(pod, conf)
    assert ["deviceID" in seen for seen in node.seen("ADD")] == [True, False]
    node.delete(pod, conf)
    node.clean(pod, "vf0")


def test_a_failed_add(node: Node, served: Kubelet) -> None:
    """The device of the network that came up is given back, and no description stays."""
    node.devices("vf0", "vf1")
    served.pods = node.given(container("vf0", "vf1"))
    node.network("a")
    node.network("b", {"refuse": True})
    node.pod("pod", "a, b")
    pod = node.sandbox()
    with pytest.raises(PluginError, match="refused") as caught:
        node.add(pod, node.conf())
    assert caught.value.code == 123
    node.clean(pod, "vf0", "vf1")


def test_a_plugins_own_description(node: Node) -> None:
    """A network without a resource whose plugin declares `CNIDeviceInfoFile`: what the plugin writes is in the status,
    and gone with DEL."""
    told = {"type": "vhost-user", "version": "1.1.0", "vhost-user": {"mode": "client", "path": "/run/x.sock"}}
    node.network("v", {"capabilities": {"CNIDeviceInfoFile": True}, "describe": told}, resource=None)
    node.pod("pod", "v")
    pod, conf = node.sandbox(), node.conf()
    node.add(pod, conf)
    assert node.status()[1]["device-info"] == told
    node.delete(pod, conf)
    node.clean(pod)


def test_a_slow_kubelet(node: Node, served: Kubelet) -> None:
    """ADD ends within its budget with code 11, the kubelet's socket in its message, and nothing attached."""
    served.silent = True
    node.network("a")
    node.pod("pod", "a")
    pod = node.sandbox()
    with pytest.raises(PluginError, match=f"the kubelet at {node.socket} did not answer in time") as caught:
        node.add(pod, node.conf(addTimeout="2s", rollbackReserve="1s"))
    assert caught.value.code == 11
    node.clean(pod)


def test_from_the_checkpoint(node: Node) -> None:
    """Without the kubelet's socket its checkpoint says what the pod owns."""
    node.devices("vf0")
    node.network("a")
    node.pod("pod", "a")
    pod = node.sandbox(uid="uid-7")
    kept = {"PodUID": "uid-7", "ContainerName": "main", "ResourceName": VF, "DeviceIDs": {"0": ["vf0"]}}
    (node.dir / "checkpoint").write_text(json.dumps({"Data": {"PodDeviceEntries": [kept]}}))
    conf = node.conf() | {"deviceCheckpoint": str(node.dir / "checkpoint")}
    node.add(pod, conf)
    assert node.seen("ADD")[0]["deviceID"] == "vf0"
    node.delete(pod, conf)
    node.clean(pod, "vf0")


LOADED = """
import os, sys
from multus import thin
answer, _ = thin.run(os.environ, lambda: sys.stdin.buffer.read())
print([name for name in sys.modules if name.startswith(("h2", "hpack", "multus.devices", "multus.networks.dev"))])
sys.exit(answer.status)
"""


@pytest.mark.parametrize("named", [False, True])
def test_nothing_is_loaded_for_nothing(node: Node, served: Kubelet, named: bool) -> None:
    """An ADD and a DEL without a named resource import neither HTTP/2 nor anything of devices; with one they do."""
    node.devices("vf0")
    served.pods = node.given(container("vf0"))
    node.network("a", resource=VF if named else None)
    node.pod("pod", "a")
    pod, conf = node.sandbox(), node.conf()
    variables = {"CNI_CONTAINERID": pod.container_id, "CNI_NETNS": pod.netns, "CNI_IFNAME": "eth0"}
    found = []
    for verb in ("ADD", "DEL"):
        done = subprocess.run(
            ["ip", "netns", "exec", node.host, sys.executable, "-c", LOADED],
            env=variables
            | {"CNI_COMMAND": verb, "CNI_ARGS": pod.args, "CNI_PATH": node.path, "PATH": "/usr/bin:/sbin"},
            input=json.dumps(conf).encode(),
            capture_output=True,
            check=True,
        )
        found.append(done.stdout.decode())
    assert ("h2.connection" in found[0]) == named
    assert named or "device" not in found[0]
    assert "h2" not in found[1]
    node.clean(pod, "vf0")
