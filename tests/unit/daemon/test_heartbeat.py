"""The file whose age tells shims whether there is a daemon."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from multus.daemon import heartbeat

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_beats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is there once started, root's alone, renewed again and again, and stays when the daemon ends."""
    monkeypatch.setattr(heartbeat, "INTERVAL", 0.01)
    path = tmp_path / heartbeat.NAME
    made = heartbeat.Heartbeat(str(tmp_path))
    made.start()
    assert path.stat().st_mode & 0o777 == 0o600
    for _ in range(2):
        os.utime(path, (1, 1))
        until = time.monotonic() + 30
        while path.stat().st_mtime == 1:
            assert time.monotonic() < until
            time.sleep(0.005)
    made.stop()
    os.utime(path, (1, 1))
    assert path.stat().st_mtime == 1


def test_a_directory_that_is_gone(tmp_path: Path) -> None:
    """Nothing to write to is no reason to end."""
    made = heartbeat.Heartbeat(str(tmp_path / "gone"))
    made.start()
    made.stop()
    assert not (tmp_path / "gone").exists()


def test_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    """Whoever can write to the directory can't have another file touched."""
    (tmp_path / heartbeat.NAME).symlink_to(tmp_path / "other")
    made = heartbeat.Heartbeat(str(tmp_path))
    made.start()
    made.stop()
    assert not (tmp_path / "other").exists()
