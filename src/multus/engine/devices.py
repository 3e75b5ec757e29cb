"""Devices of resource managers, and what is known of them: found for ADD, described beside it, forgotten with DEL.

Networks without devices are the rule, so the rules for them are imported only where one comes up. A device is looked
for by ADD alone: what an attachment got is in the record's configuration, and DEL takes it from there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from multus import errors, log
from multus.cni import config

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from multus.cni.rawjson import Json
    from multus.engine.call import Call, Ports
    from multus.networks.delegates import Delegate
    from multus.networks.plan import Attachment, Plan
    from multus.networks.record import Entry
    from multus.ports import DeviceFiles, Pod

_INFO_FILE = "CNIDeviceInfoFile"


def equip(call: Call, ports: Ports, pod: Pod | None, found: Sequence[Delegate]) -> list[Delegate]:
    """`found`, each delegate whose NAD names a resource with a device of the pod's. Raises errors.DeviceShortage,
    errors.AnnotationError, and what kept the devices from being learnt, all naming the pod."""
    if pod is None or not any(delegate.resource_name for delegate in found):
        return list(found)
    from multus.networks import devices

    tolerant = call.conf.device_shortage == "ignore"
    try:
        return devices.assign(found, _owned(call, ports, pod), tolerant=tolerant)
    except errors.CniError as error:
        raise error.within(f"[{call.pod_id}]: devices") from error


def _owned(call: Call, ports: Ports, pod: Pod) -> Mapping[str, Sequence[str]]:
    if ports.devices is None:
        log.warning("networks name device resources, but nothing tells which devices pods own", pod=call.pod_id)
        return {}
    # The kubelet knows a static pod by the UID it gave to the runtime, not by its mirror's in the API.
    known_as = pod._replace(uid=call.pod.uid or pod.uid)
    return ports.devices.ids(known_as, call.deadline - call.conf.rollback_reserve)


# ── device information files ────────────────────────────────────────────────────────────────────────────────────


def plan_files(call: Call, ports: Ports, planned: Plan) -> Plan:
    """The plan with the path of its device information file for each attachment that may have one."""
    if ports.device_files is None or not any(_may_have_one(attachment) for attachment in planned.attachments):
        return planned
    from multus.networks import devices

    return devices.with_info_files(planned, call.container_id, call.conf.device_info_dir)


def _may_have_one(attachment: Attachment) -> bool:
    delegate = attachment.delegate
    has_device = delegate.device_id or attachment.capability_args.get("deviceID")
    return bool(has_device) or config.declares(delegate.config, _INFO_FILE)


def share(call: Call, ports: Ports, planned: Plan, entries: Sequence[Entry]) -> None:
    """Before the plugins run: what the device plugins published becomes the attachments' files; a plugin may write its
    own instead. A description that is missing or bad never fails an attachment."""
    for attachment, entry in zip(planned.attachments, entries, strict=True):
        name, files = _file(call, ports, entry)
        if files is None:
            continue
        delegate = attachment.delegate
        try:
            files.remove(name)
            if delegate.device_id:
                files.share(delegate.resource_name, delegate.device_id, name)
        except errors.CniError as error:
            log.warning("device not described", pod=call.pod_id, network=delegate.name, error=error)


def described(call: Call, ports: Ports, entries: Sequence[Entry]) -> dict[int, Json]:
    """After the plugins ran: the device-info of each attachment that has one, by position."""
    found: dict[int, Json] = {}
    for number, entry in enumerate(entries):
        name, files = _file(call, ports, entry)
        if files is None:
            continue
        try:
            info = files.load(name)
        except errors.CniError as error:
            log.warning("device-info left out of the status", pod=call.pod_id, network=entry.name, error=error)
            continue
        if info is not None:
            found[number] = info
    return found


def forget(call: Call, ports: Ports, entries: Iterable[Entry]) -> None:
    """Remove the files of attachments that are no more. Never raises."""
    for entry in entries:
        name, files = _file(call, ports, entry)
        if files is not None:
            try:
                files.remove(name)
            except errors.CniError as error:
                log.warning("device information file not removed", pod=call.pod_id, network=entry.name, error=error)


def _file(call: Call, ports: Ports, entry: Entry) -> tuple[str, DeviceFiles | None]:
    """The name of the attachment's file and what keeps it; None where there is no such file."""
    if ports.device_files is None or not (_INFO_FILE in entry.capability_args or entry.asked.get("deviceID")):
        return "", None
    from multus.networks import devices

    name = devices.info_file(entry, call.container_id)
    return name, ports.device_files if name else None
