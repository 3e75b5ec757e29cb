"""Multus' own configuration: every key, its type, its default."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multus import errors
from multus.networks import netconf
from multus.networks.netconf import KEYS, LogOptions, MultusConf
from unit.networks import making

DOCUMENTED = Path(__file__).parents[3] / "docs" / "configuration.md"

STRINGS = {"cniVersion", "name", "type", "clusterNetwork", "logLevel", "auxiliaryCNIChainName"}
PATHS = {
    "kubeconfig": "kubeconfig",
    "confDir": "conf_dir",
    "cniDir": "cni_dir",
    "binDir": "bin_dir",
    "manifestsDir": "manifests_dir",
    "multusNamespace": "multus_namespace",
    "readinessindicatorfile": "readiness_indicator_file",
    "logFile": "log_file",
}
FLAGS = {
    "namespaceIsolation": "namespace_isolation",
    "logToStderr": "log_to_stderr",
    "retryDeleteOnError": "retry_delete_on_error",
    "strictCapabilities": "strict_capabilities",
}
LISTS = {
    "defaultNetworks": "default_networks",
    "systemNamespaces": "system_namespaces",
    "globalNamespaces": "global_namespaces",
    "parallelPlugins": "parallel_plugins",
}
DURATIONS = {
    "statusTimeout": "status_timeout",
    "addTimeout": "add_timeout",
    "deleteTimeout": "delete_timeout",
    "checkTimeout": "check_timeout",
    "gcTimeout": "gc_timeout",
    "statusVerbTimeout": "status_verb_timeout",
}


def field(key: str, value: Any, name: str) -> Any:
    """The field that `key` sets."""
    return getattr(making.conf(**{key: value}), name)


def refused(key: str, value: Any) -> str:
    """The message of a value that is refused."""
    with pytest.raises(errors.InvalidConfig) as caught:
        making.conf(**{key: value})
    assert caught.value.code == 7
    return caught.value.message


def test_defaults() -> None:
    """As documented."""
    conf = making.conf()
    assert conf == MultusConf(
        cni_version="1.0.0", name="multus", type="multus", delegates=({"name": "d", "type": "bridge"},)
    )
    assert (conf.bin_dir, conf.cni_dir, conf.conf_dir) == (
        "/opt/cni/bin",
        "/var/lib/cni/multus",
        "/etc/cni/multus/net.d",
    )
    assert conf.retry_delete_on_error is True
    assert conf.valid_attachments is None
    assert conf.prev_result is None


def test_every_key_is_documented() -> None:
    """The reference names every key, and what it names exists."""
    of_the_plugin = DOCUMENTED.read_text().partition("\n## multus-shim\n")[0]
    table = [line for line in of_the_plugin.splitlines() if line.startswith("| `")]
    named = {name for line in table for name in re.findall(r"`(\w+)`", line.split("|")[1])}
    assert {key for key in KEYS if not key.startswith("cni.dev/")} - named == set()
    assert named - set(KEYS) <= {"capabilities"}


@pytest.mark.parametrize(("key", "name"), sorted(PATHS.items()))
def test_paths(key: str, name: str) -> None:
    """Text; an empty one leaves the default; no NUL."""
    assert field(key, "/some/where", name) == "/some/where"
    assert field(key, "", name) == getattr(MultusConf(), name)
    assert key in refused(key, "a\0b")
    assert f"{key} must be a string, not a number" in refused(key, 5)


@pytest.mark.parametrize(("key", "name"), sorted(FLAGS.items()))
def test_flags(key: str, name: str) -> None:
    """True and false, also in quotes."""
    for value, expected in ((True, True), ("true", True), ("False", False), (False, False)):
        assert field(key, value, name) is expected
    for wrong in (0, 1, "yes", ["true"], {"a": 1}):
        assert f"{key} must be true or false" in refused(key, wrong)


@pytest.mark.parametrize(("key", "name"), sorted(LISTS.items()))
def test_lists(key: str, name: str) -> None:
    """A list, or one string with commas; blanks don't count."""
    assert field(key, ["a", " b ", ""], name) == ("a", "b")
    assert field(key, "a, b,", name) == ("a", "b")
    for wrong in (5, {"a": 1}, True):
        assert f"{key} must be a list of strings" in refused(key, wrong)
    assert key in refused(key, ["a", 5])


@pytest.mark.parametrize("key", ["systemNamespaces", "globalNamespaces"])
@pytest.mark.parametrize("value", [[], "", " , "])
def test_empty_lists(key: str, value: Any) -> None:
    """An empty list of namespaces leaves the default."""
    assert field(key, value, LISTS[key]) == getattr(MultusConf(), LISTS[key])


@pytest.mark.parametrize(("key", "name"), sorted(DURATIONS.items()))
@pytest.mark.parametrize(
    ("value", "seconds"), [(45, 45.0), (45.5, 45.5), ("45s", 45.0), ("1m30s", 90.0), ("45", 45.0), ("1.5h", 5400.0)]
)
def test_durations(key: str, name: str, value: Any, seconds: float) -> None:
    """Seconds, or Go's notation."""
    assert field(key, value, name) == pytest.approx(seconds)


@pytest.mark.parametrize("value", [0, -1, "0s", "-5s", "", "5 s", "s", "soon", 86401, "25h", "٤s"])
def test_not_durations(value: Any) -> None:
    """More than nothing, at most a day."""
    assert "statusTimeout" in refused("statusTimeout", value)
    assert "statusTimeout must be a duration" in refused("statusTimeout", True)


@pytest.mark.parametrize(
    ("key", "name", "allowed"),
    [
        ("delegateConcurrency", "delegate_concurrency", ("strict", "auto")),
        ("statusPolicy", "status_policy", ("require", "background")),
    ],
)
def test_choices(key: str, name: str, allowed: tuple[str, ...]) -> None:
    """One of the words, which the error lists."""
    for value in allowed:
        assert field(key, value, name) == value
    for value in ("", "Strict", "other"):
        assert f"{key} must be one of {', '.join(allowed)}" in refused(key, value)


def test_rollback_reserve() -> None:
    """It is part of addTimeout."""
    assert field("rollbackReserve", "20s", "rollback_reserve") == 20.0
    assert "rollbackReserve (200 s) must be shorter than addTimeout (200 s)" in refused("rollbackReserve", 200)


def test_log_options() -> None:
    """Numbers, also in quotes; what is not said keeps its default."""
    assert field("logOptions", {"maxAge": "7", "compress": False}, "log_options") == LogOptions(7, 100, 5, False)
    assert "maxSize must be a whole number" in refused("logOptions", {"maxSize": 1.5})
    assert "logOptions must be an object" in refused("logOptions", [])
    for value in (-1, 1 << 40):
        assert "maxBackups is out of range" in refused("logOptions", {"maxBackups": value})


def test_spelling() -> None:
    """Exactly, else without regard to case; the exact spelling wins; unknown keys are nobody's."""
    conf = making.conf(BINDIR="/a", cnidir="/x", cniDir="/b", unknown={"a": 1}, ReadinessIndicatorFile="/r")
    assert (conf.bin_dir, conf.cni_dir, conf.readiness_indicator_file) == ("/a", "/b", "/r")


def test_null() -> None:
    """The default."""
    assert making.conf(**{key: None for key in KEYS if key not in ("delegates", "name", "cniVersion", "type")}) == (
        making.conf()
    )


def test_conf_dir_as_upstreams_generator_writes_it() -> None:
    """`cniConf` is confDir."""
    assert field("cniConf", "/etc/cni/x", "conf_dir") == "/etc/cni/x"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([], ()),
        (
            [{"containerID": "a", "ifname": "eth0"}, {"containerID": "b", "ifname": "e", "x": 1}],
            (("a", "eth0"), ("b", "e")),
        ),
    ],
)
def test_valid_attachments(value: Any, expected: Any) -> None:
    """An empty list is a list; a missing one is none."""
    assert field("cni.dev/valid-attachments", value, "valid_attachments") == expected


@pytest.mark.parametrize("value", [{}, 5, "x", [None], [{"containerID": "a"}], [{"containerID": 1, "ifname": "e"}]])
def test_not_attachments(value: Any) -> None:
    """Half a list could release what lives."""
    assert "cni.dev/valid-attachments" in refused("cni.dev/valid-attachments", value)


@pytest.mark.parametrize("value", [[None], [5], ["x"], {}, 5, "x"])
def test_not_delegates(value: Any) -> None:
    """Objects in a list."""
    assert "delegate" in refused("delegates", value)


def test_default_network_is_required() -> None:
    """One of `delegates` and `clusterNetwork`."""
    with pytest.raises(errors.InvalidConfig, match="at least one delegate/clusterNetwork must be specified"):
        netconf.loads(b'{"name": "m", "delegates": []}')
    assert netconf.loads(b'{"name": "m", "clusterNetwork": "c"}').delegates == ()


def test_previous_result() -> None:
    """It must be one, of the configuration's version."""
    good = {"cniVersion": "1.0.0", "ips": [{"address": "10.1.1.1/24"}]}
    assert field("prevResult", good, "prev_result") == good
    for bad in ({"ips": 5}, {"cniVersion": "7.0"}):
        with pytest.raises(errors.CniError, match="could not parse prevResult"):
            making.conf(prevResult=bad)
    assert "prevResult must be an object" in refused("prevResult", "x")


def test_runtime_config() -> None:
    """Whole, unknown keys included."""
    assert field("runtimeConfig", {"a": {"b": [1]}}, "runtime_config") == {"a": {"b": [1]}}
    assert "runtimeConfig must be an object" in refused("runtimeConfig", [])


@pytest.mark.parametrize("data", [b"", b"null", b"[]", b"{", b"\xff", b'"x"'])
def test_garbage(data: bytes) -> None:
    """Code 6, naming stdin."""
    with pytest.raises(errors.DecodeError, match="the text on stdin"):
        netconf.loads(data)


@making.THOROUGH
@given(making.objects(list(KEYS)))
def test_anything(raw: dict[str, Any]) -> None:
    """No configuration raises anything but our errors."""
    try:
        netconf.loads(json.dumps({"clusterNetwork": "c", **raw}).encode())
    except errors.CniError as error:
        message = error.message
    else:
        message = ""
    assert "\n" not in message


@given(st.text(max_size=12))
def test_any_duration(text: str) -> None:
    """No text raises anything else."""
    try:
        assert 0 < making.conf(statusTimeout=text).status_timeout <= 86400
    except errors.InvalidConfig:
        return
