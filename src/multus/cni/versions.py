"""The released versions of the CNI specification."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multus import errors
from multus.cni import environment

if TYPE_CHECKING:
    from collections.abc import Sequence

SUPPORTED = ("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0")
LATEST = SUPPORTED[-1]

#: Verbs that younger versions of the specification brought.
SINCE = {"CHECK": "0.4.0", "GC": "1.1.0", "STATUS": "1.1.0"}


def normalise(version: str) -> str:
    """A configuration or result without a version is of the first one."""
    return version or SUPPORTED[0]


def check(version: str) -> str:
    """`version`, normalised; errors.IncompatibleVersion when it is not supported."""
    known = normalise(version)
    if known not in SUPPORTED:
        supported = " ".join(f'"{one}"' for one in SUPPORTED)
        raise errors.IncompatibleVersion(
            "incompatible CNI versions",
            details=f"config is {environment.shown(version)}, plugin supports [{supported}]",
        )
    return known


def at_least(version: str, minimum: str) -> bool:
    """Whether `version` is `minimum` or later; an unsupported one is not."""
    known = normalise(version)
    return known in SUPPORTED and SUPPORTED.index(known) >= SUPPORTED.index(minimum)


def has_verb(version: str, command: str) -> bool:
    """Whether a configuration of that (supported) version may be asked for it."""
    return command not in SINCE or at_least(version, SINCE[command])


def select(cni_version: str, cni_versions: Sequence[str]) -> str:
    """The highest supported of `cniVersion` and `cniVersions` (specification, "Version considerations"). Where none
    is, one of them for `check` to report."""
    known = [version for version in SUPPORTED if version == cni_version or version in cni_versions]
    if known:
        return known[-1]
    return cni_version or (cni_versions[-1] if cni_versions else "")
