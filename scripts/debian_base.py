"""Debian's Python and nothing else, for any architecture: what images and host archives stand on.

    .venv/bin/python scripts/debian_base.py ARCHITECTURE DIRECTORY
    .venv/bin/python scripts/debian_base.py --lock

Interpreter, standard library, the shared libraries that these are linked against, the loader; each package's copyright
file, and what it all is (usr/share/sbom/base.json). No shell, no package manager. Nothing of it is executed on the way.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import NamedTuple

import bill
import debian
import elf
from multus.install import bundle

#: Of the packages; modules are compiled by the Python that runs this, which has to be the same.
PYTHON = "python3.11"

LIBRARY = f"usr/lib/{PYTHON}"
DOC = "usr/share/doc"

#: Where the loader looks for libraries, below usr/lib.
TRIPLETS = {
    "amd64": "x86_64-linux-gnu",
    "arm64": "aarch64-linux-gnu",
    "ppc64le": "powerpc64le-linux-gnu",
    "s390x": "s390x-linux-gnu",
}

#: Wanted by what comes beside the base: the compiled part of per-node certificates.
FOR_OTHERS = ("libgcc_s.so.1", "libdl.so.2", "libpthread.so.0", "librt.so.1")

#: Directories that a container mounts over, and where usr is one with the root.
DIRECTORIES = ("dev", "etc", "proc", "run", "sys", "tmp", "var")
LINKS = {"bin": "usr/bin", "lib": "usr/lib", "lib64": "usr/lib64", "var/run": "../run"}


class File(NamedTuple):
    """A file of a package, or a symbolic link of one."""

    package: debian.Package
    data: bytes
    executable: bool
    target: str = ""


class Base(NamedTuple):
    """Files by their path below the root; `loader` and `libraries` are paths of some."""

    files: dict[str, File]
    loader: str
    libraries: tuple[str, ...]

    @property
    def packages(self) -> list[debian.Package]:
        """Those of which something is in it."""
        return sorted({file.package for file in self.files.values()})


def read(packages: dict[debian.Package, Path], architecture: str) -> Base:
    """Choose from packages."""
    everything = {name: file for package, path in packages.items() for name, file in _unpacked(package, path)}
    files = {"usr/bin/python3": _followed(everything, f"usr/bin/{PYTHON}")}
    for name in sorted(everything):
        if name.startswith(LIBRARY + "/") and _wanted(name.removeprefix(LIBRARY + "/")):
            files[name] = _followed(everything, name)
    loader = _merged(elf.parse(files["usr/bin/python3"].data).interpreter[1:])
    libraries = _libraries(everything, files, architecture, os.path.basename(loader))
    files |= libraries | {loader: _followed(everything, loader)}
    for package in sorted({file.package for file in files.values()}):
        files |= _copyright(everything, package)
    return Base(files, loader, tuple(libraries))


def _unpacked(package: debian.Package, path: Path) -> list[tuple[str, File]]:
    done = subprocess.run(["dpkg-deb", "--fsys-tarfile", str(path)], capture_output=True, check=True)
    found = []
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
        for member in tar:
            name = _merged(member.name.removeprefix("./"))
            if member.issym():
                target = os.path.join("/", os.path.dirname(name), member.linkname)
                found.append((name, File(package, b"", False, _merged(os.path.normpath(target)[1:]))))
            elif member.isreg():
                content = tar.extractfile(member)
                assert content is not None
                found.append((name, File(package, content.read(), bool(member.mode & 0o100))))
    return found


def _merged(name: str) -> str:
    """Packages still have some paths outside usr, where only links are."""
    return f"usr/{name}" if name.startswith(("bin/", "lib/", "lib64/", "sbin/")) else name


def _followed(everything: dict[str, File], name: str) -> File:
    file = everything[name]
    return _followed(everything, file.target) if file.target else file


def _wanted(name: str) -> bool:
    parts = name.split("/")
    left_out = bundle.LEFT_OUT & set(parts) or parts[0].startswith("config-3")
    return not left_out and name.endswith((".py", ".so")) and not parts[-1].startswith(bundle.NOT_IMPORTED)


def _libraries(everything: dict[str, File], files: dict[str, File], architecture: str, loader: str) -> dict[str, File]:
    """What the executables among `files` are linked against, and these in turn."""
    found: dict[str, File] = {}
    wanted = list(FOR_OTHERS) + [one for file in files.values() for one in _needed(file.data)]
    while wanted:
        path = f"usr/lib/{TRIPLETS[architecture]}/{wanted.pop()}"
        if path not in found and os.path.basename(path) != loader:
            found[path] = _followed(everything, path)
            wanted += _needed(found[path].data)
    return dict(sorted(found.items()))


def _needed(data: bytes) -> tuple[str, ...]:
    return elf.parse(data).needed if elf.is_elf(data) else ()


def _copyright(everything: dict[str, File], package: debian.Package) -> dict[str, File]:
    """Where a package has another's, by a link of its directory, that one's."""
    directory = f"{DOC}/{package.name}"
    there = everything[directory].target if directory in everything else directory
    return {f"{there}/copyright": _followed(everything, f"{there}/copyright")}


def write(base: Base, root: Path) -> None:
    """Put it into an empty directory."""
    for name, file in base.files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.data)
        path.chmod(0o755 if file.executable or name == base.loader else 0o644)
        if name.endswith(".py"):
            bundle.compile_module(str(path), "/" + name)
    (root / "usr/share/sbom").mkdir()
    (root / "usr/share/sbom/base.json").write_text(bill.render(bill.of_debian(base.packages)))
    for name in DIRECTORIES:
        (root / name).mkdir()
    for name, target in LINKS.items():
        (root / name).symlink_to(target)


def make(architecture: str, root: Path) -> Base:
    """The base of an architecture, from the lock, in place of `root`."""
    if f"python{sys.version_info[0]}.{sys.version_info[1]}" != PYTHON:
        sys.exit(f"debian_base: modules are compiled for {PYTHON}, and this is {sys.version.split()[0]}")
    base = read(debian.fetch(architecture), architecture)
    shutil.rmtree(root, ignore_errors=True)
    write(base, root)
    return base


def lock() -> None:
    """Only what something is used of is locked."""
    lines = ["# Made by scripts/debian_base.py --lock: ARCHITECTURE PACKAGE VERSION SHA256 (scripts/debian.py)"]
    for architecture in debian.ARCHITECTURES:
        lines += [" ".join(one) for one in read(debian.resolve(architecture), architecture).packages]
    debian.LOCK.write_text("\n".join(lines) + "\n")


def main(arguments: list[str]) -> int:
    """As the module says."""
    if arguments == ["--lock"]:
        lock()
        return 0
    make(arguments[0], Path(arguments[1]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
