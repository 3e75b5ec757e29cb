"""The keys of a network selection element in JSON (NPWG 4.1.2.1): of which type each is, and which values it allows.

Each decoder is given ``what`` (element and key, for the message) and a value that is not null.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from multus import errors
from multus.cni import environment, rawjson
from multus.networks import addresses, keys

if TYPE_CHECKING:
    from collections.abc import Callable

    from multus.cni.rawjson import Json

    Decoder = Callable[[str, Any], Any]

#: Hardware addresses as Go reads them: EUI-48, EUI-64, IP over InfiniBand.
HARDWARE_BYTES = (6, 8, 20)

PROTOCOLS = ("TCP", "UDP", "SCTP")
_RATES = ("ingressRate", "ingressBurst", "egressRate", "egressBurst")


def wrong(what: str, wanted: str, value: object) -> errors.AnnotationError:
    """The error of a value of the wrong type."""
    return errors.AnnotationError(f"{what} must be {wanted}, not {keys.found(value)}")


def string(what: str, value: Any) -> str:
    """Printable text: it goes into file names, CNI_ARGS and messages."""
    if not isinstance(value, str):
        raise wrong(what, "a string", value)
    if not value.isprintable():
        raise errors.AnnotationError(f"{what}: {environment.shown(value)} contains characters that are not allowed")
    return value


def _strings(what: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise wrong(what, "a list of strings", value)
    return tuple(string(f"{what}: item {number}", member) for number, member in enumerate(value, 1))


def _object(what: str, value: Any) -> Json:
    if not isinstance(value, dict):
        raise wrong(what, "an object", value)
    return value


def _interface(what: str, value: Any) -> str:
    name = string(what, value)
    return check_interface(what, name) if name else ""


def check_interface(what: str, name: str) -> str:
    """`name`, or errors.AnnotationError: NPWG 4.1.2.1.5, "a valid Linux kernel interface name"."""
    problem = environment.ifname_problem(name)
    if problem:
        raise errors.AnnotationError(
            f"{what}: parsePodNetworkObjectName: Failed to parse interface name: {problem}. interface name"
            f" {environment.shown(name)}"
        )
    return name


def _ips(what: str, value: Any) -> tuple[str, ...]:
    ips = _strings(what, value)
    for text in ips:
        problem = addresses.problem(text)
        if problem:
            raise errors.AnnotationError(f"{what}: {problem}")
    return ips


def _gateways(what: str, value: Any) -> tuple[str, ...]:
    """``[""]`` is upstream's only working way to say "keep the plugin's own default": an empty list."""
    gateways = tuple(text for text in _strings(what, value) if text)
    for text in gateways:
        problem = addresses.gateway_problem(text)
        if problem:
            raise errors.AnnotationError(f"{what}: {problem}")
    return gateways


def _mac(what: str, value: Any) -> str:
    """Kept as it is written (NPWG 4.1.2.1.4)."""
    if string(what, value) and addresses.hardware_bytes(value) not in HARDWARE_BYTES:
        raise errors.AnnotationError(
            f"{what}: parsePodNetworkAnnotation: failed to mac: {environment.shown(value)} is not a hardware address,"
            " write it like 02:23:45:67:89:01"
        )
    return str(value)


def _guid(what: str, value: Any) -> str:
    if string(what, value) and addresses.hardware_bytes(value) not in HARDWARE_BYTES:
        raise errors.AnnotationError(
            f"{what}: parsePodNetworkAnnotation: failed to validate infiniband GUID: {environment.shown(value)} is not"
            " a GUID, write it like 24:8a:07:03:00:8d:ae:2f"
        )
    return str(value)


def _whole(what: str, value: Any, least: int, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise wrong(what, "a whole number", value)
    if not least <= value <= most:
        raise errors.AnnotationError(f"{what} must be between {least} and {most}")
    return int(value)


def _port_mappings(what: str, value: Any) -> tuple[Json, ...]:
    if not isinstance(value, list):
        raise wrong(what, "a list of objects", value)
    return tuple(_port_mapping(f"{what}: item {number}", member) for number, member in enumerate(value, 1))


def _port_mapping(what: str, value: Any) -> Json:
    given = keys.known(_object(what, value), ("hostPort", "containerPort", "protocol", "hostIP"))
    mapping: Json = {key: _port(what, given, key) for key in ("hostPort", "containerPort")}
    # NPWG 4.1.2.1.7: "defaults to TCP"; the portmap plugin itself has no default.
    mapping["protocol"] = string(f"{what}: protocol", given.get("protocol") or "tcp")
    if mapping["protocol"].upper() not in PROTOCOLS:
        raise errors.AnnotationError(f"{what}: protocol must be one of {', '.join(PROTOCOLS)}")
    address = string(f"{what}: hostIP", given.get("hostIP", ""))
    if address:
        if "/" in address or addresses.problem(address):
            raise errors.AnnotationError(f"{what}: hostIP {environment.shown(address)} is not an IP address")
        mapping["hostIP"] = address
    return mapping


def _port(what: str, given: Json, key: str) -> int:
    if key not in given:
        raise errors.AnnotationError(f"{what}: {key} is missing")
    return _whole(f"{what}: {key}", given[key], 1, 65535)


def _bandwidth(what: str, value: Any) -> Json:
    """Bits per second and bits; absent members are 0, as upstream hands them on."""
    given = keys.known(_object(what, value), _RATES)
    rates = {key: _whole(f"{what}: {key}", given.get(key, 0), 0, (1 << 63) - 1) for key in _RATES}
    for way in ("ingress", "egress"):
        if rates[f"{way}Burst"] and not rates[f"{way}Rate"]:
            raise errors.AnnotationError(f"{what}: {way}Burst needs {way}Rate")
    return rates


#: Key -> (field of Selection, decoder). `interfaceRequest` is upstream's old name; `interface` wins over it.
KEYS: dict[str, tuple[str, Decoder]] = {
    "name": ("name", string),
    "namespace": ("namespace", string),
    "ips": ("ips", _ips),
    "mac": ("mac", _mac),
    "infiniband-guid": ("infiniband_guid", _guid),
    "interfaceRequest": ("interface", _interface),
    "interface": ("interface", _interface),
    "portMappings": ("port_mappings", _port_mappings),
    "bandwidth": ("bandwidth", _bandwidth),
    "cni-args": ("cni_args", _object),
    "default-route": ("default_route", _gateways),
    "deviceID": ("device_id", string),
    "ipam-claim-reference": ("ipam_claim_reference", string),
}


def decode(member: Any, number: int) -> tuple[str, dict[str, Any]]:
    """What messages call the element (its number from 1, its name), and the fields of Selection that it sets."""
    where = f"element {number}"
    if not isinstance(member, dict):
        raise errors.AnnotationError(f"{where} must be an object, not {rawjson.kind(member)}")
    given = keys.known(member, KEYS)
    if isinstance(given.get("name"), str):
        where = f"element {number} ({environment.shown(given['name'])})"
    fields: dict[str, Any] = {}
    for key, value in given.items():
        field, decoder = KEYS[key]
        decoded = decoder(f"{where}: {key}", value)
        if decoded != "" or field not in fields:
            fields[field] = decoded
    return where, fields
