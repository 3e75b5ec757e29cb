"""Archives that are the same bytes whenever and wherever they are made."""

from __future__ import annotations

import gzip
import io
import tarfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def write(target: Path, members: Iterable[tuple[str, Path]], moment: int) -> None:
    """Files and symbolic links under names of their own, all of one moment and of root's; compressed unless `target` is
    called .tar."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, path in members:
            _add(tar, name, path, moment)
    data = buffer.getvalue()
    target.write_bytes(data if target.suffix == ".tar" else gzip.compress(data, mtime=moment))


def below(directory: Path, prefix: str) -> list[tuple[str, Path]]:
    """All files of a directory, by name, each under `prefix`."""
    paths = sorted(path for path in directory.rglob("*") if path.is_symlink() or path.is_file())
    return [(f"{prefix}/{path.relative_to(directory)}", path) for path in paths]


def _add(tar: tarfile.TarFile, name: str, path: Path, moment: int) -> None:
    member = tarfile.TarInfo(name)
    member.mtime, member.uname, member.gname = moment, "root", "root"
    if path.is_symlink():
        member.type, member.linkname = tarfile.SYMTYPE, str(path.readlink())
        tar.addfile(member)
        return
    data = path.read_bytes()
    member.size, member.mode = len(data), 0o755 if path.stat().st_mode & 0o100 else 0o644
    tar.addfile(member, io.BytesIO(data))
