"""Finds one object among the manifest files of a directory.

A process that handles one pod looks for two or three names, so a file is parsed only when it contains the name as
text, and once per version of the file. A file that can't be read is reported; it matters only to an object that is
found nowhere else.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from multus import errors, log
from multus.manifests import documents

if TYPE_CHECKING:
    from multus.cni.rawjson import Json

SUFFIXES = (".json", ".yaml", ".yml")

#: One file, in bytes; a NAD is about 1 KiB.
SIZE_LIMIT = 1 << 20

#: Files in the directory.
COUNT_LIMIT = 10_000


class Kind(NamedTuple):
    """What is looked for."""

    api_version: str
    kind: str


class Found(NamedTuple):
    """The object, None when there is none; then `broken` names the files that may hold it, each with why."""

    value: Json | None
    broken: tuple[str, ...] = ()


class _File(NamedTuple):
    stamp: tuple[int, int, int]
    objects: list[Json]
    problem: str


class Directory:
    """The ``*.json``, ``*.yaml`` and ``*.yml`` files directly in `path`, in the order of their names."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._parsed: dict[str, _File] = {}

    def find(self, kind: Kind, namespace: str, name: str) -> Found:
        """The first object of that kind and name; without `metadata.namespace` it is in namespace ``default``.

        Raises errors.ClusterError when the directory can't be read."""
        broken = []
        for path in self._files():
            file = self._read(path, name.encode("utf-8", "replace"))
            for value in file.objects:
                if _is(value, kind, namespace, name):
                    return Found(value)
            if file.problem:
                broken.append(file.problem)
        return Found(None, tuple(broken))

    def _files(self) -> list[str]:
        try:
            with os.scandir(self._path) as entries:
                names = sorted(entry.name for entry in entries if entry.name.endswith(SUFFIXES))
        except OSError as error:
            raise errors.ClusterError(f"manifestsDir {self._path}: {error.strerror}") from error
        if len(names) > COUNT_LIMIT:
            raise errors.ClusterError(f"manifestsDir {self._path}: more than {COUNT_LIMIT} manifest files")
        return [os.path.join(self._path, name) for name in names if not name.startswith(".")]

    def _read(self, path: str, wanted: bytes) -> _File:
        try:
            # A pipe in the directory must not block us.
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            with open(descriptor, "rb") as file:
                status = os.fstat(descriptor)
                stamp = (status.st_mtime_ns, status.st_ino, status.st_size)
                known = self._parsed.get(path)
                if known is not None and known.stamp == stamp:
                    return known
                data = file.read(SIZE_LIMIT + 1) or b""
        except OSError as error:
            return _File((0, 0, 0), [], f"{path}: {error.strerror}")
        if len(data) <= SIZE_LIMIT and wanted not in data:
            return _File(stamp, [], "")
        parsed = self._parsed[path] = _parse(data, path, stamp)
        return parsed


def _parse(data: bytes, path: str, stamp: tuple[int, int, int]) -> _File:
    try:
        if len(data) > SIZE_LIMIT:
            raise errors.InvalidConfig(f"{path}: larger than {SIZE_LIMIT} bytes")
        return _File(stamp, documents.objects(data, path), "")
    except errors.InvalidConfig as error:
        log.warning("manifest file ignored", error=error)
        return _File(stamp, [], error.message)


def _is(value: Json, kind: Kind, namespace: str, name: str) -> bool:
    metadata = value.get("metadata")
    if (value.get("apiVersion"), value.get("kind")) != kind or not isinstance(metadata, dict):
        return False
    return bool(metadata.get("name") == name and (metadata.get("namespace") or "default") == namespace)
