"""The runtime's configuration, generated for a default network."""

from __future__ import annotations

import json
from typing import Any

import pytest

from multus import errors
from multus.cni import config, versions
from multus.install import generate
from multus.install.generate import Wanted
from multus.networks import netconf

PATH = "/etc/cni/net.d/10-net.conflist"


def primary(**keys: Any) -> config.NetworkConfig:
    raw = {"cniVersion": "1.0.0", "name": "net", "plugins": [{"type": "bridge"}], **keys}
    return config.loads(json.dumps(raw), "primary")


def generated(wanted: Wanted, found: config.NetworkConfig | None = None) -> Any:
    return json.loads(generate.generate(wanted, PATH, found or primary()).data)


def test_minimal_shim_configuration() -> None:
    """Without any key of an operator's, the file is upstream's minimal one."""
    made = generate.generate(Wanted(), PATH, primary(cniVersion="0.4.0"))
    assert made.file == "00-multus.conf"
    assert made.data == (
        b'{"cniVersion":"0.4.0","name":"multus-cni-network","clusterNetwork":"' + PATH.encode() + b'",'
        b'"type":"multus-shim"}\n'
    )


def test_every_key_in_upstreams_order() -> None:
    """All keys that the shim's file can have, in upstream's order, as the operator wrote them."""
    keys = {
        "statusGrace": 30,
        "daemonSocketDir": "/run/m",
        "cniDir": "/c",
        "auxiliaryCNIChainName": "aux",
        "globalNamespaces": "a,b",
        "namespaceIsolation": True,
        "logOptions": {"maxAge": 1},
        "logToStderr": True,
        "logLevel": "debug",
        "logFile": "/l",
        "binDir": "/b",
        "daemonWait": 5,
        "daemonWaitDelete": 6,
    }
    made = generated(Wanted(keys=keys, override_network_name=True, capabilities={"mac": True}))
    assert tuple(made) == generate.THICK_ORDER
    assert {key: made[key] for key in keys} == keys
    assert made["name"] == "net"


def test_falsy_keys_are_left_out() -> None:
    """What is empty or false is not written, but for version, name and type."""
    made = generated(Wanted(keys={"binDir": "", "logToStderr": False, "namespaceIsolation": False, "logOptions": {}}))
    assert set(made) == {"cniVersion", "name", "clusterNetwork", "type"}


def test_capabilities_are_a_union() -> None:
    """Every plugin's true capabilities, and the operator's; false ones are not written."""
    found = primary(
        plugins=[
            {"type": "a", "capabilities": {"portMappings": True, "ips": False}},
            {"type": "b", "capabilities": {"bandwidth": True}},
            {"type": "c"},
        ]
    )
    made = generated(Wanted(capabilities={"mac": True, "dns": False}), found)
    assert made["capabilities"] == {"bandwidth": True, "mac": True, "portMappings": True}


def test_capabilities_of_a_single_plugin() -> None:
    """A conf has them at its top."""
    raw = {"cniVersion": "1.0.0", "name": "net", "type": "ptp", "capabilities": {"ips": True}}
    assert generated(Wanted(), config.loads(json.dumps(raw), "it"))["capabilities"] == {"ips": True}


@pytest.mark.parametrize("own", versions.SUPPORTED)
@pytest.mark.parametrize("asked", ["", *versions.SUPPORTED])
@pytest.mark.parametrize("thick", [True, False])
def test_version_never_exceeds_the_primarys(own: str, asked: str, thick: bool) -> None:
    """Whatever is asked for, the version is at most the primary's; less is granted; a correction is reported."""
    result = generate.generate(Wanted(thick=thick, cni_version=asked), PATH, primary(cniVersion=own))
    version = json.loads(result.data)["cniVersion"]
    assert versions.at_least(own, version)
    assert version == asked or (not asked and version == own) or (result.remarks and version == own)


def test_highest_of_several_versions() -> None:
    """The primary's `cniVersions` count."""
    assert generated(Wanted(), primary(cniVersions=["0.4.0", "1.1.0"]))["cniVersion"] == "1.1.0"


@pytest.mark.parametrize(
    ("wanted", "keys", "said"),
    [
        (Wanted(), {"cniVersion": ""}, "forceCNIVersion"),
        (Wanted(), {"cniVersion": "9.0.0"}, "9.0.0"),
        (Wanted(cni_version="7"), {}, "cniVersion '7'"),
        (Wanted(override_network_name=True), {"name": ""}, "overrideNetworkName"),
    ],
)
def test_refusals(wanted: Wanted, keys: dict[str, Any], said: str) -> None:
    """No version, an unknown version and no name to take over are errors that name what to change."""
    with pytest.raises(errors.InvalidConfig, match=said):
        generated(wanted, primary(**keys))


def test_one_shot_list() -> None:
    """From 1.0.0 on a list of the one plugin, with the primary embedded as it was written."""
    found = config.loads(
        '{"cniVersion":"1.0.0","name":"n","plugins":[{"type":"x","big":12345678901234567890.10}]}', "it"
    )
    made = generate.generate(Wanted(thick=False, keys={"kubeconfig": "/k", "confDir": "/n"}), PATH, found)
    assert made.file == "00-multus.conflist"
    assert b"12345678901234567890.10" in made.data
    (plugin,) = json.loads(made.data)["plugins"]
    assert list(plugin) == ["type", "confDir", "kubeconfig", "delegates"]
    assert plugin["delegates"][0]["plugins"] == [{"type": "x", "big": 12345678901234567890.10}]


def test_one_shot_single() -> None:
    """Before 1.0.0 a single plugin, which our own decoder reads."""
    made = generate.generate(Wanted(thick=False), PATH, primary(cniVersion="0.3.1"))
    assert made.file == "00-multus.conf"
    conf = netconf.loads(made.data)
    assert conf.type == "multus"
    assert conf.delegates[0]["name"] == "net"


@pytest.mark.parametrize(("value", "written"), [(True, False), (False, True)])
def test_one_shot_silence(value: bool, written: bool) -> None:
    """`logToStderr` is written only when it is false: the plugin's default is true."""
    made = generated(Wanted(thick=False, keys={"logToStderr": value}))
    assert ("logToStderr" in made["plugins"][0]) == written
