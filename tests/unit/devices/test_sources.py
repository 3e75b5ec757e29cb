"""Where a pod's devices are looked for, and in which order what is found is handed out."""

from __future__ import annotations

import json
import socket
import time
from typing import TYPE_CHECKING

import pytest

from multus import errors
from multus.devices import sources
from multus.networks.claims import PodClaims
from multus.ports import Pod
from support import kubelet
from unit.devices.test_dra import Server, device

if TYPE_CHECKING:
    from pathlib import Path

VF = "vendor.example/vf"
WEB = Pod("default", "web", "uid-1", {})


def no_server(what: str, path: str, deadline: float) -> dict[str, object]:
    """An API server that nobody may ask."""
    raise AssertionError(what)


class Node:
    """A node's kubelet, or what it left behind."""

    def __init__(self, path: Path) -> None:
        self.socket = str(path / "kubelet.sock")
        self.file = path / "checkpoint"

    def checkpoint(self, *ids: str) -> None:
        """What the kubelet kept of pod uid-1."""
        kept = {"PodUID": "uid-1", "ContainerName": "main", "ResourceName": VF, "DeviceIDs": {"0": ids}}
        self.file.write_text(json.dumps({"Data": {"PodDeviceEntries": [kept]}}))

    def ids(self, pod: Pod = WEB, server: Server | None = None) -> dict[str, list[str]]:
        """What is found."""
        found = sources.NodeDevices(self.socket, str(self.file), server.fetch if server else no_server)
        return {resource: list(ids) for resource, ids in found.ids(pod, time.monotonic() + 20).items()}


@pytest.fixture
def node(tmp_path: Path) -> Node:
    """A node."""
    return Node(tmp_path)


def container(*ids: str, name: str = "main") -> kubelet.Container:
    """A container with these devices."""
    return kubelet.Container(name, ((VF, ids),))


def test_the_kubelets_word(node: Node) -> None:
    """The kubelet goes before its own checkpoint."""
    node.checkpoint("old")
    with kubelet.running(node.socket, [kubelet.Pod("default", "web", (container("2", "1"), container("0", name="b")))]):
        assert node.ids() == {VF: ["1", "2", "0"]}


def test_no_socket(node: Node) -> None:
    """The checkpoint, then."""
    node.checkpoint("2", "1")
    assert node.ids() == {VF: ["1", "2"]}


def test_a_socket_that_nobody_serves(node: Node) -> None:
    """As after the kubelet's end: its checkpoint still says the truth."""
    node.checkpoint("1")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(node.socket)
        assert node.ids() == {VF: ["1"]}


def test_a_kubelet_that_fails(node: Node) -> None:
    """It may have changed its mind since the checkpoint: no second source, the runtime tries again."""
    node.checkpoint("1")
    with kubelet.running(node.socket) as running:
        running.raw = b""
        with pytest.raises(errors.TryAgainLater, match="the kubelet at"):
            node.ids()


def test_neither(node: Node) -> None:
    """The error names both places."""
    with pytest.raises(errors.TryAgainLater, match=f"{node.socket} does not exist, and error reading file {node.file}"):
        node.ids()


def test_claims_come_after(node: Node) -> None:
    """A claim's devices are appended to the kubelet's of the same resource; one that both tell of is one."""
    server = Server()
    server.slice(device("a", "7"), device("b", "3"), device("c", "2"), device("d", "p", "vendor.example/pf"))
    server.claim("c", {"device": "a"}, {"device": "b"}, {"device": "c"}, {"device": "d"})
    pod = WEB._replace(claims=PodClaims(("c",), node="node-1"))
    with kubelet.running(node.socket, [kubelet.Pod("default", "web", (container("9", "2"),))]):
        assert node.ids(pod, server) == {VF: ["2", "9", "3", "7"], "vendor.example/pf": ["p"]}


def test_a_claim_that_fails(node: Node) -> None:
    """A pod is not attached with half of its devices."""
    pod = WEB._replace(claims=PodClaims(("c",), node="node-1"))
    with kubelet.running(node.socket), pytest.raises(errors.NotFound):
        node.ids(pod, Server())
