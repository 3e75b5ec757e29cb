"""Events on pods, as `kubectl describe pod` shows them: the core/v1 object of one."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from multus.cni.rawjson import Json
    from multus.ports import Pod

COMPONENT = "multus"

#: The API server refuses a longer message and a longer reason.
MESSAGE_LIMIT = 1024
REASON_LIMIT = 128
NAME_LIMIT = 253


class Event(NamedTuple):
    """What happened to a pod, and when (Unix time in nanoseconds; also what makes its name unique)."""

    pod: Pod
    kind: str
    reason: str
    message: str
    time_ns: int


def render(event: Event, host: str) -> Json:
    """The Event object; `host` is the node's name."""
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(event.time_ns // 1_000_000_000))
    pod = event.pod
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": _name(pod.name, event.time_ns), "namespace": pod.namespace},
        "involvedObject": {
            "apiVersion": "v1",
            "kind": "Pod",
            "namespace": pod.namespace,
            "name": pod.name,
            "uid": pod.uid,
        },
        "type": event.kind,
        "reason": _bounded(event.reason, REASON_LIMIT),
        "message": _bounded(event.message, MESSAGE_LIMIT),
        "count": 1,
        "firstTimestamp": when,
        "lastTimestamp": when,
        "source": {"component": COMPONENT, "host": host},
        "reportingComponent": COMPONENT,
        "reportingInstance": host,
    }


def _name(pod: str, time_ns: int) -> str:
    suffix = f".{time_ns:x}"
    return pod[: NAME_LIMIT - len(suffix)].rstrip("-.") + suffix


def _bounded(text: str, limit: int) -> str:
    """Cut to `limit` bytes of UTF-8, on a character; what can't be encoded is replaced."""
    data = text.encode("utf-8", "replace")
    if len(data) > limit:
        data = data[: limit - 3].decode("utf-8", "ignore").encode() + b"..."
    return data.decode("utf-8")
