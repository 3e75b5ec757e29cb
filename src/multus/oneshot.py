"""Ports as a one-shot process wants them: what a call may not need is imported and connected to when first asked."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from multus.cni.rawjson import Json
    from multus.devices.infofiles import InfoFiles
    from multus.networks.nad import Nad
    from multus.networks.netconf import MultusConf
    from multus.ports import Cluster, Pod

#: How long the child that outlives the answer may try to deliver events, in seconds.
EVENT_PATIENCE = 10.0


class OneShotCluster:
    """A `ports.Cluster` in front of the one that `connect` makes. DEL from a record never asks, so never connects."""

    def __init__(self, connect: Callable[[], FlushingCluster], later: Callable[[Callable[[], None]], None]) -> None:
        self._connect = connect
        self._later = later
        self._made: FlushingCluster | None = None
        self._events = False

    def _cluster(self) -> FlushingCluster:
        if self._made is None:
            self._made = self._connect()
        return self._made

    def pod(self, namespace: str, name: str, uid: str, deadline: float) -> Pod | None:
        """As `ports.Cluster.pod`."""
        return self._cluster().pod(namespace, name, uid, deadline)

    def network(self, namespace: str, name: str, deadline: float) -> Nad:
        """As `ports.Cluster.network`."""
        return self._cluster().network(namespace, name, deadline)

    def fetch(self, what: str, path: str, deadline: float) -> Json:
        """Another object of the API server (resource claims). Raises errors.ClusterError."""
        return self._cluster().fetch(what, path, deadline)

    def set_status(self, pod: Pod, status: str, deadline: float) -> None:
        """As `ports.Cluster.set_status`."""
        self._cluster().set_status(pod, status, deadline)

    def event(self, pod: Pod, kind: str, reason: str, message: str) -> None:
        """Queued; delivered after the answer."""
        self._cluster().event(pod, kind, reason, message)
        if not self._events:
            self._events = True
            self._later(self._flush)

    def _flush(self) -> None:
        self._cluster().flush(time.monotonic() + EVENT_PATIENCE)


class OneShotDevices:
    """A `ports.Devices`: the node's, with the claims that `cluster` knows. Few networks name a resource."""

    def __init__(self, conf: MultusConf, cluster: FetchingCluster) -> None:
        self._conf = conf
        self._cluster = cluster

    def ids(self, pod: Pod, deadline: float) -> Mapping[str, Sequence[str]]:
        """As `ports.Devices.ids`."""
        from multus.devices import sources

        conf = self._conf
        node = sources.NodeDevices(conf.pod_resources_socket, conf.device_checkpoint, self._cluster.fetch)
        return node.ids(pod, deadline)


class OneShotDeviceFiles:
    """A `ports.DeviceFiles` over `directory`."""

    def __init__(self, directory: str) -> None:
        self._directory = directory

    def share(self, resource: str, device_id: str, name: str) -> None:
        """As `ports.DeviceFiles.share`."""
        self._files().share(resource, device_id, name)

    def load(self, name: str) -> Json | None:
        """As `ports.DeviceFiles.load`."""
        return self._files().load(name)

    def remove(self, name: str) -> None:
        """As `ports.DeviceFiles.remove`."""
        self._files().remove(name)

    def _files(self) -> InfoFiles:
        from multus.devices import infofiles

        return infofiles.InfoFiles(self._directory)


if TYPE_CHECKING:
    from typing import Protocol

    class FetchingCluster(Cluster, Protocol):
        """A cluster that can be asked for resource claims too."""

        def fetch(self, what: str, path: str, deadline: float) -> Json:
            """A GET of an object that the port has no method for."""
            ...

    class FlushingCluster(FetchingCluster, Protocol):
        """A cluster whose queued events are sent on demand."""

        def flush(self, deadline: float) -> None:
            """Send what is queued; never raises."""
            ...
