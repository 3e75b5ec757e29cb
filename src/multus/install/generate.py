"""The configuration that the runtime reads: `00-multus.conf` of the node daemon's shim or of the one-shot plugin.

Keys and their order are upstream's. Falsy ones are left out, as there. Two things differ on purpose: capabilities are
those the primary has now, not all it ever had, and the version never exceeds the primary's, whatever was asked for: a
runtime would call verbs, and expect results, that the default network doesn't know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from multus import errors
from multus.cni import rawjson, versions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from multus.cni.config import NetworkConfig
    from multus.cni.rawjson import Json

#: The network's name, where it is not the primary's.
NAME = "multus-cni-network"

SINGLE = "00-multus.conf"
LIST = "00-multus.conflist"

#: Both names the file may have; a runtime that found two would take the first.
FILES = (SINGLE, LIST)

#: From this version on the one-shot plugin's configuration is a list, as upstream's.
LIST_SINCE = "1.0.0"

#: The order of members for the shim; the last three are ours, and the shim's alone.
THICK_ORDER = (
    "binDir",
    "capabilities",
    "cniVersion",
    "logFile",
    "logLevel",
    "logToStderr",
    "logOptions",
    "name",
    "clusterNetwork",
    "namespaceIsolation",
    "globalNamespaces",
    "type",
    "cniDir",
    "auxiliaryCNIChainName",
    "daemonSocketDir",
    "overrideNetworkName",
    "daemonWait",
    "daemonWaitDelete",
    "statusGrace",
)

#: The order of members for the one-shot plugin, after name and version.
THIN_ORDER = (
    "type",
    "capabilities",
    "namespaceIsolation",
    "globalNamespaces",
    "logToStderr",
    "logLevel",
    "logFile",
    "logOptions",
    "binDir",
    "confDir",
    "cniDir",
    "readinessindicatorfile",
    "kubeconfig",
    "delegates",
)

#: Written although they are falsy.
_ALWAYS = ("cniVersion", "name", "type")


class Wanted(NamedTuple):
    """What the configuration is to say. `keys`: those of `THICK_ORDER` or `THIN_ORDER` that an operator set, as he
    set them; `cni_version` "" means the primary's; `capabilities` are added to the primary's."""

    thick: bool = True
    cni_version: str = ""
    override_network_name: bool = False
    capabilities: Mapping[str, bool] = {}
    keys: Mapping[str, object] = {}


class Generated(NamedTuple):
    """The file's name and content, and what is to be reported about them."""

    file: str
    data: bytes
    remarks: tuple[str, ...] = ()


def generate(wanted: Wanted, path: str, primary: NetworkConfig) -> Generated:
    """The runtime's configuration for the default network `primary`, which the daemon finds at `path`.

    Raises errors.InvalidConfig naming `path` and what it lacks."""
    version, remarks = _version(wanted, path, primary)
    members: dict[str, object] = {
        **wanted.keys,
        "cniVersion": version,
        "name": _name(wanted, path, primary),
        "capabilities": capabilities(primary, wanted.capabilities),
    }
    if wanted.thick:
        members |= {"type": "multus-shim", "clusterNetwork": path, "overrideNetworkName": wanted.override_network_name}
        return Generated(SINGLE, _encode(_ordered(members, THICK_ORDER)), remarks)
    members |= {"type": "multus", "delegates": [primary.raw]}
    return _thin(members, version)._replace(remarks=remarks)


def capabilities(primary: NetworkConfig, added: Mapping[str, bool]) -> dict[str, bool]:
    """The union of what any plugin of the primary declares as true, and what an operator added, by name."""
    names = {name for plugin in primary.plugins for name, value in _declared(plugin).items() if value is True}
    names |= {name for name, value in added.items() if value is True}
    return dict.fromkeys(sorted(names), True)


def _declared(plugin: Json) -> Json:
    found = plugin.get("capabilities")
    return found if isinstance(found, dict) else {}


def _version(wanted: Wanted, path: str, primary: NetworkConfig) -> tuple[str, tuple[str, ...]]:
    own = primary.cni_version
    if not own:
        raise errors.InvalidConfig(
            f"cannot get cniVersion in master CNI config file {path}: it names none: set it there, or forceCNIVersion"
        )
    if own not in versions.SUPPORTED:
        raise errors.InvalidConfig(f"{path}: its cniVersion {own[:40]!r} is not one of {', '.join(versions.SUPPORTED)}")
    asked = wanted.cni_version
    if not asked:
        return own, ()
    if asked not in versions.SUPPORTED:
        raise errors.InvalidConfig(f"cniVersion {asked[:40]!r} is not one of {', '.join(versions.SUPPORTED)}")
    if versions.at_least(own, asked):
        return asked, ()
    return own, (f"cniVersion {asked} is more than the primary's, {own} is written: {path}",)


def _name(wanted: Wanted, path: str, primary: NetworkConfig) -> str:
    if not wanted.override_network_name:
        return NAME
    if not primary.name:
        raise errors.InvalidConfig(f"{path}: it has no name that overrideNetworkName could take over")
    return primary.name


def _thin(members: Json, version: str) -> Generated:
    plugin = _ordered(members, THIN_ORDER)
    # The one-shot plugin's default is true, so that only false says something.
    if plugin.get("logToStderr"):
        del plugin["logToStderr"]
    head: Json = {"cniVersion": version, "name": members["name"]}
    if versions.at_least(version, LIST_SINCE):
        return Generated(LIST, _encode({**head, "plugins": [plugin]}))
    return Generated(SINGLE, _encode({**head, **plugin}))


def _ordered(members: Json, order: tuple[str, ...]) -> Json:
    kept = _ALWAYS if order is THICK_ORDER else (*_ALWAYS, "logToStderr")
    return {key: members[key] for key in order if members.get(key) or (key in members and key in kept)}


def _encode(value: Json) -> bytes:
    return rawjson.encode(value) + b"\n"
