"""Network configurations: conf and conflist, kept as they were written (CNI specification, section 1).

`NetworkConfig` is a view; its `raw` object is the truth. Keys we don't know reach the plugin unchanged.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, NamedTuple

from multus import errors
from multus.cni import environment, rawjson, versions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import TypeVar

    from multus.cni.rawjson import Json

    T = TypeVar("T")

#: Keys the runtime alone may set; text of strangers must not smuggle them in (specification, "Reserved keys").
RESERVED_PREFIX = "cni.dev/"

#: The kernel's NAME_MAX: a longer type can't be an executable of any directory.
_FILE_NAME_BYTES = 255

#: How many configurations `known` remembers, and the longest of their texts: a few MB where every one is as long.
REMEMBERED = 256
LONGEST = 4096


class _Members(NamedTuple):
    name: str
    cni_version: str
    plugins: tuple[Json, ...]
    raw: Json
    is_list: bool
    disable_check: bool = False
    disable_gc: bool = False
    load_only_inlined: bool = False


class NetworkConfig(_Members):
    """A conf (one plugin) or conflist (`is_list`). `cni_version` is the highest supported version it names, "" when
    it names none. What is made of it is made once: a process that stays attaches the same network to many pods."""

    @functools.cached_property
    def types(self) -> tuple[str, ...]:
        """The plugin types, in order."""
        return tuple(plugin["type"] for plugin in self.plugins)

    @functools.cached_property
    def text(self) -> bytes:
        """The configuration as JSON, losslessly."""
        return rawjson.encode(self.raw)

    @functools.cached_property
    def heads(self) -> dict[int, bytes]:
        """By the identity of each plugin object: what its requests have in common, as JSON."""
        return {id(plugin): rawjson.encode(_derived(self, plugin)) for plugin in self.plugins}

    @functools.cached_property
    def _made(self) -> dict[Any, Any]:
        return {}

    def once(self, make: Callable[[NetworkConfig], T]) -> T:
        """``make(self)``, made when it is first asked for."""
        made: dict[Callable[[NetworkConfig], T], T] = self._made
        if make not in made:
            made[make] = make(self)
        return made[make]


_known: dict[tuple[bytes | str, str, bool], NetworkConfig] = {}


def known(data: bytes | str, what: str, name: str = "", *, partial: bool = False) -> NetworkConfig:
    """As `loads`; where it has no name, under `name`. The same text gives the very same object again, so nobody may
    change what is in it. Raises errors.InvalidConfig for a `name` that is none, too."""
    key = (data, name, partial)
    found = _known.get(key)
    if found is None:
        found = loads(data, what, partial=partial)
        if name and not found.name:
            found = with_name(found, environment.check_network_name(name))
        if len(data) <= LONGEST:
            if len(_known) >= REMEMBERED:
                _known.clear()
            _known[key] = found
    return found


def loads(data: bytes | str, what: str, *, partial: bool = False) -> NetworkConfig:
    """The configuration in `data`. Raises errors.DecodeError, errors.InvalidConfig, naming `what`."""
    return from_object(rawjson.loads_object(data, what), what, partial=partial)


def from_object(raw: Json, what: str, *, partial: bool = False) -> NetworkConfig:
    """A conf if it has a `type`, else a conflist. Raises errors.InvalidConfig naming `what` and the key.

    `partial`: a list whose plugins may all come from its subdirectory, so `plugins` may be missing or empty;
    `with_plugins` completes it."""
    is_list = raw.get("type") in (None, "")
    return NetworkConfig(
        name=_name(raw, what),
        cni_version=_version(raw, what),
        plugins=_plugins(raw, what, partial) if is_list else (_plugin(raw, what),),
        raw=raw,
        is_list=is_list,
        disable_check=_flag(raw, "disableCheck", what),
        disable_gc=_flag(raw, "disableGC", what),
        load_only_inlined=_flag(raw, "loadOnlyInlinedPlugins", what),
    )


def _name(raw: Json, what: str) -> str:
    name = _string(raw, "name", what)
    if name and not environment.is_name(name):
        raise errors.InvalidConfig(f"{what}: invalid characters in network name {environment.shown(name)}")
    return name


def _version(raw: Json, what: str) -> str:
    listed = raw.get("cniVersions")
    if listed is not None and not (isinstance(listed, list) and all(isinstance(one, str) for one in listed)):
        raise errors.InvalidConfig(f"{what}: cniVersions must be a list of strings")
    return versions.select(_string(raw, "cniVersion", what), listed or [])


def _plugins(raw: Json, what: str, partial: bool = False) -> tuple[Json, ...]:
    members = raw.get("plugins")
    if partial and members in (None, []) and not _flag(raw, "loadOnlyInlinedPlugins", what):
        return ()
    if members is None:
        raise errors.InvalidConfig(f"{what}: delegate must have the 'type' or 'plugins' field")
    if not isinstance(members, list):
        raise errors.InvalidConfig(f"{what}: plugins must be a list, not {rawjson.kind(members)}")
    if not members:
        raise errors.InvalidConfig(f"{what}: plugins is empty: a conflist needs at least one plugin")
    return tuple(_plugin(member, f"{what}: plugin {number}") for number, member in enumerate(members))


def _plugin(member: Any, what: str) -> Json:
    if not isinstance(member, dict):
        raise errors.InvalidConfig(f"{what} must be an object, not {rawjson.kind(member)}")
    kind = _string(member, "type", what)
    if not kind:
        raise errors.InvalidConfig(f"{what}: a plugin delegate must have the 'type' field")
    if not _is_file_name(kind):
        raise errors.InvalidConfig(f"{what}: invalid plugin name: {environment.shown(kind)}")
    declared = member.get("capabilities")
    if declared is not None and not (
        isinstance(declared, dict) and all(value is None or isinstance(value, bool) for value in declared.values())
    ):
        raise errors.InvalidConfig(f"{what}: capabilities must map names to true or false")
    return member


def _is_file_name(text: str) -> bool:
    """Whether `text` names one file of a directory, whatever the directory (unprintable bytes and NUL included)."""
    clean = text.isprintable() and "/" not in text and "\\" not in text
    return clean and text not in (".", "..") and len(text.encode()) <= _FILE_NAME_BYTES


def _string(raw: Json, key: str, what: str) -> str:
    value = raw.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise errors.InvalidConfig(f"{what}: {key} must be a string, not {rawjson.kind(value)}")
    return value


def _flag(raw: Json, key: str, what: str) -> bool:
    value = raw.get(key)
    if value is None or isinstance(value, bool):
        return bool(value)
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise errors.InvalidConfig(f"{what}: {key} must be true or false, not {rawjson.kind(value)}")


def with_name(config: NetworkConfig, name: str) -> NetworkConfig:
    """The same configuration under `name`."""
    raw = {**config.raw, "name": name}
    return config._replace(name=name, raw=raw, plugins=config.plugins if config.is_list else (raw,))


def with_plugins(config: NetworkConfig, extra: Sequence[Json], what: str = "configuration") -> NetworkConfig:
    """A conflist with further plugins appended (its `<name>/*.conf`), unless `loadOnlyInlinedPlugins`. Raises
    errors.InvalidConfig naming `what`, also when no plugin is there at all or `config` is no list."""
    if not config.is_list:
        raise errors.InvalidConfig(f"{what}: only a conflist can take further plugins, this has a 'type'")
    added = () if config.load_only_inlined else extra
    raw = {**config.raw, "plugins": [*config.plugins, *added]}
    return config._replace(raw=raw, plugins=_plugins(raw, what))


def edit_plugins(config: NetworkConfig, edit: Callable[[Json], Json]) -> NetworkConfig:
    """Every plugin object replaced by ``edit(plugin)``; `edit` must not change its argument."""
    plugins = tuple(edit(plugin) for plugin in config.plugins)
    raw = {**config.raw, "plugins": list(plugins)} if config.is_list else plugins[0]
    return config._replace(plugins=plugins, raw=raw)


def encode(config: NetworkConfig) -> bytes:
    """The configuration as JSON, losslessly."""
    return config.text


def declares(config: NetworkConfig, capability: str) -> bool:
    """Whether any plugin of the configuration declares it."""
    return any((plugin.get("capabilities") or {}).get(capability) is True for plugin in config.plugins)


def request(
    config: NetworkConfig,
    plugin: Json,
    *,
    prev_result: Json | None = None,
    capability_args: Mapping[str, Any] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> bytes:
    """The stdin of one plugin (specification, "Deriving request configuration from plugin configuration").

    `prev_result` must be in the configuration's version; `capability_args` are filtered by what `plugin` declares
    (none matching, a `runtimeConfig` that the author wrote stays, as upstream has it); `extra` are the reserved keys
    of GC. A `prevResult` in the configuration's own text is not one and goes, as do other reserved keys."""
    further: Json = {}
    declared = plugin.get("capabilities") if capability_args else None
    if capability_args and declared:
        runtime = {key: value for key, value in capability_args.items() if declared.get(key) is True}
        if runtime:
            further["runtimeConfig"] = runtime
    if prev_result is not None:
        further["prevResult"] = prev_result
    if extra:
        further.update(extra)
    head = config.heads.get(id(plugin))
    if head is None or "runtimeConfig" in plugin:
        return rawjson.encode({**_derived(config, plugin), **further})
    return head[:-1] + b"," + rawjson.encode(further)[1:] if further else head


def _derived(config: NetworkConfig, plugin: Json) -> Json:
    derived = {
        key: value
        for key, value in plugin.items()
        if key not in ("capabilities", "prevResult") and not key.startswith(RESERVED_PREFIX)
    }
    derived["name"] = config.name
    derived["cniVersion"] = versions.normalise(config.cni_version)
    return derived
