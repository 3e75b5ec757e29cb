"""The record of a sandbox: `<cniDir>/<containerID>`, in upstream's format.

Upstream's member names and encodings, so that either implementation can delete the other's pods, and one member more
per element, `multus.io`, for what upstream does not keep: without it DEL would lose port mappings and bandwidth.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from multus import errors
from multus.cni import environment, rawjson
from multus.cni.arguments import PodArgs
from multus.networks import goformat, keys

if TYPE_CHECKING:
    from collections.abc import Sequence

    from multus.cni.arguments import Pairs
    from multus.cni.config import NetworkConfig
    from multus.cni.rawjson import Json
    from multus.networks.plan import Attachment, Plan

#: The member that upstream ignores.
OWN = "multus.io"

#: Members of it that are only there when they are true.
_FLAGS = ("failed", "alone")


class Entry(NamedTuple):
    """One attachment as ADD made it. `args` is empty in a record of upstream's making: the call's own apply."""

    config: NetworkConfig
    name: str
    ifname: str
    args: Pairs
    capability_args: Json
    master: bool
    netns: str
    asked: Json = {}  # noqa: RUF012 - upstream's request members, never changed
    #: Its ADD failed, and what it left could not be detached either.
    failed: bool = False
    #: Attached to a sandbox that had no record: what else it has is not known, the default network included.
    alone: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """What tells it from the other attachments of its sandbox: network name and interface."""
        return self.config.name, self.ifname


class Record(NamedTuple):
    """All attachments of a sandbox in the order of ADD, and its pod."""

    entries: tuple[Entry, ...]
    pod: PodArgs


def from_plan(planned: Plan, netns: str, pod: PodArgs) -> Record:
    """The record of a plan."""
    return Record(tuple(_from_attachment(attachment, netns) for attachment in planned.attachments), pod)


def _from_attachment(attachment: Attachment, netns: str) -> Entry:
    return Entry(
        config=attachment.delegate.config,
        name=attachment.delegate.name,
        ifname=attachment.ifname,
        args=attachment.args,
        capability_args=attachment.capability_args,
        master=attachment.delegate.master,
        netns=netns,
        asked=_asked(attachment),
    )


def _asked(attachment: Attachment) -> Json:
    """The request members as upstream's structure has them."""
    delegate, element = attachment.delegate, attachment.delegate.selection
    device_id = delegate.device_id or (element.device_id if element is not None else "")
    members: Json = {}
    if element is not None:
        members = {
            "macRequest": element.mac,
            "infinibandGUIDRequest": element.infiniband_guid,
            "ipRequest": list(element.ips),
        }
    members |= {"deviceID": device_id, "resourceName": delegate.resource_name if delegate.device_id else ""}
    kept = {key: value for key, value in members.items() if value}
    if element is not None and element.default_route is not None:
        kept["default-route"] = list(element.default_route)
    return kept


def from_cached(
    found: NetworkConfig, ifname: str, netns: str, args: Pairs, capability_args: Json, runtime_ifname: str
) -> Entry:
    """An attachment that only its cached result knows."""
    return Entry(found, found.name, ifname, args, capability_args, ifname == runtime_ifname, netns)


def keeping(record: Record, entries: Sequence[Entry]) -> Record:
    """The record with only those entries, as they are given, in its own order."""
    kept = {entry.key: entry for entry in entries}
    return record._replace(entries=tuple(kept[entry.key] for entry in record.entries if entry.key in kept))


# ── encoding ────────────────────────────────────────────────────────────────────────────────────────────────────


def encode(record: Record, container_id: str = "") -> bytes:
    """The file's content; with the sandbox whose record it is, where that is given."""
    return b"[" + b",".join([_encoded(entry, record.pod, container_id) for entry in record.entries]) + b"]"


def _encoded(entry: Entry, pod: PodArgs, container_id: str) -> bytes:
    """The members in the order of upstream's structure. It filters gateways while it attaches, never afterwards."""
    asked = {key: entry.asked[key] for key in _ASKED if key in entry.asked} if entry.asked else {}
    resource: Json = {key: asked.pop(key) for key in ("deviceID", "resourceName") if key in asked}
    own: Json = {
        "ifName": entry.ifname,
        "networkName": entry.config.name,
        "args": entry.args,
        "capabilityArgs": entry.capability_args,
        "master": entry.master,
        "netns": entry.netns,
        "pod": list(pod),
    }
    if container_id:
        own["containerID"] = container_id
    for flag in _FLAGS:
        if getattr(entry, flag):
            own[flag] = True
    members = {
        "Name": entry.name,
        "ifnameRequest": entry.ifname,
        **asked,
        "IsFilterV4Gateway": False,
        "IsFilterV6Gateway": False,
        **resource,
        "Bytes": entry.config.once(goformat.packed),
        OWN: own,
    }
    # As deep in the text as it will be read again: encoding refuses what is too deep to be read.
    return entry.config.once(goformat.opening)[:-1] + b"," + rawjson.encode([members])[2:-1]


# ── decoding ────────────────────────────────────────────────────────────────────────────────────────────────────


def decode(data: bytes, runtime_ifname: str, container_id: str = "") -> Record:
    """The record in a file's content, of our making or upstream's. `runtime_ifname` names element 0 of upstream's.
    Raises errors.DamagedRecord for anything else, an empty list, null, and another sandbox's included."""
    try:
        members = rawjson.loads(data, "record")
        if not isinstance(members, list) or not members:
            raise errors.DamagedRecord("record must be a list of attachments that is not empty")
        entries = tuple(_decoded(member, number, runtime_ifname) for number, member in enumerate(members))
        own = members[0].get(OWN)
        told = own.get("containerID", "") if isinstance(own, dict) else ""
        if container_id and told not in ("", container_id):
            raise errors.DamagedRecord("record is another sandbox's")
        return Record(entries, _pod(own))
    except errors.DamagedRecord:
        raise
    except errors.CniError as error:
        raise errors.DamagedRecord(f"record can't be used: {error.message}") from error


def _decoded(member: Any, number: int, runtime_ifname: str) -> Entry:
    what = f"record element {number}"
    if not isinstance(member, dict):
        raise errors.DamagedRecord(f"{what} must be an object, not {rawjson.kind(member)}")
    found = goformat.configuration(member, what)
    asked = _asked_of(member, what)
    own = member.get(OWN)
    if own is None:
        entry = _upstreams(member, found, asked, number, runtime_ifname)
    else:
        entry = _own(member, found, asked, rawjson.mapping(own, f"{what}: {OWN}"), what)
    environment.check_ifname(entry.ifname)
    return entry


_STRINGS = ("macRequest", "infinibandGUIDRequest", "deviceID", "resourceName")
_LISTS = ("ipRequest", "default-route")
_ASKED = ("macRequest", "infinibandGUIDRequest", "ipRequest", "default-route", "deviceID", "resourceName")


def _asked_of(member: Json, what: str) -> Json:
    """The request members; Go writes null for a list that is none."""
    asked: Json = {key: rawjson.text(member, key, what) for key in _STRINGS if member.get(key)}
    asked |= {key: list(rawjson.strings(member, key, what)) for key in _LISTS if member.get(key) is not None}
    return {key: asked[key] for key in _ASKED if key in asked}


def _own(member: Json, found: NetworkConfig, asked: Json, own: Json, what: str) -> Entry:
    args = own.get("args")
    if not isinstance(args, list):
        raise errors.DamagedRecord(f"{what}: args of {OWN} must be a list, not {rawjson.kind(args)}")
    return Entry(
        config=found,
        name=_clean(member, "Name", what),
        ifname=_clean(own, "ifName", what),
        args=tuple(_pair(pair, what) for pair in args),
        capability_args=rawjson.mapping(own.get("capabilityArgs"), f"{what}: capabilityArgs"),
        master=own.get("master") is True,
        netns=_clean(own, "netns", what),
        asked=asked,
        **{flag: own.get(flag) is True for flag in _FLAGS},
    )


#: Upstream's request members and the capability each becomes.
_CAPABILITIES = {
    "macRequest": "mac",
    "infinibandGUIDRequest": "infinibandGUID",
    "ipRequest": "ips",
    "deviceID": "deviceID",
}


def _upstreams(member: Json, found: NetworkConfig, asked: Json, number: int, runtime_ifname: str) -> Entry:
    """An element of upstream's making: names as upstream computes them, capability arguments from its requests. The
    first one is the default network, whose capability arguments upstream does not keep."""
    what = f"record element {number}"
    default = runtime_ifname if number == 0 else f"net{number}"
    return Entry(
        config=found,
        name=_clean(member, "Name", what) or found.name,
        ifname=_clean(member, "ifnameRequest", what) or default,
        args=(),
        capability_args={_CAPABILITIES[key]: asked[key] for key in asked if key in _CAPABILITIES and number > 0},
        master=number == 0,
        netns="",
        asked=asked,
    )


def _clean(holder: Json, key: str, what: str) -> str:
    value = rawjson.text(holder, key, what)
    if not keys.is_system_text(value):
        raise errors.DamagedRecord(f"{what}: {key} contains characters that are not allowed")
    return value


def _pair(value: Any, what: str) -> tuple[str, str]:
    """CNI_ARGS become a variable of the environment."""
    if not isinstance(value, list) or len(value) != 2:
        raise errors.DamagedRecord(f"{what}: args of {OWN} must be pairs")
    if not all(isinstance(part, str) and keys.is_system_text(part) for part in value):
        raise errors.DamagedRecord(f"{what}: args of {OWN} must be pairs of strings")
    return value[0], value[1]


def _pod(own: object) -> PodArgs:
    told = own.get("pod") if isinstance(own, dict) else None
    if not isinstance(told, list) or len(told) != 4 or not all(isinstance(part, str) for part in told):
        return PodArgs()
    return PodArgs(*told)
