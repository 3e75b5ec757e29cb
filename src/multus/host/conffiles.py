"""CNI configuration files on this machine, as an operator or another network's installer puts them there."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from multus import errors, log
from multus.cni import config, environment
from multus.networks import delegates

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from multus.cni.config import NetworkConfig
    from multus.cni.rawjson import Json

#: Files larger than this are nobody's configuration.
LIMIT = 4 << 20

SUFFIXES = (".conflist", ".conf", ".json")


class ConfDirectory:
    """`ports.ConfFiles` over `conf_dir` (need not exist)."""

    def __init__(self, conf_dir: str) -> None:
        self._dir = conf_dir

    def by_name(self, name: str) -> NetworkConfig | None:
        """As `ports.ConfFiles.by_name`."""
        paths = _paths(self._dir)
        for path in sorted(paths, key=lambda path: not path.endswith(".conflist")):
            found = _load_or_warn(path)
            if found is not None and found.name == name:
                return found
        return None

    def by_path(self, path: str) -> NetworkConfig:
        """As `ports.ConfFiles.by_path`. In a directory the configuration of Multus itself is passed over."""
        if not os.path.isdir(path):
            return _load(path)
        for candidate in _paths(path):
            found = _load_or_warn(candidate)
            if found is not None and not delegates.OWN_TYPES.intersection(found.types):
                return found
        raise errors.InvalidConfig(f"no CNI configuration of a network other than Multus in directory {path}")

    def chain(self, name: str, beside: str, cni_version: str) -> NetworkConfig | None:
        """As `ports.ConfFiles.chain`. Raises errors.InvalidConfig for a name that is no network's."""
        environment.check_network_name(name)
        directory = os.path.join(os.path.dirname(beside), name)
        try:
            extra = list(_plugins(directory))
        except errors.CniError as error:
            log.warning("auxiliary chain not loaded", chain=name, error=error)
            return None
        if not extra:
            return None
        passthru: Json = {"type": "passthru", "name": "passthru-cni"}
        raw: Json = {"cniVersion": cni_version, "name": name, "plugins": [passthru, *extra]}
        return config.from_object(raw, f"auxiliary chain {name}")


def _paths(directory: str) -> list[str]:
    """The configuration files of a directory, by name."""
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return []
    except OSError as error:
        log.warning("CNI configuration directory not readable", directory=directory, error=error.strerror)
        return []
    return [os.path.join(directory, name) for name in sorted(names) if name.endswith(SUFFIXES)]


def _load_or_warn(path: str) -> NetworkConfig | None:
    try:
        return _load(path)
    except errors.CniError as error:
        log.warning("CNI configuration file skipped", error=error)
        return None


def _load(path: str) -> NetworkConfig:
    """A file; a list of `.conflist` with the plugins of its `<name>/*.conf`."""
    found = config.known(_read(path), f"CNI configuration {path}", partial=path.endswith(".conflist"))
    if not path.endswith(".conflist") or not found.is_list:
        return found
    if not found.name:
        raise errors.InvalidConfig(f"CNI configuration {path}: missing network name")
    directory = os.path.join(os.path.dirname(path), found.name)
    extra: Sequence[Json] = [] if found.load_only_inlined else list(_plugins(directory))
    return found if found.plugins and not extra else config.with_plugins(found, extra, f"CNI configuration {path}")


def _plugins(directory: str) -> Iterator[Json]:
    """The plugins in `<directory>/*.conf`, in the order of their names; none where there is no such directory."""
    for path in _paths(directory):
        if path.endswith(".conf"):
            found = config.loads(_read(path), f"CNI configuration {path}")
            if found.is_list:
                raise errors.InvalidConfig(f"CNI configuration {path}: one plugin is expected here, not a list")
            yield found.plugins[0]


def _read(path: str) -> bytes:
    """Symbolic links are followed: installers use them. Raises errors.IoFailure."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise errors.IoFailure(f"CNI configuration path is not a regular file: {path}")
            data = file.read(LIMIT + 1)
    except (OSError, ValueError) as error:
        raise errors.IoFailure(f"can't read CNI configuration {path}: {getattr(error, 'strerror', error)}") from error
    if len(data) > LIMIT:
        raise errors.IoFailure(f"CNI configuration {path} is larger than {LIMIT} bytes")
    return data
