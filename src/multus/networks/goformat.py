"""How upstream's structures hold a network configuration in the record.

`Conf` and `ConfList` are what Go's types keep of it: base members only. `Bytes` is the whole configuration. A few
releases of upstream wrote only the base members into `Bytes` too and kept the rest in `CNINetworkConfigList`; their
pods are still running somewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from multus import errors
from multus.cni import config, environment, rawjson

if TYPE_CHECKING:
    from collections.abc import Sequence

    from multus.cni.config import NetworkConfig
    from multus.cni.rawjson import Json

#: What upstream writes into every plugin after a configuration was read, beside cni-args.
_DEVICE = ("deviceID", "pciBusID")


def members(found: NetworkConfig) -> Json:
    """`Conf` and `ConfList` as Go writes its structures: empty strings, lists and maps left out, structures not."""
    return {"Conf": _base(found.raw), "ConfList": _base_list(found) if found.is_list else {}}


def opening(found: NetworkConfig) -> bytes:
    """`members`, as JSON."""
    return rawjson.encode(members(found))


def packed(found: NetworkConfig) -> str:
    """The whole configuration, as `Bytes` has it."""
    return pack(found.text)


def _base(raw: Json) -> Json:
    kept = _texts(raw, ("cniVersion", "name", "type"))
    if raw.get("capabilities"):
        kept["capabilities"] = raw["capabilities"]
    ipam = raw.get("ipam")
    kind = ipam.get("type") if isinstance(ipam, dict) else None
    return {**kept, "ipam": {"type": kind} if kind and isinstance(kind, str) else {}, "dns": _dns(raw.get("dns"))}


def _texts(raw: Json, keys: Sequence[str]) -> Json:
    return {key: raw[key] for key in keys if raw.get(key) and isinstance(raw[key], str)}


def _dns(value: Any) -> Json:
    given = value if isinstance(value, dict) else {}
    kept: Json = {}
    for key in ("nameservers", "domain", "search", "options"):
        member = given.get(key)
        wanted = isinstance(member, str) if key == "domain" else _is_strings(member)
        if member and wanted:
            kept[key] = member
    return kept


def _is_strings(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(member, str) for member in value)


def _base_list(found: NetworkConfig) -> Json:
    kept = _texts(found.raw, ("cniVersion", "name"))
    flags = {"disableCheck": found.disable_check, "disableGC": found.disable_gc}
    return kept | {key: True for key, value in flags.items() if value} | {"plugins": [_base(p) for p in found.plugins]}


def pack(data: bytes) -> str:
    """As Go writes a byte slice: base64."""
    import binascii

    return binascii.b2a_base64(data, newline=False).decode("ascii")


def unpack(holder: Json, key: str, what: str) -> bytes:
    """The byte slice ``holder[key]``, empty when absent or null. Raises errors.DamagedRecord."""
    import binascii

    value = holder.get(key)
    if value is None:
        return b""
    if not isinstance(value, str):
        raise errors.DamagedRecord(f"{what}: {key} must be a string, not {rawjson.kind(value)}")
    try:
        return binascii.a2b_base64(value, strict_mode=True)
    except ValueError as error:
        raise errors.DamagedRecord(f"{what}: {key} is not base64") from error


def configuration(member: Json, what: str) -> NetworkConfig:
    """The whole configuration of an element, named. Raises errors.CniError."""
    found = config.known(unpack(member, "Bytes", what), what)
    older = member.get("CNINetworkConfigList")
    if found.is_list and isinstance(older, dict) and older.get("Plugins"):
        found = _restored(found, older, what)
    if found.name:
        return found
    name = member.get("Name")
    return config.with_name(found, environment.check_network_name(str(name or "").rpartition("/")[2]))


def _restored(reduced: NetworkConfig, older: Json, what: str) -> NetworkConfig:
    """`reduced` with everything that `CNINetworkConfigList` knows better."""
    plugins = rawjson.mappings(older, "Plugins", what)
    if len(plugins) != len(reduced.plugins):
        raise errors.DamagedRecord(f"{what}: CNINetworkConfigList has not as many plugins as Bytes")
    whole = [rawjson.loads_object(unpack(plugin, "Bytes", what), what) for plugin in plugins]
    plugins = [_with_later(plugin, later) for plugin, later in zip(whole, reduced.plugins, strict=True)]
    listed = unpack(older, "Bytes", what)
    keys = rawjson.loads_object(listed, what) if listed else {}
    return config.from_object({**keys, **reduced.raw, "plugins": plugins}, what)


def _with_later(plugin: Json, later: Json) -> Json:
    whole = plugin | {key: later[key] for key in _DEVICE if key in later}
    if isinstance(later.get("args"), dict):
        own = plugin["args"] if isinstance(plugin.get("args"), dict) else {}
        cni = {**_object(own, "cni"), **_object(later["args"], "cni")}
        whole["args"] = own | later["args"] | ({"cni": cni} if cni else {})
    return whole


def _object(holder: Json, key: str) -> Json:
    value = holder.get(key)
    return value if isinstance(value, dict) else {}
