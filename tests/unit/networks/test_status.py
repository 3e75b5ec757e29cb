"""The network-status annotation (NPWG 5)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from multus import errors
from multus.cni import results, versions
from multus.networks import status
from unit.networks import making

INSIDE = {"name": "net1", "mac": "02:00:00:00:00:01", "mtu": 1400, "sandbox": "/s"}
HOST = {"name": "veth1", "mac": "02:00:00:00:00:99"}


def entries(*, master: bool = False, version: str = "1.1.0", **printed: Any) -> list[dict[str, Any]]:
    """The entries of one attachment whose plugin printed that."""
    made = making.attachment(making.default() if master else making.delegate(), "eth0" if master else "net1")
    return status.entries([(made, making.result(version, **printed))])


def test_all_members() -> None:
    """In upstream's order, addresses without prefix length."""
    (entry,) = entries(
        master=True,
        interfaces=[INSIDE],
        ips=[{"address": "10.1.1.5/24", "interface": 0}, {"address": "fd00::5/64"}],
        routes=[{"dst": "0.0.0.0/0", "gw": "10.1.1.1"}, {"dst": "10.0.0.0/8", "gw": "10.1.1.9"}],
        dns={"nameservers": ["10.0.0.10"], "domain": "a", "search": ["b"], "options": ["c"]},
    )
    assert entry == {
        "name": "cluster",
        "interface": "net1",
        "ips": ["10.1.1.5", "fd00::5"],
        "mac": "02:00:00:00:00:01",
        "mtu": 1400,
        "default": True,
        "dns": {"nameservers": ["10.0.0.10"], "domain": "a", "search": ["b"], "options": ["c"]},
        "gateway": ["10.1.1.1"],
    }
    assert list(entry) == ["name", "interface", "ips", "mac", "mtu", "default", "dns", "gateway"]


def test_empty_members() -> None:
    """Left out, but for dns."""
    assert entries(interfaces=[{"name": "net1", "sandbox": "/s"}]) == [
        {"name": "default/net-a", "interface": "net1", "dns": {}}
    ]


@pytest.mark.parametrize("version", versions.SUPPORTED)
def test_no_interface(version: str) -> None:
    """A minimal entry with the name that Multus gave (NPWG 5.1.1), also of versions that know no interfaces."""
    printed = results.convert({"ips": [{"address": "10.1.1.5/24"}]}, "1.1.0", version)
    printed.pop("cniVersion")
    (entry,) = entries(version=version, **printed)
    assert (entry["interface"], entry["ips"]) == ("net1", ["10.1.1.5"])


def test_nothing_at_all() -> None:
    """An entry all the same."""
    assert entries() == [{"name": "default/net-a", "interface": "net1", "dns": {}}]


def test_host_interface_only() -> None:
    """Its mac is not the pod's."""
    (entry,) = entries(interfaces=[HOST], ips=[{"address": "10.1.1.5/24"}])
    assert entry == {"name": "default/net-a", "interface": "net1", "ips": ["10.1.1.5"], "dns": {}}


def test_several_host_interfaces() -> None:
    """One entry all the same, with the addresses that nobody else claims."""
    (entry,) = entries(
        interfaces=[HOST, {**HOST, "name": "veth2"}],
        ips=[{"address": "10.1.1.1/24", "interface": 0}, {"address": "10.1.1.5/24"}],
    )
    assert entry == {"name": "default/net-a", "interface": "net1", "ips": ["10.1.1.5"], "dns": {}}


def test_host_side_beside_it() -> None:
    """One entry, for the interface in the sandbox; addresses of the host side are left out."""
    (entry,) = entries(
        interfaces=[HOST, INSIDE],
        ips=[{"address": "10.1.1.1/24", "interface": 0}, {"address": "10.1.1.5/24", "interface": 1}],
    )
    assert (entry["interface"], entry["ips"], entry["mac"]) == ("net1", ["10.1.1.5"], "02:00:00:00:00:01")


def test_several_interfaces() -> None:
    """An entry for each in the sandbox; addresses by index, those without one at the last."""
    found = entries(
        interfaces=[INSIDE, HOST, {**INSIDE, "name": "net1b"}],
        ips=[
            {"address": "10.1.1.1/24", "interface": 0},
            {"address": "10.1.1.2/24", "interface": 2},
            {"address": "10.1.1.3/24"},
            {"address": "10.1.1.4/24", "interface": 1},
            {"address": "10.1.1.5/24", "interface": -1},
        ],
    )
    assert [(entry["interface"], entry["ips"]) for entry in found] == [
        ("net1", ["10.1.1.1"]),
        ("net1b", ["10.1.1.2", "10.1.1.3", "10.1.1.5"]),
    ]


@pytest.mark.parametrize(("gateway_at", "default"), [(None, "a"), (0, "a"), (1, "b"), (2, "a")])
def test_default_of_several(gateway_at: int | None, default: str) -> None:
    """The interface of the first address with a gateway; else the first one in the sandbox: always exactly one."""
    found = entries(
        master=True,
        interfaces=[{"name": "a", "sandbox": "/s"}, {"name": "b", "sandbox": "/s"}, HOST],
        ips=[
            {"address": f"10.1.1.{n}/24", "interface": n, **({"gateway": "10.1.1.254"} if n == gateway_at else {})}
            for n in range(3)
        ],
    )
    assert [entry["interface"] for entry in found if entry.get("default")] == [default]


@pytest.mark.parametrize(
    ("routes", "ips", "expected"),
    [
        ([{"dst": "0.0.0.0/0", "gw": "10.1.1.1"}, {"dst": "::/0", "gw": "fd00::1"}], [], ["10.1.1.1", "fd00::1"]),
        ([{"dst": "0.0.0.0/0"}], [{"address": "10.1.1.5/24", "gateway": "10.1.1.1"}], ["10.1.1.1"]),
        ([{"dst": "::/0"}], [{"address": "10.1.1.5/24", "gateway": "10.1.1.1"}], None),
        ([{"dst": "0.0.0.0/0"}], [], None),
        ([], [{"address": "10.1.1.5/24", "gateway": "10.1.1.1"}], None),
        ([{"dst": "10.0.0.0/8", "gw": "10.1.1.1"}], [], None),
        ([{"dst": "0.0.0.0/0", "gw": "10.1.1.1"}] * 2, [], ["10.1.1.1"]),
    ],
)
def test_gateway(routes: list[Any], ips: list[Any], expected: list[str] | None) -> None:
    """Default gateways: the route's own, else its family's of the addresses; an on-link default has none (upstream
    writes ``<nil>``)."""
    (entry,) = entries(routes=routes, ips=ips)
    assert entry.get("gateway") == expected


def test_device_info() -> None:
    """By position."""
    info = {"type": "pci", "version": "1.1.0", "pci": {"pci-address": "0000:00:1f.0"}}
    made = [(making.attachment(), making.result()) for _ in range(2)]
    assert [entry.get("device-info") for entry in status.entries(made, {1: info})] == [None, info]


def test_rendering() -> None:
    """A list of indented objects, as upstream writes it."""
    text = status.render([{"name": "a", "ips": ["10.1.1.1"], "dns": {}}, {"name": "b", "dns": {}}])
    assert text == (
        '[{\n    "name": "a",\n    "ips": [\n        "10.1.1.1"\n    ],\n    "dns": {}\n},'
        '{\n    "name": "b",\n    "dns": {}\n}]'
    )
    assert status.render([]) == "[]"


@making.THOROUGH
@given(
    making.objects(["interfaces", "ips", "routes", "dns", "name", "sandbox", "address", "interface", "gateway", "dst"])
)
def test_any_result(raw: dict[str, Any]) -> None:
    """Whatever parses has an entry, and can be written."""
    try:
        result = results.parse(raw, "1.1.0", "test")
    except errors.CniError:
        return
    found = status.entries([(making.attachment(), result)])
    assert found
    assert json.loads(status.render(found)) == found
