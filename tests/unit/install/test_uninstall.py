"""Taking Multus off a node."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from multus import errors
from multus.cni import arguments, config
from multus.host import clock, figures, records
from multus.install import generate, main, running, state, uninstall
from multus.install.generate import Wanted
from multus.install.keeper import Keeper
from multus.install.settings import Settings
from multus.networks import record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from multus.install.source import Report


class Node:
    """Its directories, with Multus in place for the default network `10-a.conf`."""

    def __init__(self, directory: Path) -> None:
        self.conf_dir = directory / "net.d"
        self.conf_dir.mkdir()
        self.cni_dir = directory / "cni"
        self.told = Settings(conf_dir=str(self.conf_dir), autoconf_dir=str(self.conf_dir), cni_dir=str(self.cni_dir))
        self.conf("10-a.conf", type="bridge")
        self.config = directory / "daemon-config.json"
        self.config.write_text(json.dumps({"cniConfigDir": str(self.conf_dir), "cniDir": str(self.cni_dir)}))

    def conf(self, name: str, **keys: Any) -> None:
        (self.conf_dir / name).write_text(json.dumps({"cniVersion": "1.0.0", "name": "net", **keys}))

    def install(self, **changes: Any) -> None:
        self.told = self.told._replace(**changes)
        Keeper(self.told, lambda _: None, settle=0.0).once(0.0)

    def attach(self, container_id: str, *networks: str) -> None:
        found = config.loads('{"name": "n", "type": "bridge"}', "it")
        entries = tuple(
            record.Entry(found, name, f"net{number}", (), {}, number == 0, "/run/netns/x")
            for number, name in enumerate(("default", *networks))
        )
        kept = record.Record(entries, arguments.PodArgs("ns", "pod", container_id, "uid"))
        records.RecordFiles(str(self.cni_dir), clock.SystemClock()).save(container_id, kept)

    def names(self) -> list[str]:
        return sorted(name for name in os.listdir(self.conf_dir) if name != "multus.d")


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


@pytest.mark.parametrize("thick", [True, False])
def test_default_network_is_left(node: Node, thick: bool) -> None:
    """Our file goes, whichever of both it is; the default network's stays, and nothing is put back."""
    node.install(wanted=Wanted(thick=thick))
    assert len(node.names()) == 2
    uninstall.uninstall(node.told)
    assert node.names() == ["10-a.conf"]
    keeper = Keeper(node.told, lambda _: None, settle=0.0)
    assert not keeper.step()
    assert node.names() == ["10-a.conf"]


def test_renamed_default_network_comes_back(node: Node) -> None:
    """What `--rename-conf-file` put out of the way gets its name again: else the node had no network."""
    node.install(rename_primary=True)
    assert "10-a.conf.old" in node.names()
    uninstall.uninstall(node.told)
    assert node.names() == ["10-a.conf"]


def test_files_of_others_stay(node: Node) -> None:
    """A file of one of our names that is not Multus' is not ours."""
    node.conf("00-multus.conflist", plugins=[{"type": "bridge"}])
    uninstall.uninstall(node.told)
    assert node.names() == ["00-multus.conflist", "10-a.conf"]


def test_upstreams_file_goes(node: Node) -> None:
    """What upstream's installer wrote is taken away too."""
    node.conf("00-multus.conf", type="multus-shim", clusterNetwork="/host/etc/cni/net.d/10-a.conf")
    uninstall.uninstall(node.told)
    assert node.names() == ["10-a.conf"]


def test_refused_while_pods_have_networks(node: Node) -> None:
    """Pods with further networks are named and nothing is touched; pods with the default network alone don't count."""
    node.install()
    node.attach("a" * 12)
    assert uninstall.busy(str(node.cni_dir)) == ()
    node.attach("b" * 12, "ns/one", "ns/two")
    with pytest.raises(errors.TryAgainLater, match=r"1 pods on this node .* ns/pod \(ns/one, ns/two\)"):
        uninstall.wait(str(node.cni_dir), 0.0)
    assert main.run(["--log-level", "panic", "uninstall", "--config", str(node.config)]) == 1
    assert "00-multus.conf" in node.names()


def test_forced(node: Node) -> None:
    """With --force it goes whatever there is."""
    node.install()
    node.attach("b" * 12, "ns/one")
    assert main.run(["--log-level", "panic", "uninstall", "--force", "--config", str(node.config)]) == 0
    assert node.names() == ["10-a.conf"]


def test_damaged_record_does_not_block(node: Node) -> None:
    """A record that nobody can read is set aside."""
    node.cni_dir.mkdir()
    (node.cni_dir / ("c" * 12)).write_text("{")
    assert uninstall.busy(str(node.cni_dir)) == ()


def test_installed_again(node: Node) -> None:
    """The next installation puts everything back."""
    node.install()
    assert main.run(["--log-level", "panic", "uninstall", "--config", str(node.config)]) == 0
    assert (node.cni_dir / "last-orders").exists()
    assert main.run(["--log-level", "panic", "once", "--wait", "5", "--config", str(node.config)]) == 0
    assert node.names() == ["00-multus.conf", "10-a.conf"]
    assert not (node.cni_dir / "last-orders").exists()


def test_bad_configuration_is_one_line(node: Node, capfd: pytest.CaptureFixture[str]) -> None:
    """A configuration that can't be read is exit status 1 and one line."""
    node.config.write_text("[]")
    assert main.run(["once", "--config", str(node.config)]) == 1
    assert capfd.readouterr().err.count("\n") == 1


def test_executables(node: Node, tmp_path: Path) -> None:
    """The executables of a kind are copied, and only those."""
    source, target = tmp_path / "src", tmp_path / "bin"
    source.mkdir()
    target.mkdir()
    for name in ("multus", "multus-shim", "passthru"):
        (source / name).write_text(name)
    command = ["--log-level", "panic", "binaries", "--source-dir", str(source), "--dest-dir", str(target)]
    assert main.run(command) == 0
    assert sorted(os.listdir(target)) == ["multus-shim", "passthru"]
    (source / "passthru").unlink()
    assert main.run(command) == 1


class Fate:
    """Of a DaemonSet."""

    def __init__(self, gone: bool) -> None:
        self.gone = gone

    def is_gone(self, deadline: float) -> bool:
        return self.gone


def end(node: Node, fate: Any) -> list[str]:
    reports: list[Report] = []
    running.end(node.told, fate, reports.append)
    return [report.reason for report in reports]


@pytest.mark.parametrize("fate", [None, Fate(gone=False)])
def test_ending_leaves_everything(node: Node, fate: Fate | None) -> None:
    """A process that ends takes nothing away unless the DaemonSet is surely gone."""
    node.install()
    assert end(node, fate) == []
    assert node.names() == ["00-multus.conf", "10-a.conf"]


def test_ending_with_the_daemonset(node: Node) -> None:
    """With the DaemonSet goes the configuration; pods that need Multus for their networks are named, and what is left
    to do for them is told to the shim."""
    node.install()
    node.attach("b" * 12, "ns/one")
    assert end(node, Fate(gone=True)) == ["Uninstalled", "NetworksLeftBehind"]
    assert node.names() == ["10-a.conf"]
    assert os.listdir(node.cni_dir / "last-orders") == ["b" * 12]


def test_ending_where_nothing_can_be_left(node: Node) -> None:
    """The node has its default network all the same, and what is missing is told."""
    node.install()
    node.cni_dir.mkdir()
    (node.cni_dir / "last-orders").symlink_to("nowhere")
    assert end(node, Fate(gone=True)) == ["Uninstalled", "LastOrdersNotLeft"]
    assert node.names() == ["10-a.conf"]


@contextmanager
def keeping(node: Node) -> Iterator[Callable[[], None]]:
    """`multus-install keep` as a process that finds a daemon, until SIGTERM ends it with status 0. What is given waits
    a moment; it fails when the process has ended."""
    (node.conf_dir / "multus.d").mkdir()
    node.config.write_text(json.dumps({**json.loads(node.config.read_text()), "socketDir": str(node.conf_dir)}))
    (node.conf_dir / "heartbeat").touch()
    command = [sys.executable, "-c", "from multus.install.main import main; main()", "keep", "--config"]
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("KUBERNETES_", "MULTUS_"))}
    with subprocess.Popen([*command, node.config], env=environ, stderr=subprocess.DEVNULL) as process:

        def pause() -> None:
            assert process.poll() is None, "ended early"
            time.sleep(0.01)

        try:
            yield pause
        finally:
            process.send_signal(signal.SIGTERM)
    assert process.returncode == 0


def test_keeping_as_a_process(node: Node) -> None:
    """`multus-install keep` writes the configuration once the daemon has served, puts it back, ends on SIGTERM with
    status 0, and leaves it in place."""
    ours = node.conf_dir / "00-multus.conf"
    with keeping(node) as pause:
        for _ in range(2):
            while not ours.exists():
                pause()
            ours.rename(node.conf_dir / "taken")
        while not ours.exists():
            pause()
    assert ours.exists()


def test_rival_of_a_process(node: Node) -> None:
    """What a process gives up fighting for is a figure for the daemon's metrics, until the file is left alone."""
    ours = node.conf_dir / "00-multus.conf"
    with keeping(node) as pause:
        while figures.read(str(node.conf_dir), figures.CONTESTED) != 1:
            if ours.exists():
                ours.rename(node.conf_dir / "taken")
            pause()
    assert "taken away 3 times" in state.load(node.told.state_dir).problem


def test_waiting_as_a_process() -> None:
    """`multus-install wait` goes on until it is told to end."""
    code = "from multus.install.main import main; main()"
    with subprocess.Popen([sys.executable, "-c", code, "wait"]) as process:
        status = Path(f"/proc/{process.pid}/status")
        while not re.search(r"SigCgt:\t[0-9a-f]+4[0-9a-f]{3}\n", status.read_text()):
            assert process.poll() is None, "ended early"
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
    assert process.returncode == 0


def test_names_are_upstreams() -> None:
    """Whoever removes upstream's files by name removes ours."""
    assert generate.FILES == ("00-multus.conf", "00-multus.conflist")
