"""Capability arguments."""

from __future__ import annotations

from typing import Any

import pytest

from multus.networks import capabilities
from unit.networks import making

RUNTIME = {"portMappings": [{"hostPort": 1}], "unknown": {"a": 1}}
ASKED: dict[str, Any] = {
    "ips": ("10.1.1.1/24",),
    "mac": "02:23:45:67:89:01",
    "infiniband_guid": "24:8a:07:03:00:8d:ae:2f",
    "port_mappings": ({"hostPort": 8080, "containerPort": 80},),
    "bandwidth": {"ingressRate": 1},
    "device_id": "0000:00:1f.0",
}


def test_default_network() -> None:
    """The runtime's runtimeConfig, whole."""
    assert capabilities.capability_args(making.default(), RUNTIME) == RUNTIME


def test_secondary_network() -> None:
    """Only what its element asks; nothing of the runtime's (NPWG 7.5)."""
    assert capabilities.capability_args(making.delegate(), RUNTIME) == {}
    assert capabilities.capability_args(making.delegate(**ASKED), RUNTIME) == {
        "portMappings": [{"hostPort": 8080, "containerPort": 80}],
        "bandwidth": {"ingressRate": 1},
        "ips": ["10.1.1.1/24"],
        "mac": "02:23:45:67:89:01",
        "infinibandGUID": "24:8a:07:03:00:8d:ae:2f",
        "deviceID": "0000:00:1f.0",
    }


def test_default_network_of_the_annotation() -> None:
    """It is the default network: the element's requests don't mix with the runtime's."""
    made = making.delegate(master=True, **ASKED)
    assert capabilities.capability_args(made, RUNTIME) == RUNTIME


def test_network_without_element() -> None:
    """`delegates[1:]` and `defaultNetworks` ask for nothing."""
    made = making.delegate()._replace(selection=None)
    assert capabilities.capability_args(made, RUNTIME) == {}
    assert capabilities.undeclared(made) == ()


@pytest.mark.parametrize(
    ("declared", "missing"),
    [
        ({}, ("ips", "mac")),
        ({"ips": True}, ("mac",)),
        ({"ips": True, "mac": False}, ("mac",)),
        ({"ips": True, "mac": True, "bandwidth": True}, ()),
    ],
)
def test_undeclared(declared: dict[str, bool], missing: tuple[str, ...]) -> None:
    """What is asked for and no plugin of the list declares."""
    plugins = [{"type": "a"}, {"type": "b", "capabilities": declared}]
    made = making.delegate(raw={"plugins": plugins}, ips=("10.1.1.1",), mac="02:23:45:67:89:01")
    assert capabilities.undeclared(made) == missing
