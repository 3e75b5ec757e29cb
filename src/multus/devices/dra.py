"""Devices that DRA drivers allocated: ResourceClaims say which, ResourceSlices say what they are to the network.

A driver publishes each device with two attributes, the id that CNI plugins know it by and the resource that NADs name
it by. Devices without them are nobody's network interface and are passed over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from multus import errors, log
from multus.devices import slices
from multus.devices.holdings import Holding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from multus.cni.rawjson import Json
    from multus.devices.slices import Device, Fetch, Identity
    from multus.networks.claims import PodClaims

GROUP = "/apis/resource.k8s.io"

#: Versions that say the same, the one to prefer first.
VERSIONS = ("v1", "v1beta2", "v1beta1")


class Result(NamedTuple):
    """One device of a claim's allocation."""

    request: str
    device: Device


class Claims:
    """The claims of pods, read through `fetch`, which is a GET at the API server."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._version = ""

    def of(self, claims: PodClaims, namespace: str, deadline: float) -> list[Holding]:
        """What the claims hold, in their order. Raises errors.ClusterError (errors.NotFound for a claim that is gone),
        errors.TryAgainLater for one that has no allocation, errors.InvalidConfig for devices that contradict it."""
        version = self._known_version(deadline)
        lookup = _Lookup(self._fetch, f"{GROUP}/{version}", claims, namespace, deadline)
        found: dict[tuple[str, str], list[str]] = {}
        for name, identity in (*lookup.direct(), *lookup.extended()):
            found.setdefault((name, identity.resource), []).append(identity.device_id)
        return [Holding(f"claim {name}", resource, tuple(ids)) for (name, resource), ids in found.items()]

    def _known_version(self, deadline: float) -> str:
        """The best version that the server has; asked for once."""
        if not self._version:
            try:
                group = self._fetch("the API group resource.k8s.io", GROUP, deadline)
            except errors.CniError as error:
                raise error.within("the pod has resource claims") from error
            served = group.get("versions")
            listed = [one.get("version") for one in served if isinstance(one, dict)] if isinstance(served, list) else []
            self._version = next((version for version in VERSIONS if version in listed), "")
        if not self._version:
            raise errors.ClusterError(
                f"the pod has resource claims, but the API server serves none of resource.k8s.io {', '.join(VERSIONS)}"
            )
        return self._version


class _Lookup:
    """The claims of one pod."""

    def __init__(self, fetch: Fetch, root: str, claims: PodClaims, namespace: str, deadline: float) -> None:
        self._fetch = fetch
        self._root = root
        self._claims = claims
        self._namespace = namespace
        self._deadline = deadline
        self._slices = slices.Slices(fetch, root, claims.node)

    def direct(self) -> Iterator[tuple[str, Identity]]:
        """The network devices of the pod's own claims, with the claim's name."""
        for name in self._claims.names:
            for result in self._results(name):
                identity = self._slices.identity(result.device, self._deadline)
                if identity.device_id and identity.resource:
                    yield name, identity
                else:
                    log.verbose("device of a claim is no network device", claim=name, device=result.device)

    def extended(self) -> Iterator[tuple[str, Identity]]:
        """The devices of the claim behind extended resources: each mapping names a request and the resource that its
        devices must be of."""
        name = self._claims.extended
        if not name:
            return
        results = list(self._results(name))
        for mapping in self._claims.mappings:
            mapped = [result for result in results if _asked_by(result.request, mapping.request)]
            if not mapped:
                raise errors.InvalidConfig(f"request {mapping.request} not found in {self._what(name)}")
            for result in mapped:
                yield name, self._matching(name, result.device, mapping.resource)

    def _matching(self, name: str, device: Device, resource: str) -> Identity:
        identity = self._slices.identity(device, self._deadline)
        if identity.device_id and identity.resource == resource:
            return identity
        raise errors.InvalidConfig(
            f"{self._what(name)}: device {device} was given for resource {resource}, but its attributes"
            f' {slices.DEVICE_ID} and {slices.RESOURCE_NAME} are "{identity.device_id}" and "{identity.resource}"'
        )

    def _results(self, name: str) -> Iterator[Result]:
        """The devices of the claim's allocation, each once (and each share of a shared one)."""
        what = self._what(name)
        path = f"{self._root}/namespaces/{self._namespace}/resourceclaims/{name}"
        results = _member(self._fetch(what, path, self._deadline), "status", "allocation", "devices").get("results")
        if not isinstance(results, list) or not results:
            raise errors.TryAgainLater(f"{what} has no device allocation")
        seen = set()
        for raw in results:
            # Administrative access is to look at a device that is somebody else's.
            if not isinstance(raw, dict) or raw.get("adminAccess") is True:
                continue
            device = slices.device(raw, what)
            share = (device, str(raw.get("shareID", "")))
            if share not in seen:
                seen.add(share)
                yield Result(str(raw.get("request", "")), device)

    def _what(self, name: str) -> str:
        return f"resource claim {self._namespace}/{name}"


def _asked_by(request: str, wanted: str) -> bool:
    """A request with alternatives names the one that was taken: ``request/alternative``."""
    return request == wanted or request.startswith(f"{wanted}/")


def _member(value: Json, *keys: str) -> Json:
    """The object below `keys`, an empty one where there is none."""
    for key in keys:
        inner = value.get(key)
        value = inner if isinstance(inner, dict) else {}
    return value
