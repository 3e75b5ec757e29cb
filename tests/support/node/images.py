"""Container images without a registry: archives as `docker save` writes them, made of the system's static busybox."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tarfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

PAUSE = "multus.test/pause:1"
BUSYBOX = "multus.test/busybox:1"

#: Sleeps, and ends at once when it is told to, which a first process does only if it asks for it.
SLEEP = ["/bin/sh", "-c", "trap 'exit 0' TERM INT; while :; do sleep 3600 & wait $!; done"]


def busybox_archive(busybox: Path) -> bytes:
    """Both images in one archive: they differ in nothing but their names."""
    applets = subprocess.run([str(busybox), "--list"], capture_output=True, text=True, check=True).stdout.split()
    files = {"bin/busybox": busybox.read_bytes()}
    links = {f"bin/{name}": "busybox" for name in applets if name != "busybox"}
    return archive([PAUSE, BUSYBOX], layer(files, links), SLEEP)


def layer(files: dict[str, bytes], links: dict[str, str]) -> bytes:
    """A file system: executables and symbolic links, and the folders that each container needs."""
    with io.BytesIO() as buffer:
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            for folder in ("bin", "etc", "proc", "sys", "dev", "tmp"):
                tar.addfile(entry(folder, tarfile.DIRTYPE))
            for name, data in files.items():
                tar.addfile(entry(name, tarfile.REGTYPE, len(data)), io.BytesIO(data))
            for name, target in links.items():
                tar.addfile(entry(name, tarfile.SYMTYPE, target=target))
        return buffer.getvalue()


def archive(names: Sequence[str], content: bytes, entrypoint: Sequence[str], path: str = "/bin") -> bytes:
    """An image of one layer, ready for `ctr images import`; executables are found in `path`."""
    config = json.dumps(
        {
            "architecture": architecture(),
            "os": "linux",
            "config": {"Entrypoint": list(entrypoint), "Env": [f"PATH={path}"]},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(content).hexdigest()}"]},
        }
    ).encode()
    name = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = json.dumps([{"Config": name, "RepoTags": list(names), "Layers": ["layer.tar"]}]).encode()
    with io.BytesIO() as buffer:
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            for member, data in (("layer.tar", content), (name, config), ("manifest.json", manifest)):
                tar.addfile(entry(member, tarfile.REGTYPE, len(data)), io.BytesIO(data))
        return buffer.getvalue()


def entry(name: str, kind: bytes, size: int = 0, target: str = "") -> tarfile.TarInfo:
    """A member of an archive."""
    entry = tarfile.TarInfo(name)
    entry.type, entry.size, entry.linkname, entry.mode = kind, size, target, 0o755
    return entry


def architecture() -> str:
    """As images have it."""
    import platform

    return {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
