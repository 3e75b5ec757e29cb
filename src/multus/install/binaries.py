"""Executables onto the node: written under another name, then renamed.

An executable that runs can't be overwritten ("text file busy"), but another one can take its name; and nobody ever
executes half of one.
"""

from __future__ import annotations

import os
import stat
from typing import NamedTuple

from multus import errors, log
from multus.install import files

#: Where the image has them.
SOURCE = "/usr/src/multus-cni/bin"

#: What each kind of installation copies.
OF_TYPE = {"thick": ("multus-shim", "passthru"), "thin": ("multus", "passthru")}

#: The largest executable anybody has.
LIMIT = 256 << 20


class Copied(NamedTuple):
    """One executable; `changed` is False when the same was there already."""

    path: str
    changed: bool


def install(source: str, target: str) -> Copied:
    """Copy the executable `source` to the path `target`, mode included. Raises errors.IoFailure."""
    data = files.read(source, LIMIT)
    mode = stat.S_IMODE(os.stat(source).st_mode) | 0o555
    if not os.path.isdir(os.path.dirname(target)):
        raise errors.IoFailure(f"no such directory: {os.path.dirname(target)}")
    changed = not _same(target, data, mode)
    # Also where it is the same: a shim of before, which removes itself once nobody needs it, can't take this one for
    # itself.
    files.write(target, data, mode)
    log.verbose("executable installed" if changed else "executable installed again", file=target)
    return Copied(target, changed)


def same_as(directory: str, paths: tuple[str, ...]) -> frozenset[str]:
    """The names of all executables of `directory` that have the content of one of `paths`: Multus under other names.
    What can't be read is none of them."""
    ours = [data for data in map(_content, paths) if data]
    sizes = {len(data) for data in ours}
    try:
        names = os.listdir(directory)
    except OSError:
        return frozenset()
    candidates = (name for name in names if _size(os.path.join(directory, name)) in sizes)
    return frozenset(name for name in candidates if _content(os.path.join(directory, name)) in ours)


def _same(target: str, data: bytes, mode: int) -> bool:
    try:
        found = os.lstat(target)
    except OSError:
        return False
    regular = stat.S_ISREG(found.st_mode) and stat.S_IMODE(found.st_mode) == mode and found.st_size == len(data)
    return regular and _content(target) == data


def _content(path: str) -> bytes | None:
    try:
        return files.find(path, LIMIT)
    except errors.CniError:
        return None


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return -1
