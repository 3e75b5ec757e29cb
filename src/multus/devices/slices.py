"""ResourceSlices: what DRA drivers publish of their devices. Read as little as will do: the drivers of a claim's
devices, this node's slices first, those bound to no node only when a device is not among them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from multus import errors
from multus.networks import names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from multus.cni.rawjson import Json

DEVICE_ID = "k8s.cni.cncf.io/deviceID"
RESOURCE_NAME = "k8s.cni.cncf.io/resourceName"

#: Slices of one answer, so that no answer is very large, and answers of one list.
PAGE, PAGES = 16, 500


class Fetch(Protocol):
    """A GET at the API server."""

    def __call__(self, what: str, path: str, deadline: float) -> Json:
        """The object at `path`, called `what` in errors. Raises errors.NotFound, errors.Denied, errors.ClusterError."""
        ...


class Device(NamedTuple):
    """A device's name in its pool, the pool's with its driver."""

    driver: str
    pool: str
    name: str

    def __str__(self) -> str:
        return f"{self.driver}/{self.pool}/{self.name}"


class Identity(NamedTuple):
    """What the network calls a device; empty where its driver doesn't say."""

    device_id: str = ""
    resource: str = ""


def device(raw: Json, what: str) -> Device:
    """The device of an allocation's result. Raises errors.ClusterError naming `what`."""
    driver, pool, name = (_printable(raw.get(key)) for key in ("driver", "pool", "device"))
    if not names.is_subdomain(driver):
        raise errors.ClusterError(f"{what}: a device of its allocation has no driver")
    if not pool or not name:
        raise errors.ClusterError(f"{what}: a device of its allocation has no pool or no name")
    return Device(driver, pool, name)


class Slices:
    """The slices of one API server, kept for one lookup. `root` is the path of the API's version, `node` the pod's."""

    def __init__(self, fetch: Fetch, root: str, node: str) -> None:
        self._fetch = fetch
        self._root = root
        self._node = node
        self._known: dict[tuple[str, str], dict[Device, Identity]] = {}

    def identity(self, wanted: Device, deadline: float) -> Identity:
        """What the device is; empty members for one that isn't published. Raises errors.ClusterError."""
        for node in dict.fromkeys((self._node, "")):
            found = self._of(wanted.driver, node, deadline).get(wanted)
            if found is not None:
                return found
        return Identity()

    def _of(self, driver: str, node: str, deadline: float) -> dict[Device, Identity]:
        if (driver, node) not in self._known:
            self._known[driver, node] = _newest(self._listed(driver, node, deadline))
        return self._known[driver, node]

    def _listed(self, driver: str, node: str, deadline: float) -> Iterator[Json]:
        """The specs of all slices of a driver on a node, or on none; page by page."""
        what = f"resource slices of driver {driver}"
        # "=" and "," of the selector; driver and node are DNS names.
        selector = f"spec.driver%3D{driver}%2Cspec.nodeName%3D{node}"
        path = f"{self._root}/resourceslices?fieldSelector={selector}&limit={PAGE}"
        token = ""
        for _ in range(PAGES):
            page = self._fetch(what, path + token, deadline)
            items = page.get("items")
            for item in items if isinstance(items, list) else ():
                spec = item.get("spec") if isinstance(item, dict) else None
                if isinstance(spec, dict) and spec.get("driver") == driver and (spec.get("nodeName") or "") == node:
                    yield spec
            token = _next(page)
            if not token:
                return
        raise errors.ClusterError(f"{what}: more than {PAGE * PAGES} of them")


def _next(page: Json) -> str:
    metadata = page.get("metadata")
    token = metadata.get("continue") if isinstance(metadata, dict) else None
    if not isinstance(token, str) or not token:
        return ""
    from urllib.parse import quote

    return f"&continue={quote(token, safe='', errors='replace')}"


def _newest(specs: Iterator[Json]) -> dict[Device, Identity]:
    """Devices by name. A driver that changes a pool publishes it anew under a higher generation; the slices of lower
    ones are on their way out."""
    generations: dict[tuple[str, str], int] = {}
    found: dict[Device, tuple[int, Identity]] = {}
    for spec in specs:
        pool = spec.get("pool")
        name, generation = (pool.get("name"), pool.get("generation", 0)) if isinstance(pool, dict) else (None, 0)
        if not isinstance(name, str) or not isinstance(generation, int):
            continue
        key = (spec["driver"], name)
        generations[key] = max(generation, generations.get(key, generation))
        for raw in _objects(spec.get("devices")):
            one = Device(*key, str(raw.get("name", "")))
            if one not in found or found[one][0] <= generation:
                found[one] = (generation, _identity(raw))
    return {one: identity for one, (generation, identity) in found.items() if generations[one[:2]] == generation}


def _identity(raw: Json) -> Identity:
    """v1beta1 keeps attributes one level deeper than later versions."""
    basic = raw.get("basic")
    attributes = (basic if isinstance(basic, dict) else raw).get("attributes")
    return Identity(_text(attributes, DEVICE_ID), _text(attributes, RESOURCE_NAME))


def _text(attributes: Any, key: str) -> str:
    value = attributes.get(key) if isinstance(attributes, dict) else None
    return _printable(value.get("string") if isinstance(value, dict) else None)


def _printable(value: Any) -> str:
    """Text that can be part of a message or a file's name; "" for everything else."""
    return value if isinstance(value, str) and value.isprintable() else ""


def _objects(value: Any) -> list[Json]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
