"""The log file and its rotation."""

from __future__ import annotations

import gzip
import os
import threading
from typing import TYPE_CHECKING

import pytest

from multus.host.logfile import RotatingFile

if TYPE_CHECKING:
    from pathlib import Path


def make(path: Path, *, limit: int = 100, backups: int = 5, age: int = 0, compress: bool = False) -> RotatingFile:
    """A sink that rotates after `limit` bytes."""
    made = RotatingFile(str(path), 1, backups, age, compress)
    made._limit = limit
    return made


def content(path: Path) -> str:
    """What is in a log, or in its compressed backup."""
    data = path.read_bytes()
    return (gzip.decompress(data) if path.suffix == ".gz" else data).decode()


def test_lines_are_appended(tmp_path: Path) -> None:
    """The directory is made, lines follow each other, the file is its owner's alone."""
    path = tmp_path / "sub" / "multus.log"
    sink = make(path)
    sink("one\n")
    sink("two \udcff\n")
    assert path.read_text() == "one\ntwo \\udcff\n"
    assert path.stat().st_mode & 0o777 == 0o600


def test_rotation(tmp_path: Path) -> None:
    """A full file is moved away under a name with the time; the newest backups stay."""
    path = tmp_path / "multus.log"
    sink = make(path, backups=2)
    for number in range(8):
        sink(f"{number} " + "x" * 90 + "\n")
    backups = sorted(name for name in os.listdir(tmp_path) if name != "multus.log")
    assert len(backups) == 2
    assert all(name.startswith("multus-2") and name.endswith(".log") for name in backups)
    assert path.read_text().startswith("7 ")


def test_compression(tmp_path: Path) -> None:
    """With `compress` a backup is a gzip file."""
    sink = make(tmp_path / "multus.log", compress=True)
    for number in range(2):
        sink(f"{number} " + "x" * 90 + "\n")
    [backup] = [name for name in os.listdir(tmp_path) if name.endswith(".gz")]
    assert gzip.decompress((tmp_path / backup).read_bytes()).startswith(b"0 ")


def test_old_backups_go(tmp_path: Path) -> None:
    """Backups older than `max_age` days are removed with the next rotation."""
    old = tmp_path / "multus-2020-01-01T00-00-00.000.log"
    old.write_text("old")
    os.utime(old, (0, 0))
    sink = make(tmp_path / "multus.log", age=1)
    for _ in range(2):
        sink("x" * 90 + "\n")
    assert not old.exists()


def test_rotations_of_one_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two files that fill up in the same millisecond are two backups."""
    monkeypatch.setattr("time.time_ns", lambda: 1_700_000_000_123_000_000)
    sink = make(tmp_path / "multus.log")
    for number in range(4):
        sink(f"{number} " + "x" * 90 + "\n")
    assert sorted(os.listdir(tmp_path)) == [
        "multus-2023-11-14T22-13-20.123.log",
        "multus-2023-11-14T22-13-20.124.log",
        "multus-2023-11-14T22-13-20.125.log",
        "multus.log",
    ]


@pytest.mark.parametrize("compress", [False, True])
def test_many_writers(tmp_path: Path, compress: bool) -> None:
    """No line is lost or torn while several writers rotate one file."""
    path = tmp_path / "multus.log"

    def work(name: str) -> None:
        sink = make(path, limit=2000, backups=0, compress=compress)
        for number in range(50):
            sink(f"{name} {number} {'x' * 50}\n")

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = [line for name in os.listdir(tmp_path) for line in content(tmp_path / name).splitlines()]
    assert len(lines) == 200
    assert all(line.endswith("x" * 50) for line in lines)


def test_a_log_that_cannot_be_written_fails_nothing(tmp_path: Path) -> None:
    """A path that is a directory, or below a file: the line is lost, the call goes on."""
    (tmp_path / "file").write_text("")
    RotatingFile(str(tmp_path), 1, 1, 1, True)("line\n")
    RotatingFile(str(tmp_path / "file" / "log"), 1, 1, 1, True)("line\n")
