"""The network-status annotation (NPWG 5): what was attached, an entry for every attachment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multus.cni import rawjson
from multus.networks import routes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from multus.cni.rawjson import Json
    from multus.cni.results import IP, Interface, Result
    from multus.networks.plan import Attachment


def entries(
    attached: Sequence[tuple[Attachment, Result]], device_infos: Mapping[int, Json] | None = None
) -> list[Json]:
    """One entry per sandbox interface of each attachment, in order; one where a plugin reports none (NPWG 5.1.1).

    With several interfaces an address is listed where its index points; those of interfaces on the host are left out
    (NPWG 5.3.3.1). `device_infos` are by position in `attached`."""
    found: list[Json] = []
    for number, (attachment, result) in enumerate(attached):
        found += _of(attachment, result, (device_infos or {}).get(number))
    return found


def _of(attachment: Attachment, result: Result, device_info: Json | None) -> list[Json]:
    inside = [number for number, interface in enumerate(result.interfaces) if interface.sandbox]
    if len(result.interfaces) <= 1 or not inside:
        interface = result.interfaces[inside[0]] if inside else None
        ips = result.ips if len(result.interfaces) <= 1 else [ip for ip in result.ips if not _is_indexed(ip)]
        return [_entry(attachment, result, interface, ips, attachment.delegate.master, device_info)]
    default = _default_interface(result, inside) if attachment.delegate.master else None
    return [
        _entry(
            attachment,
            result,
            result.interfaces[number],
            [ip for ip in result.ips if _belongs(ip, number, inside)],
            number == default,
            device_info,
        )
        for number in inside
    ]


def _is_indexed(ip: IP) -> bool:
    """Whether an address says whose it is; an index below zero says nothing (NPWG 5.3.3.1)."""
    return ip.interface is not None and ip.interface >= 0


def _belongs(ip: IP, number: int, inside: Sequence[int]) -> bool:
    """An address without an index belongs to the last sandbox interface."""
    return ip.interface == number if _is_indexed(ip) else number == inside[-1]


def _default_interface(result: Result, inside: Sequence[int]) -> int:
    """The interface of the first address with a gateway, else the first one in the sandbox."""
    for ip in result.ips:
        if ip.gateway and ip.interface is not None and ip.interface in inside:
            return ip.interface
    return inside[0]


def _entry(
    attachment: Attachment,
    result: Result,
    interface: Interface | None,
    ips: Sequence[IP],
    default: bool,
    device_info: Json | None,
) -> Json:
    """Members in upstream's order; all but dns left out when empty."""
    members: Json = {
        "name": attachment.delegate.name,
        "interface": (interface.name if interface is not None else "") or attachment.ifname,
        "ips": [ip.address.partition("/")[0] for ip in ips],
        "mac": interface.mac if interface is not None else "",
        "mtu": interface.mtu if interface is not None else 0,
        "default": default,
    }
    kept = {key: value for key, value in members.items() if value}
    kept["dns"] = _dns(result)
    if device_info:
        kept["device-info"] = device_info
    gateways = routes.gateways(result)
    if gateways:
        kept["gateway"] = gateways
    return kept


def _dns(result: Result) -> Json:
    dns = result.dns
    members: Json = {
        "nameservers": list(dns.nameservers),
        "domain": dns.domain,
        "search": list(dns.search),
        "options": list(dns.options),
    }
    return {key: value for key, value in members.items() if value}


def render(found: Sequence[Json]) -> str:
    """The annotation's text, laid out as upstream does."""
    return "[" + ",".join(rawjson.dumps(entry, indent=4) for entry in found) + "]"
