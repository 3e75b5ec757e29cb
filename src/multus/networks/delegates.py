"""Delegates: a network's configuration together with what the pod asked of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from multus import errors
from multus.cni import config, environment, rawjson

if TYPE_CHECKING:
    from multus.cni.config import NetworkConfig
    from multus.cni.rawjson import Json
    from multus.networks.nad import Nad
    from multus.networks.selection import Selection

#: Plugin types that are Multus itself. Executables are also told by their identity, whatever their name.
OWN_TYPES = frozenset(("multus", "multus-cni", "multus-shim", "multus-daemon"))


class Delegate(NamedTuple):
    """`name` is what network-status calls it: ``<namespace>/<nad>``, or the configuration's own name. `master`: the
    default network."""

    config: NetworkConfig
    name: str
    selection: Selection | None
    master: bool
    resource_name: str = ""
    device_id: str = ""


def static(raw: Json, *, master: bool) -> Delegate:
    """An item of `delegates`. Raises errors.InvalidConfig."""
    title = raw.get("name") or raw.get("type")
    shown = f" {environment.shown(title)}" if isinstance(title, str) else ""
    return from_file(config.from_object(raw, f"LoadNetConf: failed to load delegate{shown} config"), master=master)


def from_file(found: NetworkConfig, *, master: bool) -> Delegate:
    """A configuration that belongs to no NAD."""
    if not found.name:
        raise errors.InvalidConfig(f"missing network name: delegate of type {', '.join(found.types)} needs a name")
    return Delegate(config=found, name=found.name, selection=None, master=master)


def from_nad(definition: Nad, found: NetworkConfig, element: Selection | None, *, master: bool = False) -> Delegate:
    """A NAD's configuration for `element`, its cni-args merged in. Raises errors.InvalidConfig."""
    name = f"{definition.namespace}/{definition.name}"
    if element is not None and element.cni_args is not None:
        found = _with_args(found, element.cni_args, name)
    return Delegate(config=found, name=name, selection=element, master=master, resource_name=definition.resource_name)


def hot_plugged(found: NetworkConfig, element: Selection) -> Delegate:
    """A configuration for a living sandbox, the cni-args of `element` merged in. Raises errors.InvalidConfig."""
    if element.cni_args is not None:
        found = _with_args(found, element.cni_args, found.name)
    return Delegate(config=found, name=found.name, selection=element, master=False)


def _with_args(found: NetworkConfig, wanted: Json, name: str) -> NetworkConfig:
    """`args.cni` of every plugin with the element's cni-args over it (NPWG 4.1.2.1.6)."""

    def merge(plugin: Json) -> Json:
        args = _object(plugin, "args", name)
        return {**plugin, "args": {**args, "cni": {**_object(args, "cni", name), **wanted}}}

    return config.edit_plugins(found, merge)


def _object(holder: Json, key: str, name: str) -> Json:
    value = holder.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise errors.InvalidConfig(
            f"network {name}: cni-args can't be merged, {key} of its configuration must be an object, not"
            f" {rawjson.kind(value)}"
        )
    return value


def refuse_self(delegate: Delegate) -> None:
    """Raises errors.SelfDelegation for a delegate that is Multus."""
    own = [kind for kind in delegate.config.types if kind in OWN_TYPES]
    if own:
        raise errors.SelfDelegation(
            f"network {delegate.name} has the plugin type {own[0]}, which is Multus itself: name the real network"
        )
