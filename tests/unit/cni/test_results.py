"""Results of every version: what is read from them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multus import errors
from multus.cni import rawjson, results, versions
from multus.cni.results import DNS, IP, Interface, Route
from unit.cni import strategies

LEGACY: dict[str, Any] = {
    "cniVersion": "0.2.0",
    "ip4": {"ip": "10.1.0.5/16", "gateway": "10.1.0.1", "routes": [{"dst": "0.0.0.0/0", "gw": "10.1.0.1"}]},
    "ip6": {"ip": "fd00::5/64", "routes": [{"dst": "::/0"}]},
    "dns": {"nameservers": ["10.1.0.1"], "domain": "a", "search": ["b"], "options": ["c"]},
}
RICH: dict[str, Any] = {
    "cniVersion": "1.1.0",
    "interfaces": [
        {"name": "br0", "mac": "02:00:00:00:00:01"},
        {"name": "eth0", "mtu": 1400, "sandbox": "/run/netns/x", "socketPath": "/run/v", "pciID": "0000:00:01.0"},
    ],
    "ips": [{"address": "10.1.0.5/16", "gateway": "10.1.0.1", "interface": 1}],
    "routes": [{"dst": "0.0.0.0/0", "mtu": 1, "advmss": 2, "priority": 0, "table": 4, "scope": 254}],
}


def read(raw: Any, default: str = "1.0.0") -> results.Result:
    """The result in `raw`."""
    return results.parse(json.dumps(raw).encode(), default, "it")


def test_rich() -> None:
    """Every member of 1.1.0 has its place."""
    result = read(RICH)
    assert result.cni_version == "1.1.0"
    assert result.interfaces == (
        Interface(name="br0", mac="02:00:00:00:00:01"),
        Interface("eth0", "", 1400, "/run/netns/x", "/run/v", "0000:00:01.0"),
    )
    assert result.ips == (IP("10.1.0.5/16", "10.1.0.1", 1),)
    assert result.routes == (Route("0.0.0.0/0", "", 1, 2, 0, 4, 254),)
    assert result.dns == DNS()


def test_legacy() -> None:
    """Results of 0.2.0 read the same way: addresses, and the routes of both families."""
    result = read(LEGACY)
    assert result.ips == (IP("10.1.0.5/16", "10.1.0.1"), IP("fd00::5/64"))
    assert result.routes == (Route("0.0.0.0/0", "10.1.0.1"), Route("::/0"))
    assert result.dns == DNS(("10.1.0.1",), "a", ("b",), ("c",))
    assert result.interfaces == ()


@pytest.mark.parametrize("version", ["0.3.0", "0.3.1", "0.4.0", "1.0.0"])
def test_between(version: str) -> None:
    """The version tag of an address is not needed to read it."""
    raw = {"cniVersion": version, "ips": [{"version": "4", "address": "10.1.0.5/16", "interface": 0}]}
    assert read(raw).ips == (IP("10.1.0.5/16", "", 0),)


@pytest.mark.parametrize("given_version", [{}, {"cniVersion": ""}, {"cniVersion": None}])
def test_default_version(given_version: dict[str, Any]) -> None:
    """A result without a version is of the configuration's; it is kept with it."""
    result = read({**given_version, "ip4": {"ip": "10.1.0.5/16"}}, "0.2.0")
    assert (result.cni_version, result.raw["cniVersion"]) == ("0.2.0", "0.2.0")
    assert result.ips == (IP("10.1.0.5/16"),)


@strategies.MODEST
@given(strategies.RESULTS, strategies.LITERALS)
def test_kept_as_printed(raw: dict[str, Any], literal: str) -> None:
    """A well-formed result is kept as its plugin printed it, strange keys and numbers included."""
    text = rawjson.dumps({**raw, "stray": rawjson.loads(literal, "text")})
    result = results.parse(text.encode(), "", "it")
    assert rawjson.dumps(result.raw) == text


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ([], "it must be a JSON object, not a list"),
        ({"cniVersion": 1}, "it: cniVersion must be a string"),
        ({"cniVersion": False}, "it: cniVersion must be a string"),
        ({"ips": {}}, "it: ips must be a list"),
        ({"ips": [1]}, "it: ips must be an object"),
        ({"ips": [{"address": 1}]}, "it: address must be a string"),
        ({"ips": [{"address": "10.1.0.5/16", "interface": "0"}]}, "it: interface must be a whole number"),
        ({"ips": [{"address": "10.1.0.5/16", "interface": 0.5}]}, "it: interface must be a whole number"),
        ({"interfaces": "eth0"}, "it: interfaces must be a list"),
        ({"interfaces": [{"name": []}]}, "it: name must be a string"),
        ({"interfaces": [{"name": "eth0", "mtu": "1500"}]}, "it: mtu must be a whole number"),
        ({"routes": [{"dst": None, "gw": 5}]}, "it: gw must be a string"),
        ({"dns": ["10.1.0.1"]}, "it: dns must be an object"),
        ({"dns": {"nameservers": "10.1.0.1"}}, "it: dns: nameservers must be a list of strings"),
        ({"cniVersion": "0.2.0", "ip4": []}, "it: ip4 must be an object"),
        ({"cniVersion": "0.2.0", "ip4": {"ip": 5}}, "it: address must be a string"),
        ({"cniVersion": "0.2.0", "ip6": {"routes": {}}}, "it: ip6: routes must be a list"),
    ],
)
def test_malformed(raw: Any, message: str) -> None:
    """A result of another shape is refused, naming the key and what is there."""
    with pytest.raises(errors.DecodeError, match=message) as caught:
        read(raw)
    assert caught.value.code == 6


def test_members_of_later_versions() -> None:
    """What had no meaning yet in a result's version can't break it."""
    assert read({"cniVersion": "0.4.0", "interfaces": [{"name": "eth0", "mtu": "big"}]}).interfaces[0].mtu == 0
    assert read({"cniVersion": "0.2.0", "interfaces": "none", "ips": 5}).ips == ()


@pytest.mark.parametrize("version", ["9.9.9", "1.0"])
def test_unsupported_version(version: str) -> None:
    """A version nobody knows is an error that names the result."""
    with pytest.raises(errors.IncompatibleVersion, match=f'it: unsupported CNI result version "{version}"'):
        read({"cniVersion": version})


@pytest.mark.parametrize("data", [b"", b"interface up\n", b"{}{}", b"null"])
def test_garbage(data: bytes) -> None:
    """Text that is no JSON object is a decode error."""
    with pytest.raises(errors.DecodeError, match=r"^it "):
        results.parse(data, "1.0.0", "it")


@strategies.MODEST
@given(strategies.NEAR_RESULTS, strategies.VERSIONS, strategies.VERSIONS)
def test_any_object(raw: dict[str, Any], default: str, target: str) -> None:
    """Whatever object a plugin prints, a result or our error comes out; the result prints in every version and can be
    given routes."""
    try:
        result = results.parse(raw, default, "it")
    except (errors.DecodeError, errors.IncompatibleVersion):
        return
    assert results.as_version(result, target)["cniVersion"] == target
    again = results.parse(results.with_routes(result, [Route("0.0.0.0/0")]).raw, default, "it")
    assert again.interfaces == result.interfaces


@pytest.mark.parametrize("version", ["", *versions.SUPPORTED])
def test_empty(version: str) -> None:
    """A result that says nothing is valid in every version."""
    result = results.empty(version)
    assert result[1:5] == ((), (), (), DNS())
    assert result.cni_version == (version or "0.1.0")


@pytest.mark.parametrize("dst", ["0.0.0.0/0", "::/0", "::0/0", "0:0:0:0:0:0:0:0/0", "10.0.0.0/0", "0.0.0.0", "::"])
def test_default_routes(dst: str) -> None:
    """Every spelling of a destination without a prefix is a default route's."""
    assert results.is_default(dst)


@pytest.mark.parametrize("dst", ["10.0.0.0/8", "0.0.0.0/1", "::/1", "10.1.0.5", "fd00::", "", "/", "0.0.0.0/"])
def test_other_routes(dst: str) -> None:
    """Anything else is not."""
    assert not results.is_default(dst)


# ── other routes ────────────────────────────────────────────────────────────────────────────────────────────────


def test_with_routes() -> None:
    """Routes that stay keep what was printed of them, new ones are plain, everything else is untouched."""
    kept = {"dst": "10.9.0.0/16", "gw": "10.1.0.7", "onlink": True, "metric": 5}
    result = read({**RICH, "routes": [{"dst": "0.0.0.0/0"}, kept], "stray": 1})
    changed = results.with_routes(result, [result.routes[1], Route("::/0", "fd00::1", table=7)])
    assert changed.raw == {**RICH, "routes": [kept, {"dst": "::/0", "gw": "fd00::1", "table": 7}], "stray": 1}
    assert changed.routes == (result.routes[1], Route("::/0", "fd00::1", table=7))


def test_with_routes_leaves_the_original() -> None:
    """The result it is made from stays as it was."""
    result = read(RICH)
    before = json.dumps(result)
    results.with_routes(result, [])
    assert json.dumps(result) == before


@pytest.mark.parametrize("version", ["0.3.1", "1.0.0"])
def test_with_routes_older(version: str) -> None:
    """Between 0.3.0 and 1.0.0 routes stand beside the addresses, too."""
    raw = {"cniVersion": version, "ips": [{"version": "4", "address": "10.1.0.5/16"}], "routes": [{"dst": "0.0.0.0/0"}]}
    changed = results.with_routes(read(raw), [Route("0.0.0.0/0", "10.1.0.9")])
    assert changed.raw == {**raw, "routes": [{"dst": "0.0.0.0/0", "gw": "10.1.0.9"}]}


def test_with_routes_legacy() -> None:
    """In 0.2.0 each family has its own."""
    changed = results.with_routes(read(LEGACY), [Route("::/0", "fd00::1"), Route("10.9.0.0/16")])
    assert changed.raw["ip4"] == {"ip": "10.1.0.5/16", "gateway": "10.1.0.1", "routes": [{"dst": "10.9.0.0/16"}]}
    assert changed.raw["ip6"] == {"ip": "fd00::5/64", "routes": [{"dst": "::/0", "gw": "fd00::1"}]}


def test_with_routes_legacy_without_family() -> None:
    """A family without an address has no place for a route in 0.2.0."""
    changed = results.with_routes(read({"cniVersion": "0.2.0", "ip4": LEGACY["ip4"]}), [Route("::/0")])
    assert changed.raw == {"cniVersion": "0.2.0", "ip4": {"ip": "10.1.0.5/16", "gateway": "10.1.0.1"}}


@pytest.mark.parametrize("raw", [RICH, LEGACY, {"cniVersion": "0.4.0", "routes": [{"dst": "::/0"}]}])
def test_without_routes(raw: dict[str, Any]) -> None:
    """No routes, no key."""
    assert '"routes"' not in json.dumps(results.with_routes(read(raw), []).raw)


@strategies.MODEST
@given(strategies.RESULTS, st.booleans())
def test_same_routes(raw: dict[str, Any], reverse: bool) -> None:
    """Giving a result the routes it has, in whatever order, loses nothing of them."""
    result = results.parse(raw, "", "it")
    routes = result.routes[::-1] if reverse else result.routes
    again = results.parse(results.with_routes(result, routes).raw, "", "it")
    assert sorted(again.routes, key=repr) == sorted(result.routes, key=repr)
    assert (again.interfaces, again.ips, again.dns) == (result.interfaces, result.ips, result.dns)
