"""What the kernel and the files say: interfaces, addresses and routes of the pods, pings, and what is left over."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from multus.ctl.demo import machine, topology
from multus.networks import selection

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from multus.ctl.demo.topology import Expectation, Ping, Pod

#: The node's links that are not the demo's pods'.
NODE_LINKS = frozenset({"lo", topology.UPLINK, topology.ROUTER_LINK, "cni0", "br-storage", "br-tuned"})


class Attachment(NamedTuple):
    """One interface of a pod, as the kernel shows it; `network` is from the pod's network-status."""

    pod: str
    interface: str
    network: str
    addresses: tuple[str, ...]
    mac: str
    mtu: int
    routes: tuple[str, ...]
    default_via: str


class Proof(NamedTuple):
    """Something that must be true, and whether it is; `detail` says what was seen."""

    name: str
    passed: bool
    detail: str = ""


def attachments(pod: Pod) -> list[Attachment]:
    """All interfaces of a pod but ``lo``."""
    networks = network_names(pod)
    routes = machine.ip_json(pod.netns, "-4", "route", "show")
    links = machine.ip_json(pod.netns, "address", "show")
    return [attachment(pod.name, link, routes, networks) for link in links if link["ifname"] != "lo"]


def attachment(
    pod: str, link: dict[str, Any], routes: Sequence[dict[str, Any]], networks: dict[str, str]
) -> Attachment:
    """One member of `ip -json address`, with the routes of the same interface."""
    name = link["ifname"]
    own = [route for route in routes if route.get("dev") == name]
    return Attachment(
        pod=pod,
        interface=name,
        network=networks.get(name, "?"),
        addresses=tuple(f"{a['local']}/{a['prefixlen']}" for a in link["addr_info"] if a.get("scope") != "link"),
        mac=link.get("address", ""),
        mtu=link["mtu"],
        routes=tuple(_route(route) for route in own),
        default_via=next((route.get("gateway", "") for route in own if route["dst"] == "default"), ""),
    )


def _route(route: dict[str, Any]) -> str:
    return f"{route['dst']} via {route['gateway']}" if "gateway" in route else str(route["dst"])


def network_names(pod: Pod) -> dict[str, str]:
    """Interface -> network, from the network-status that Multus wrote for the pod."""
    path = topology.STATE / "manifests.status" / f"{topology.NAMESPACE}_{pod.name}.json"
    try:
        status = json.loads(json.loads(path.read_text())["annotations"][selection.STATUS])
    except (OSError, ValueError, KeyError):
        return {}
    return {entry.get("interface", ""): entry.get("name", "") for entry in status}


def interfaces_proof(pod: Pod, found: Sequence[Attachment]) -> Proof:
    """The pod has the interfaces it asked for, each with an address and named in network-status."""
    seen = tuple(one.interface for one in found)
    complete = all(one.addresses and one.network != "?" for one in found)
    return Proof(f"{pod.name} has {', '.join(pod.interfaces)}", seen == pod.interfaces and complete, ", ".join(seen))


def expectation_proof(expected: Expectation, found: Sequence[Attachment]) -> Proof:
    """One interface looks as it must; a default route is the pod's only one."""
    own = [one for one in found if one.pod == expected.pod]
    one = next((one for one in own if one.interface == expected.interface), None)
    name = f"{expected.pod} {expected.interface}: {expected.why}"
    if one is None:
        return Proof(name, False, "no such interface")
    if expected.default_via:
        defaults = [f"{o.default_via} dev {o.interface}" for o in own if o.default_via]
        return Proof(name, defaults == [f"{expected.default_via} dev {one.interface}"], ", ".join(defaults) or "none")
    wanted, seen = _compared(expected, one)
    return Proof(name, wanted in seen, ", ".join(seen))


def _compared(expected: Expectation, one: Attachment) -> tuple[str, tuple[str, ...]]:
    if expected.address:
        return expected.address, one.addresses
    return (expected.mac, (one.mac,)) if expected.mac else (str(expected.mtu), (str(one.mtu),))


def ping_proof(ping: Ping, found: Sequence[Attachment]) -> Proof:
    """Traffic flows as the ping says."""
    address = _address(ping.target, found)
    through = f" {ping.interface}" if ping.interface else ""
    name = f"{ping.source}{through} -> {ping.target} ({ping.why})"
    if not address:
        return Proof(name, False, f"{ping.target} has no address")
    bound = ["-I", ping.interface] if ping.interface else []
    command = ["ping", "-n", "-q", "-c", "3", "-i", "0.2", "-W", "2", *bound, address]
    done = machine.inside(topology.PREFIX + ping.source, command)
    return Proof(name, done.status == 0, _summary(done.stdout, done.stderr))


def _address(target: str, found: Sequence[Attachment]) -> str:
    pod, _, interface = target.partition("/")
    if not interface:
        return target
    addresses = [one.addresses for one in found if (one.pod, one.interface) == (pod, interface)]
    return addresses[0][0].partition("/")[0] if addresses and addresses[0] else ""


def _summary(stdout: str, stderr: str) -> str:
    counts = [line for line in stdout.splitlines() if "packets transmitted" in line]
    return ", ".join(counts[0].split(", ")[:2]) if counts else " ".join(stderr.split())


def left_on_node(pods: Sequence[Pod]) -> list[str]:
    """Whatever the pods still hold after DEL: interfaces, the node's ends of their links, addresses, records."""
    links = [f"{pod.name}: {link['ifname']}" for pod in pods for link in _links(pod.netns) if link["ifname"] != "lo"]
    links += [f"node: {link['ifname']}" for link in _links(topology.HOST) if link["ifname"] not in NODE_LINKS]
    return links + _files(topology.STATE / "ipam", ("last_reserved_ip", "lock")) + _files(topology.STATE / "cni")


def _links(netns: str) -> list[dict[str, Any]]:
    return machine.ip_json(netns, "link", "show")


def _files(root: Path, bookkeeping: tuple[str, ...] = ()) -> list[str]:
    """The files under `root` that belong to a pod; locks and the like (hidden directories) don't."""
    found = []
    for path in sorted(root.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(root).parts)
        if path.is_file() and not hidden and not path.name.startswith(bookkeeping or "\0"):
            found.append(str(path))
    return found
