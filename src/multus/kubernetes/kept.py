"""What a reflector keeps of an object: the fields that decisions need, as compactly as they go.

A node's daemon knows every NetworkAttachmentDefinition of the cluster, so each byte counts a thousand times.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from multus.kubernetes.cluster import CONFIG_SOURCE, claims_of
from multus.networks import selection
from multus.networks.nad import Nad
from multus.ports import Pod

if TYPE_CHECKING:
    from collections.abc import Mapping

    from multus.cni.rawjson import Json

#: The annotations of pods that the engine reads.
ANNOTATIONS = (selection.NETWORKS, selection.DEFAULT_NETWORK, CONFIG_SOURCE)

#: More characters than this are not kept: such an object is read from the API server each time, so that its author
#: can't fill the daemon's memory.
LIMIT = 64 << 10

_NONE: Mapping[str, str] = {}


class Definition(NamedTuple):
    """A NetworkAttachmentDefinition that names a resource; of one that doesn't, only the text of spec.config is
    kept."""

    config: str
    resource_name: str


def key(raw: Json) -> str:
    """``namespace/name``; "" for what is no object."""
    metadata = raw.get("metadata")
    if not isinstance(metadata, dict):
        return ""
    namespace, name = metadata.get("namespace"), metadata.get("name")
    return f"{namespace}/{name}" if isinstance(namespace, str) and isinstance(name, str) else ""


def pod(raw: Json) -> Pod | None:
    """The pod with the annotations in `ANNOTATIONS`; None when it can't be kept."""
    metadata = raw["metadata"]
    uid = metadata.get("uid")
    given = _annotations(metadata)
    annotations = {name: given[name] for name in ANNOTATIONS if isinstance(given.get(name), str)}
    if not isinstance(uid, str) or not uid or sum(map(len, annotations.values())) > LIMIT:
        return None
    static = annotations.get(CONFIG_SOURCE, "api") != "api"
    return Pod(sys.intern(metadata["namespace"]), metadata["name"], uid, annotations or _NONE, static, claims_of(raw))


def network(raw: Json) -> Definition | str | None:
    """The NetworkAttachmentDefinition, see `nad`; None when it can't be kept."""
    spec = raw.get("spec")
    config = spec.get("config") if isinstance(spec, dict) else None
    if config is None:
        config = ""
    if not isinstance(config, str) or len(config) > LIMIT:
        return None
    resource = _annotations(raw["metadata"]).get(selection.RESOURCE_NAME)
    return Definition(config, sys.intern(resource)) if isinstance(resource, str) and resource else config


def nad(namespace: str, name: str, value: Definition | str) -> Nad:
    """What `network` kept, as the engine wants it."""
    if isinstance(value, str):
        return Nad(namespace, name, value)
    return Nad(namespace, name, value.config, value.resource_name)


def _annotations(metadata: Json) -> dict[str, Any]:
    found = metadata.get("annotations")
    return found if isinstance(found, dict) else {}
