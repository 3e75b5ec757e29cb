"""Keeping the runtime's configuration: over files that come and go, under a clock of the test's own."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from multus import errors
from multus.install import keeper, primary, state
from multus.install.contest import LIMIT, TRUCE, WINDOW
from multus.install.generate import Wanted
from multus.install.keeper import Keeper
from multus.install.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from multus.install.source import Report


class Node:
    """A directory of configurations, and a keeper that is asked to look."""

    def __init__(self, directory: Path, told: Settings | None = None) -> None:
        self.directory = directory
        self.told = (told or Settings())._replace(conf_dir=str(directory), autoconf_dir=str(directory))
        self.now = 0.0
        self.reports: list[Report] = []
        self.start()

    def start(self, gates: Sequence[Callable[[], str]] = ()) -> None:
        self.keeper = Keeper(self.told, self.reports.append, gates=gates, clock=lambda: self.now, settle=0.0)

    def look(self, times: int = 1) -> bool:
        in_place = False
        for _ in range(times):
            in_place = self.keeper.step()
            self.now += keeper.INTERVAL
        return in_place

    def put(self, file: str, **keys: Any) -> None:
        raw = {"cniVersion": "1.0.0", "name": "net", "type": "bridge", **keys}
        temporary = self.directory / "new"
        temporary.write_text(json.dumps(raw))
        temporary.rename(self.directory / file)

    def configurations(self) -> list[str]:
        return sorted(name for name in os.listdir(self.directory) if name.endswith(primary.SUFFIXES))

    @property
    def ours(self) -> Path:
        return self.directory / "00-multus.conf"

    def in_use(self) -> str:
        return os.path.basename(str(json.loads(self.ours.read_text())["clusterNetwork"]))

    def reasons(self) -> list[str]:
        return [report.reason for report in self.reports]


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def test_written_once_there_is_a_default_network(node: Node) -> None:
    """Nothing is written before, the wait is told; then the file is there, for root alone, and it is told why."""
    assert not node.look(3)
    assert node.configurations() == []
    node.put("10-a.conf")
    assert node.look()
    assert node.in_use() == "10-a.conf"
    assert node.ours.stat().st_mode & 0o777 == 0o600
    assert node.reasons() == ["NoDefaultNetwork", "DefaultNetworkChosen"]


def test_state_is_kept(node: Node) -> None:
    """What was chosen and why is on disk."""
    node.put("10-a.conf")
    node.look()
    found = state.load(node.told.state_dir)
    assert (found.file, found.primary, found.problem) == (str(node.ours), str(node.directory / "10-a.conf"), "")
    assert "first by name" in found.why


def test_primary_that_changes(node: Node) -> None:
    """New content of the default network is taken up: its capabilities, and those it has no more are gone."""
    node.put("10-a.conf", capabilities={"mac": True})
    node.look()
    node.put("10-a.conf", capabilities={"ips": True})
    node.look()
    assert json.loads(node.ours.read_text())["capabilities"] == {"ips": True}


def test_primary_half_written(node: Node) -> None:
    """While the default network's file is broken, the configuration stays as it was."""
    node.put("10-a.conf")
    node.look()
    before = node.ours.read_bytes()
    (node.directory / "10-a.conf").write_text('{"cni')
    node.look(2)
    assert node.ours.read_bytes() == before
    assert node.reasons()[-1] == "DefaultNetworkMissing"
    node.put("10-a.conf")
    assert node.look()


def test_stays_while_the_primary_is_gone(node: Node) -> None:
    """The configuration outlives its default network: a pod waits rather than starts without Multus."""
    node.put("10-a.conf")
    node.look()
    (node.directory / "10-a.conf").unlink()
    node.look(2)
    assert node.configurations() == ["00-multus.conf"]


def test_better_candidate(node: Node) -> None:
    """One that comes earlier by name takes its place, and it is told."""
    node.put("20-b.conf")
    node.look()
    node.put("10-a.conf")
    node.look()
    assert node.in_use() == "10-a.conf"
    assert node.reasons() == ["DefaultNetworkChosen", "DefaultNetworkChosen"]


def test_restart_does_not_choose_anew(node: Node) -> None:
    """After a reboot the default network's file may come last; the one in use before is waited for."""
    node.put("20-b.conf")
    node.look()
    (node.directory / "20-b.conf").unlink()
    node.put("30-c.conf")
    node.start()
    node.look(4)
    assert node.in_use() == "20-b.conf"
    assert node.reasons()[-1] == "DefaultNetworkMissing"


@pytest.mark.parametrize("how", ["removed", "renamed", "changed", "emptied"])
def test_undone_at_the_next_look(node: Node, how: str) -> None:
    """Whatever is done to the file, the next look, a quarter of a second later, undoes it."""
    node.put("10-a.conf")
    node.look()
    before = node.ours.read_bytes()
    if how == "removed":
        node.ours.unlink()
    elif how == "renamed":
        node.ours.rename(node.directory / "00-multus.conf.cilium_bak")
    else:
        node.ours.write_text("" if how == "emptied" else '{"type": "other"}')
    assert node.look()
    assert node.ours.read_bytes() == before


def lose(node: Node, rounds: int) -> int:
    """The other side renames the file whenever it is there; how often it was."""
    undone = 0
    for _ in range(rounds):
        if node.ours.exists():
            node.ours.rename(node.directory / "00-multus.conf.cilium_bak")
            undone += 1
        node.look()
    return undone


def test_contest_is_given_up(node: Node) -> None:
    """After three times in ten seconds it stops, and names the setting to change."""
    node.put("10-a.conf")
    node.look()
    assert lose(node, int(WINDOW / keeper.INTERVAL)) == 1 + LIMIT
    assert node.reasons()[-1] == "ConfigurationTakenAway"
    assert "cni.exclusive=false" in node.reports[-1].message
    assert "cni.exclusive=false" in state.load(node.told.state_dir).problem


def test_contest_ends(node: Node) -> None:
    """When the other side has stopped, the file is put back by itself, and the problem is over."""
    node.put("10-a.conf")
    node.look()
    lose(node, 40)
    node.look(int((TRUCE + WINDOW) / keeper.INTERVAL) + 2)
    assert node.ours.exists()
    assert node.reasons()[-1] == "ConfigurationRestored"
    assert state.load(node.told.state_dir).problem == ""


def test_first_installation_waits_for_its_gates(node: Node) -> None:
    """Nothing is written before the daemon is there, say; a file that was there before is put back at once."""
    node.put("10-a.conf")
    missing = ["no daemon"]
    node.start(gates=[lambda: missing[0]])
    assert not node.look(2)
    assert node.reasons() == ["DefaultNetworkChosen", "InstallationWaits"]
    missing[0] = ""
    assert node.look()
    node.ours.unlink()
    missing[0] = "no daemon"
    node.start(gates=[lambda: missing[0]])
    assert node.look()


def test_failing_kubeconfig_is_no_hindrance(node: Node) -> None:
    """While the kubeconfig can't be written, which is told, the configuration is put back all the same."""

    def refresh() -> None:
        raise errors.IoFailure("no token")

    node.put("10-a.conf")
    node.keeper = Keeper(node.told, node.reports.append, refresh=refresh, clock=lambda: node.now, settle=0.0)
    assert node.look()
    node.ours.unlink()
    assert node.look()
    assert node.reasons().count("KubeconfigNotWritten") == 1


def test_other_kind_of_file_goes(tmp_path: Path) -> None:
    """From the daemon to the one-shot plugin and back there is one file of ours at any time."""
    node = Node(tmp_path)
    node.put("10-a.conf")
    node.look()
    node.told = node.told._replace(wanted=Wanted(thick=False))
    node.start()
    assert node.look()
    assert node.configurations() == ["00-multus.conflist", "10-a.conf"]


def test_not_in_force(node: Node) -> None:
    """A configuration that comes before ours is reported: the runtime would use it."""
    node.put("10-a.conf")
    node.put("00-aaa.conf", type="bridge")
    node.look(2)
    assert node.reasons()[-1] == "ConfigurationNotInForce"
    assert "00-aaa.conf comes before" in node.reports[-1].message


def test_uninstalled(node: Node) -> None:
    """After an uninstallation nothing is put back."""
    node.put("10-a.conf")
    node.look()
    state.set_uninstalled(node.told.state_dir, True)
    node.ours.unlink()
    assert not node.look(5)
    assert not node.ours.exists()
    state.set_uninstalled(node.told.state_dir, False)
    assert node.look()


def test_renamed_primary(tmp_path: Path) -> None:
    """With `rename_primary` the default network's file is out of the way, which is no loss, after a restart neither."""
    node = Node(tmp_path, Settings(wanted=Wanted(thick=False), rename_primary=True))
    node.put("10-a.conf")
    node.put("20-b.conf")
    node.look(3)
    assert node.configurations() == ["00-multus.conflist", "20-b.conf"]
    before = (tmp_path / "00-multus.conflist").read_bytes()
    node.start()
    assert node.look(3)
    assert (tmp_path / "00-multus.conflist").read_bytes() == before
    node.put("10-a.conf", name="renewed")
    node.look(2)
    assert b"renewed" in (tmp_path / "00-multus.conflist").read_bytes()
    assert node.configurations() == ["00-multus.conflist", "20-b.conf"]


def test_forced_version(tmp_path: Path) -> None:
    """`forceCNIVersion` writes the version into the default network's own file, which keeps the rest and its mode."""
    node = Node(tmp_path, Settings(wanted=Wanted(cni_version="0.4.0"), force_cni_version=True))
    node.put("10-a.conf", cniVersions=["1.0.0"], number=1.50)
    (tmp_path / "10-a.conf").chmod(0o640)
    assert node.look()
    raw = json.loads((tmp_path / "10-a.conf").read_text())
    assert raw == {"cniVersion": "0.4.0", "name": "net", "type": "bridge", "number": 1.5}
    assert (tmp_path / "10-a.conf").stat().st_mode & 0o777 == 0o640


def test_copied_configuration(tmp_path: Path) -> None:
    """An operator's own file is put in place under its name, kept, and taken up when it changes."""
    mine = tmp_path / "mine" / "05-mine.conf"
    mine.parent.mkdir()
    mine.write_text('{"name": "one"}')
    directory = tmp_path / "net.d"
    directory.mkdir()
    node = Node(directory, Settings(conf_file=str(mine)))
    assert node.look()
    (directory / "05-mine.conf").unlink()
    assert node.look()
    mine.write_text('{"name": "two"}')
    node.look(keeper.EVERY)
    assert (directory / "05-mine.conf").read_text() == '{"name": "two"}'


def test_failures_are_told_once(tmp_path: Path) -> None:
    """A directory that can't be read is reported once, and made up for when it can."""
    (tmp_path / "net.d").touch()
    node = Node(tmp_path / "net.d")
    assert not node.look(5)
    assert node.reasons() == ["InstallationFailed"]
    node.directory.unlink()
    node.directory.mkdir()
    node.put("10-a.conf")
    assert node.look()


def test_changes_settle(tmp_path: Path) -> None:
    """While files change, nothing is chosen: who writes one may not be done."""
    node = Node(tmp_path)
    node.keeper = Keeper(node.told, node.reports.append, clock=lambda: node.now, settle=1.0)
    node.put("20-b.conf")
    assert not node.look(2)
    node.put("10-a.conf")
    assert not node.look(4)
    assert node.look()
    assert node.in_use() == "10-a.conf"


def test_once(node: Node) -> None:
    """A single installation ends when it is done, or says what is missing when its patience is over."""
    with pytest.raises(errors.TryAgainLater, match="waiting for one"):
        node.keeper.once(0.0)
    node.put("10-a.conf")
    node.keeper.once(0.0)
    assert node.in_use() == "10-a.conf"
