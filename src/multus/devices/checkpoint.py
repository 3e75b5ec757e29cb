"""The kubelet's checkpoint of its device manager: what the kubelet itself knows a pod by after a restart.

Used where the PodResources service isn't served. `DeviceIDs` is a list in kubelets before 1.20, a map from NUMA node to
list since.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from multus import errors
from multus.cni import rawjson
from multus.devices.holdings import Holding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from multus.cni.rawjson import Json

#: A node with 110 pods of 8 devices has 200 kilobytes.
MAX_BYTES = 32 << 20


def of(path: str, uid: str) -> list[Holding]:
    """What the containers of the pod with that UID hold, containers in the order of their names (the file has none).

    Raises errors.IoFailure, errors.DecodeError, naming the file; errors.InvalidConfig for a pod without a UID."""
    what = f"the kubelet's checkpoint {path}"
    if not uid:
        raise errors.InvalidConfig(f"{what} knows pods by UID, and this pod has none")
    return decode(_read(path), uid, what)


def decode(content: bytes, uid: str, what: str) -> list[Holding]:
    """The same, of a file's content. Raises errors.DecodeError naming `what`."""
    data = rawjson.mapping(rawjson.loads_object(content, what).get("Data"), f"{what}: Data")
    entries = rawjson.mappings(data, "PodDeviceEntries", what)
    found = [_holding(entry, what) for entry in entries if entry.get("PodUID") == uid]
    return sorted(found, key=lambda one: one.holder)


def _holding(entry: Json, what: str) -> Holding:
    return Holding(
        holder=f"container {rawjson.text(entry, 'ContainerName', what)}",
        resource=rawjson.text(entry, "ResourceName", what),
        ids=tuple(_ids(entry.get("DeviceIDs"), what)),
    )


def _ids(value: Any, what: str) -> Iterator[str]:
    lists = value.values() if isinstance(value, dict) else [value]
    for ids in lists:
        if ids is None:
            continue
        if not isinstance(ids, list) or not all(isinstance(one, str) for one in ids):
            raise errors.DecodeError(f"{what}: DeviceIDs must be a list of strings, or a map of such lists")
        yield from ids


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > MAX_BYTES:
                raise errors.IoFailure(f"the kubelet's checkpoint {path} is larger than {MAX_BYTES} bytes")
            return file.read(MAX_BYTES)
    except OSError as error:
        raise errors.IoFailure(f"error reading file {path}: {error.strerror}") from error
