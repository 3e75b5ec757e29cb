"""`delegateConcurrency: auto`: which neighbours may be attached side by side.

NPWG 7.3 wants strict order, and real plugins lean on it: sbr and vrf pick free tables, bond enslaves earlier
interfaces. Only plugins known not to are proven, and only where two networks can't meet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from multus.cni import results
from multus.networks import addresses

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from multus.cni.rawjson import Json
    from multus.networks.delegates import Delegate

PROVEN = frozenset(("bridge", "macvlan", "ipvlan", "ptp", "vlan", "host-device", "host-local", "static"))

_POD_LINKS = ("linkInContainer", "linksInContainer", "links")

#: Stands for a destination that can't be read: such a delegate shares its stage with nobody.
_UNREADABLE = ""


def stages(delegates: Sequence[Delegate], names: Sequence[str], further: Sequence[str]) -> tuple[tuple[int, ...], ...]:
    """Indices of `delegates` in stages; `names` are the planned interfaces, `further` the types to add to `PROVEN`.
    The default network is alone in the first stage (NPWG 6.2)."""
    proven = PROVEN.union(further)
    made: list[list[int]] = []
    met: set[str] = set()
    open_to_more = False
    for number, delegate in enumerate(delegates):
        destinations = set(_destinations(delegate))
        may_share = number > 0 and _stands_alone(delegate, names, proven, destinations)
        if may_share and open_to_more and not destinations & met:
            made[-1].append(number)
            met |= destinations
        else:
            made.append([number])
            met = destinations
        open_to_more = may_share
    return tuple(tuple(stage) for stage in made)


def _stands_alone(delegate: Delegate, names: Sequence[str], proven: frozenset[str], destinations: set[str]) -> bool:
    """Every plugin is proven, none refers to an interface of the pod, none sets a default route."""
    if delegate.selection is not None and delegate.selection.default_route is not None:
        return False
    if _UNREADABLE in destinations or any(results.is_default(one) for one in destinations):
        return False
    return all(_is_apart(plugin, names, proven) for plugin in delegate.config.plugins)


def _is_apart(plugin: Json, names: Sequence[str], proven: frozenset[str]) -> bool:
    ipam = plugin.get("ipam") or {}
    if not isinstance(ipam, dict):
        return False
    kinds = [plugin["type"]] + ([ipam.get("type")] if ipam else [])
    if not all(isinstance(kind, str) and kind in proven for kind in kinds):
        return False
    return not any(plugin.get(key) for key in (*_POD_LINKS, "isDefaultGateway")) and plugin.get("master") not in names


def _destinations(delegate: Delegate) -> Iterator[str]:
    """Every network that may become a route, connected ones included: two that meet depend on the order."""
    for plugin in delegate.config.plugins:
        args = plugin.get("args")
        for part in (plugin.get("ipam"), args.get("cni") if isinstance(args, dict) else None):
            for text in _texts(part):
                yield addresses.network(text)
    if delegate.selection is not None:
        for text in delegate.selection.ips:
            yield addresses.network(text)


def _texts(value: Any) -> Iterator[str]:
    """The addresses and networks of an IPAM configuration, or of arguments to one."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for member in value:
            yield from _texts(member)
    elif isinstance(value, dict):
        for key in ("dst", "subnet", "address", "routes", "ranges", "addresses", "ips"):
            if key in value:
                yield from _texts(value[key])
