"""`multus-passthru`: the plugin that changes nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from multus import passthru

ENVIRON = {
    "CNI_CONTAINERID": "c1",
    "CNI_NETNS": "/run/netns/x",
    "CNI_IFNAME": "net3",
    "CNI_PATH": "/opt/cni/bin",
}

VERSIONS = ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"]


def call(command: str, conf: Any, **environ: str) -> tuple[int, Any]:
    """The exit status and the decoded output."""
    stdin = conf if isinstance(conf, bytes) else json.dumps(conf).encode()
    status, output = passthru.run({**ENVIRON, "CNI_COMMAND": command, **environ}, stdin)
    return status, json.loads(output) if output else None


def conf(version: str = "1.0.0", **keys: Any) -> dict[str, Any]:
    return {"cniVersion": version, "name": "chain", "type": "passthru", **keys}


@pytest.mark.parametrize("version", VERSIONS)
def test_first_of_a_chain(version: str) -> None:
    """Without prevResult ADD prints an empty result of the configuration's version."""
    status, result = call("ADD", conf(version))
    assert status == 0
    assert result["cniVersion"] == version
    assert not {"interfaces", "ips", "routes"} & set(result)


@pytest.mark.parametrize("version", VERSIONS)
def test_prev_result_goes_through(version: str) -> None:
    """With prevResult ADD prints it, whole."""
    ip: dict[str, Any] = {"address": "192.0.2.7/24", "gateway": "192.0.2.1", "interface": 0}
    if version < "1":
        ip["version"] = "4"
    previous = {
        "cniVersion": version,
        "interfaces": [{"name": "eth0", "mac": "02:00:00:00:00:01", "sandbox": "/run/netns/x"}],
        "ips": [ip],
        "routes": [{"dst": "0.0.0.0/0"}],
        "dns": {"nameservers": ["192.0.2.53"]},
        "vendor.example/extra": 12345678901234567890,
    }
    assert call("ADD", conf(version, prevResult=previous)) == (0, previous)


def test_prev_result_of_another_version() -> None:
    """A prevResult of another version is printed in the configuration's."""
    previous = {"cniVersion": "0.4.0", "ips": [{"version": "4", "address": "192.0.2.7/24"}]}
    status, result = call("ADD", conf("1.0.0", prevResult=previous))
    assert status == 0
    assert result == {"cniVersion": "1.0.0", "ips": [{"address": "192.0.2.7/24"}]}


@pytest.mark.parametrize("command", ["DEL", "CHECK", "GC", "STATUS"])
def test_verbs_that_print_nothing(command: str) -> None:
    """DEL, CHECK, GC and STATUS succeed without a word."""
    assert call(command, conf("1.1.0")) == (0, None)


def test_delete_without_namespace() -> None:
    """DEL needs no network namespace."""
    assert call("DEL", conf(), CNI_NETNS="") == (0, None)


def test_version() -> None:
    """VERSION lists what is supported, in the version asked with."""
    assert call("VERSION", {"cniVersion": "0.4.0"}) == (0, {"cniVersion": "0.4.0", "supportedVersions": VERSIONS})


@pytest.mark.parametrize(
    ("command", "given", "code", "text"),
    [
        pytest.param("ADD", b"{", 6, "not valid JSON", id="no JSON"),
        pytest.param("ADD", b"[]", 6, "must be a JSON object", id="no object"),
        pytest.param("ADD", conf(name=""), 7, "missing network name", id="no name"),
        pytest.param("ADD", conf(name="../x"), 7, "invalid characters", id="bad name"),
        pytest.param("ADD", conf(name=[1]), 7, "name must be a string", id="name a list"),
        pytest.param("ADD", {**conf(), "cniVersion": 1}, 7, "cniVersion must be a string", id="version a number"),
        pytest.param("ADD", conf("0.2.0"), 1, "incompatible CNI versions", id="too old"),
        pytest.param("ADD", conf(""), 1, "incompatible CNI versions", id="no version"),
        pytest.param("ADD", conf("9.9.9"), 1, "incompatible CNI versions", id="too new"),
        pytest.param("CHECK", conf("0.3.1"), 1, "does not allow CHECK", id="CHECK before 0.4.0"),
        pytest.param("GC", conf("1.0.0"), 1, "does not allow GC", id="GC before 1.1.0"),
        pytest.param("STATUS", conf("1.0.0"), 1, "does not allow STATUS", id="STATUS before 1.1.0"),
        pytest.param("ADD", conf(prevResult=[]), 6, "prevResult must be an object", id="prevResult a list"),
        pytest.param("ADD", conf(prevResult={"ips": 5}), 6, "prevResult", id="prevResult garbled"),
        pytest.param("FLY", conf(), 4, "unknown CNI_COMMAND", id="unknown verb"),
    ],
)
def test_errors(command: str, given: Any, code: int, text: str) -> None:
    """Whatever is wrong is answered by an error object with the specification's code."""
    status, error = call(command, given)
    assert status == 1
    assert error["code"] == code
    assert text in error["msg"]
    assert error["cniVersion"]


def test_missing_variables() -> None:
    """All missing variables are named at once."""
    status, error = call("ADD", conf(), CNI_IFNAME="", CNI_NETNS="")
    assert (status, error["code"]) == (1, 4)
    assert "[CNI_NETNS,CNI_IFNAME]" in error["msg"]
