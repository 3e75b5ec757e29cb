"""What the installer tells the daemon's metrics."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from multus import errors
from multus.host import figures

if TYPE_CHECKING:
    from pathlib import Path


def test_told_and_read(tmp_path: Path) -> None:
    """Each number as it is now."""
    made = figures.Figures(str(tmp_path / figures.DIRECTORY))
    assert figures.read(str(tmp_path), figures.EVICTED) == 0
    made.set(figures.EVICTED, 3)
    assert figures.read(str(tmp_path), figures.EVICTED) == 3


def test_nobody_told(tmp_path: Path) -> None:
    """Without an installer there is no number, which is not zero."""
    assert math.isnan(figures.read(str(tmp_path), figures.CONTESTED))


def test_after_a_restart(tmp_path: Path) -> None:
    """A contest goes on, what was counted does not."""
    made = figures.Figures(str(tmp_path / figures.DIRECTORY))
    made.set(figures.CONTESTED, 1)
    made.set(figures.EVICTED, 3)
    again = figures.Figures(str(tmp_path / figures.DIRECTORY))
    assert (again[figures.CONTESTED], again[figures.EVICTED]) == (1, 0)


def test_damaged(tmp_path: Path) -> None:
    """A file that can't be understood is an error for its reader and made anew by its writer."""
    (tmp_path / figures.DIRECTORY).mkdir()
    (tmp_path / figures.DIRECTORY / figures.NAME).write_text("[")
    with pytest.raises(errors.CniError):
        figures.read(str(tmp_path), figures.CONTESTED)
    figures.Figures(str(tmp_path / figures.DIRECTORY))
    assert figures.read(str(tmp_path), figures.CONTESTED) == 0


def test_nowhere_to_write(tmp_path: Path) -> None:
    """It is logged; nothing else depends on it."""
    (tmp_path / "file").touch()
    made = figures.Figures(str(tmp_path / "file" / figures.DIRECTORY))
    made.set(figures.EVICTED, 1)
    assert made[figures.EVICTED] == 1
