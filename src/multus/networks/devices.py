"""Which of a pod's devices each attachment gets, and how a delegate is told of it.

A resource manager (a device plugin through the kubelet, a DRA driver) gave devices to the pod; a NAD names the resource
its devices come from. Each device is handed out once, over all networks of the pod together: first those that an
element chooses by id, then the others by position.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from multus import errors
from multus.cni import config, environment, rawjson
from multus.networks import deviceinfo

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from multus.networks.delegates import Delegate
    from multus.networks.plan import Attachment, Plan
    from multus.networks.record import Entry

#: The key of cni-args by which an element chooses a device; the element's own `deviceID` does the same.
DEVICE = "device"

#: The capability by which a plugin asks for the path of its device information file (device-info specification 1.1).
INFO_FILE = "CNIDeviceInfoFile"


def assign(found: Sequence[Delegate], owned: Mapping[str, Sequence[str]], *, tolerant: bool = False) -> list[Delegate]:
    """`found`, each delegate that needs a device equipped with one. `owned` are the pod's: resource -> ids in order.

    Raises errors.AnnotationError for a choice that can't be granted, errors.DeviceShortage for a delegate that none is
    left for. `tolerant`: such a delegate is left as it is, and a choice too where the pod owns nothing of the resource
    (upstream)."""
    left = {resource: list(ids) for resource, ids in owned.items()}
    given: dict[int, str] = {}
    for number, delegate in enumerate(found):
        device_id = choice(delegate) if delegate.resource_name else ""
        if device_id and (owned.get(delegate.resource_name) or not tolerant):
            _take(found, given, left.get(delegate.resource_name, []), number, device_id)
    for number, delegate in enumerate(found):
        ids = left.get(delegate.resource_name, [])
        if not delegate.resource_name or number in given:
            continue
        if ids:
            given[number] = ids.pop(0)
        elif not tolerant:
            raise _shortage(found, delegate, len(owned.get(delegate.resource_name, ())))
    return [
        _equipped(delegate, given[number]) if number in given else delegate for number, delegate in enumerate(found)
    ]


def choice(delegate: Delegate) -> str:
    """The device id that the element asks for, "" when it leaves the choice to us. Raises errors.AnnotationError."""
    element = delegate.selection
    if element is None:
        return ""
    value = (element.cni_args or {}).get(DEVICE)
    if value is None:
        return element.device_id
    if not isinstance(value, str) or not value:
        raise errors.AnnotationError(
            f"network {delegate.name}: cni-args: {DEVICE} must be the id of a device, not {rawjson.kind(value)}"
        )
    if element.device_id and element.device_id != value:
        raise errors.AnnotationError(
            f"network {delegate.name}: deviceID and {DEVICE} of cni-args name different devices: give one of them"
        )
    return value


def _take(found: Sequence[Delegate], given: dict[int, str], left: list[str], number: int, device_id: str) -> None:
    """Hand `device_id` to delegate `number`."""
    delegate = found[number]
    if device_id in left:
        left.remove(device_id)
        given[number] = device_id
        return
    shown = environment.shown(device_id)
    for other, taken in given.items():
        if taken == device_id and found[other].resource_name == delegate.resource_name:
            raise errors.AnnotationError(
                f"network {delegate.name}: device {shown} is chosen by network {found[other].name} too: a device is"
                " handed out once"
            )
    owns = ", ".join(environment.shown(one) for one in left[:8]) or "none"
    raise errors.AnnotationError(
        f"network {delegate.name}: device {shown} of resource {environment.shown(delegate.resource_name)} is not the"
        f" pod's; it owns {owns}"
    )


def _shortage(found: Sequence[Delegate], delegate: Delegate, owned: int) -> errors.DeviceShortage:
    resource = delegate.resource_name
    wanted = sum(1 for other in found if other.resource_name == resource)
    return errors.DeviceShortage(
        f"network {delegate.name}: no device of resource {environment.shown(resource)} is left: the pod's networks need"
        f" {wanted}, its containers and claims own {owned}: request more of the resource, or attach fewer networks"
    )


def _equipped(delegate: Delegate, device_id: str) -> Delegate:
    """The delegate with `deviceID` and `pciBusID` in every plugin, as upstream writes them."""
    equipped = config.edit_plugins(
        delegate.config, lambda plugin: {**plugin, "deviceID": device_id, "pciBusID": device_id}
    )
    return delegate._replace(config=equipped, device_id=device_id)


# ── device information files ────────────────────────────────────────────────────────────────────────────────────


def with_info_files(planned: Plan, container_id: str, directory: str) -> Plan:
    """The plan with the path of a device information file among the capability arguments of every attachment that has
    a device or whose plugins declare the capability (they may write one without a device: vhost-user)."""
    return planned._replace(
        attachments=tuple(_with_info_file(one, container_id, directory) for one in planned.attachments)
    )


def _with_info_file(attachment: Attachment, container_id: str, directory: str) -> Attachment:
    delegate = attachment.delegate
    has_device = delegate.device_id or attachment.capability_args.get("deviceID")
    if not has_device and not config.declares(delegate.config, INFO_FILE):
        return attachment
    name = deviceinfo.attachment_file(delegate.name, container_id, attachment.ifname)
    if not name or INFO_FILE in attachment.capability_args:
        return attachment
    path = f"{directory}/{deviceinfo.ATTACHMENTS}/{name}"
    return attachment._replace(capability_args={**attachment.capability_args, INFO_FILE: path})


def info_file(entry: Entry, container_id: str) -> str:
    """The name of the file that ADD may have made for a recorded attachment, "" when it made none. Only the name is
    ours to build: a path that a record holds is never followed."""
    if INFO_FILE not in entry.capability_args and not entry.asked.get("deviceID"):
        return ""
    return deviceinfo.attachment_file(entry.name, container_id, entry.ifname)
