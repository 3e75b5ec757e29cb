"""The image under test without a registry: what `scripts/image_context.py` makes, over this machine's own Python.

Of that Python the interpreter, the standard library and the shared libraries that these need: nothing else is in it, as
in the published base.
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tarfile
from pathlib import Path

from support.node import images

ROOT = Path(__file__).resolve().parents[3]

#: As containerd calls it.
NAME = "docker.io/library/multus-cni"

#: Of the standard library: no use in a container.
LEFT_OUT = {"__pycache__", "test", "idlelib", "tkinter", "ensurepip", "lib2to3", "turtledemo", "pydoc_data"}


def archive(directory: Path, version: str) -> bytes:
    """The image, ready for `ctr images import`; `directory` is for what is made on the way."""
    prepare(directory)
    return pack(directory, version)


def prepare(directory: Path) -> None:
    """What goes into it."""
    subprocess.run([sys.executable, str(ROOT / "scripts/image_context.py"), str(directory)], check=True)


def shim(directory: Path) -> Path:
    """In that, the shim of this machine."""
    (found,) = (path for path in (directory / "shim").rglob("multus-shim") if path.parent.name == images.architecture())
    return found


def pack(directory: Path, version: str) -> bytes:
    """An image of what was prepared."""
    made = {str(path.relative_to(directory / "root")): path for path in files(directory / "root")}
    made["usr/src/multus-cni/bin/multus-shim"] = shim(directory)
    path = "/usr/src/multus-cni/bin:/usr/bin:/bin"
    return images.archive([f"{NAME}:{version}"], layer({**python(), **made}), ["multus-daemon"], path)


def python() -> dict[str, Path]:
    """The interpreter and all that it needs, by its path in the image."""
    interpreter = Path(sys._base_executable).resolve()  # type: ignore[attr-defined]
    library = Path(subprocess.__file__).parent
    found = {"usr/bin/python3": interpreter}
    found |= {str(path)[1:]: path for path in files(library) if not LEFT_OUT & set(path.parts)}
    modules = [path for path in found.values() if ".so" in path.name]
    for needed in shared([interpreter, *modules]):
        found[str(needed)[1:]] = needed
    return found


def shared(executables: list[Path]) -> set[Path]:
    """The shared libraries that they are linked against, the loader included."""
    done = subprocess.run(["ldd", *map(str, executables)], capture_output=True, text=True, check=False)
    return {Path(path) for path in re.findall(r"(/\S+) \(0x", done.stdout)}


def files(directory: Path) -> list[Path]:
    """All files below."""
    return sorted(path for path in directory.rglob("*") if path.is_file())


def layer(content: dict[str, Path]) -> bytes:
    """A file system of these."""
    with io.BytesIO() as buffer:
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            for folder in ("etc", "proc", "sys", "dev", "tmp", "run", "var", "host"):
                tar.addfile(images.entry(folder, tarfile.DIRTYPE))
            tar.addfile(images.entry("var/run", tarfile.SYMTYPE, target="/run"))
            for name, path in sorted(content.items()):
                data = path.read_bytes()
                tar.addfile(images.entry(name, tarfile.REGTYPE, len(data)), io.BytesIO(data))
        return buffer.getvalue()
