"""Addresses as text: checked and told apart, without the cost of `ipaddress` where there are none."""

from __future__ import annotations

from multus.cni import environment


def problem(text: str) -> str:
    """What is wrong with an IP address, or with an address and prefix length (``/`` in it); "" when nothing is.

    Zones (``fe80::1%eth0``) and netmasks are refused as Go refuses them: a zone could hold any text, and addresses go
    into CNI_ARGS."""
    import ipaddress

    kind = "CIDR" if "/" in text else "IP address"
    try:
        ipaddress.ip_interface(text) if "/" in text else ipaddress.ip_address(text)
        fits = "%" not in text and ("/" not in text or text.rpartition("/")[2].isdigit())
    except ValueError:
        fits = False
    return "" if fits else f"failed to parse {kind} {environment.shown(text)}"


def gateway_problem(text: str) -> str:
    """What is wrong with the address of a gateway; "" when nothing is."""
    if "/" in text:
        return f"{environment.shown(text)} has a prefix length, a gateway is one address"
    wrong = problem(text)
    if wrong:
        return wrong
    import ipaddress

    address = ipaddress.ip_address(text)
    if address.is_unspecified or address.is_multicast or address.is_loopback:
        return f"{text} can't be a gateway"
    if address.version == 6 and address.ipv4_mapped is not None:
        return f"{text} is an IPv4 address in IPv6 notation, write {address.ipv4_mapped}"
    return ""


def family(text: str) -> str:
    """The address family of an address: "4" or "6"."""
    return "6" if ":" in text else "4"


def same(one: str, other: str) -> bool:
    """Whether two spellings mean one address."""
    if one == other:
        return True
    import ipaddress

    try:
        return ipaddress.ip_address(one) == ipaddress.ip_address(other)
    except ValueError:
        return False


def network(text: str) -> str:
    """The network that an address, with or without prefix length, belongs to; "" when it is none."""
    import ipaddress

    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        return ""


def hardware_bytes(text: str) -> int:
    """How many bytes a hardware address has (``:``, ``-`` or dotted quads as Go reads them); 0 when it is none."""
    for separator, digits in ((":", 2), ("-", 2), (".", 4)):
        if separator in text:
            parts = text.split(separator)
            fits = all(len(part) == digits and _is_hex(part) for part in parts)
            return len(parts) * digits // 2 if fits else 0
    return 0


def _is_hex(text: str) -> bool:
    return all(letter in "0123456789abcdefABCDEF" for letter in text)
