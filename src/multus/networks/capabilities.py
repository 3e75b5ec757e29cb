"""Capability arguments: what goes into a delegate's runtimeConfig (CNI conventions; NPWG 4.1.2.1 and 7.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multus.cni import config

if TYPE_CHECKING:
    from multus.cni.rawjson import Json
    from multus.networks.delegates import Delegate


def capability_args(delegate: Delegate, runtime_config: Json) -> Json:
    """The default network gets the runtime's runtimeConfig, whole, and its device; every other network only what its
    element asks."""
    if not delegate.master:
        return _requested(delegate)
    return {**runtime_config, "deviceID": delegate.device_id} if delegate.device_id else dict(runtime_config)


def undeclared(delegate: Delegate) -> tuple[str, ...]:
    """Capabilities that the element asks for and no plugin of the network declares. A device of the NAD's resource is
    none of them: its plugins find it in their configuration."""
    asked = _requested(delegate._replace(device_id=""))
    if delegate.device_id:
        asked.pop("deviceID", None)
    return tuple(key for key in asked if not config.declares(delegate.config, key))


def _requested(delegate: Delegate) -> Json:
    element = delegate.selection
    if element is None:
        return {"deviceID": delegate.device_id} if delegate.device_id else {}
    asked: Json = {
        "portMappings": list(element.port_mappings),
        "bandwidth": element.bandwidth,
        "ips": list(element.ips),
        "mac": element.mac,
        "infinibandGUID": element.infiniband_guid,
        "deviceID": delegate.device_id or element.device_id,
    }
    return {key: value for key, value in asked.items() if value}
