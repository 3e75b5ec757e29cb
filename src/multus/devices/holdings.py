"""Who holds which devices, and the order in which they are handed out."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable


class Holding(NamedTuple):
    """Devices of one resource in the hands of one `holder`: a container, or a resource claim."""

    holder: str
    resource: str
    ids: tuple[str, ...]


def by_resource(found: Iterable[Holding]) -> dict[str, list[str]]:
    """Resource -> ids. The holders keep their order, which is the pod's; what one of them holds is sorted, because the
    kubelet tells it in any order and by NUMA node. A device that an init container hands down to the next container is
    one device."""
    held: dict[str, dict[str, list[str]]] = {}
    for one in found:
        held.setdefault(one.resource, {}).setdefault(one.holder, []).extend(one.ids)
    return {
        resource: list(dict.fromkeys(device_id for ids in holders.values() for device_id in sorted(ids)))
        for resource, holders in held.items()
    }
