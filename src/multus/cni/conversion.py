"""Conversion of results between all versions of the specification, by one table.

Four shapes are in the field: `legacy` (0.1.0, 0.2.0: ip4 and ip6), `tagged` (0.3.0 to 0.4.0: ips that carry their
family), `plain` (1.0.0) and `rich` (1.1.0: mtu, socketPath, pciID, more of routes). What the target can't hold is
dropped, and a key that means something only in the target's shape is never made up from a stray one; other keys we
don't know are kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from multus.cni import rawjson, versions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from multus.cni.rawjson import Json

    Step = Callable[[Json, str], Json]

SHAPES = {
    "0.1.0": "legacy",
    "0.2.0": "legacy",
    "0.3.0": "tagged",
    "0.3.1": "tagged",
    "0.4.0": "tagged",
    "1.0.0": "plain",
    "1.1.0": "rich",
}

#: Members since 1.1.0.
RICH_INTERFACE = ("mtu", "socketPath", "pciID")
RICH_ROUTE = ("mtu", "advmss", "priority", "table", "scope")


def convert(raw: Json, source: str, target: str, what: str = "result") -> Json:
    """`raw`, a result of version `source`, as `target` prints it: cniVersion set, an empty dns printed only below
    1.0.0. Raises errors.DecodeError naming `what`, errors.IncompatibleVersion."""
    source, target = versions.check(source), versions.check(target)
    converted = raw
    for step in CONVERSIONS[SHAPES[source], SHAPES[target]]:
        converted = step(converted, what)
    converted = {**converted, "cniVersion": target}
    if not converted.get("dns"):
        converted.pop("dns", None)
        if SHAPES[target] in ("legacy", "tagged"):
            converted["dns"] = {}
    return converted


def family(address: object) -> str:
    """The address family of an address or destination: "4" or "6"."""
    return "6" if isinstance(address, str) and ":" in address else "4"


def _legacy_to_tagged(raw: Json, what: str) -> Json:
    result = _without(raw, ("ip4", "ip6", "ips", "routes", "interfaces"))
    ips: list[Json] = []
    routes: list[Json] = []
    for tag in ("4", "6"):
        key = f"ip{tag}"
        if raw.get(key) is None:
            continue
        block = rawjson.mapping(raw[key], f"{what}: {key}")
        if block.get("ip"):
            gateway = {"gateway": block["gateway"]} if block.get("gateway") else {}
            ips.append({"version": tag, "address": block["ip"], **gateway})
        routes += rawjson.mappings(block, "routes", f"{what}: {key}")
    return result | ({"ips": ips} if ips else {}) | ({"routes": routes} if routes else {})


def _tagged_to_legacy(raw: Json, what: str) -> Json:
    """The first address of each family with that family's routes; interfaces have no place."""
    result = _without(raw, ("ips", "routes", "interfaces", "ip4", "ip6"))
    blocks: dict[str, Json] = {}
    for ip in rawjson.mappings(raw, "ips", what):
        if ip.get("address"):
            gateway = {"gateway": ip["gateway"]} if ip.get("gateway") else {}
            blocks.setdefault(family(ip["address"]), {"ip": ip["address"], **gateway})
    for route in rawjson.mappings(raw, "routes", what):
        held = blocks.get(family(route.get("dst")))
        if held is not None:
            held.setdefault("routes", []).append(route)
    return result | {f"ip{tag}": blocks[tag] for tag in ("4", "6") if tag in blocks}


def _tagged_to_plain(raw: Json, what: str) -> Json:
    return _each(_rich_to_plain(raw, what), "ips", what, lambda ip: _without(ip, ("version",)))


def _plain_to_tagged(raw: Json, what: str) -> Json:
    def tag(ip: Json) -> Json:
        return {"version": family(ip.get("address")), **_without(ip, ("version",))}

    return _each(raw, "ips", what, tag)


def _rich_to_plain(raw: Json, what: str) -> Json:
    """Also what 0.x results must lose before they count as 1.x: there these members had no meaning yet."""
    slim = _each(raw, "interfaces", what, lambda interface: _without(interface, RICH_INTERFACE))
    return _each(slim, "routes", what, lambda route: _without(route, RICH_ROUTE))


#: (shape from, shape to) -> the steps between. Plain is rich as it stands: one structure reads both in the reference
#: library, so that plugins of 1.0.0 print the members of 1.1.0 too.
CONVERSIONS: dict[tuple[str, str], tuple[Step, ...]] = {
    ("legacy", "legacy"): (),
    ("legacy", "tagged"): (_legacy_to_tagged,),
    ("legacy", "plain"): (_legacy_to_tagged, _tagged_to_plain),
    ("legacy", "rich"): (_legacy_to_tagged, _tagged_to_plain),
    ("tagged", "legacy"): (_tagged_to_legacy,),
    ("tagged", "tagged"): (),
    ("tagged", "plain"): (_tagged_to_plain,),
    ("tagged", "rich"): (_tagged_to_plain,),
    ("plain", "legacy"): (_rich_to_plain, _plain_to_tagged, _tagged_to_legacy),
    ("plain", "tagged"): (_rich_to_plain, _plain_to_tagged),
    ("plain", "plain"): (),
    ("plain", "rich"): (),
    ("rich", "legacy"): (_rich_to_plain, _plain_to_tagged, _tagged_to_legacy),
    ("rich", "tagged"): (_rich_to_plain, _plain_to_tagged),
    ("rich", "plain"): (_rich_to_plain,),
    ("rich", "rich"): (),
}


def _each(raw: Json, key: str, what: str, edit: Callable[[Json], Json]) -> Json:
    """`raw` with every member of the list ``raw[key]`` edited; as it is where there is none."""
    if raw.get(key) is None:
        return raw
    return {**raw, key: [edit(member) for member in rawjson.mappings(raw, key, what)]}


def _without(member: Json, keys: Iterable[str]) -> Json:
    return {key: value for key, value in member.items() if key not in keys}
