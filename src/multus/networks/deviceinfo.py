"""Device information files: format and names (NPWG device-info specification 1.1).

A device plugin tells what a device is in `<directory>/dp/<resource>-<device>-device.json`; what an attachment really
got is in `<directory>/cni/<network>-<container>_<interface>`, and from there it goes into network-status.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from multus import errors
from multus.cni import environment, rawjson

if TYPE_CHECKING:
    from multus.cni.rawjson import Json

#: The directories below the root: files of device plugins, and of attachments.
PLUGINS = "dp"
ATTACHMENTS = "cni"

#: The member that holds what is particular to a type.
MEMBERS = ("pci", "vdpa", "vhost-user", "memif")

#: A file larger than this is refused: it becomes part of an annotation, all of which share 256 KiB.
MAX_BYTES = 16 * 1024

#: The kernel's NAME_MAX.
_NAME_BYTES = 255


def parse(data: bytes, what: str) -> Json:
    """The object in a file, members we don't know included. Raises errors.InvalidConfig naming `what`."""
    try:
        if len(data) > MAX_BYTES:
            raise errors.InvalidConfig(f"{what}: larger than {MAX_BYTES} bytes")
        info = rawjson.loads_object(data, what)
        kind = rawjson.text(info, "type", what)
        rawjson.text(info, "version", what)
        if not kind or not kind.isprintable():
            raise errors.InvalidConfig(f"{what}: type is missing: it says what the device is ({', '.join(MEMBERS)})")
        if kind in MEMBERS and info.get(kind) is not None:
            rawjson.mapping(info[kind], f"{what}: {kind}")
    except errors.DecodeError as error:
        raise errors.InvalidConfig(error.message) from error
    return info


def plugin_file(resource: str, device_id: str) -> str:
    """The name of a device plugin's file; "" where there can be none."""
    return _file_name(f"{resource}-{device_id}-device.json") if resource and device_id else ""


def attachment_file(network: str, container_id: str, ifname: str) -> str:
    """The name of an attachment's file; "" where there can be none."""
    return _file_name(f"{network}-{container_id}_{ifname}")


def _file_name(text: str) -> str:
    """One name in one directory, whatever strangers called their resources and devices."""
    name = text.replace("/", "-")
    usable = name.isprintable() and len(name.encode("utf-8", "surrogatepass")) <= _NAME_BYTES
    return name if usable and name not in (".", "..") else ""


def described(name: str) -> str:
    """How messages call a file."""
    return f"device information file {environment.shown(name)}"
