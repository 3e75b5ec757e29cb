"""The kubelet's PodResources service: what its device plugins gave to each container.

`Get` asks for one pod (kubelets that have it and where it is switched on), `List` for all of the node; v1alpha1 is
what kubelets before 1.20 served. All three say the same in the same field numbers.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from multus import errors, log
from multus.devices import grpc, protowire
from multus.devices.holdings import Holding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

GET = "v1.PodResourcesLister/Get"
LIST = "v1.PodResourcesLister/List"
OLD_LIST = "v1alpha1.PodResourcesLister/List"

#: The longest that the kubelet may take, in seconds.
PATIENCE = 10.0

#: The kubelet serves so many calls a second and refuses the rest; the pause before the next try.
PAUSE = 0.2

NotListening = grpc.NotListening


class PodResources:
    """The service at `path`."""

    def __init__(self, path: str, sleep: Callable[[float], None] = time.sleep) -> None:
        self._path = path
        self._sleep = sleep
        self._has_get = True

    def of(self, namespace: str, name: str, deadline: float) -> list[Holding]:
        """What the containers of the pod hold; nothing for a pod that the kubelet doesn't know.

        Raises NotListening, errors.TryAgainLater for everything else that goes wrong."""
        try:
            with grpc.Channel(self._path, min(deadline, time.monotonic() + PATIENCE)) as channel:
                return self._ask(channel, namespace, name)
        except errors.CniError as error:
            raise errors.TryAgainLater(f"the kubelet at {self._path} {error.message}") from error

    def _ask(self, channel: grpc.Channel, namespace: str, name: str) -> list[Holding]:
        if self._has_get:
            response = self._call(channel, GET, protowire.string(1, name) + protowire.string(2, namespace))
            if response.status == grpc.OK:
                return decode(response.message)
            self._has_get = response.status != grpc.UNIMPLEMENTED
            log.debug("kubelet has no Get, listing", status=response.status, words=response.words)
        response = self._call(channel, LIST, b"")
        if response.status == grpc.UNIMPLEMENTED:
            response = self._call(channel, OLD_LIST, b"")
        if response.status != grpc.OK:
            raise errors.TryAgainLater(f"refused to list pod resources: {response.words} (code {response.status})")
        return decode(response.message, namespace, name)

    def _call(self, channel: grpc.Channel, method: str, request: bytes) -> grpc.Response:
        while True:
            response = channel.unary(method, request)
            if response.status != grpc.RESOURCE_EXHAUSTED:
                return response
            self._sleep(PAUSE)


# ── the messages ────────────────────────────────────────────────────────────────────────────────────────────────


def decode(message: bytes, namespace: str = "", name: str = "") -> list[Holding]:
    """What the containers in a response hold: of all its pods, or of that one. Raises errors.DecodeError.

    ListPodResourcesResponse and GetPodResourcesResponse: 1 pod_resources."""
    pods = [pod for pod in _contents(message, 1) if not name or _is(pod, namespace, name)]
    return [one for pod in pods for one in _holdings(pod)]


def _contents(message: memoryview | bytes, number: int) -> Iterator[memoryview]:
    """Every field `number` of a message."""
    return (content for found, content in protowire.members(memoryview(message)) if found == number)


def _is(pod: memoryview, namespace: str, name: str) -> bool:
    """PodResources: 1 name, 2 namespace, 3 containers."""
    found = {number: content for number, content in protowire.members(pod) if number in (1, 2)}
    return found.get(1, b"") == name.encode() and found.get(2, b"") == namespace.encode()


def _holdings(pod: memoryview) -> Iterator[Holding]:
    """ContainerResources: 1 name, 2 devices; ContainerDevices: 1 resource_name, 2 device_ids."""
    for container in _contents(pod, 3):
        holder = "".join(protowire.text(content) for content in _contents(container, 1))
        for devices in _contents(container, 2):
            resource = "".join(protowire.text(content) for content in _contents(devices, 1))
            ids = tuple(protowire.text(content) for content in _contents(devices, 2))
            yield Holding(f"container {holder}", resource, ids)
