"""What the demo asks of the machine before it makes anything."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from multus import errors
from multus.ctl.demo import requirements, topology

if TYPE_CHECKING:
    from pathlib import Path


def executable(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_not_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Anybody but root is told so."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(errors.Unavailable, match="as root"):
        requirements.check_root()


def test_missing_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A missing command is named with the package it is in."""
    monkeypatch.setenv("PATH", str(tmp_path))
    executable(tmp_path / "ip")
    with pytest.raises(errors.Unavailable, match=r"`ping`.*iputils-ping"):
        requirements.check("", "")


def test_plugins_found(tmp_path: Path) -> None:
    """The directory named is used when it has all plugins."""
    for name in topology.PLUGINS:
        executable(tmp_path / name)
    assert requirements.find_plugins(str(tmp_path)) == str(tmp_path)


def test_plugins_from_cni_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """CNI_PATH is searched before the usual places."""
    for name in topology.PLUGINS:
        executable(tmp_path / "b" / name)
    monkeypatch.setenv("CNI_PATH", f"{tmp_path / 'a'}:{tmp_path / 'b'}")
    assert requirements.find_plugins("") == str(tmp_path / "b")


def test_missing_plugin(tmp_path: Path) -> None:
    """Missing plugins are named, with the directory that lacks them."""
    for name in topology.PLUGINS:
        if name != "macvlan":
            executable(tmp_path / name)
    with pytest.raises(errors.Unavailable, match=r"\(without macvlan\)"):
        requirements.find_plugins(str(tmp_path))


def test_multus_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without --multus the executable beside the program is taken, then the one in PATH."""
    beside = executable(tmp_path / "venv" / "multus")
    in_path = executable(tmp_path / "path" / "multus")
    monkeypatch.setattr("sys.argv", [str(tmp_path / "venv" / "multusctl")])
    monkeypatch.setattr("sys.executable", str(tmp_path / "venv" / "python"))
    monkeypatch.setenv("PATH", str(in_path.parent))
    assert requirements.find_multus("") == str(beside)
    beside.unlink()
    assert requirements.find_multus("") == str(in_path)
    in_path.unlink()
    with pytest.raises(errors.Unavailable, match="make setup"):
        requirements.find_multus("")


def test_multus_named_but_absent(tmp_path: Path) -> None:
    """An executable named and not there is an error, whatever else there is."""
    with pytest.raises(errors.Unavailable, match="nosuch"):
        requirements.find_multus(str(tmp_path / "nosuch"))
