"""The resource claims of a pod, as its object in the API names them (dynamic resource allocation)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from multus.networks import names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from multus.cni.rawjson import Json


class Mapping(NamedTuple):
    """A request of the claim that stands behind an extended resource, and that resource."""

    request: str
    resource: str


class PodClaims(NamedTuple):
    """ResourceClaims by name, in the order of the pod; `extended` is the claim that the scheduler made for extended
    resources ("" when there is none), `mappings` its requests. `node` is the pod's."""

    names: tuple[str, ...] = ()
    extended: str = ""
    mappings: tuple[Mapping, ...] = ()
    node: str = ""


def of_pod(raw: Json) -> PodClaims | None:
    """The claims of a pod; None when it has none. What is no claim in the object is passed over.

    A claim that the pod names itself is in its spec, one made from a template only in its status."""
    spec, status = _object(raw.get("spec")), _object(raw.get("status"))
    statuses, extended = status.get("resourceClaimStatuses"), _object(status.get("extendedResourceClaimStatus"))
    found = PodClaims(
        names=tuple(dict.fromkeys(_names(spec.get("resourceClaims"), statuses))),
        extended=_name(extended.get("resourceClaimName")),
        mappings=tuple(_mappings(extended.get("requestMappings"))),
        node=_name(spec.get("nodeName")),
    )
    return found if found.names or found.extended else None


def _names(declared: Any, statuses: Any) -> Iterator[str]:
    generated = {one.get("name"): _name(one.get("resourceClaimName")) for one in _objects(statuses)}
    for one in _objects(declared):
        name = _name(one.get("resourceClaimName")) or generated.pop(one.get("name"), "")
        if name:
            yield name
    yield from filter(None, generated.values())


def _mappings(value: Any) -> Iterator[Mapping]:
    for one in _objects(value):
        request, resource = _text(one.get("requestName")), _text(one.get("resourceName"))
        if request and resource:
            yield Mapping(request, resource)


def _text(value: Any) -> str:
    """Text that can be part of a message."""
    return value if isinstance(value, str) and value.isprintable() else ""


def _name(value: Any) -> str:
    """The name of an object; it becomes part of a request's path."""
    return value if isinstance(value, str) and names.is_subdomain(value) else ""


def _object(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


def _objects(value: Any) -> list[Json]:
    return [one for one in value if isinstance(one, dict) and _hashable(one)] if isinstance(value, list) else []


def _hashable(one: Json) -> bool:
    return not isinstance(one.get("name"), (list, dict))
