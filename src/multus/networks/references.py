"""`clusterNetwork` and `defaultNetworks`: a name or a path."""

from __future__ import annotations

from typing import Literal, NamedTuple


class Reference(NamedTuple):
    """Names are looked up as NADs, then in `confDir`; paths are files or directories."""

    text: str
    kind: Literal["name", "path"]


def classify(text: str) -> Reference:
    """Anything with a slash is a path."""
    return Reference(text, "path" if "/" in text else "name")
