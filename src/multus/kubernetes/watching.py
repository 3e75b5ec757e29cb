"""`multus.ports.Cluster` for a process that stays: pods and NADs are known before they are asked for.

What is not known, or not as the call means it, is asked of the API server once. What is known is used without it, so
that pods start while it is away.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from multus.kubernetes import kept
from multus.kubernetes.eventqueue import EventQueue

if TYPE_CHECKING:
    from multus.cni.rawjson import Json
    from multus.kubernetes.cluster import KubernetesCluster
    from multus.kubernetes.kept import Definition
    from multus.kubernetes.reflector import Reflector
    from multus.networks.nad import Nad
    from multus.ports import Pod


class WatchingCluster:
    """`live` answers what the reflectors don't, and writes. Without `pods`, pods are always asked for."""

    def __init__(
        self,
        live: KubernetesCluster,
        networks: Reflector[Definition | str],
        pods: Reflector[Pod] | None = None,
        events: EventQueue | None = None,
    ) -> None:
        self._live = live
        self._networks = networks
        self._pods = pods
        #: The events on their way; for metrics.
        self.events = events or EventQueue(live.send)

    @property
    def reflectors(self) -> tuple[Reflector[Pod] | Reflector[Definition | str], ...]:
        """The watches there are, for metrics and readiness."""
        return (self._networks,) if self._pods is None else (self._pods, self._networks)

    def start(self) -> None:
        """Begin to watch and to send events; returns at once."""
        for reflector in self.reflectors:
            reflector.start()
        self.events.start()

    def wait(self, deadline: float) -> bool:
        """Wait until everything is known, or `deadline`. Returns whether it is; lookups work before, too."""
        return all(item.synced.wait(max(deadline - time.monotonic(), 0.0)) for item in self.reflectors)

    def stop(self, deadline: float) -> bool:
        """End the watches, send the events that wait. Returns whether all threads have ended by `deadline`."""
        for reflector in self.reflectors:
            reflector.cancel()
        ended = self.events.stop(deadline)
        for reflector in self.reflectors:
            ended = reflector.stop(deadline) and ended
        self._live.close()
        return ended

    def pod(self, namespace: str, name: str, uid: str, deadline: float) -> Pod | None:
        """As `ports.Cluster.pod`. A pod that is known with another UID is asked for: it may be the call's
        predecessor. Only the annotations in `kept.ANNOTATIONS` are sure to be there."""
        if self._pods is not None and self._pods.synced.is_set():
            known = self._pods.get(f"{namespace}/{name}")
            if known is not None and (known.static or not uid or known.uid == uid):
                return known
        return self._live.pod(namespace, name, uid, deadline)

    def network(self, namespace: str, name: str, deadline: float) -> Nad:
        """As `ports.Cluster.network`."""
        if self._networks.synced.is_set():
            known = self._networks.get(f"{namespace}/{name}")
            if known is not None:
                return kept.nad(namespace, name, known)
        return self._live.network(namespace, name, deadline)

    def fetch(self, what: str, path: str, deadline: float) -> Json:
        """A GET of another object, for resource claims; see `client.Client.fetch`."""
        return self._live.fetch(what, path, deadline)

    def set_status(self, pod: Pod, status: str, deadline: float) -> None:
        """As `ports.Cluster.set_status`."""
        self._live.set_status(pod, status, deadline)

    def event(self, pod: Pod, kind: str, reason: str, message: str) -> None:
        """As `ports.Cluster.event`."""
        self.events.put(pod, kind, reason, message)
