"""What a first installation waits for."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from multus.daemon import heartbeat
from multus.install import gates
from multus.install.generate import Wanted
from multus.install.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path


def test_daemon(tmp_path: Path) -> None:
    """A young heartbeat opens it, none or an old one says so. It is the file that the daemon writes."""
    assert "no daemon has served yet" in gates.daemon(str(tmp_path), 1000.0)
    (tmp_path / heartbeat.NAME).touch()
    os.utime(tmp_path / heartbeat.NAME, (1000, 1000))
    assert gates.daemon(str(tmp_path), 1010.0) == ""
    assert "100 s old" in gates.daemon(str(tmp_path), 1100.0)


def test_readiness_file(tmp_path: Path) -> None:
    """The file of another network's agent."""
    path = tmp_path / "ready"
    assert str(path) in gates.readiness(str(path))
    path.touch()
    assert gates.readiness(str(path)) == ""


def test_who_waits_for_what() -> None:
    """The one-shot plugin needs no daemon."""
    assert len(gates.of(Settings(readiness_file="/r"))) == 2
    assert len(gates.of(Settings(wanted=Wanted(thick=False)))) == 0
    assert len(gates.of(Settings(), daemon_too=False)) == 0
