"""What Multus says about pods where there is no API server to say it to: files in `<manifestsDir>.status`.

Beside the manifests and not among them, because that directory may be read-only or owned by a tool that removes what
it did not write. `<namespace>_<pod>.json` is the network-status of one pod, `events.jsonl` the events, one a line.
"""

from __future__ import annotations

import itertools
import json
import os
import time
from typing import TYPE_CHECKING

from multus import errors, log
from multus.networks import selection

if TYPE_CHECKING:
    from collections.abc import Iterable

    from multus.cni.rawjson import Json
    from multus.ports import Pod

#: Status files kept; beyond that the oldest go (nobody says when a pod is gone for good).
FILES_KEPT = 1000

#: The longest name of a status file without its suffix.
STEM_LIMIT = 200

#: `events.jsonl` is moved to `events.jsonl.1` beyond this many bytes; a message is cut to `MESSAGE_LIMIT`.
EVENTS_LIMIT = 1 << 20
MESSAGE_LIMIT = 1024

#: The daemon writes from several threads at once.
_numbers = itertools.count()


class StateFiles:
    """The directory, made when first written to."""

    def __init__(self, path: str) -> None:
        self._path = path

    def write_status(self, pod: Pod, status: str) -> None:
        """Write the pod's file atomically. Raises errors.ClusterError."""
        content = {
            "namespace": pod.namespace,
            "name": pod.name,
            "uid": pod.uid,
            "annotations": {selection.STATUS: status},
            "updated": _now(),
        }
        path = os.path.join(self._path, _file_name(pod))
        temporary = os.path.join(self._path, f"_{os.getpid()}-{next(_numbers)}.tmp")
        try:
            os.makedirs(self._path, 0o755, exist_ok=True)
            with open(temporary, "w", encoding="utf-8") as file:
                json.dump(content, file, indent=2)
                file.write("\n")
            os.replace(temporary, path)
            self._prune()
        except OSError as error:
            _unlink([temporary])
            raise errors.ClusterError(
                f"network-status of {pod.namespace}/{pod.name}: {path}: {error.strerror}"
            ) from error

    def append_event(self, event: Json) -> None:
        """Append one line. Never raises: an event that can't be written is logged."""
        path = os.path.join(self._path, "events.jsonl")
        try:
            os.makedirs(self._path, 0o755, exist_ok=True)
            if os.path.exists(path) and os.path.getsize(path) > EVENTS_LIMIT:
                os.replace(path, f"{path}.1")
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
            with open(descriptor, "wb", buffering=0) as file:
                file.write(json.dumps(event).encode() + b"\n")
        except OSError as error:
            log.warning("event not written", file=path, error=error.strerror)

    def _prune(self) -> None:
        names = [name for name in os.listdir(self._path) if "_" in name and name.endswith((".json", ".tmp"))]
        if len(names) <= FILES_KEPT:
            return
        paths = [os.path.join(self._path, name) for name in names]
        _unlink(sorted(paths, key=_age)[:-FILES_KEPT])


def event(pod: Pod, kind: str, reason: str, message: str) -> Json:
    """One line of `events.jsonl`."""
    return {
        "time": _now(),
        "namespace": pod.namespace,
        "pod": pod.name,
        "uid": pod.uid,
        "type": kind,
        "reason": reason,
        "message": message[:MESSAGE_LIMIT],
    }


def _file_name(pod: Pod) -> str:
    """Two names may be longer together than a file name may be; then a digest keeps them apart."""
    stem = f"{pod.namespace}_{pod.name}"
    if len(stem) > STEM_LIMIT:
        import hashlib

        digest = hashlib.sha256(stem.encode()).hexdigest()[:32]
        stem = f"{stem[: STEM_LIMIT - 33]}~{digest}"
    return f"{stem}.json"


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _age(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0


def _unlink(paths: Iterable[str]) -> None:
    for path in paths:
        try:
            os.unlink(path)
        except OSError:
            pass
