"""How upstream's structures hold a configuration."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from multus import errors
from multus.cni import config
from multus.networks import goformat


def found(raw: dict[str, Any]) -> Any:
    """The configuration."""
    return config.from_object(raw, "test")


def test_single() -> None:
    """Base members only; ipam and dns are there even when empty."""
    raw = {
        "cniVersion": "1.0.0",
        "name": "n",
        "type": "bridge",
        "bridge": "br0",
        "capabilities": {"ips": True},
        "ipam": {"type": "host-local", "subnet": "10.1.0.0/16"},
        "dns": {"nameservers": ["10.0.0.10"], "domain": "", "search": "wrong"},
    }
    assert goformat.members(found(raw)) == {
        "Conf": {
            "cniVersion": "1.0.0",
            "name": "n",
            "type": "bridge",
            "capabilities": {"ips": True},
            "ipam": {"type": "host-local"},
            "dns": {"nameservers": ["10.0.0.10"]},
        },
        "ConfList": {},
    }


def test_list() -> None:
    """Of the list and of each plugin; flags only when set."""
    raw = {
        "cniVersion": "1.0.0",
        "name": "n",
        "disableCheck": "true",
        "plugins": [{"type": "a", "x": 1}, {"type": "b"}],
    }
    plugins = [{"type": kind, "ipam": {}, "dns": {}} for kind in "ab"]
    assert goformat.members(found(raw)) == {
        "Conf": {"cniVersion": "1.0.0", "name": "n", "ipam": {}, "dns": {}},
        "ConfList": {"cniVersion": "1.0.0", "name": "n", "disableCheck": True, "plugins": plugins},
    }


@pytest.mark.parametrize("data", [b"", b"a", b"\x00\xff", b"x" * 1000])
def test_bytes(data: bytes) -> None:
    """base64 without line breaks, as Go has it."""
    packed = goformat.pack(data)
    assert packed == base64.b64encode(data).decode()
    assert goformat.unpack({"Bytes": packed}, "Bytes", "it") == data


def test_no_bytes() -> None:
    """Absent or null: nothing."""
    assert goformat.unpack({}, "Bytes", "it") == goformat.unpack({"Bytes": None}, "Bytes", "it") == b""


@pytest.mark.parametrize("value", [5, [], "!", "YQ", "YQ==\n", "Y Q=="])
def test_bad_bytes(value: Any) -> None:
    """The element and the member are named."""
    with pytest.raises(errors.DamagedRecord, match="it: Bytes"):
        goformat.unpack({"Bytes": value}, "Bytes", "it")


def packed(raw: Any) -> str:
    """JSON as a member of the record has it."""
    return goformat.pack(json.dumps(raw).encode())


def test_configuration() -> None:
    """`Bytes` is all of it."""
    raw = {"name": "n", "type": "bridge", "x": 1}
    assert goformat.configuration({"Bytes": packed(raw)}, "it").raw == raw


def test_name() -> None:
    """One without a name has the definition's."""
    assert goformat.configuration({"Bytes": packed({"type": "x"}), "Name": "default/net-a"}, "it").name == "net-a"
    with pytest.raises(errors.InvalidConfig):
        goformat.configuration({"Bytes": packed({"type": "x"})}, "it")


def test_reduced_bytes() -> None:
    """Some releases kept the whole only in `CNINetworkConfigList`: each plugin and the list's keys are taken from
    there, what was added later (device, cni-args) from `Bytes`."""
    later = {"deviceID": "d", "pciBusID": "d", "args": {"cni": {"b": 2}}}
    reduced = {"name": "n", "cniVersion": "1.0.0", "plugins": [{"type": "a", **later}, {"type": "b"}]}
    whole = [{"type": "a", "x": 1, "args": {"cni": {"a": 1}}}, {"type": "b", "y": 2}]
    older = {
        "Plugins": [{"Bytes": packed(plugin)} for plugin in whole],
        "Bytes": packed({"name": "n", "cniVersion": "1.0.0", "z": 3, "plugins": whole}),
    }
    made = goformat.configuration({"Bytes": packed(reduced), "CNINetworkConfigList": older}, "it")
    assert made.plugins == (
        {"type": "a", "x": 1, "args": {"cni": {"a": 1, "b": 2}}, "deviceID": "d", "pciBusID": "d"},
        {"type": "b", "y": 2},
    )
    assert made.raw["z"] == 3


@pytest.mark.parametrize("plugins", [[{}], [5, 5], [{"Bytes": "!"}] * 2, [{"Bytes": None}] * 2, "x"])
def test_reduced_bytes_that_do_not_fit(plugins: Any) -> None:
    """An error of ours."""
    reduced = {"name": "n", "plugins": [{"type": "a"}, {"type": "b"}]}
    with pytest.raises(errors.CniError):
        goformat.configuration({"Bytes": packed(reduced), "CNINetworkConfigList": {"Plugins": plugins}}, "it")


def test_reduced_bytes_of_fewer_plugins() -> None:
    """Both must tell of as many plugins."""
    reduced = {"name": "n", "plugins": [{"type": "a"}, {"type": "b"}]}
    older = {"Plugins": [{"Bytes": packed({"type": "a"})}]}
    with pytest.raises(errors.DamagedRecord, match="not as many plugins"):
        goformat.configuration({"Bytes": packed(reduced), "CNINetworkConfigList": older}, "it")
