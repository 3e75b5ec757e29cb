"""`multus.ports.Devices` on this machine: the kubelet's word, else its checkpoint, and the pod's resource claims."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from multus import errors, log
from multus.devices import holdings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from multus.devices.dra import Claims
    from multus.devices.holdings import Holding
    from multus.devices.podresources import PodResources
    from multus.devices.slices import Fetch
    from multus.ports import Pod


class NodeDevices:
    """Devices that were given to pods of this node. `fetch` reads the API server, for claims."""

    def __init__(self, socket_path: str, checkpoint_path: str, fetch: Fetch) -> None:
        self._socket = socket_path
        self._checkpoint = checkpoint_path
        self._fetch = fetch
        self._kubelet: PodResources | None = None
        self._claims: Claims | None = None

    def ids(self, pod: Pod, deadline: float) -> Mapping[str, Sequence[str]]:
        """As `ports.Devices.ids`: device plugins' first, in the order of the pod's containers, then claims'. A device
        that both tell of is one device."""
        found = holdings.by_resource(self._of_device_plugins(pod, deadline))
        known = {(resource, one) for resource, ids in found.items() for one in ids}
        for held in self._of_claims(pod, deadline):
            fresh = [one for one in sorted(held.ids) if (held.resource, one) not in known]
            found.setdefault(held.resource, []).extend(fresh)
        log.verbose("devices", pod=f"{pod.namespace}/{pod.name}", found={name: len(ids) for name, ids in found.items()})
        return found

    def _of_device_plugins(self, pod: Pod, deadline: float) -> list[Holding]:
        # Without a socket there is nothing to import the library for.
        if not os.path.exists(self._socket):
            return self._recorded(pod, "does not exist")
        from multus.devices import podresources

        if self._kubelet is None:
            self._kubelet = podresources.PodResources(self._socket)
        try:
            return self._kubelet.of(pod.namespace, pod.name, deadline)
        except podresources.NotListening as error:
            return self._recorded(pod, f"is not served ({error})")

    def _recorded(self, pod: Pod, why: str) -> list[Holding]:
        """From the checkpoint. Without one the kubelet is not there yet, and its word is needed."""
        from multus.devices import checkpoint

        log.verbose("kubelet not asked for devices, reading its checkpoint", socket=self._socket, why=why)
        try:
            return checkpoint.of(self._checkpoint, pod.uid)
        except errors.CniError as error:
            raise errors.TryAgainLater(
                f"the kubelet's socket {self._socket} {why}, and {error.message}", details=error.details
            ) from error

    def _of_claims(self, pod: Pod, deadline: float) -> list[Holding]:
        if pod.claims is None:
            return []
        from multus.devices import dra

        if self._claims is None:
            self._claims = dra.Claims(self._fetch)
        return self._claims.of(pod.claims, pod.namespace, deadline)
