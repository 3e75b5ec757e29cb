"""`multus.ports.Cluster` over a directory of manifests."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from multus import errors, log
from multus.manifests import statefiles
from multus.manifests.directory import Directory, Kind
from multus.networks import selection
from multus.networks.nad import Nad
from multus.ports import Pod

if TYPE_CHECKING:
    from multus.cni.rawjson import Json

POD = Kind("v1", "Pod")
NETWORK = Kind("k8s.cni.cncf.io/v1", "NetworkAttachmentDefinition")

CONFIG_SOURCE = "kubernetes.io/config.source"

#: Events waiting to be written.
QUEUE_LIMIT = 1000

_NAME = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-.")


class ManifestCluster:
    """The manifests in `directory`; what is written goes to `<directory>.status`."""

    def __init__(self, directory: str) -> None:
        self._path = directory.rstrip("/") or "/"
        self._directory = Directory(self._path)
        self._state = statefiles.StateFiles(f"{self._path}.status")
        self._queue: deque[Json] = deque(maxlen=QUEUE_LIMIT)

    def pod(self, namespace: str, name: str, uid: str, deadline: float) -> Pod | None:
        """As `ports.Cluster.pod`, except that it is never None: a directory can't tell that a pod is gone. A pod
        without a manifest asks for nothing and gets the default networks.

        Raises errors.ClusterError when a file that can't be read may hold it, errors.InvalidEnvironment for what
        can't be the name of a pod."""
        if not _is_name(namespace) or not _is_name(name):
            raise errors.InvalidEnvironment(
                f"CNI_ARGS: {f'{namespace}/{name}'[:520]!r} can't be the namespace and name of a pod"
            )
        found = self._directory.find(POD, namespace, name)
        if found.value is not None:
            return _pod(found.value, namespace, name)
        if found.broken:
            raise errors.ClusterError(f"pod {namespace}/{name} may be in a manifest that is broken: {found.broken[0]}")
        log.verbose("no manifest of this pod: default networks only", pod=f"{namespace}/{name}", dir=self._path)
        return Pod(namespace, name, "", {})

    def network(self, namespace: str, name: str, deadline: float) -> Nad:
        """As `ports.Cluster.network`."""
        found = self._directory.find(NETWORK, namespace, name)
        if found.value is None:
            hint = f"; it may be in one that is broken: {found.broken[0]}" if found.broken else ""
            wanted = f"{namespace}/{name}"[:520]
            raise errors.NotFound(f"network-attachment-definition {wanted!r} is in no manifest in {self._path}{hint}")
        return Nad(namespace, name, _config(found.value, namespace, name), _resource_name(found.value))

    def fetch(self, what: str, path: str, deadline: float) -> Json:
        """What only an API server has (resource claims). Raises errors.NotFound."""
        raise errors.NotFound(f"{what}: there are only the manifests in {self._path}, and no API server to ask")

    def set_status(self, pod: Pod, status: str, deadline: float) -> None:
        """As `ports.Cluster.set_status`, into the pod's state file."""
        current = self.pod(pod.namespace, pod.name, pod.uid, deadline)
        if current is not None and current.uid and pod.uid and current.uid != pod.uid:
            raise errors.NotFound(
                f'pod {pod.namespace}/{pod.name} with UID "{pod.uid}" is gone: its manifest has "{current.uid}"'
            )
        self._state.write_status(pod, status)

    def event(self, pod: Pod, kind: str, reason: str, message: str) -> None:
        """As `ports.Cluster.event`: a line in the log now, one in `events.jsonl` with `flush`."""
        write = log.warning if kind == "Warning" else log.verbose
        write(message, pod=f"{pod.namespace}/{pod.name}", reason=reason)
        self._queue.append(statefiles.event(pod, kind, reason, message))

    def flush(self, deadline: float) -> None:
        """Write the queued events. Never raises: what can't be written is logged and dropped."""
        while self._queue:
            self._state.append_event(self._queue.popleft())


def _is_name(text: str) -> bool:
    """What passes can be part of a file's name."""
    return 0 < len(text) <= 253 and text[0] not in "-." and _NAME.issuperset(text)


def _pod(raw: Json, namespace: str, name: str) -> Pod:
    uid = raw["metadata"].get("uid")
    annotations = _annotations(raw)
    static = annotations.get(CONFIG_SOURCE, "api") != "api"
    return Pod(namespace, name, uid if isinstance(uid, str) else "", annotations, static)


def _annotations(raw: Json) -> dict[str, str]:
    found = raw["metadata"].get("annotations")
    pairs = found.items() if isinstance(found, dict) else ()
    return {key: value for key, value in pairs if isinstance(value, str)}


def _resource_name(raw: Json) -> str:
    return _annotations(raw).get(selection.RESOURCE_NAME, "")


def _config(raw: Json, namespace: str, name: str) -> str:
    spec: Any = raw.get("spec")
    config = spec.get("config") if isinstance(spec, dict) else None
    if config is not None and not isinstance(config, str):
        raise errors.InvalidConfig(f"network-attachment-definition {namespace}/{name}: spec.config is not a string")
    return config or ""
