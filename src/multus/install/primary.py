"""Which network is the default one: a choice among the configuration files that were there before Multus.

It is the choice the runtime would make without us: the first file by name that can be used. Never Multus itself, by
whatever name: it is told by its type, by keys that only Multus has, and by a type whose executable is ours. An
operator may name a file or a network instead, or exclude files by pattern. Why a file was chosen, and why those before
it were not, is part of the answer.
"""

from __future__ import annotations

import os
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, NamedTuple

from multus import errors
from multus.cni import config
from multus.install import files
from multus.networks import delegates

if TYPE_CHECKING:
    from collections.abc import Sequence

    from multus.cni.config import NetworkConfig
    from multus.cni.rawjson import Json

#: What runtimes read, in their order of preference: none but the name's.
SUFFIXES = (".conf", ".conflist", ".json")

#: Files of ours begin so.
OWN_PREFIX = "00-multus"

#: Networks of other tools on the host, which no pod should get by accident.
EXCLUDED = ("*podman*",)

#: A configuration with one of these is Multus, or something else that calls other plugins in its place.
_META_KEYS = ("clusterNetwork", "delegates", "daemonSocketDir")


class Candidate(NamedTuple):
    """A file of the directory; `found` is None where `problem` says why it can't be the default network."""

    path: str
    found: NetworkConfig | None
    problem: str = ""

    @property
    def file(self) -> str:
        """The file's name."""
        return os.path.basename(self.path)


class Rule(NamedTuple):
    """How to choose. `wanted`: a file's name, its path, or a network's name; "" is the first that can be used.
    `excluded`: patterns of file names. `own_types`: plugin types whose executable is Multus."""

    wanted: str = ""
    excluded: tuple[str, ...] = EXCLUDED
    own_types: frozenset[str] = frozenset()


class Choice(NamedTuple):
    """`chosen` is None when there is nothing to choose; `why` says so either way, `passed_over` why not the others."""

    chosen: Candidate | None
    why: str
    passed_over: tuple[str, ...] = ()


def look(directory: str) -> tuple[Candidate, ...]:
    """The files of `directory`, by name. Raises errors.IoFailure for a directory that can't be read."""
    try:
        names = sorted(os.listdir(directory))
    except OSError as error:
        raise errors.IoFailure(f"can't read the CNI configuration directory {directory}: {error.strerror}") from error
    return tuple(_load(os.path.join(directory, name)) for name in names if name.endswith(SUFFIXES))


def choose(candidates: Sequence[Candidate], rule: Rule, directory: str = "") -> Choice:
    """The default network. Never raises."""
    if rule.wanted:
        return _named(candidates, rule, directory)
    passed: list[str] = []
    for candidate in candidates:
        why_not = objection(candidate, rule)
        if not why_not:
            return Choice(candidate, "first by name of those that can be used", tuple(passed))
        passed.append(f"{candidate.file}: {why_not}")
    return Choice(None, f"could not find a plugin configuration in {directory}", tuple(passed))


def objection(candidate: Candidate, rule: Rule) -> str:
    """Why the file is not to be chosen; "" when nothing speaks against it."""
    own = _is_multus(candidate, rule)
    if own:
        return own
    pattern = next((one for one in rule.excluded if fnmatchcase(candidate.file, one)), "")
    if pattern and not rule.wanted:
        return f"excluded by {pattern!r}"
    if candidate.found is None:
        return candidate.problem
    if all(kind == "loopback" for kind in candidate.found.types) and candidate.found.types:
        return "it is the loopback interface alone"
    return ""


def _named(candidates: Sequence[Candidate], rule: Rule, directory: str) -> Choice:
    """A file's name counts before a network's: it is unique."""
    wanted = rule.wanted
    by_file = [one for one in candidates if wanted in (one.file, one.path)]
    by_name = [one for one in candidates if one.found is not None and one.found.name == wanted]
    for found, how in ((by_file, "file"), (by_name, "network")):
        for candidate in found:
            why_not = objection(candidate, rule)
            if not why_not:
                return Choice(candidate, f"the {how} that multusMasterCNI names")
            if how == "file" or candidate is found[-1]:
                return Choice(None, f"multusMasterCNI {wanted!r} can't be used", (f"{candidate.file}: {why_not}",))
    return Choice(None, f"multusMasterCNI {wanted!r} is neither a file of {directory} nor a network of one")


def _is_multus(candidate: Candidate, rule: Rule) -> str:
    if candidate.file.startswith(OWN_PREFIX):
        return "it is Multus' own file"
    if candidate.found is None:
        return ""
    for plugin in candidate.found.plugins:
        if plugin["type"] in delegates.OWN_TYPES | rule.own_types:
            return f"its plugin {plugin['type']} is Multus itself"
        key = _meta_key(plugin)
        if key:
            return f"its plugin {plugin['type']} calls other plugins ({key}), as Multus itself does"
    return ""


def _meta_key(plugin: Json) -> str:
    """`delegate`, which flannel has, is none of them."""
    return next((key for key in _META_KEYS if plugin.get(key)), "")


def _load(path: str) -> Candidate:
    try:
        data = files.read(path)
        # A list may have all its plugins in a directory of its own.
        found = config.loads(data, "it", partial=path.endswith(".conflist"))
    except errors.CniError as error:
        return Candidate(path, None, error.message)
    if not found.name:
        return Candidate(path, None, "it has no network name")
    return Candidate(path, found)
