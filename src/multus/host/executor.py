"""Hands on this machine: finds a plugin in the search path and runs it to its end."""

from __future__ import annotations

import errno
import os
import stat
import time
from typing import TYPE_CHECKING

from multus import errors, log
from multus.cni import invoke
from multus.host import process

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from multus.cni.invoke import Ended, PluginCall, PluginExit
    from multus.ports import Clock

#: In the environment of every delegate; with it none of our own executables runs. Its value is that delegate's alone,
#: so that what it started is known wherever it went.
MARKER = "MULTUS_DELEGATE"

#: A plugin whose file is just being replaced ("text file busy") is tried again, as upstream does.
BUSY_RETRIES = 5
BUSY_PAUSE = 1.0

Identity = tuple[int, int]


def identities(paths: Iterable[str]) -> frozenset[Identity]:
    """What tells our own executables whatever their name: device and inode; paths that don't exist are passed over."""
    found = set()
    for path in paths:
        try:
            status = os.stat(path)
        except (OSError, ValueError):
            continue
        found.add((status.st_dev, status.st_ino))
    return frozenset(found)


class LocalExecutor:
    """`ports.Executor` for the machine this process runs on. `search`: directories, relative ones are passed over."""

    def __init__(self, search: Sequence[str], own: Collection[Identity], clock: Clock) -> None:
        self._search = [directory for directory in search if os.path.isabs(directory)]
        self._own = own
        self._clock = clock
        self._environ = dict(os.environ)

    def prepare(self, call: PluginCall) -> None:
        """As `ports.Executor.prepare`: nothing takes long here."""

    def run(self, call: PluginCall) -> PluginExit:
        """As `ports.Executor.run`; also raises errors.SelfDelegation, errors.PluginFailed (it printed too much)."""
        path = self._find(call.plugin)
        mark = f"{os.getpid()}.{time.monotonic_ns()}"
        environ = {**self._environ, **call.environ, MARKER: mark}
        if log.enabled("debug"):
            log.debug("running plugin", path=path, command=call.environ.get("CNI_COMMAND"))
        for attempt in range(BUSY_RETRIES + 1):
            begun = self._clock.monotonic()
            call.worked = 0.0
            try:
                try:
                    return process.run(path, environ, call.stdin, call.deadline, self._clock, f"{MARKER}={mark}")
                finally:
                    call.worked = self._clock.monotonic() - begun
            except OSError as error:
                call.worked = None
                if not self._may_retry(error, attempt, call.deadline):
                    raise errors.PluginUnusable(
                        f'plugin "{call.plugin}" could not be started: {path}: {error.strerror or error}'
                    ) from error
                self._clock.sleep(BUSY_PAUSE)
        raise AssertionError("unreachable")

    def series(self, calls: Sequence[PluginCall], *, go_on: bool) -> Iterable[Ended]:
        """As `ports.Executor.series`."""
        return invoke.in_turn(self, calls, go_on=go_on)

    def exists(self, path: str) -> bool:
        """As `ports.Executor.exists`."""
        return os.path.exists(path)

    def _may_retry(self, error: OSError, attempt: int, deadline: float) -> bool:
        busy = error.errno == errno.ETXTBSY and attempt < BUSY_RETRIES
        return busy and self._clock.monotonic() + BUSY_PAUSE < deadline

    def _find(self, plugin: str) -> str:
        """The first regular file of that name. A type is never a path: `cni.config` has refused slashes already."""
        if not plugin or plugin in (".", "..") or "/" in plugin or "\0" in plugin:
            raise errors.InvalidConfig(f"invalid plugin name: {plugin!r}")
        for directory in self._search:
            path = os.path.join(directory, plugin)
            try:
                status = os.stat(path)
            except OSError:
                continue
            if not stat.S_ISREG(status.st_mode):
                continue
            if (status.st_dev, status.st_ino) in self._own:
                raise errors.SelfDelegation(
                    f'plugin "{plugin}" ({path}) is Multus itself: a network must not delegate to Multus'
                )
            return path
        raise errors.PluginNotFound(f'failed to find plugin "{plugin}" in path [{" ".join(self._search)}]')
