"""Conversion of results between all versions."""

from __future__ import annotations

import json
from itertools import product
from typing import Any

import pytest
from hypothesis import given

from multus import errors
from multus.cni import conversion, results, versions
from multus.cni.conversion import CONVERSIONS, SHAPES, convert
from unit.cni import strategies

#: One attachment, as each shape prints it.
SAME: dict[str, dict[str, Any]] = {
    "legacy": {
        "ip4": {"ip": "10.1.0.5/16", "gateway": "10.1.0.1", "routes": [{"dst": "0.0.0.0/0", "gw": "10.1.0.1"}]},
        "ip6": {"ip": "fd00::5/64", "routes": [{"dst": "fd01::/64", "gw": "fd00::1"}]},
        "dns": {"nameservers": ["10.1.0.1"]},
    },
    "tagged": {
        "ips": [
            {"version": "4", "address": "10.1.0.5/16", "gateway": "10.1.0.1"},
            {"version": "6", "address": "fd00::5/64"},
        ],
        "routes": [{"dst": "0.0.0.0/0", "gw": "10.1.0.1"}, {"dst": "fd01::/64", "gw": "fd00::1"}],
        "dns": {"nameservers": ["10.1.0.1"]},
    },
    "plain": {
        "ips": [{"address": "10.1.0.5/16", "gateway": "10.1.0.1"}, {"address": "fd00::5/64"}],
        "routes": [{"dst": "0.0.0.0/0", "gw": "10.1.0.1"}, {"dst": "fd01::/64", "gw": "fd00::1"}],
        "dns": {"nameservers": ["10.1.0.1"]},
    },
}
SAME["rich"] = SAME["plain"]

PAIRS = list(product(versions.SUPPORTED, repeat=2))


def printed(version: str) -> dict[str, Any]:
    """That attachment, as `version` prints it."""
    return {**SAME[SHAPES[version]], "cniVersion": version}


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_every_pair(source: str, target: str) -> None:
    """From every version to every other, what both can hold is exactly the same."""
    assert convert(printed(source), source, target) == printed(target)


def test_table_is_complete() -> None:
    """Every version has a shape, every pair of shapes its entry."""
    assert tuple(SHAPES) == versions.SUPPORTED
    assert set(CONVERSIONS) == set(product(SHAPES.values(), repeat=2))


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_empty(source: str, target: str) -> None:
    """An empty result stays empty; dns is printed empty below 1.0.0 and left out from there."""
    expected: dict[str, Any] = {"cniVersion": target} | ({} if versions.at_least(target, "1.0.0") else {"dns": {}})
    assert convert({"dns": {}}, source, target) == convert({}, source, target) == expected


def test_down_to_legacy() -> None:
    """0.2.0 holds the first address of each family and the routes of those; interfaces have no place."""
    raw = {
        "interfaces": [{"name": "eth0"}],
        "ips": [
            {"address": "fd00::5/64", "interface": 0},
            {"address": "10.1.0.5/16", "interface": 0},
            {"address": "10.2.0.5/16", "gateway": "10.2.0.1"},
        ],
        "routes": [{"dst": "10.9.0.0/16"}, {"dst": "::/0"}, {"dst": "0.0.0.0/0", "gw": "10.2.0.1"}],
    }
    assert convert(raw, "1.0.0", "0.2.0") == {
        "cniVersion": "0.2.0",
        "ip4": {"ip": "10.1.0.5/16", "routes": [{"dst": "10.9.0.0/16"}, {"dst": "0.0.0.0/0", "gw": "10.2.0.1"}]},
        "ip6": {"ip": "fd00::5/64", "routes": [{"dst": "::/0"}]},
        "dns": {},
    }


def test_route_without_its_family() -> None:
    """A route of a family without an address is dropped there, not given to the other."""
    raw = {"ips": [{"address": "10.1.0.5/16"}], "routes": [{"dst": "::/0"}]}
    assert convert(raw, "1.0.0", "0.2.0")["ip4"] == {"ip": "10.1.0.5/16"}


@pytest.mark.parametrize("target", [version for version in versions.SUPPORTED if version != "1.1.0"])
def test_members_of_1_1_0(target: str) -> None:
    """What only 1.1.0 knows is dropped below it."""
    raw = {
        "interfaces": [{"name": "eth0", "mtu": 1, "socketPath": "a", "pciID": "b", "sandbox": "/x"}],
        "ips": [{"address": "10.1.0.5/16", "interface": 0}],
        "routes": [
            {"dst": "0.0.0.0/0", "gw": "10.1.0.1", "mtu": 1, "advmss": 2, "priority": 3, "table": 4, "scope": 5}
        ],
    }
    text = json.dumps(convert(raw, "1.1.0", target))
    assert not any(f'"{key}"' in text for key in (*conversion.RICH_INTERFACE, *conversion.RICH_ROUTE))
    assert '{"dst": "0.0.0.0/0", "gw": "10.1.0.1"}' in text


def test_wrong_tag_is_corrected() -> None:
    """The family of an address is what it is, not what a stray key says."""
    raw = {"ips": [{"version": "6", "address": "10.1.0.5/16"}]}
    assert convert(raw, "1.0.0", "0.4.0")["ips"] == [{"version": "4", "address": "10.1.0.5/16"}]
    assert "ip4" in convert(raw, "0.4.0", "0.2.0")


def test_stray_keys_are_not_promoted() -> None:
    """A key without meaning in the source version gains none by conversion."""
    assert convert({"ips": [{"address": "x"}], "interfaces": 5}, "0.2.0", "1.1.0") == {"cniVersion": "1.1.0"}
    assert "ip4" not in convert({"ip4": {"ip": "10.9.9.9/8"}}, "1.0.0", "0.2.0")
    old = {"interfaces": [{"name": "eth0", "mtu": 9000}]}
    assert convert(old, "0.4.0", "1.1.0")["interfaces"] == [{"name": "eth0"}]


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_unknown_keys_are_kept(source: str, target: str) -> None:
    """Keys that no version knows stay where the shape has room."""
    assert convert({"vendor": {"a": 1}}, source, target)["vendor"] == {"a": 1}


def test_members_keep_unknown_keys() -> None:
    """Those of interfaces, addresses and routes as well."""
    raw = {
        "interfaces": [{"name": "eth0", "x": 1}],
        "ips": [{"address": "10.1.0.5/16", "x": 2}],
        "routes": [{"dst": "0.0.0.0/0", "x": 3}],
    }
    down = convert(raw, "1.1.0", "0.3.1")
    assert [down[key][0]["x"] for key in ("interfaces", "ips", "routes")] == [1, 2, 3]


@pytest.mark.parametrize(("source", "target"), [("9.9.9", "1.0.0"), ("1.0.0", "9.9.9"), ("1.0", "")])
def test_unsupported(source: str, target: str) -> None:
    """There is no conversion from or to a version nobody knows."""
    with pytest.raises(errors.IncompatibleVersion):
        convert({}, source, target)


def test_no_version() -> None:
    """No version is the first one, as source and as target."""
    assert convert({"ip4": {"ip": "10.1.0.5/16"}}, "", "1.0.0")["ips"] == [{"address": "10.1.0.5/16"}]
    assert convert({}, "1.0.0", "")["cniVersion"] == "0.1.0"


def test_original_is_left_alone() -> None:
    """Conversion changes nothing of what it is given."""
    for source, target in PAIRS:
        raw = printed(source)
        before = json.dumps(raw)
        convert(raw, source, target)
        assert json.dumps(raw) == before


@strategies.MODEST
@given(strategies.RESULTS, strategies.VERSIONS)
def test_up_and_back(raw: dict[str, Any], target: str) -> None:
    """Up to a later version and back is the identity."""
    source = raw["cniVersion"]
    if versions.at_least(target, source):
        back = convert(convert(raw, source, target), target, source)
        assert back == convert(raw, source, source)


@strategies.MODEST
@given(strategies.RESULTS, strategies.VERSIONS, strategies.VERSIONS)
def test_down_settles(raw: dict[str, Any], lower: str, other: str) -> None:
    """What has been through a version can go there again, by whatever later one, without losing more."""
    once = convert(raw, raw["cniVersion"], lower)
    if versions.at_least(other, lower):
        assert convert(convert(once, lower, other), other, lower) == once


@strategies.MODEST
@given(strategies.RESULTS, strategies.VERSIONS)
def test_well_formed_stays_so(raw: dict[str, Any], target: str) -> None:
    """What is converted can be read, with the same first address and name service."""
    before = results.parse(raw, "", "before")
    after = results.parse(convert(raw, raw["cniVersion"], target), "", "after")
    assert (after.cni_version, after.dns) == (target, before.dns)
    assert {ip.address for ip in after.ips} <= {ip.address for ip in before.ips}
    assert bool(after.ips) == bool(before.ips)


@strategies.MODEST
@given(strategies.NEAR_RESULTS, strategies.VERSIONS, strategies.VERSIONS)
def test_any_object(raw: dict[str, Any], source: str, target: str) -> None:
    """Whatever object comes in, one comes out, or our error."""
    try:
        converted = convert(raw, source, target)
    except errors.DecodeError:
        return
    assert converted["cniVersion"] == target
