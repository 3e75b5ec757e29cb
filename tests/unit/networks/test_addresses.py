"""Addresses as text."""

from __future__ import annotations

import pytest

from multus.networks import addresses


@pytest.mark.parametrize(
    "text", ["10.1.1.1", "10.1.1.1/24", "0.0.0.0/0", "fd00::1", "fd00::1/64", "::", "::ffff:10.1.1.1"]
)
def test_addresses(text: str) -> None:
    """Addresses of both families, with and without prefix length."""
    assert addresses.problem(text) == ""


@pytest.mark.parametrize(
    "text",
    [
        "",
        "10.1.1",
        "10.1.1.256",
        "010.1.1.1",
        "10.1.1.1/33",
        "10.1.1.1/255.0.0.0",
        "10.1.1.1/",
        "/24",
        "fd00::1/129",
        "fe80::1%eth0",
        "fe80::1%a;K8S_POD_NAME=x",
        "fe80::1%eth0/64",
        "host",
        " 10.1.1.1",
        "10.1.1.1\n",
        "\ud800",
        "\0",
    ],
)
def test_not_addresses(text: str) -> None:
    """What Go doesn't parse, netmasks and zones included, is no address here either."""
    assert addresses.problem(text).startswith("failed to parse ")
    assert addresses.problem(text).isprintable()


@pytest.mark.parametrize("text", ["10.1.1.1", "169.254.1.1", "fd00::1", "fe80::1"])
def test_gateways(text: str) -> None:
    """Unicast addresses can be gateways, link-local ones too."""
    assert addresses.gateway_problem(text) == ""


@pytest.mark.parametrize(
    "text", ["0.0.0.0", "::", "224.0.0.1", "ff02::1", "127.0.0.1", "::1", "10.1.1.1/24", "::ffff:10.1.1.1", "x"]
)
def test_not_gateways(text: str) -> None:
    """What the kernel would refuse, or take for something else, is refused before anything runs."""
    assert addresses.gateway_problem(text) != ""


@pytest.mark.parametrize(("text", "family"), [("10.1.1.1", "4"), ("fd00::1", "6"), ("0.0.0.0/0", "4"), ("::/0", "6")])
def test_family(text: str, family: str) -> None:
    """The family of an address or destination."""
    assert addresses.family(text) == family


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("10.1.1.1", "10.1.1.1", True),
        ("FD00::1", "fd00:0::1", True),
        ("10.1.1.1", "10.1.1.2", False),
        ("x", "y", False),
    ],
)
def test_same(one: str, other: str, same: bool) -> None:
    """Spellings of one address are the same; text that is no address never is."""
    assert addresses.same(one, other) is same


@pytest.mark.parametrize(
    ("text", "network"),
    [("10.1.1.5/24", "10.1.1.0/24"), ("10.1.1.5", "10.1.1.5/32"), ("fd00::5/64", "fd00::/64"), ("usePodCidr", "")],
)
def test_network(text: str, network: str) -> None:
    """The network that an address belongs to."""
    assert addresses.network(text) == network


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("02:23:45:67:89:01", 6),
        ("02-23-45-67-89-01", 6),
        ("0223.4567.8901", 6),
        ("24:8a:07:03:00:8d:ae:2f", 8),
        (":".join(["00"] * 20), 20),
        ("02:23:45:67:89", 5),
        ("02:23:45:67:89:0", 0),
        ("02:23-45:67:89:01", 0),
        ("02:23:45:67:89:0g", 0),
        ("022345678901", 0),
        ("", 0),
        ("٠٢:23:45:67:89:01", 0),
    ],
)
def test_hardware_bytes(text: str, count: int) -> None:
    """The notations that Go reads."""
    assert addresses.hardware_bytes(text) == count
