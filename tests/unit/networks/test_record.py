"""The record of a sandbox: upstream's format, and what upstream does not keep."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multus import errors
from multus.cni import config, rawjson
from multus.cni.arguments import PodArgs
from multus.networks import goformat, plan, record
from multus.networks.record import OWN, Record
from unit.networks import making

NETNS = "/run/netns/a"
GUID = "24:8a:07:03:00:8d:ae:2f"


def made() -> Record:
    """A pod with a default network and a list that asks for everything."""
    raw = {
        "cniVersion": "1.0.0",
        "plugins": [
            {"type": "macvlan", "capabilities": {"ips": True}, "x": 12345678901234567890},
            {"type": "tuning"},
        ],
    }
    asks = making.delegate(
        "a",
        raw=raw,
        ips=("10.1.1.1/24",),
        mac="02:23:45:67:89:01",
        infiniband_guid=GUID,
        port_mappings=({"hostPort": 1, "containerPort": 2, "protocol": "tcp"},),
        bandwidth={"ingressRate": 5},
        default_route=("10.1.1.254",),
        device_id="0000:00:1f.0",
    )
    planned = plan.make(
        [making.default(), asks], conf=making.conf(), runtime_ifname="eth0", pod_args=making.POD, args=(("E", "x"),)
    )
    return record.from_plan(planned, NETNS, making.POD)


def test_round_trip() -> None:
    """What is written is read again: configuration, names, arguments, capability arguments, pod."""
    assert record.decode(record.encode(made()), "eth0") == made()


def test_upstreams_members() -> None:
    """In upstream's names, spelling and encoding, so that upstream can delete our pods."""
    default, secondary = json.loads(record.encode(made()))
    assert list(secondary) == [
        "Conf",
        "ConfList",
        "Name",
        "ifnameRequest",
        "macRequest",
        "infinibandGUIDRequest",
        "ipRequest",
        "default-route",
        "IsFilterV4Gateway",
        "IsFilterV6Gateway",
        "deviceID",
        "Bytes",
        OWN,
    ]
    assert secondary["macRequest"] == "02:23:45:67:89:01"
    assert secondary["ipRequest"] == ["10.1.1.1/24"]
    assert [plugin["type"] for plugin in secondary["ConfList"]["plugins"]] == ["macvlan", "tuning"]
    assert default["ConfList"] == {}
    assert default["Conf"]["type"] == "bridge"
    assert default["ifnameRequest"] == "eth0"
    assert b"12345678901234567890" in base64.b64decode(secondary["Bytes"])


def upstreams(**members: Any) -> dict[str, Any]:
    """An element of upstream's making."""
    raw = {"cniVersion": "1.0.0", "name": "own", "type": "bridge"}
    return {
        "Conf": {**raw, "ipam": {}, "dns": {}},
        "ConfList": {},
        "Name": "default/net-a",
        "IsFilterV4Gateway": False,
        "IsFilterV6Gateway": False,
        "Bytes": goformat.pack(rawjson.encode(raw)),
        **members,
    }


def read(*elements: Any) -> Record:
    """The record of those elements."""
    return record.decode(json.dumps(elements).encode(), "ens3")


def test_record_of_upstreams() -> None:
    """The first one is the default network on the runtime's interface, the others net<i> or as asked."""
    found = read(
        upstreams(Name="", ipRequest=["10.1.1.1"]),
        upstreams(ipRequest=["10.1.1.1/24"], macRequest="02:23:45:67:89:01", deviceID="d", infinibandGUIDRequest=GUID),
        upstreams(ifnameRequest="data0", ipRequest=None),
    )
    assert [(entry.name, entry.ifname, entry.master) for entry in found.entries] == [
        ("own", "ens3", True),
        ("default/net-a", "net1", False),
        ("default/net-a", "data0", False),
    ]
    assert found.entries[0].capability_args == {}
    assert found.entries[1].capability_args == {
        "mac": "02:23:45:67:89:01",
        "infinibandGUID": GUID,
        "ips": ["10.1.1.1/24"],
        "deviceID": "d",
    }
    assert all(entry.args == () for entry in found.entries)
    assert found.pod == PodArgs()


def test_upstreams_record_is_kept() -> None:
    """Read and written again it still says to upstream what it said."""
    source = upstreams(ipRequest=["10.1.1.1/24"], macRequest="02:23:45:67:89:01")
    (again,) = json.loads(record.encode(read(source)))
    assert {key: again[key] for key in source} == source


def test_keeping() -> None:
    """Only those entries, in the record's order."""
    both = made()
    assert record.keeping(both, both.entries[::-1]) == both
    assert record.keeping(both, both.entries[1:]).entries == both.entries[1:]
    assert record.keeping(both, ()).entries == ()
    assert record.keeping(both, both.entries[1:]).pod == making.POD


def test_from_cached() -> None:
    """An attachment that only its cached result knows."""
    found = config.from_object({"name": "n", "type": "x"}, "test")
    entry = record.from_cached(found, "eth0", NETNS, (("A", "b"),), {"ips": []}, "eth0")
    assert (entry.master, entry.name, entry.args) == (True, "n", (("A", "b"),))
    assert not record.from_cached(found, "net1", NETNS, (), {}, "eth0").master


def own(**members: Any) -> bytes:
    """Our record, one member of `multus.io` replaced."""
    (element, *_) = json.loads(record.encode(made()))
    element[OWN] |= members
    return json.dumps([element]).encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"[null]",
        b"[[]]",
        b"[{}]",
        b"\xff",
        b"[" * 5000,
        json.dumps([upstreams(Bytes=5)]).encode(),
        json.dumps([upstreams(Bytes="!")]).encode(),
        json.dumps([upstreams(Bytes="e30=")]).encode(),
        json.dumps([upstreams(ifnameRequest="../x")]).encode(),
        json.dumps([upstreams(ifnameRequest=5)]).encode(),
        json.dumps([upstreams(Name="a\0b")]).encode(),
        json.dumps([upstreams(ipRequest="10.1.1.1")]).encode(),
        json.dumps([upstreams(macRequest=5)]).encode(),
        json.dumps([{**upstreams(), OWN: 5}]).encode(),
        own(args=None),
        own(args=[["a"]]),
        own(args=[["a", 5]]),
        own(args=[["a", "b\0"]]),
        own(ifName="a/b"),
        own(ifName=None),
        own(capabilityArgs=[]),
        own(netns="a\0"),
    ],
)
def test_damaged(data: bytes) -> None:
    """Anything that is no record is one error, which sets it aside."""
    with pytest.raises(errors.DamagedRecord):
        record.decode(data, "eth0")


@pytest.mark.parametrize("pod", [None, [], ["a"], ["a", "b", "c", 5], "abcd", {"a": 1}])
def test_pod_is_of_less_concern(pod: Any) -> None:
    """Without it the attachments can still be detached."""
    assert record.decode(own(pod=pod), "eth0").pod == PodArgs()


ELEMENT_KEYS = [*json.loads(record.encode(made()))[0], "macRequest", "ipRequest", "CNINetworkConfigList", "Plugins"]


@making.THOROUGH
@given(st.lists(making.objects(ELEMENT_KEYS).map(lambda raw: {**upstreams(), **raw}), max_size=2) | making.values())
def test_anything(value: Any) -> None:
    """Whatever is there is a record that can be written again, or damaged."""
    try:
        found = record.decode(json.dumps(value).encode(), "eth0")
    except errors.DamagedRecord:
        return
    assert record.decode(record.encode(found), "eth0") == found
