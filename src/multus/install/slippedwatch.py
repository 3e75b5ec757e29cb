"""What happens to pods that run without their networks (`slipped`): an event on each, once, a figure, and by policy an
eviction, so that its controller makes another one.

A pod that is on record and only lacks its network-status gets it again. All of that only happens to what was so twice
in a row: between reading pods and records a pod may come or go.
"""

from __future__ import annotations

import itertools
import threading
import time
from typing import TYPE_CHECKING

from multus import errors, log
from multus.host import clock, figures, records
from multus.host import results as result_files
from multus.install import settings, slipped, statuses
from multus.kubernetes import client as clients
from multus.kubernetes import events
from multus.kubernetes.cluster import KubernetesCluster
from multus.networks import selection

if TYPE_CHECKING:
    from multus.cni.rawjson import Json
    from multus.host.figures import Figures
    from multus.install.settings import Settings
    from multus.kubernetes.client import Client
    from multus.ports import Pod

#: Seconds between two looks: a list of one node's pods, from the API server's cache. At first it looks more often:
#: whoever slipped through did it before we started.
INTERVAL = 60.0
FIRST_INTERVALS = (10.0, 5.0)

#: For one request, in seconds.
PATIENCE = 30.0

MISSING, EVICTED, NOT_EVICTED = "NetworksMissing", "EvictedForNetworks", "NotEvicted"


class Watch:
    """Looks now and then, in a thread of its own, reports each pod once, and does what the policy says."""

    def __init__(self, client: Client, node: str, told: Settings, told_figures: Figures) -> None:
        self._client = client
        self._node = node
        self._told = told
        self._figures = told_figures
        self._suspected: set[str] = set()
        self._reported: set[tuple[str, str]] = set()
        self._evicted: set[str] = set()

    def start(self, stopped: threading.Event) -> None:
        """Until `stopped` is set."""
        threading.Thread(target=self._run, args=(stopped,), name="slipped", daemon=True).start()

    def look(self) -> list[Pod]:
        """One look; the pods that surely run without their networks. Raises errors.CniError."""
        pods = self._pods()
        recorded = slipped.load(self._told.cni_dir)
        found = slipped.find(pods, recorded)
        uids = {pod.uid for pod in (*found.slipped, *(pod for pod, _ in found.silent))}
        before, self._suspected = self._suspected, uids
        self._reported = {one for one in self._reported if one[0] in uids}
        sure = [pod for pod in found.slipped if pod.uid in before]
        self._figures.set(figures.WITHOUT_NETWORKS, len(sure))
        evictable = {str(slipped.part(raw, "metadata").get("uid")) for raw in pods if slipped.is_evictable(raw)}
        for pod in sure:
            # A record that names no pod may be this one's, and lack nothing but the status.
            self._treat(pod, pod.uid in evictable and not recorded.others)
        for pod, container_id in found.silent:
            if pod.uid in before:
                self._write_status(pod, container_id)
        return sure

    def _pods(self) -> list[Json]:
        if not clients.is_name(self._node):
            raise errors.InvalidConfig(f"{self._node[:260]!r} can't be the name of a node")
        path = f"/api/v1/pods?resourceVersion=0&fieldSelector=spec.nodeName%3D{self._node}"
        listed = self._client.fetch(f"pods of {self._node}", path, time.monotonic() + PATIENCE).get("items")
        return [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []

    def _run(self, stopped: threading.Event) -> None:
        for pause in itertools.chain(FIRST_INTERVALS, itertools.repeat(INTERVAL)):
            if stopped.wait(pause):
                return
            try:
                self.look()
            except errors.CniError as error:
                log.warning("not known whether pods run without their networks", error=error)

    def _treat(self, pod: Pod, evictable: bool) -> None:
        wanted = " ".join(pod.annotations[selection.NETWORKS].split())[:300]
        evicts = evictable and self._told.slipped_pods == settings.EVICT
        then = "it is evicted" if evicts else "delete it"
        message = f"runs without the networks it asked for ({wanted}): it started without Multus: {then}"
        self._report(pod, "Warning", MISSING, message)
        if evicts:
            self._evict(pod)

    def _evict(self, pod: Pod) -> None:
        refused = self._client.evict(pod.namespace, pod.name, pod.uid, time.monotonic() + PATIENCE)
        if refused:
            self._report(pod, "Warning", NOT_EVICTED, f"it will be tried again: {refused}")
            return
        self._evicted.add(pod.uid)
        self._figures.set(figures.EVICTED, len(self._evicted))
        self._report(pod, "Normal", EVICTED, "evicted, for it runs without the networks it asked for")

    def _report(self, pod: Pod, kind: str, reason: str, message: str) -> None:
        """Once."""
        if (pod.uid, reason) in self._reported:
            return
        write = log.error if kind == "Warning" else log.verbose
        write(message, pod=f"{pod.namespace}/{pod.name}", reason=reason)
        event = events.render(events.Event(pod, kind, reason, message, time.time_ns()), self._node)
        self._client.create_event(pod.namespace, event, time.monotonic() + PATIENCE)
        self._reported.add((pod.uid, reason))

    def _write_status(self, pod: Pod, container_id: str) -> None:
        """The network-status of a pod that has its networks; not while its ADD or DEL is at work."""
        deadline = time.monotonic() + PATIENCE
        kept = records.RecordFiles(self._told.cni_dir, clock.SystemClock())
        with kept.lock(container_id, deadline):
            record = kept.load(container_id, "eth0")
            cached = result_files.ResultFiles(self._told.cni_dir).of(container_id)
            text = statuses.of(record, cached) if record is not None else None
            if text is None:
                log.verbose("no network-status, and not all is known for one", pod=f"{pod.namespace}/{pod.name}")
                return
            KubernetesCluster(self._client, self._node).set_status(pod, text, deadline)
        log.verbose("network-status written again", pod=f"{pod.namespace}/{pod.name}")
