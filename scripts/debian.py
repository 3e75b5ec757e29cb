"""Debian's packages that images and host archives are made of, each locked by its hash: `images/debian.lock`.

    .venv/bin/python scripts/debian_base.py --lock    writes it anew, of what Debian has today

A line is `ARCHITECTURE PACKAGE VERSION SHA256`. What is locked is fetched with apt, which checks Debian's signatures,
and kept in build/debian; nothing is installed. DEBIAN_SOURCES names a sources.list of one's own: with
snapshot.debian.org in it, a release whose packages Debian has replaced since can be made again. With DEBIAN_UNLOCKED=1,
which is for tests, such packages are taken as Debian has them now.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "images" / "debian.lock"
CACHE = ROOT / "build" / "debian"

#: What is asked for; what these need comes along.
WANTED = ("python3-minimal", "libpython3.11-stdlib", "libgcc-s1")

#: Our name of an architecture -> Debian's.
ARCHITECTURES = {"amd64": "amd64", "arm64": "arm64", "ppc64le": "ppc64el", "s390x": "s390x"}

KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"
MAIN = f"""\
deb [signed-by={KEYS}] http://deb.debian.org/debian bookworm main
deb [signed-by={KEYS}] http://deb.debian.org/debian bookworm-updates main
"""
SECURITY = f"deb [signed-by={KEYS}] http://deb.debian.org/debian-security bookworm-security main\n"

#: Debian's security archive has none for s390x any more, and was seen to be inconsistent for ppc64el.
SECURED = ("amd64", "arm64")


class Package(NamedTuple):
    """One of one architecture."""

    architecture: str
    name: str
    version: str
    digest: str


def locked(architecture: str) -> list[Package]:
    """The packages of an architecture, as the lock has them."""
    lines = (line.split() for line in LOCK.read_text().splitlines() if line and not line.startswith("#"))
    return [Package(*fields) for fields in lines if fields[0] == architecture]


def fetch(architecture: str) -> dict[Package, Path]:
    """Where the locked packages are, fetched if need be and checked."""
    wanted = locked(architecture)
    directory = CACHE / architecture
    found = _by_digest(directory)
    if missing := [one for one in wanted if one.digest not in found]:
        _prepare(directory, architecture)
        fetched = _apt(directory, architecture, "download", *(f"{one.name}={one.version}" for one in missing))
        if not fetched and os.environ.get("DEBIAN_UNLOCKED"):
            return resolve(architecture)
        found = _by_digest(directory)
    if gone := [one.name for one in wanted if one.digest not in found]:
        sys.exit(
            f"debian: {', '.join(gone)} of {architecture} is not to be had as images/debian.lock says; "
            "to take what Debian has now: scripts/debian_base.py --lock"
        )
    return {one: found[one.digest] for one in wanted}


def resolve(architecture: str) -> dict[Package, Path]:
    """WANTED and what it needs, as Debian has it now."""
    directory = CACHE / architecture
    shutil.rmtree(directory, ignore_errors=True)
    _prepare(directory, architecture)
    if not _apt(directory, architecture, "install", "--download-only", "--yes", *WANTED):
        sys.exit(f"debian: apt-get can't fetch {', '.join(WANTED)} of {architecture}")
    found = {}
    for digest, path in _by_digest(directory).items():
        name, version = (_run("dpkg-deb", "--field", str(path), field).strip() for field in ("Package", "Version"))
        found[Package(architecture, name, version, digest)] = path
    return found


def _by_digest(directory: Path) -> dict[str, Path]:
    paths = [*directory.glob("*.deb"), *directory.glob("archives/*.deb")]
    return {hashlib.sha256(path.read_bytes()).hexdigest(): path for path in paths}


def _prepare(directory: Path, architecture: str) -> None:
    """An empty machine of that architecture, as far as apt is concerned."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        sys.exit("debian: needs apt-get and dpkg-deb (Debian, Ubuntu, or a container of theirs)")
    for name in ("lists/partial", "archives/partial"):
        (directory / name).mkdir(parents=True, exist_ok=True)
    (directory / "status").touch()
    own = os.environ.get("DEBIAN_SOURCES")
    sources = Path(own).read_text() if own else MAIN + SECURITY * (architecture in SECURED)
    (directory / "sources.list").write_text(sources)
    if not _apt(directory, architecture, "update"):
        sys.exit("debian: apt-get update failed")


def _apt(directory: Path, architecture: str, *arguments: str) -> bool:
    """Whether it succeeded."""
    options = {
        "APT::Architecture": ARCHITECTURES[architecture],
        "APT::Architectures": ARCHITECTURES[architecture],
        "APT::Install-Recommends": "false",
        "APT::Sandbox::User": "",
        "Acquire::Languages": "none",
        "Dir::State::Lists": directory / "lists",
        "Dir::State::status": directory / "status",
        "Dir::Cache": directory,
        "Dir::Cache::archives": "archives",
        "Dir::Etc::SourceList": directory / "sources.list",
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::Etc::PreferencesParts": "/dev/null",
    }
    command = ["apt-get", "--quiet=2", *(f"--option={key}={value}" for key, value in options.items()), *arguments]
    return subprocess.run(command, cwd=directory, stdout=subprocess.DEVNULL, check=False).returncode == 0


def _run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
