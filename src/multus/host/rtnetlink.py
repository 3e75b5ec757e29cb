"""The few messages of rtnetlink(7) that Multus needs, as bytes: dumps of links and routes, default routes edited.

Pure: bytes in, values out. Numbers are in the machine's byte order, addresses in the network's, as the kernel has them.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from multus.networks.routes import KernelRoute, Link

if TYPE_CHECKING:
    from collections.abc import Iterator

AF_INET, AF_INET6 = 2, 10
FAMILIES = {"4": AF_INET, "6": AF_INET6}

NLMSG_ERROR, NLMSG_DONE = 2, 3
RTM_NEWLINK, RTM_GETLINK = 16, 18
RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE = 24, 25, 26

NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR = 0x1, 0x4, 0x300, 0x10
NLM_F_REPLACE, NLM_F_CREATE = 0x100, 0x400
NLM_F_CAPPED, NLM_F_ACK_TLVS = 0x100, 0x200

IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU = 1, 3, 4
RTA_DST, RTA_OIF, RTA_GATEWAY, RTA_PRIORITY, RTA_MULTIPATH, RTA_TABLE, RTA_VIA = 1, 4, 5, 6, 9, 15, 18
NLMSGERR_ATTR_MSG = 1

RT_TABLE_MAIN, RTPROT_BOOT, RTN_UNICAST = 254, 3, 1
RT_SCOPE_UNIVERSE, RT_SCOPE_NOWHERE = 0, 255
RTM_F_CLONED, RTNH_F_ONLINK = 0x200, 4

_HEADER = struct.Struct("=IHHII")
_IFINFO = struct.Struct("=BxHiII")
_RTMSG = struct.Struct("=BBBBBBBBI")
_NEXTHOP = struct.Struct("=HBBi")
_ATTRIBUTE = struct.Struct("=HH")


class Message(NamedTuple):
    """One netlink message."""

    kind: int
    flags: int
    sequence: int
    payload: bytes


def messages(data: bytes) -> Iterator[Message]:
    """The messages of one datagram. What is cut off is not there."""
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, kind, flags, sequence, _ = _HEADER.unpack_from(data, offset)
        if length < _HEADER.size or offset + length > len(data):
            return
        yield Message(kind, flags, sequence, data[offset + _HEADER.size : offset + length])
        offset += _aligned(length)


def error_of(message: Message) -> tuple[int, str]:
    """(errno, the kernel's own words or "") of an NLMSG_ERROR; errno 0 is an acknowledgement."""
    number, length = struct.unpack_from("=iI", message.payload)
    told = ""
    if message.flags & NLM_F_ACK_TLVS:
        start = 4 + (_HEADER.size if message.flags & NLM_F_CAPPED else _aligned(length))
        found = _attributes(message.payload[start:])
        told = found.get(NLMSGERR_ATTR_MSG, b"").rstrip(b"\0").decode("ascii", "replace")
    return -number, told


# ── requests ────────────────────────────────────────────────────────────────────────────────────────────────────


def get_links(sequence: int) -> bytes:
    """Dump all interfaces."""
    return _message(RTM_GETLINK, NLM_F_DUMP, sequence, _IFINFO.pack(0, 0, 0, 0, 0))


def get_routes(family: str, sequence: int) -> bytes:
    """Dump the routes of one family, "4" or "6"."""
    return _message(RTM_GETROUTE, NLM_F_DUMP, sequence, _RTMSG.pack(FAMILIES[family], 0, 0, 0, 0, 0, 0, 0, 0))


def new_default(family: str, gateway: str, ifindex: int, onlink: bool, sequence: int) -> bytes:
    """Make a default route of metric 0 in the main table; one of that metric is replaced."""
    flags = RTNH_F_ONLINK if onlink else 0
    body = _RTMSG.pack(FAMILIES[family], 0, 0, 0, RT_TABLE_MAIN, RTPROT_BOOT, RT_SCOPE_UNIVERSE, RTN_UNICAST, flags)
    body += _attribute(RTA_GATEWAY, _packed(gateway)) + _attribute(RTA_OIF, struct.pack("=i", ifindex))
    return _message(RTM_NEWROUTE, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE, sequence, body)


def delete_default(route: KernelRoute, sequence: int) -> bytes:
    """Delete exactly that default route; of a multipath route every hop."""
    scope = RT_SCOPE_NOWHERE if route.family == "4" else route.scope
    table = route.table if route.table < 256 else 0
    body = _RTMSG.pack(FAMILIES[route.family], 0, 0, route.tos, table, route.protocol, scope, RTN_UNICAST, 0)
    body += _attribute(RTA_TABLE, struct.pack("=I", route.table))
    if route.metric:
        body += _attribute(RTA_PRIORITY, struct.pack("=I", route.metric))
    if route.hops == 1:
        body += _attribute(RTA_OIF, struct.pack("=i", route.oif))
        if route.gateway:
            body += _gateway(route)
    return _message(RTM_DELROUTE, NLM_F_ACK, sequence, body)


def _gateway(route: KernelRoute) -> bytes:
    address = _packed(route.gateway)
    if (len(address) == 4) == (route.family == "4"):
        return _attribute(RTA_GATEWAY, address)
    return _attribute(RTA_VIA, struct.pack("=H", AF_INET6) + address)


def _message(kind: int, flags: int, sequence: int, body: bytes) -> bytes:
    return _HEADER.pack(_HEADER.size + len(body), kind, flags | NLM_F_REQUEST, sequence, 0) + body


def _attribute(kind: int, value: bytes) -> bytes:
    length = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(length, kind) + value + bytes(_aligned(length) - length)


# ── replies ─────────────────────────────────────────────────────────────────────────────────────────────────────


def link(payload: bytes) -> Link:
    """The interface in an RTM_NEWLINK."""
    _, _, number, _, _ = _IFINFO.unpack_from(payload)
    found = _attributes(payload[_IFINFO.size :])
    return Link(
        number=number,
        name=found.get(IFLA_IFNAME, b"").rstrip(b"\0").decode("utf-8", "surrogateescape"),
        mac=found.get(IFLA_ADDRESS, b"").hex(":"),
        mtu=_number(found.get(IFLA_MTU)),
    )


def default_routes(payload: bytes) -> list[KernelRoute]:
    """The route in an RTM_NEWROUTE when it is a unicast default route of the main table, else none.

    Two IPv6 routes of one metric are one multipath route to the kernel, whoever made them, and each hop can be deleted
    alone: they are given one by one. An IPv4 multipath route was made as such, and goes as a whole."""
    family, length, _, tos, table, protocol, scope, kind, flags = _RTMSG.unpack_from(payload)
    if length or kind != RTN_UNICAST or flags & RTM_F_CLONED or family not in (AF_INET, AF_INET6):
        return []
    found = _attributes(payload[_RTMSG.size :])
    table = _number(found.get(RTA_TABLE)) or table
    if table != RT_TABLE_MAIN:
        return []
    hops = _hops(found.get(RTA_MULTIPATH, b"")) or [found]
    metric = _number(found.get(RTA_PRIORITY))
    routes = [
        KernelRoute(
            family="4" if family == AF_INET else "6",
            dst="",
            gateway=_address(hop.get(RTA_GATEWAY) or hop.get(RTA_VIA, b"")[2:]),
            oif=_number(hop.get(RTA_OIF)),
            metric=metric,
            protocol=protocol,
            scope=scope,
            table=table,
            tos=tos,
        )
        for hop in hops
    ]
    return routes if family == AF_INET6 else [routes[0]._replace(hops=len(hops))]


def _hops(data: bytes) -> list[dict[int, bytes]]:
    """The attributes of each hop of a multipath route."""
    hops = []
    while len(data) >= _NEXTHOP.size:
        length, _, _, oif = _NEXTHOP.unpack_from(data)
        if length < _NEXTHOP.size:
            break
        hops.append({**_attributes(data[_NEXTHOP.size : length]), RTA_OIF: struct.pack("=i", oif)})
        data = data[_aligned(length) :]
    return hops


def _attributes(data: bytes) -> dict[int, bytes]:
    found = {}
    at = 0
    while at + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if length < _ATTRIBUTE.size:
            break
        found[kind & 0x3FFF] = data[at + _ATTRIBUTE.size : at + length]
        at += (length + 3) & ~3
    return found


def _number(value: bytes | None) -> int:
    return int(struct.unpack("=I", value)[0]) if value is not None and len(value) == 4 else 0


def _packed(address: str) -> bytes:
    import socket

    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


def _address(packed: bytes) -> str:
    import socket

    if len(packed) not in (4, 16):
        return ""
    return socket.inet_ntop(socket.AF_INET6 if len(packed) == 16 else socket.AF_INET, packed)


def _aligned(length: int) -> int:
    return (length + 3) & ~3
