"""Execution of lists and single plugins (CNI specification, section 3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from multus import errors
from multus.cni import config, execution, results, versions
from multus.cni.invoke import PluginExit
from multus.testing import executor
from multus.testing.executor import FakeExecutor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from multus.cni.config import NetworkConfig
    from multus.cni.rawjson import Json
    from multus.cni.results import Result

DEADLINE = 5.0
TARGET = execution.Target("c1", "/run/netns/a", "net1", (("K", "V"), ("L", "W")), "/opt/cni/bin", {})


def network(*kinds: str, version: str = "1.1.0", **keys: Any) -> NetworkConfig:
    """A list of plugins of those types; of one, a single configuration."""
    raw: Json = {"cniVersion": version, "name": "net", **keys}
    plugins = [{"type": kind} for kind in kinds]
    return config.from_object(raw | (plugins[0] if len(plugins) == 1 else {"plugins": plugins}), "test")


def result(version: str = "1.1.0") -> Result:
    """A result of that version."""
    rich = {"interfaces": [{"name": "net1", "sandbox": "/s"}], "ips": [{"address": "10.1.1.1/24", "interface": 0}]}
    return results.parse(results.convert(rich, "1.1.0", version), version, "test")


def kinds(fake: FakeExecutor, verb: str) -> list[str]:
    """The plugins that were called, in order."""
    return [kind for command, kind, _ in fake.order if command == verb]


# ── ADD ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_add_single() -> None:
    """Environment and stdin of the call, and its result."""
    fake = FakeExecutor()
    found = execution.add(network("bridge"), TARGET, fake, DEADLINE)
    (call,) = fake.calls
    assert call.environ == {
        "CNI_COMMAND": "ADD",
        "CNI_CONTAINERID": "c1",
        "CNI_NETNS": "/run/netns/a",
        "CNI_IFNAME": "net1",
        "CNI_ARGS": "K=V;L=W",
        "CNI_PATH": "/opt/cni/bin",
    }
    assert call.deadline == DEADLINE
    assert executor.config_of(call) == {"cniVersion": "1.1.0", "name": "net", "type": "bridge"}
    assert found.ips[0].address == "10.1.0.2/16"


def test_add_list() -> None:
    """Each plugin is given the result of the one before; the last one's result counts."""
    fake = FakeExecutor()
    last = {"cniVersion": "1.1.0", "ips": [{"address": "10.9.9.9/24"}]}
    fake.answer("c", "ADD", executor.printed(last))
    found = execution.add(network("a", "b", "c"), TARGET, fake, DEADLINE)
    assert kinds(fake, "ADD") == ["a", "b", "c"]
    first, second, third = fake.configs("ADD")
    assert "prevResult" not in first
    assert second["prevResult"] == third["prevResult"]
    assert second["prevResult"]["ips"][0]["address"] == "10.1.0.2/16"
    assert found.raw == last


def test_add_fails_midway() -> None:
    """The plugins after it are not called; undoing is the caller's affair; the error names the plugin."""
    fake = FakeExecutor()
    fake.answer("b", "ADD", executor.failed(42, "no", "because"))
    with pytest.raises(errors.CniError) as caught:
        execution.add(network("a", "b", "c"), TARGET, fake, DEADLINE)
    assert kinds(fake, "ADD") == ["a", "b"]
    assert fake.order[-1][0] == "ADD"
    assert (caught.value.code, caught.value.details) == (42, "because")
    assert caught.value.message == 'plugin type="b" failed (add): no'


@pytest.mark.parametrize("version", versions.SUPPORTED)
@pytest.mark.parametrize("printed", versions.SUPPORTED)
def test_previous_result_has_the_network_version(version: str, printed: str) -> None:
    """A plugin may answer in another version; the next one gets the network's."""
    fake = FakeExecutor()
    fake.answer("a", "ADD", executor.printed(result(printed).raw))
    execution.add(network("a", "b", version=version), TARGET, fake, DEADLINE)
    given = fake.configs("ADD")[1]["prevResult"]
    assert given["cniVersion"] == version
    assert results.parse(given, version, "given").ips[0].address == "10.1.1.1/24"


def test_previous_result_is_kept_as_printed() -> None:
    """Where the version is the network's, members that nobody knows are handed on."""
    fake = FakeExecutor()
    raw = {"cniVersion": "1.0.0", "ips": [], "vendor": {"x": [1]}}
    fake.answer("a", "ADD", executor.printed(raw))
    execution.add(network("a", "b", version="1.0.0"), TARGET, fake, DEADLINE)
    assert fake.configs("ADD")[1]["prevResult"] == raw


def test_result_without_version() -> None:
    """It is of the configuration's version."""
    fake = FakeExecutor()
    fake.answer("a", "ADD", executor.printed({"ip4": {"ip": "10.1.1.1/24"}}))
    found = execution.add(network("a", version="0.2.0"), TARGET, fake, DEADLINE)
    assert found.cni_version == "0.2.0"
    assert found.ips[0].address == "10.1.1.1/24"


@pytest.mark.parametrize(
    ("out", "error"),
    [
        (b"", errors.PluginFailed),
        (b"\n", errors.PluginFailed),
        (b"garbage", errors.DecodeError),
        (b"[]", errors.DecodeError),
        (b'{"cniVersion": "7.0.0"}', errors.IncompatibleVersion),
        (b'{"ips": [{"address": 5}]}', errors.DecodeError),
    ],
)
def test_unusable_result(out: bytes, error: type[errors.CniError]) -> None:
    """A success without a usable result is a failure that names the plugin."""
    fake = FakeExecutor()
    fake.answer("bridge", "ADD", PluginExit(0, out, b""))
    with pytest.raises(error, match='plugin type="bridge"'):
        execution.add(network("bridge"), TARGET, fake, DEADLINE)


@pytest.mark.parametrize(
    "target",
    [TARGET._replace(ifname="a/b"), TARGET._replace(ifname=""), TARGET._replace(container_id="../x")],
)
def test_malformed_target(target: execution.Target) -> None:
    """Refused before anything runs."""
    fake = FakeExecutor()
    with pytest.raises(errors.InvalidEnvironment):
        execution.add(network("bridge"), target, fake, DEADLINE)
    assert not fake.calls


def test_network_without_name() -> None:
    """Refused before anything runs."""
    fake = FakeExecutor()
    with pytest.raises(errors.InvalidConfig, match="missing network name"):
        execution.add(network("bridge")._replace(name=""), TARGET, fake, DEADLINE)
    assert not fake.calls


def test_capabilities() -> None:
    """Each plugin gets what it declares; `capabilities` itself is not handed on."""
    raw = {
        "cniVersion": "1.1.0",
        "name": "net",
        "plugins": [
            {"type": "a", "capabilities": {"ips": True, "mac": False}},
            {"type": "b", "capabilities": {"mac": True}},
            {"type": "c"},
        ],
    }
    fake = FakeExecutor()
    target = TARGET._replace(capability_args={"ips": ["10.1.1.1"], "mac": "02:00:00:00:00:01", "other": 1})
    execution.add(config.from_object(raw, "test"), target, fake, DEADLINE)
    assert [conf.get("runtimeConfig") for conf in fake.configs("ADD")] == [
        {"ips": ["10.1.1.1"]},
        {"mac": "02:00:00:00:00:01"},
        None,
    ]
    assert all("capabilities" not in conf for conf in fake.configs("ADD"))


# ── DEL, CHECK ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("version", versions.SUPPORTED)
def test_delete(version: str) -> None:
    """In reverse order, with the final result of ADD since 0.4.0; nothing on stdout is expected."""
    fake = FakeExecutor()
    execution.delete(network("a", "b", version=version), TARGET, result(), fake, DEADLINE)
    assert kinds(fake, "DEL") == ["b", "a"]
    for conf in fake.configs("DEL"):
        assert ("prevResult" in conf) == versions.at_least(version, "0.4.0")
        assert conf.get("prevResult", {}).get("cniVersion", version) == version


def test_delete_fails() -> None:
    """The first error ends it: what the plugins before it made may be needed to try again."""
    fake = FakeExecutor()
    fake.answer("b", "DEL", executor.failed(11, "busy"))
    with pytest.raises(errors.CniError, match=r'plugin type="b" failed \(delete\): busy') as caught:
        execution.delete(network("a", "b"), TARGET, None, fake, DEADLINE)
    assert caught.value.code == 11
    assert kinds(fake, "DEL") == ["b"]


def test_delete_without_a_plugin() -> None:
    """One that is not there keeps nobody from deleting what those before it attached; it is told afterwards."""
    fake = FakeExecutor()
    fake.answer("b", "DEL", errors.PluginNotFound("failed to find plugin"))
    with pytest.raises(errors.PluginNotFound, match=r'plugin type="b" failed \(delete\): failed to find'):
        execution.delete(network("a", "b"), TARGET, None, fake, DEADLINE)
    assert kinds(fake, "DEL") == ["b", "a"]


def test_check() -> None:
    """In order, with the final result of ADD."""
    fake = FakeExecutor()
    execution.check(network("a", "b", version="0.4.0"), TARGET, result(), fake, DEADLINE)
    assert kinds(fake, "CHECK") == ["a", "b"]
    assert all(conf["prevResult"]["cniVersion"] == "0.4.0" for conf in fake.configs("CHECK"))


def test_check_is_switched_off() -> None:
    """`disableCheck`: success without a call, whatever the version."""
    fake = FakeExecutor()
    execution.check(network("a", "b", disableCheck=True), TARGET, result(), fake, DEADLINE)
    execution.check(network("a", "b", version="0.3.1", disableCheck="true"), TARGET, result(), fake, DEADLINE)
    assert not fake.calls


@pytest.mark.parametrize("version", ["0.1.0", "0.2.0", "0.3.0", "0.3.1"])
def test_check_of_an_old_version(version: str) -> None:
    """There was no CHECK below 0.4.0: code 1."""
    fake = FakeExecutor()
    with pytest.raises(errors.IncompatibleVersion, match="does not support the CHECK command"):
        execution.check(network("a", version=version), TARGET, result(), fake, DEADLINE)
    assert not fake.calls


# ── STATUS, GC, VERSION ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("version", versions.SUPPORTED)
def test_status_and_gc_by_version(version: str) -> None:
    """Since 1.1.0 only; below, success without a call."""
    fake = FakeExecutor()
    execution.status(network("a", "b", version=version), "/bin", fake, DEADLINE)
    execution.gc(network("a", "b", version=version), "/bin", [], fake, DEADLINE)
    expected = [("STATUS", "a", ""), ("STATUS", "b", ""), ("GC", "a", ""), ("GC", "b", "")]
    assert fake.order == (expected if version == "1.1.0" else [])


def test_status_fails() -> None:
    """The first failing plugin's code is kept, the others are not asked."""
    fake = FakeExecutor()
    fake.answer("a", "STATUS", executor.failed(50, "not yet"))
    with pytest.raises(errors.CniError) as caught:
        execution.status(network("a", "b"), "/bin", fake, DEADLINE)
    assert caught.value.code == 50
    assert kinds(fake, "STATUS") == ["a"]


@pytest.mark.parametrize("failing", [(), ("a",), ("b",), ("a", "b")])
def test_gc(failing: Sequence[str]) -> None:
    """Every plugin is called with the living attachments under both keys, whatever fails; errors are joined."""
    fake = FakeExecutor()
    for number, kind in enumerate(failing):
        fake.answer(kind, "GC", executor.failed(20 + number, f"{kind} is stuck"))
    valid = [("c1", "eth0"), ("c2", "net1")]
    if failing:
        with pytest.raises(errors.CniError) as caught:
            execution.gc(network("a", "b"), "/bin", valid, fake, DEADLINE)
        assert caught.value.code == 20
        assert all(f"{kind} is stuck" in caught.value.message for kind in failing)
    else:
        execution.gc(network("a", "b"), "/bin", valid, fake, DEADLINE)
    assert kinds(fake, "GC") == ["a", "b"]
    listed = [{"containerID": "c1", "ifname": "eth0"}, {"containerID": "c2", "ifname": "net1"}]
    for conf in fake.configs("GC"):
        assert conf["cni.dev/valid-attachments"] == conf["cni.dev/attachments"] == listed


def test_gc_is_switched_off() -> None:
    """`disableGC`."""
    fake = FakeExecutor()
    execution.gc(network("a", "b", disableGC=True), "/bin", [], fake, DEADLINE)
    assert not fake.calls


def test_version() -> None:
    """What the plugin says it supports."""
    fake = FakeExecutor()
    fake.answer("a", "VERSION", executor.printed({"cniVersion": "1.0.0", "supportedVersions": ["0.4.0", "1.0.0"]}))
    assert execution.version("a", "/bin", fake, DEADLINE) == ("0.4.0", "1.0.0")
    assert fake.calls[0].environ["CNI_PATH"] == "/bin"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (executor.failed(4, "unknown CNI_COMMAND: VERSION"), ("0.1.0",)),
        (executor.printed({"cniVersion": "0.2.0"}), ("0.1.0", "0.2.0")),
    ],
)
def test_version_of_old_plugins(answer: PluginExit, expected: tuple[str, ...]) -> None:
    """The verb came with 0.2.0, the list could be missing then."""
    fake = FakeExecutor()
    fake.answer("a", "VERSION", answer)
    assert execution.version("a", "/bin", fake, DEADLINE) == expected


@pytest.mark.parametrize(
    "answer",
    [
        executor.failed(7, "broken"),
        PluginExit(0, b"", b""),
        executor.printed({}),
        executor.printed({"supportedVersions": "1.0.0"}),
        errors.PluginNotFound("failed to find plugin"),
    ],
)
def test_version_fails(answer: PluginExit | errors.CniError) -> None:
    """Anything else is an error that names the plugin."""
    fake = FakeExecutor()
    fake.answer("a", "VERSION", answer)
    with pytest.raises(errors.CniError, match=r'plugin type="a" failed \(version\)'):
        execution.version("a", "/bin", fake, DEADLINE)


def test_version_printed_nothing() -> None:
    """Told as such."""
    fake = FakeExecutor()
    fake.answer("a", "VERSION", PluginExit(0, b" \n", b""))
    with pytest.raises(errors.PluginFailed, match="it printed nothing"):
        execution.version("a", "/bin", fake, DEADLINE)


def test_gc_fails_once() -> None:
    """The only failure keeps its details."""
    fake = FakeExecutor()
    fake.answer("b", "GC", executor.failed(20, "stuck", "because"))
    with pytest.raises(errors.CniError) as caught:
        execution.gc(network("a", "b"), "/bin", [], fake, DEADLINE)
    assert (caught.value.code, caught.value.details) == (20, "because")
