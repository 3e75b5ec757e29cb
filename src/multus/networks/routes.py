"""default-route: which attachment holds the pod's default route (NPWG 4.1.2.1.9), per address family.

* A gateway given by one attachment becomes the only default route of its family, on that attachment's interface.
* A family that nobody asked for stays as the plugins made it.
* An empty list means: this attachment keeps the defaults its plugin configured, and in those families the others lose
  theirs. Which families those are is known only afterwards, from the kernel. Where another attachment gives a gateway
  of such a family the explicit gateway wins; several attachments with an empty list all keep theirs.
* Two gateways of one family over all attachments are an error.

The plan is made before anything runs; the edits are computed from the kernel's tables after the last attachment; the
results are then corrected from the kernel's tables again, so that what is told is what is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from multus import errors
from multus.cni import results
from multus.networks import addresses

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from multus.cni.results import Result, Route
    from multus.networks.delegates import Delegate

FAMILIES = ("4", "6")
_ANY = {"4": "0.0.0.0/0", "6": "::/0"}

#: RTPROT_RA of the kernel.
ROUTER_ADVERTISEMENT = 9


class Link(NamedTuple):
    """One network interface, as the kernel has it; `number` is its index."""

    number: int
    name: str
    mac: str
    mtu: int


class KernelRoute(NamedTuple):
    """One unicast route. `family` is "4" or "6"; `dst` "" for a default route, else CIDR; `gateway` "" when on-link.
    `metric` is RTA_PRIORITY (0 when unset); `hops` > 1 for a multipath route (gateway and oif of its first hop)."""

    family: str
    dst: str
    gateway: str
    oif: int
    metric: int
    protocol: int
    scope: int
    table: int
    hops: int = 1
    tos: int = 0


class Gateway(NamedTuple):
    """The default route that attachment `number` shall hold."""

    number: int
    family: str
    address: str


class RoutePlan(NamedTuple):
    """What the elements ask for; `keepers` are the attachments with an empty list."""

    gateways: tuple[Gateway, ...] = ()
    keepers: tuple[int, ...] = ()

    @property
    def wanted(self) -> bool:
        """Whether anything is to be done at all."""
        return bool(self.gateways or self.keepers)


class NewDefault(NamedTuple):
    """A default route to add."""

    family: str
    gateway: str
    oif: int


class Edits(NamedTuple):
    """First delete, then add: nothing runs in the pod yet that could miss a route meanwhile."""

    delete: tuple[KernelRoute, ...]
    add: tuple[NewDefault, ...]


def plan(delegates: Sequence[Delegate], ifnames: Sequence[str]) -> RoutePlan:
    """What all delegates together ask for; `ifnames` are their interfaces. Raises errors.RouteConflict naming both
    claimants of a family."""
    holders: dict[str, tuple[str, str]] = {}
    gateways, keepers = [], []
    for number, (delegate, ifname) in enumerate(zip(delegates, ifnames, strict=True)):
        asked = delegate.selection.default_route if delegate.selection is not None else None
        if asked is None:
            continue
        if not asked:
            keepers.append(number)
        for address in asked:
            family = addresses.family(address)
            if family in holders:
                other, gateway = holders[family]
                raise errors.RouteConflict(
                    f"multus does not support ECMP for default-route: two IPv{family} gateways are asked for, {gateway}"
                    f" by network {other} and {address} by network {delegate.name} ({ifname}): remove one of them"
                )
            holders[family] = (f"{delegate.name} ({ifname})", address)
            gateways.append(Gateway(number, family, address))
    return RoutePlan(tuple(gateways), tuple(keepers))


def edits(wanted: RoutePlan, ifnames: Sequence[str], defaults: Sequence[KernelRoute], links: Sequence[Link]) -> Edits:
    """What turns the kernel's `defaults` (main table) into what is wanted. Raises errors.InvalidConfig when an
    attachment that shall hold a default route has no interface in the sandbox."""
    numbers = {link.name: link.number for link in links}
    delete: list[KernelRoute] = []
    add: list[NewDefault] = []
    claimed = {gateway.family for gateway in wanted.gateways}
    for gateway in wanted.gateways:
        oif = numbers.get(ifnames[gateway.number])
        if oif is None:
            raise errors.InvalidConfig(
                f"default-route {gateway.address}: its network made no interface {ifnames[gateway.number]} in the pod"
            )
        family = [route for route in defaults if route.family == gateway.family]
        kept = next((route for route in family if _is(route, gateway.address, oif)), None)
        delete += [route for route in family if route is not kept]
        if kept is None:
            add.append(NewDefault(gateway.family, gateway.address, oif))
    keeping = {numbers.get(ifnames[number]) for number in wanted.keepers}
    for name in FAMILIES:
        family = [route for route in defaults if route.family == name]
        if name not in claimed and any(route.oif in keeping for route in family):
            delete += [route for route in family if route.oif not in keeping]
    return Edits(tuple(delete), tuple(add))


def _is(route: KernelRoute, gateway: str, oif: int) -> bool:
    """Whether it is the wanted route already, and will last: one from a router advertisement expires."""
    plain = route.hops == 1 and route.tos == 0 and route.protocol != ROUTER_ADVERTISEMENT
    return plain and route.oif == oif and addresses.same(route.gateway, gateway)


def outcome(
    wanted: RoutePlan,
    ifnames: Sequence[str],
    attached: Sequence[Result],
    defaults: Sequence[KernelRoute],
    links: Sequence[Link],
) -> tuple[Result, ...]:
    """The results with the default routes that the kernel really has, in the families that were touched; a result
    that is right already is returned as the same object."""
    numbers = {link.name: link.number for link in links}
    keeping = {numbers.get(ifnames[number]) for number in wanted.keepers}
    touched = {gateway.family for gateway in wanted.gateways}
    touched |= {route.family for route in defaults if route.oif in keeping}
    return tuple(
        _corrected(result, touched, [route for route in defaults if route.oif == numbers.get(ifname)])
        for ifname, result in zip(ifnames, attached, strict=True)
    )


def _corrected(result: Result, touched: set[str], held: Sequence[KernelRoute]) -> Result:
    def is_touched(route: Route) -> bool:
        return results.is_default(route.dst) and _family(route) in touched

    told = [route for route in result.routes if is_touched(route)]
    real = [(route.family, route.gateway) for route in held if route.family in touched]
    if sorted((_family(route), route.gw) for route in told) == sorted(real):
        return result
    others = [route for route in result.routes if not is_touched(route)]
    added = [results.Route(dst=_ANY[family], gw=gateway) for family, gateway in real]
    return results.with_routes(result, [*others, *added])


def _family(route: Route) -> str:
    return addresses.family(route.dst + route.gw)


def gateways(result: Result) -> list[str]:
    """The default gateways of a result: a default route's own, else its family's gateway among the addresses (CNI
    specification, section 5, "If unset, a value in `gateway` in the `ips` array may be used"). A default route that
    has neither is on-link and contributes nothing."""
    found: dict[str, None] = {}
    by_family: Mapping[str, str] = {
        addresses.family(ip.gateway): ip.gateway for ip in reversed(result.ips) if ip.gateway
    }
    for route in result.routes:
        if results.is_default(route.dst):
            gateway = route.gw or by_family.get(_family(route), "")
            if gateway:
                found[gateway] = None
    return list(found)
