"""`multus.ports.Cluster` over the API server."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

from multus import errors, log
from multus.kubernetes import client as api
from multus.networks import selection
from multus.networks.nad import Nad
from multus.ports import Pod

if TYPE_CHECKING:
    from multus.cni.rawjson import Json
    from multus.kubernetes.client import Client
    from multus.kubernetes.events import Event
    from multus.networks.claims import PodClaims

CONFIG_SOURCE = "kubernetes.io/config.source"

_CLAIMS = frozenset(("resourceClaims", "resourceClaimStatuses", "extendedResourceClaimStatus"))

#: Events waiting to be sent; a server that is away for long must not fill the memory.
QUEUE_LIMIT = 1000


class KubernetesCluster:
    """Pods and NADs of the API server, read from it each time. `host` is the node's name, for events."""

    def __init__(self, client: Client, host: str) -> None:
        self._client = client
        self._host = host
        self._queue: deque[Event] = deque(maxlen=QUEUE_LIMIT)
        self._newest = 0

    def pod(self, namespace: str, name: str, uid: str, deadline: float) -> Pod | None:
        """As `ports.Cluster.pod`. Raises errors.InvalidEnvironment for what can't be a pod's name."""
        if not api.is_name(namespace) or not api.is_name(name):
            raise errors.InvalidEnvironment(
                f"CNI_ARGS: {f'{namespace}/{name}'[:520]!r} can't be the namespace and name of a pod"
            )
        try:
            raw = self._client.pod(namespace, name, deadline)
        except errors.NotFound:
            return None
        return _pod(raw, namespace, name)

    def network(self, namespace: str, name: str, deadline: float) -> Nad:
        """As `ports.Cluster.network`."""
        raw = self._client.network(namespace, name, deadline)
        return Nad(namespace, name, _config(raw, namespace, name), _annotations(raw).get(selection.RESOURCE_NAME, ""))

    def fetch(self, what: str, path: str, deadline: float) -> Json:
        """A GET of another object, for resource claims; see `client.Client.fetch`."""
        return self._client.fetch(what, path, deadline)

    def set_status(self, pod: Pod, status: str, deadline: float) -> None:
        """As `ports.Cluster.set_status`: one merge patch, so that no other annotation is touched; it carries the
        UID, so that the server itself refuses it for another pod of that name."""
        metadata: Json = {"annotations": {selection.STATUS: status}}
        if pod.uid:
            metadata["uid"] = pod.uid
        refused = self._client.patch_pod_status(pod.namespace, pod.name, {"metadata": metadata}, deadline)
        if refused:
            self._explain(pod, refused, deadline)

    def event(self, pod: Pod, kind: str, reason: str, message: str) -> None:
        """As `ports.Cluster.event`; `flush` sends it."""
        from multus.kubernetes.events import Event

        # The time names the event, so no two may have the same.
        self._newest = max(time.time_ns(), self._newest + 1)
        self._queue.append(Event(pod, kind, reason, message, self._newest))

    def flush(self, deadline: float) -> None:
        """Send the queued events. Never raises: what can't be sent is logged and dropped."""
        while self._queue:
            self._attempt(self._queue.popleft(), deadline)

    def send(self, event: Event, deadline: float) -> None:
        """Send one event. Raises errors.CniError."""
        from multus.kubernetes import events

        self._client.create_event(event.pod.namespace, events.render(event, self._host), deadline)

    def close(self) -> None:
        """Drop the connections."""
        self._client.close()

    def _attempt(self, event: Event, deadline: float) -> None:
        try:
            self.send(event, deadline)
        except errors.CniError as error:
            log.warning(
                "event not sent", pod=f"{event.pod.namespace}/{event.pod.name}", reason=event.reason, error=error
            )

    def _explain(self, pod: Pod, refused: str, deadline: float) -> None:
        """A conflict or an invalid change: the UID of another pod is the usual reason, so look. Always raises."""
        current = self.pod(pod.namespace, pod.name, pod.uid, deadline)
        if current is None or (pod.uid and current.uid != pod.uid):
            found = f'"{current.uid}"' if current else "none"
            raise errors.NotFound(
                f'pod {pod.namespace}/{pod.name} with UID "{pod.uid}" is gone: the API server has {found}'
            )
        raise errors.ClusterError(refused)


def _pod(raw: Json, namespace: str, name: str) -> Pod:
    uid = api.metadata(raw).get("uid")
    if not isinstance(uid, str) or not uid:
        raise errors.ClusterError(f'get pods "{namespace}/{name}": the answer is no pod: it has no UID')
    annotations = _annotations(raw)
    static = annotations.get(CONFIG_SOURCE, "api") != "api"
    return Pod(namespace, name, uid, annotations, static, claims_of(raw))


def claims_of(raw: Json) -> PodClaims | None:
    """The resource claims of a pod; most have none, so what reads them is imported for those that have."""
    parts = (raw.get("spec"), raw.get("status"))
    if not any(isinstance(part, dict) and not _CLAIMS.isdisjoint(part) for part in parts):
        return None
    from multus.networks import claims

    return claims.of_pod(raw)


def _annotations(raw: Json) -> dict[str, str]:
    found = api.metadata(raw).get("annotations")
    pairs = found.items() if isinstance(found, dict) else ()
    return {key: value for key, value in pairs if isinstance(value, str)}


def _config(raw: Json, namespace: str, name: str) -> str:
    spec = raw.get("spec")
    config = spec.get("config") if isinstance(spec, dict) else None
    if config is not None and not isinstance(config, str):
        raise errors.InvalidConfig(f"network-attachment-definition {namespace}/{name}: spec.config is not a string")
    return config or ""
