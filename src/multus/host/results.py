"""`<cniDir>/results/<network>-<containerID>-<ifname>`: cached results in libcni's format (`cniCacheV1`)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from multus import errors, log
from multus.cni import config, environment, rawjson, results
from multus.host import atomic
from multus.host.records import DAMAGED, RESULTS
from multus.networks import goformat, keys
from multus.ports import CachedResult

if TYPE_CHECKING:
    from collections.abc import Sequence

    from multus.cni.arguments import Pairs
    from multus.cni.config import NetworkConfig
    from multus.cni.rawjson import Json
    from multus.cni.results import Result
    from multus.host.atomic import Stamp
    from multus.host.remembered import Remembered
    from multus.host.spares import Spares
    from multus.ports import Opening

KIND = "cniCacheV1"

#: What is remembered of a file that was written: all but the result, which is kept as text (b"" for none).
Written = tuple[CachedResult, bytes]


class ResultFiles:
    """`ports.Results` in the directory `cni_dir`. `known`, `spares`: what a process that stays remembers, and keeps."""

    def __init__(self, cni_dir: str, known: Remembered[Written] | None = None, spares: Spares | None = None) -> None:
        self._known = known
        self._files: atomic.Files = spares if spares is not None else atomic
        self._dir = f"{cni_dir}/{RESULTS}"
        self._damaged = f"{cni_dir}/{DAMAGED}"
        #: What `of` read, until it is loaded: DEL asks for the same attachments again, one by one.
        self._listed: dict[str, CachedResult] = {}

    def load(self, network: str, container_id: str, ifname: str) -> CachedResult | None:
        """As `ports.Results.load`."""
        name = self._name(network, container_id, ifname)
        found = self._listed.pop(name, None) or self._read(name, self._stamp(name))
        # "a-b" of container "c" and "a" of container "b-c" share a file name: the content decides.
        same = found is not None and (found.network, found.container_id, found.ifname) == (
            network,
            container_id,
            ifname,
        )
        return found if same else None

    def of(self, container_id: str) -> Sequence[CachedResult]:
        """As `ports.Results.of`."""
        marked = f"-{container_id}-"
        stamps = {name: self._stamp(name) for name in self._names() if marked in name}
        found = {name: self._read(name, stamps[name]) for name in sorted(stamps, key=lambda name: stamps[name][2])}
        own = {name: one for name, one in found.items() if one is not None and one.container_id == container_id}
        self._listed.update(own)
        return list(own.values())

    def save(self, cached: CachedResult) -> None:
        """As `ports.Results.save`."""
        result = rawjson.encode(cached.result.raw) if cached.result is not None and cached.result.raw else b""
        self.keep(cached, self.opening(cached), result)

    def opening(self, cached: CachedResult) -> Opening:
        """As `ports.Results.opening`."""
        path = self._path(cached.network, cached.container_id, cached.ifname)
        self._listed.clear()
        return path, rawjson.encode(_members(cached))

    def keep(self, cached: CachedResult, opening: Opening, printed: bytes) -> None:
        """As `ports.Results.keep`."""
        path, text = opening
        result = printed.strip()
        written = self._files.write(path, text[:-1] + b',"result":' + result + b"}" if result else text)
        if self._known is not None:
            self._known.put(path, written, (cached, result))

    def remove(self, network: str, container_id: str, ifname: str) -> None:
        """As `ports.Results.remove`; raises errors.IoFailure where the disk refuses."""
        path = self._path(network, container_id, ifname)
        self._files.remove(path, whole=self._known is not None and self._known.forget(path))

    def all(self) -> Sequence[CachedResult]:
        """As `ports.Results.all`."""
        found = [self._read(name, self._stamp(name)) for name in sorted(self._names())]
        return [one for one in found if one is not None]

    def _path(self, network: str, container_id: str, ifname: str) -> str:
        return f"{self._dir}/{self._name(network, container_id, ifname)}"

    def _name(self, network: str, container_id: str, ifname: str) -> str:
        environment.check_network_name(network)
        environment.check_container_id(container_id)
        environment.check_ifname(ifname)
        return f"{network}-{container_id}-{ifname}"

    def _names(self) -> list[str]:
        try:
            return [name for name in os.listdir(self._dir) if not name.startswith(".")]
        except OSError:
            return []

    def _stamp(self, name: str) -> Stamp:
        try:
            return atomic.stamp(os.lstat(f"{self._dir}/{name}"))
        except OSError:
            return 0, 0, 0

    def _read(self, name: str, found: Stamp) -> CachedResult | None:
        path = f"{self._dir}/{name}"
        remembered = self._known.get(path, found) if self._known is not None else None
        try:
            if remembered is not None:
                cached, result = remembered
                return cached._replace(result=_result(result, cached.config, path)) if result else cached
            data = atomic.read(path)
            return self._decoded(data, name, path) if data is not None else None
        except errors.IoFailure as error:
            log.warning("cached result not readable", error=error)
        except errors.CniError as error:
            log.warning("damaged cached result set aside", moved=atomic.set_aside(path, self._damaged), error=error)
        return None

    def _decoded(self, data: bytes, name: str, what: str) -> CachedResult:
        found = _cached(data, what)
        if self._name(found.network, found.container_id, found.ifname) != name:  # what a spare held before (`spares`)
            raise errors.DecodeError(f"{what}: it is another attachment's")
        return found


def _members(cached: CachedResult) -> Json:
    """libcni's members in its order, but for the result; empty ones that it leaves out are left out."""
    found: Json = {
        "kind": KIND,
        "containerId": cached.container_id,
        "config": cached.config.once(goformat.packed) if cached.config is not None else "",
        "ifName": cached.ifname,
        "networkName": cached.network,
    }
    if cached.netns:
        found["netns"] = cached.netns
    if cached.args:
        found["cniArgs"] = cached.args
    if cached.capability_args:
        found["capabilityArgs"] = cached.capability_args
    return found


def _cached(data: bytes, what: str) -> CachedResult:
    raw = rawjson.loads_object(data, what)
    if raw.get("kind") != KIND:
        raise errors.DecodeError(f"{what}: not a cached result of kind {KIND}")
    packed = goformat.unpack(raw, "config", what)
    network = config.known(packed, what) if packed else None
    args = raw.get("capabilityArgs")
    result = raw.get("result")
    return CachedResult(
        network=environment.check_network_name(rawjson.text(raw, "networkName", what)),
        container_id=environment.check_container_id(rawjson.text(raw, "containerId", what)),
        ifname=environment.check_ifname(rawjson.text(raw, "ifName", what)),
        netns=rawjson.text(raw, "netns", what),
        config=network,
        args=_pairs(raw.get("cniArgs"), what),
        capability_args=rawjson.mapping(args, f"{what}: capabilityArgs") if args is not None else {},
        result=_result(rawjson.mapping(result, what), network, what) if result is not None else None,
    )


def _result(printed: bytes | Json, network: NetworkConfig | None, what: str) -> Result:
    """A plugin may leave out the version: then it is that of its network."""
    return results.parse(printed, network.cni_version if network is not None else "", what)


def _pairs(value: Any, what: str) -> Pairs:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(_is_pair(pair) for pair in value):
        raise errors.DecodeError(f"{what}: cniArgs must be a list of pairs")
    return tuple((pair[0], pair[1]) for pair in value)


def _is_pair(pair: Any) -> bool:
    """CNI_ARGS become a variable of the environment."""
    return isinstance(pair, list) and len(pair) == 2 and _is_text(pair[0]) and _is_text(pair[1])


def _is_text(part: Any) -> bool:
    return isinstance(part, str) and keys.is_system_text(part)
