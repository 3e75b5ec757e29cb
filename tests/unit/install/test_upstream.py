"""Upstream's command lines."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from multus import errors
from multus.install import flags, install_multus, thin_entrypoint
from multus.install.keeper import Keeper

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ([], {"b": False, "on": True, "s": "x"}),
        (["--b", "--s=1=2"], {"b": True, "on": True, "s": "1=2"}),
        (["--on=false", "--s", "--b"], {"b": False, "on": False, "s": "--b"}),
        (["-s", "y", "--b=T"], {"b": True, "on": True, "s": "y"}),
        (["-s=y"], {"b": False, "on": True, "s": "y"}),
        (["-sy"], {"b": False, "on": True, "s": "y"}),
    ],
)
def test_flags(arguments: list[str], found: dict[str, flags.Value]) -> None:
    """With and without an equals sign, booleans with and without a value, letters."""
    assert flags.parse(arguments, {"b": False, "on": True, "s": "x"}, {"s": "s"}) == found


@pytest.mark.parametrize("arguments", [["--unknown"], ["word"], ["--b=maybe"], ["--s"], ["-x"], ["--"]])
def test_wrong_flags(arguments: list[str]) -> None:
    """What is no flag, or no value, is an error."""
    with pytest.raises(errors.InvalidConfig):
        flags.parse(arguments, {"b": False, "s": ""})


def test_help_is_exit_status_1(capfd: pytest.CaptureFixture[str]) -> None:
    """As upstream; every flag is named."""
    assert thin_entrypoint.run(["--help"], {}) == 1
    shown = capfd.readouterr().err
    assert all(f"--{name} " in shown for name in thin_entrypoint.DEFAULTS)
    assert install_multus.run(["-h"]) == 1


class Node:
    """Directories as a container sees them."""

    def __init__(self, directory: Path) -> None:
        self.conf, self.bin, self.source = directory / "net.d", directory / "bin", directory / "src"
        for made in (self.conf, self.bin, self.source):
            made.mkdir()
        for name in ("multus", "multus-shim", "passthru"):
            (self.source / name).write_text(f"#!{name}")
        raw = {"cniVersion": "0.4.0", "name": "net", "type": "bridge"}
        (self.conf / "10-a.conf").write_text(json.dumps(raw))

    def flags(self, *more: str) -> list[str]:
        return [
            f"--cni-conf-dir={self.conf}",
            f"--multus-autoconfig-dir={self.conf}",
            f"--cni-bin-dir={self.bin}",
            f"--multus-bin-file={self.source}/multus",
            *more,
        ]

    def generated(self, *more: str) -> dict[str, object]:
        told = thin_entrypoint.wanted(flags.parse(self.flags(*more), thin_entrypoint.DEFAULTS))
        Keeper(told, lambda _: None, settle=0.0).once(0.0)
        found: dict[str, object] = json.loads((self.conf / "00-multus.conf").read_text())
        return found


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def test_thin_minimal(node: Node) -> None:
    """Without flags the file is upstream's: the kubeconfig's path on the host, the default network in it."""
    assert node.generated() == {
        "cniVersion": "0.4.0",
        "name": "multus-cni-network",
        "type": "multus",
        "kubeconfig": "/etc/cni/net.d/multus.d/multus.kubeconfig",
        "delegates": [{"cniVersion": "0.4.0", "name": "net", "type": "bridge"}],
    }


def test_thin_every_key(node: Node) -> None:
    """Each flag that is about the configuration gets there."""
    made = node.generated(
        "--namespace-isolation",
        "--global-namespaces=a,b",
        "--multus-log-to-stderr=false",
        "--multus-log-level=Debug",
        "--multus-log-file=/var/log/multus.log",
        "--additional-bin-dir=/more",
        "--multus-cni-conf-dir=/host/etc/nets",
        "--readiness-indicator-file=/ready",
        "--override-network-name",
        "--multus-kubeconfig-file-host=/k",
        "--cni-version=0.3.1",
    )
    del made["delegates"]
    assert made == {
        "cniVersion": "0.3.1",
        "name": "net",
        "type": "multus",
        "namespaceIsolation": True,
        "globalNamespaces": "a,b",
        "logToStderr": False,
        "logLevel": "debug",
        "logFile": "/var/log/multus.log",
        "binDir": "/more",
        "confDir": "/etc/nets",
        "readinessindicatorfile": "/ready",
        "kubeconfig": "/k",
    }


def test_thin_never_chooses_a_copy_of_itself(node: Node) -> None:
    """A default network whose plugin is this very executable under another name is Multus."""
    (node.bin / "mynet").write_text("#!multus")
    (node.conf / "05-mynet.conf").write_text('{"cniVersion": "0.4.0", "name": "m", "type": "mynet"}')
    assert node.generated()["delegates"] == [{"cniVersion": "0.4.0", "name": "net", "type": "bridge"}]


def test_thin_log_level(node: Node) -> None:
    """Another level is refused in upstream's words."""
    with pytest.raises(errors.InvalidConfig, match="Log levels should be one of: debug/verbose/error/panic"):
        node.generated("--multus-log-level=loud")


@pytest.mark.parametrize("flag", ["cni-conf-dir", "cni-bin-dir", "multus-bin-file", "multus-conf-file"])
def test_thin_missing_locations(node: Node, flag: str, capfd: pytest.CaptureFixture[str]) -> None:
    """A place that does not exist is named by its flag, and nothing is installed."""
    assert thin_entrypoint.run([*node.flags(), f"--{flag}=/nowhere"], {}) == 1
    assert f"{flag} is not found: /nowhere" in capfd.readouterr().err
    assert os.listdir(node.bin) == []


def test_thin_as_a_process(node: Node, tmp_path: Path) -> None:
    """It installs, puts back what is taken away, ends on SIGTERM with status 0, and leaves everything in place."""
    command = [sys.executable, "-c", "from multus.install.thin_entrypoint import main; main()", *node.flags()]
    # No service account here: its kubeconfig can't be written, so a copied configuration shows the rest.
    mine = tmp_path / "70-multus.conf"
    mine.write_text('{"name": "mine", "type": "multus"}')
    environ = {**os.environ, "MULTUS_NODE_NAME": ""}
    with subprocess.Popen([*command, f"--multus-conf-file={mine}"], env=environ, stderr=subprocess.PIPE) as process:
        try:
            assert process.stderr is not None
            said = b""
            while b"KubeconfigNotWritten" not in said:
                said = process.stderr.readline()
                assert said, "ended early"
        finally:
            process.send_signal(signal.SIGTERM)
        process.communicate()
    assert process.returncode == 0
    assert (node.bin / "multus").read_text() == "#!multus"
    assert os.access(node.bin / "multus", os.X_OK)


@pytest.mark.parametrize(("kind", "first"), [("thick", "multus-shim"), ("thin", "multus")])
def test_install_multus(node: Node, kind: str, first: str, capfd: pytest.CaptureFixture[str]) -> None:
    """The executables of the kind, in upstream's words."""
    assert install_multus.run(["-t", kind, "-d", str(node.bin)], str(node.source)) == 0
    assert sorted(os.listdir(node.bin)) == sorted((first, "passthru"))
    shown = capfd.readouterr().out
    assert shown == f"multus {first} copy succeeded!\npassthru cni {node.bin}/passthru copy succeeded!\n"


def test_install_multus_of_no_kind(capfd: pytest.CaptureFixture[str]) -> None:
    """Without a type, or with another one, it is refused."""
    assert install_multus.run([]) == 1
    assert install_multus.run(["--type=fat"]) == 1
    assert "--type is missing or --type has invalid value" in capfd.readouterr().err
