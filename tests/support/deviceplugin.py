"""A device plugin whose devices are names (`k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1`).

The kubelet allocates them to containers as it does with real ones, and tells of them in its PodResources service.
"""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING

from multus.devices import grpc, protowire
from support.kubelet import Kubelet, Reply, field

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

#: The variable in which a container finds its devices.
VARIABLE = "TEST_DEVICES"

SERVICE = "/v1beta1.DevicePlugin"


class DevicePlugin(Kubelet):
    """Serves `devices` of `resource` on a socket in the kubelet's directory; `register` tells the kubelet."""

    def __init__(self, directory: Path, resource: str, devices: Sequence[str]) -> None:
        self.resource = resource
        self.devices = tuple(devices)
        self._directory = directory
        self._name = f"{resource.replace('/', '-')}.sock"
        methods = {
            f"{SERVICE}/GetDevicePluginOptions": lambda _request: Reply(0),
            f"{SERVICE}/ListAndWatch": self._listed,
            f"{SERVICE}/Allocate": self._allocated,
        }
        super().__init__(str(directory / self._name), methods=methods)

    def register(self) -> None:
        """Tell the kubelet of the socket and the resource."""
        request = field(1, "v1beta1") + field(2, self._name) + field(3, self.resource)
        with grpc.Channel(str(self._directory / "kubelet.sock"), time.monotonic() + 20) as channel:
            response = channel.unary("v1beta1.Registration/Register", request)
        assert response.status == grpc.OK, response

    def _listed(self, _request: bytes) -> Reply:
        """ListAndWatchResponse, once; the stream stays open."""
        message = b"".join(field(1, field(1, one) + field(2, "Healthy")) for one in self.devices)
        return Reply(0, message=message, stays=True)

    def _allocated(self, request: bytes) -> Reply:
        """AllocateResponse: each container finds its devices in a variable."""
        message = b""
        for number, container in protowire.members(memoryview(request)):
            assert number == 1
            ids = [protowire.text(content) for _, content in protowire.members(container)]
            message += field(1, field(1, field(1, VARIABLE) + field(2, ",".join(ids))))
        return Reply(0, message=message)

    def close(self) -> None:
        """Stop serving. A kubelet that restarts removes the socket itself."""
        with contextlib.suppress(FileNotFoundError):
            super().close()


@contextlib.contextmanager
def running(directory: Path, resource: str, devices: Sequence[str]) -> Iterator[DevicePlugin]:
    """A registered device plugin; its socket is gone afterwards."""
    plugin = DevicePlugin(directory, resource, devices)
    try:
        plugin.register()
        yield plugin
    finally:
        plugin.close()
        assert not os.path.exists(plugin.path)
