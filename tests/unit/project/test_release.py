"""What release artefacts are put together by; the artefacts themselves are tried in tests/release."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
from typing import TYPE_CHECKING

import pytest

import debian
import elf
import tarball

if TYPE_CHECKING:
    from pathlib import Path


def test_what_an_executable_needs() -> None:
    """As the loader itself says of this Python; architecture and loader too."""
    interpreter = os.path.realpath(sys.executable)
    with open(interpreter, "rb") as file:
        found = elf.parse(file.read())
    told = subprocess.run(["ldd", interpreter], capture_output=True, text=True, check=True).stdout
    assert set(found.needed) <= set(re.findall(r"(\S+) =>", told))
    assert "libc.so.6" in found.needed
    assert found.interpreter in told
    assert found.architecture in elf.MACHINES.values()


@pytest.mark.parametrize("data", [b"", b"#!/bin/sh\n", b"\x7fELF\x01" + bytes(60), b"\x7fELF\x02\x01" + bytes(60)])
def test_no_executable_of_ours(data: bytes) -> None:
    """Scripts, 32-bit files and unknown machines are refused."""
    with pytest.raises(ValueError, match=r"ELF|machine"):
        elf.parse(data)


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz"])
def test_archives_know_no_time_and_no_user(tmp_path: Path, suffix: str) -> None:
    """The same files make the same bytes, whenever they were written and whatever the umask was."""
    made = []
    for number, mode in enumerate((0o600, 0o664)):
        directory = tmp_path / str(number)
        directory.mkdir()
        (directory / "b").write_text("text")
        (directory / "b").chmod(mode)
        (directory / "a").write_text("#!/bin/sh\n")
        (directory / "a").chmod(mode | 0o100)
        (directory / "c").symlink_to("a")
        os.utime(directory / "b", (number, number))
        target = tmp_path / f"{number}{suffix}"
        tarball.write(target, tarball.below(directory, "top"), 1000)
        made.append(target.read_bytes())
    assert made[0] == made[1]
    with tarfile.open(tmp_path / f"0{suffix}") as tar:
        assert [(one.name, one.mode, one.mtime, one.uname) for one in tar] == [
            ("top/a", 0o755, 1000, "root"),
            ("top/b", 0o644, 1000, "root"),
            ("top/c", 0o644, 1000, "root"),
        ]


def test_lock() -> None:
    """The same packages for each architecture."""
    names = [{one.name for one in debian.locked(architecture)} for architecture in debian.ARCHITECTURES]
    assert len(names[0]) > 5
    assert names == [names[0]] * len(names)


def test_package_that_debian_has_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not what the lock says ends the release, and the message says what to do."""
    program = tmp_path / "apt-get"
    program.write_text('#!/bin/sh\nfor last; do :; done; echo other >"${last%%=*}_2_amd64.deb"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.delenv("DEBIAN_UNLOCKED", raising=False)
    monkeypatch.setattr(debian, "CACHE", tmp_path / "cache")
    with pytest.raises(SystemExit, match=r"libc6.*of amd64.*--lock"):
        debian.fetch("amd64")
