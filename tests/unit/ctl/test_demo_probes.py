"""What the demo makes of the kernel's answers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from multus.ctl.demo import machine, probes, topology
from multus.ctl.demo.probes import Attachment
from multus.ctl.demo.topology import Expectation, Ping, Pod

if TYPE_CHECKING:
    from pathlib import Path

WEB = Pod("web", ("eth0", "net1"))


def attached(pod: str = "web", interface: str = "net1", **rest: Any) -> Attachment:
    values: dict[str, Any] = {
        "network": "default/storage",
        "addresses": ("192.0.2.9/24",),
        "mac": "00:00:5e:00:53:01",
        "mtu": 1500,
        "routes": ("192.0.2.0/24",),
        "default_via": "",
    }
    return Attachment(pod=pod, interface=interface, **{**values, **rest})


def test_attachment_from_ip_json() -> None:
    """Addresses without link-local ones, the interface's own routes, its default gateway, its network."""
    link = {
        "ifname": "net1",
        "address": "00:00:5e:00:53:01",
        "mtu": 1400,
        "addr_info": [
            {"local": "192.0.2.9", "prefixlen": 24, "scope": "global"},
            {"local": "fe80::1", "prefixlen": 64, "scope": "link"},
        ],
    }
    routes = [
        {"dst": "default", "gateway": "192.0.2.1", "dev": "net1"},
        {"dst": "192.0.2.0/24", "dev": "net1"},
        {"dst": "default", "gateway": "198.51.100.1", "dev": "eth0"},
    ]
    assert probes.attachment("web", link, routes, {"net1": "default/storage"}) == attached(
        mtu=1400, routes=("default via 192.0.2.1", "192.0.2.0/24"), default_via="192.0.2.1"
    )


def test_interface_that_network_status_does_not_name() -> None:
    """An interface missing in network-status is shown as such."""
    link = {"ifname": "net1", "mtu": 1500, "addr_info": []}
    assert probes.attachment("web", link, [], {}).network == "?"


@pytest.mark.parametrize(
    ("found", "passed"),
    [
        pytest.param([attached(interface="eth0"), attached()], True, id="as asked"),
        pytest.param([attached(interface="eth0")], False, id="one missing"),
        pytest.param([attached(interface="eth0"), attached(), attached(interface="net2")], False, id="one too many"),
        pytest.param([attached(interface="eth0"), attached(addresses=())], False, id="no address"),
        pytest.param([attached(interface="eth0"), attached(network="?")], False, id="not in status"),
    ],
)
def test_interfaces_proof(found: list[Attachment], passed: bool) -> None:
    """A pod has exactly the interfaces it asked for, each with an address and a network."""
    assert probes.interfaces_proof(WEB, found).passed is passed


@pytest.mark.parametrize(
    ("expected", "passed"),
    [
        pytest.param({"address": "192.0.2.9/24"}, True, id="address"),
        pytest.param({"address": "192.0.2.8/24"}, False, id="other address"),
        pytest.param({"mac": "00:00:5e:00:53:01"}, True, id="mac"),
        pytest.param({"mac": "00:00:5e:00:53:02"}, False, id="other mac"),
        pytest.param({"mtu": 1500}, True, id="mtu"),
        pytest.param({"mtu": 150}, False, id="other mtu"),
        pytest.param({"default_via": "192.0.2.1"}, False, id="no default route"),
    ],
)
def test_expectation_proof(expected: dict[str, Any], passed: bool) -> None:
    """One property of one interface is compared."""
    assert probes.expectation_proof(Expectation("web", "net1", "why", **expected), [attached()]).passed is passed


def test_expectation_of_a_missing_interface() -> None:
    """An interface that is not there fails its expectation."""
    proof = probes.expectation_proof(Expectation("web", "net9", "why", mtu=1500), [attached()])
    assert (proof.passed, proof.detail) == (False, "no such interface")


def test_only_default_route() -> None:
    """A moved default route must be the pod's only one; another pod's does not count."""
    expected = Expectation("web", "net1", "moved", default_via="192.0.2.1")
    moved = attached(default_via="192.0.2.1")
    other = attached(pod="db", interface="eth0", default_via="198.51.100.1")
    assert probes.expectation_proof(expected, [moved, other]).passed
    stale = attached(interface="eth0", default_via="198.51.100.1")
    proof = probes.expectation_proof(expected, [stale, moved])
    assert (proof.passed, proof.detail) == (False, "198.51.100.1 dev eth0, 192.0.2.1 dev net1")


@pytest.mark.parametrize(("status", "passed"), [(0, True), (1, False)])
def test_ping_proof(monkeypatch: pytest.MonkeyPatch, status: int, passed: bool) -> None:
    """A ping goes from the pod's namespace through the named interface to the target's address."""
    commands: list[Any] = []

    def inside(netns: str, command: list[str]) -> machine.Done:
        commands.append((netns, command))
        return machine.Done(status, "PING\n3 packets transmitted, 3 received, 0% packet loss\n", "")

    monkeypatch.setattr(machine, "inside", inside)
    found = [attached(), attached(pod="db", interface="data0", addresses=("192.0.2.77/24",))]
    proof = probes.ping_proof(Ping("web", "net1", "db/data0", "storage"), found)
    assert (proof.passed, proof.detail) == (passed, "3 packets transmitted, 3 received")
    [(netns, command)] = commands
    assert netns == "mxdemo-web"
    assert command[-3:] == ["-I", "net1", "192.0.2.77"]


def test_ping_to_an_interface_without_address() -> None:
    """Without an address there is nothing to ping, and the proof fails."""
    assert not probes.ping_proof(Ping("web", "net1", "db/net1", "storage"), [attached()]).passed


def test_network_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Networks are read from the network-status Multus wrote beside the manifests; unreadable means none."""
    monkeypatch.setattr(topology, "STATE", tmp_path)
    assert probes.network_names(WEB) == {}
    status = json.dumps([{"name": "cluster", "interface": "eth0"}, {"name": "default/a", "interface": "net1"}])
    path = tmp_path / "manifests.status" / "default_web.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"annotations": {"k8s.v1.cni.cncf.io/network-status": status}}))
    assert probes.network_names(WEB) == {"eth0": "cluster", "net1": "default/a"}


def test_left_on_node(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Links of pods, their other ends, leases and records are reported; bridges, locks and bookkeeping are not."""
    links = {"mxdemo-web": ["lo", "net1"], "mxdemo-host": ["lo", "cni0", "vethabc"]}
    monkeypatch.setattr(machine, "ip_json", lambda netns, *_: [{"ifname": name} for name in links[netns]])
    monkeypatch.setattr(topology, "STATE", tmp_path)
    for name in ("ipam/storage/192.0.2.9", "ipam/storage/last_reserved_ip.0", "ipam/storage/lock", "cni/web"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "cni" / ".locks").mkdir()
    (tmp_path / "cni" / ".locks" / "node").touch()
    assert probes.left_on_node([WEB]) == [
        "web: net1",
        "node: vethabc",
        str(tmp_path / "ipam/storage/192.0.2.9"),
        str(tmp_path / "cni/web"),
    ]
