"""Results of every CNI version (CNI specification, section 5).

A result is kept as its plugin printed it (`raw`); the typed members are a view of it, the same for all versions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from multus import errors
from multus.cni import conversion, environment, rawjson, versions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from multus.cni.rawjson import Json


class Interface(NamedTuple):
    """An interface the attachment made; `sandbox` "" when it is on the host."""

    name: str = ""
    mac: str = ""
    mtu: int = 0
    sandbox: str = ""
    socket_path: str = ""
    pci_id: str = ""


class IP(NamedTuple):
    """An address in CIDR notation; `interface` indexes the result's interfaces."""

    address: str
    gateway: str = ""
    interface: int | None = None


class Route(NamedTuple):
    """A route; `dst` in CIDR notation, the rest as the kernel's route attributes."""

    dst: str
    gw: str = ""
    mtu: int | None = None
    advmss: int | None = None
    priority: int | None = None
    table: int | None = None
    scope: int | None = None


class DNS(NamedTuple):
    """Name service of the network."""

    nameservers: tuple[str, ...] = ()
    domain: str = ""
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


class Result(NamedTuple):
    """One attachment's result: the typed view, and `raw` in `cni_version`."""

    cni_version: str
    interfaces: tuple[Interface, ...]
    ips: tuple[IP, ...]
    routes: tuple[Route, ...]
    dns: DNS
    raw: Json


#: Shapes that the view is taken of without a conversion: one structure reads both (`conversion.CONVERSIONS`).
_AS_IT_IS = ("plain", "rich")


def parse(data: bytes | Json, default_version: str, what: str) -> Result:
    """The result in `data`; one without cniVersion is of `default_version`. Raises errors.DecodeError naming `what`,
    errors.IncompatibleVersion."""
    raw = data if isinstance(data, dict) else rawjson.loads_object(data, what)
    try:
        version = versions.check(rawjson.text(raw, "cniVersion", what) or default_version)
    except errors.IncompatibleVersion as error:
        told = environment.shown(rawjson.text(raw, "cniVersion", what) or default_version)
        raise errors.IncompatibleVersion(f"{what}: unsupported CNI result version {told}") from error
    rich = raw if conversion.SHAPES[version] in _AS_IT_IS else conversion.convert(raw, version, versions.LATEST, what)
    return Result(
        cni_version=version,
        interfaces=tuple(_interface(one, what) for one in rawjson.mappings(rich, "interfaces", what)),
        ips=tuple(_ip(one, what) for one in rawjson.mappings(rich, "ips", what)),
        routes=tuple(_route(one, what) for one in rawjson.mappings(rich, "routes", what)),
        dns=_dns(rich, what),
        raw={**raw, "cniVersion": version},
    )


def empty(version: str) -> Result:
    """A result that says nothing, in `version`."""
    return parse({}, versions.normalise(version), "empty result")


def convert(raw: Json, source: str, target: str) -> Json:
    """As `conversion.convert`."""
    return conversion.convert(raw, source, target)


def as_version(result: Result, version: str) -> Json:
    """The result as `version` prints it."""
    return conversion.convert(result.raw, result.cni_version, version)


def is_default(dst: str) -> bool:
    """Whether a destination is a default route's, in any of its spellings."""
    address, slash, length = dst.partition("/")
    return length == "0" if slash else address in ("0.0.0.0", "::")  # noqa: S104


def with_routes(result: Result, routes: Sequence[Route]) -> Result:
    """The same result with `routes` in place of its own, in its own version's shape; all else, and what the plugin
    printed of the routes that stay, is kept. A route of a family without an address has no place below 0.3.0."""
    shape = conversion.SHAPES[result.cni_version]
    members = () if shape in ("legacy", "tagged") else conversion.RICH_ROUTE
    raw = dict(result.raw)
    if shape != "legacy":
        raw = _rerouted(raw, routes, members)
    for tag in ("4", "6") if shape == "legacy" else ():
        if raw.get(f"ip{tag}"):
            of_family = [route for route in routes if conversion.family(route.dst) == tag]
            raw[f"ip{tag}"] = _rerouted(raw[f"ip{tag}"], of_family, members)
    return result._replace(routes=tuple(routes), raw=raw)


def _rerouted(holder: Json, routes: Sequence[Route], members: Sequence[str]) -> Json:
    """`holder` with these `routes`, the printed object of each that it held already."""
    printed = rawjson.mappings(holder, "routes", "result")
    known = [(_route({key: one.get(key) for key in ("dst", "gw", *members)}, "result"), one) for one in printed]
    made = [next((one for seen, one in known if seen == route), _route_object(route, members)) for route in routes]
    return {**{key: value for key, value in holder.items() if key != "routes"}, **({"routes": made} if made else {})}


def _route_object(route: Route, members: Sequence[str]) -> Json:
    made: Json = {"dst": route.dst}
    if route.gw:
        made["gw"] = route.gw
    return made | {key: value for key in members if (value := getattr(route, key)) is not None}


def _interface(raw: Json, what: str) -> Interface:
    """Most have two or three of the members."""
    return Interface(
        name=rawjson.text(raw, "name", what),
        mac=rawjson.text(raw, "mac", what) if "mac" in raw else "",
        mtu=rawjson.whole(raw, "mtu", what) or 0 if "mtu" in raw else 0,
        sandbox=rawjson.text(raw, "sandbox", what) if "sandbox" in raw else "",
        socket_path=rawjson.text(raw, "socketPath", what) if "socketPath" in raw else "",
        pci_id=rawjson.text(raw, "pciID", what) if "pciID" in raw else "",
    )


def _ip(raw: Json, what: str) -> IP:
    address, gateway = rawjson.text(raw, "address", what), rawjson.text(raw, "gateway", what)
    return IP(address, gateway, rawjson.whole(raw, "interface", what))


def _route(raw: Json, what: str) -> Route:
    numbers = {key: rawjson.whole(raw, key, what) for key in conversion.RICH_ROUTE if key in raw}
    return Route(rawjson.text(raw, "dst", what), rawjson.text(raw, "gw", what), **numbers)


def _dns(raw: Json, what: str) -> DNS:
    if not raw.get("dns"):
        return DNS()
    what = f"{what}: dns"
    dns = rawjson.mapping(raw["dns"], what)
    lists = {key: rawjson.strings(dns, key, what) for key in ("nameservers", "search", "options")}
    return DNS(domain=rawjson.text(dns, "domain", what), **lists)
