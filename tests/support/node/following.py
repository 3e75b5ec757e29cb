"""The next release, made of this one: another version, and a daemon and a shim that speak one protocol more."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from support.node import plugins, pythonimage
from support.node.plugins import Release

if TYPE_CHECKING:
    from pathlib import Path

    from support.node.cluster import Cluster

VERSION = "1000.0.0"

#: In the package's files.
CHANGES = {
    "__init__.py": ('__version__ = "', f'__version__ = "{VERSION}" # '),
    "execproto/frames.py": ("VERSIONS = (1, 2)", "VERSIONS = (2, 3)"),
}
DEFINES = ("--define", "PROTOCOL_MIN=2", "--define", "PROTOCOL_MAX=3")


def release(cluster: Cluster, folder: Path, directory: Path) -> Release:
    """One on the node, in a folder of its own; `directory` is for its shim."""
    shim = directory / "multus-shim"
    build_shim(shim)
    made = Release(folder, shim)
    change(plugins.install_package(cluster, made))
    return made


def image(directory: Path) -> bytes:
    """One as an image of that version; `directory` is for what is made on the way."""
    pythonimage.prepare(directory)
    change(directory / "root/usr/src/multus-cni/lib/multus")
    build_shim(pythonimage.shim(directory))
    return pythonimage.pack(directory, VERSION)


def build_shim(target: Path) -> None:
    """The executable."""
    subprocess.run([sys.executable, plugins.ROOT / "scripts/build_shim.py", *DEFINES, target], check=True)


def change(package: Path) -> None:
    """Make the package another one; what was compiled of it is nobody's any more."""
    for name, (old, new) in CHANGES.items():
        path = package / name
        text = path.read_text()
        assert old in text, name
        path.write_text(text.replace(old, new))
        for compiled in path.parent.glob(f"__pycache__/{path.stem}.*.pyc"):
            compiled.unlink()
