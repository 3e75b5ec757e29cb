"""What the runtime's configuration should be now: generated for the default network, or an operator's own file."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, NamedTuple, Protocol

from multus import errors
from multus.cni import config, rawjson
from multus.install import files, following, generate, primary, settings

if TYPE_CHECKING:
    from multus.install.primary import Candidate
    from multus.install.settings import Settings
    from multus.install.state import State


class Report(NamedTuple):
    """Something an operator should know; `kind` as of events: Normal or Warning."""

    reason: str
    message: str
    kind: str = "Normal"


class Due(NamedTuple):
    """`content`: what to write, None while nothing is known to be right; `primary` and `why` say what it is for."""

    content: generate.Generated | None = None
    primary: str = ""
    why: str = ""
    report: Report | None = None


class Source(Protocol):
    """Asked again and again."""

    def look(self, now: float) -> Due:
        """What is due at the time `now` (monotonic seconds). Raises errors.CniError."""
        ...


class Copied:
    """An operator's own file, under its name."""

    def __init__(self, path: str) -> None:
        self._path = path

    def look(self, now: float) -> Due:
        """As `Source.look`."""
        data = files.read(self._path)
        rawjson.loads_object(data, self._path)
        return Due(generate.Generated(os.path.basename(self._path), data), why=f"copied from {self._path}")


class Generating:
    """For the default network that is chosen, and chosen again when files come and go. `before`: what was decided
    before this process."""

    def __init__(self, told: Settings, before: State) -> None:
        self._told = told
        self._following = following.Following(before.primary, told.policy, told.primary_grace)
        self._due = Due(primary=before.primary, why=before.why)

    def look(self, now: float) -> Due:
        """As `Source.look`."""
        told = self._told
        candidates = primary.look(told.autoconf_dir)
        in_use = next((one for one in candidates if one.path == self._following.current), None)
        present = in_use is not None and not primary.objection(in_use, told.rule)
        if not present and self._put_aside():
            return self._due._replace(report=None)
        step = self._following.step(primary.choose(candidates, told.rule, told.autoconf_dir), present, now)
        report = Report(step.reason, step.message, step.kind) if step.reason else None
        if step.use is None:
            self._due = self._due._replace(report=report)
        else:
            self._due = Due(self._generate(step.use), step.use.path, step.message, report)
        return self._due

    def written(self) -> None:
        """The configuration is in place: with `rename_primary` the default network's own file goes out of the way."""
        path = self._due.primary
        if self._told.rename_primary and path and os.path.exists(path):
            try:
                os.rename(path, _old(path))
            except OSError as error:
                raise errors.IoFailure(f"can't rename {path}: {error.strerror}") from error

    def _put_aside(self) -> bool:
        """Whether the file in use is missing because we renamed it."""
        current = self._following.current
        if not self._told.rename_primary or not current or not os.path.exists(_old(current)):
            return False
        if self._due.content is None:
            found = config.loads(files.read(_old(current)), _old(current), partial=current.endswith(".conflist"))
            self._due = self._due._replace(content=generate.generate(self._told.wanted, current, found))
        return True

    def _generate(self, chosen: Candidate) -> generate.Generated:
        assert chosen.found is not None
        found = chosen.found
        if self._told.force_cni_version:
            found = _forced(chosen.path, found, self._told.wanted.cni_version)
        return generate.generate(self._told.wanted, chosen.path, found)


def of(told: Settings, before: State) -> Source:
    """The source that the settings name."""
    return Generating(told, before) if told.conf_file == settings.AUTO else Copied(told.conf_file)


def _old(path: str) -> str:
    return path + ".old"


def _forced(path: str, found: config.NetworkConfig, version: str) -> config.NetworkConfig:
    """The default network's file with another cniVersion, all else as it was."""
    if not version or found.cni_version == version:
        return found
    raw = {key: value for key, value in found.raw.items() if key != "cniVersions"} | {"cniVersion": version}
    try:
        mode = stat.S_IMODE(os.stat(path).st_mode)
    except OSError as error:
        raise errors.IoFailure(f"can't read {path}: {error.strerror}") from error
    files.write(path, rawjson.dumps(raw, indent=2).encode() + b"\n", mode)
    return config.from_object(raw, path, partial=path.endswith(".conflist"))
