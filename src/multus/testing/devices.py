"""Devices that a resource manager gave out: `multus.ports.Devices` for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multus.testing.failing import Failing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from multus.cni.rawjson import Json
    from multus.ports import Pod


class FakeDevices(Failing):
    """`given` by (namespace, pod name): resource name -> device ids."""

    def __init__(self) -> None:
        super().__init__()
        self.given: dict[tuple[str, str], Mapping[str, Sequence[str]]] = {}

    def ids(self, pod: Pod, deadline: float) -> Mapping[str, Sequence[str]]:
        """As `ports.Devices.ids`."""
        self._called("ids", pod.namespace, pod.name)
        return self.given.get((pod.namespace, pod.name), {})


class FakeDeviceFiles(Failing):
    """`published` by (resource, device id) are the device plugins' descriptions, `files` by name the attachments'."""

    def __init__(self) -> None:
        super().__init__()
        self.published: dict[tuple[str, str], Json] = {}
        self.files: dict[str, Json] = {}

    def share(self, resource: str, device_id: str, name: str) -> None:
        """As `ports.DeviceFiles.share`."""
        self._called("share", resource, device_id)
        if (resource, device_id) in self.published:
            self.files[name] = self.published[resource, device_id]

    def load(self, name: str) -> Json | None:
        """As `ports.DeviceFiles.load`."""
        self._called("load", name, "")
        return self.files.get(name)

    def remove(self, name: str) -> None:
        """As `ports.DeviceFiles.remove`."""
        self._called("remove", name, "")
        self.files.pop(name, None)
