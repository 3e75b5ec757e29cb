"""A cluster in memory: `multus.ports.Cluster` for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from multus import errors
from multus.networks.nad import Nad
from multus.ports import Pod

if TYPE_CHECKING:
    from collections.abc import Mapping


class WrittenStatus(NamedTuple):
    """One network-status that was written."""

    pod: Pod
    status: str


class RecordedEvent(NamedTuple):
    """One event that was sent."""

    pod: Pod
    kind: str
    reason: str
    message: str


class FakeCluster:
    """Pods and NADs in dictionaries by (namespace, name); what is written is kept in `statuses` and `events`.

    `calls` names each call in order: ``pod``, ``network`` or ``set_status``, namespace and name."""

    def __init__(self) -> None:
        self.pods: dict[tuple[str, str], Pod] = {}
        self.networks: dict[tuple[str, str], Nad] = {}
        self.statuses: list[WrittenStatus] = []
        self.events: list[RecordedEvent] = []
        self.calls: list[tuple[str, str, str]] = []
        self._failures: dict[str, list[errors.CniError]] = {}

    def add_pod(
        self,
        name: str,
        namespace: str = "default",
        uid: str = "uid-1",
        annotations: Mapping[str, str] | None = None,
        *,
        static: bool = False,
    ) -> Pod:
        """Create or replace a pod."""
        made = self.pods[namespace, name] = Pod(namespace, name, uid, dict(annotations or {}), static)
        return made

    def add_network(self, name: str, config: str, namespace: str = "default", resource_name: str = "") -> Nad:
        """Create or replace a NAD; `config` is the text of its spec.config."""
        made = self.networks[namespace, name] = Nad(namespace, name, config, resource_name)
        return made

    def fail(self, call: str, error: errors.CniError, times: int = 1) -> None:
        """Let the next `times` calls of ``pod``, ``network`` or ``set_status`` raise `error`."""
        self._failures.setdefault(call, []).extend([error] * times)

    def pod(self, namespace: str, name: str, uid: str, deadline: float) -> Pod | None:
        """As `ports.Cluster.pod`."""
        self._called("pod", namespace, name)
        return self.pods.get((namespace, name))

    def network(self, namespace: str, name: str, deadline: float) -> Nad:
        """As `ports.Cluster.network`."""
        self._called("network", namespace, name)
        try:
            return self.networks[namespace, name]
        except KeyError:
            message = f'network-attachment-definitions.k8s.cni.cncf.io "{name}" not found'
            raise errors.NotFound(message) from None

    def set_status(self, pod: Pod, status: str, deadline: float) -> None:
        """As `ports.Cluster.set_status`."""
        self._called("set_status", pod.namespace, pod.name)
        current = self.pods.get((pod.namespace, pod.name))
        if current is None or current.uid != pod.uid:
            raise errors.NotFound(f"pod {pod.namespace}/{pod.name} is gone")
        self.statuses.append(WrittenStatus(pod, status))

    def event(self, pod: Pod, kind: str, reason: str, message: str) -> None:
        """As `ports.Cluster.event`."""
        self.events.append(RecordedEvent(pod, kind, reason, message))

    def _called(self, call: str, namespace: str, name: str) -> None:
        self.calls.append((call, namespace, name))
        failures = self._failures.get(call)
        if failures:
            raise failures.pop(0)
