"""DELs that nobody could carry out: kept on disk until hands come.

Requests over the HTTP API bring no hands. Where there is neither an agent nor a host to run plugins on, a DEL is kept
(`<cniDir>/owed/<containerID>`), since upstream's shim forgets that it failed. It is kept together with what the record
looked like: a sandbox attached anew, or deleted by somebody else, is left alone.
"""

from __future__ import annotations

import base64
import binascii
import math
import os
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

from multus import errors, log, serving
from multus.cni import environment, rawjson
from multus.host import atomic, records
from multus.host import results as result_files
from multus.networks import netconf

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from multus.cni.rawjson import Json
    from multus.daemon.hands import Hands

#: More than a node has pods; a client that asks for ever more is refused.
MAX_COUNT = 256

#: All of them together, in bytes.
MAX_BYTES = 64 << 20

#: One that failed is not tried again before, in seconds: hands may come every second.
PAUSE = 30.0


class OwedDelete(NamedTuple):
    """The request, and the state of the record it was about."""

    environ: Mapping[str, str]
    config: bytes
    state: str


class Owed:
    """The DELs owed, in `<cni_dir>/owed`. `configuration` lays the daemon's keys over a request's; `host` makes a
    request's host out of hands and the time it began (monotonic seconds). Thread-safe."""

    def __init__(
        self,
        cni_dir: str,
        configuration: Callable[[Json], Json],
        host: Callable[[Hands, float], serving.Host],
    ) -> None:
        self._dir = os.path.join(cni_dir, records.OWED)
        self._damaged = os.path.join(cni_dir, records.DAMAGED)
        self._configuration = configuration
        self._host = host
        self._writing = threading.Lock()
        self._carrying = threading.Lock()
        self._not_before: dict[str, float] = {}
        atomic.sweep(self._dir)
        self._count = len(self._names())

    @property
    def count(self) -> int:
        """How many are owed."""
        return self._count

    def keep(self, environ: Mapping[str, str], config: bytes) -> bool:
        """Keep the DEL, durably; False when nothing is known of its sandbox, so that there is nothing to do.

        Raises errors.TryAgainLater when too much is owed, errors.IoFailure, and what is wrong with the request."""
        container_id = environment.from_environ(environ).container_id
        state = self._state(config, container_id)
        if not state:
            return False
        data = _encode(OwedDelete(environ, config, state))
        with self._writing:
            others = [name for name in self._names() if name != container_id]
            if len(others) >= MAX_COUNT or sum(map(self._size, others)) + len(data) > MAX_BYTES:
                raise errors.TryAgainLater(f"too many DELs are owed already ({len(others)}), this one is not kept")
            path = os.path.join(self._dir, container_id)
            atomic.write(path, data)
            atomic.sync(path)
            self._count = len(others) + 1
        return True

    def carry_out(self, hands: Hands, until: float = math.inf) -> int:
        """Carry out what is owed, oldest first; none is begun after `until` (monotonic seconds). How many are done.
        Never raises; does nothing where it is at work already."""
        if not self._count or not self._carrying.acquire(blocking=False):
            return 0
        done = 0
        try:
            for name in sorted(self._names(), key=self._written):
                now = time.monotonic()
                if hands.gone or now >= until:
                    break
                if now >= self._not_before.get(name, 0.0):
                    done += self._try(name, hands)
        finally:
            self._carrying.release()
        return done

    def _try(self, container_id: str, hands: Hands) -> bool:
        try:
            return self._carry_out(container_id, hands)
        except errors.CniError as error:
            log.error("owed DEL", container=container_id, error=error)
            self._not_before[container_id] = time.monotonic() + PAUSE
            return False

    def _carry_out(self, container_id: str, hands: Hands) -> bool:
        owed = self._load(container_id)
        if owed is None:
            return False
        if self._state(owed.config, container_id) != owed.state:
            log.verbose("owed DEL dropped: its sandbox changed meanwhile", container=container_id)
            self._forget(container_id)
            return False
        done = serving.answer(owed.environ, lambda: owed.config, self._host(hands, time.monotonic()))
        if done.status == 0:
            log.verbose("owed DEL carried out", container=container_id)
            self._forget(container_id)
            return True
        self._not_before[container_id] = time.monotonic() + PAUSE
        # The attempt itself wrote the record anew: what is left is still owed.
        if not self.keep(owed.environ, owed.config):
            self._forget(container_id)
        return False

    def _state(self, config: bytes, container_id: str) -> str:
        """What tells a record from a later one of the same name; "" when nothing is known of the sandbox."""
        raw = rawjson.loads_object(config, "configuration")
        cni_dir = netconf.from_object(self._configuration(raw)).cni_dir
        try:
            found = os.lstat(os.path.join(cni_dir, environment.check_container_id(container_id)))
        except OSError:
            return "results" if result_files.ResultFiles(cni_dir).of(container_id) else ""
        return f"{found.st_ino} {found.st_mtime_ns}"

    # ── files ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _names(self) -> list[str]:
        try:
            return [name for name in os.listdir(self._dir) if environment.is_name(name)]
        except OSError:
            return []

    def _written(self, name: str) -> int:
        try:
            return os.lstat(os.path.join(self._dir, name)).st_mtime_ns
        except OSError:
            return 0

    def _size(self, name: str) -> int:
        try:
            return os.lstat(os.path.join(self._dir, name)).st_size
        except OSError:
            return 0

    def _load(self, container_id: str) -> OwedDelete | None:
        """None when it is gone, or can't be understood: then it is set aside."""
        path = os.path.join(self._dir, container_id)
        data = atomic.read(path)
        if data is None:
            return None
        try:
            return _decode(data, container_id)
        except errors.CniError as error:
            moved = atomic.set_aside(path, self._damaged)
            log.error("damaged owed DEL set aside", container=container_id, moved=moved, error=error)
            self._recount(container_id)
            return None

    def _forget(self, container_id: str) -> None:
        atomic.remove(os.path.join(self._dir, container_id))
        self._recount(container_id)

    def _recount(self, gone: str) -> None:
        self._not_before.pop(gone, None)
        with self._writing:
            self._count = len(self._names())


def _encode(owed: OwedDelete) -> bytes:
    config = base64.b64encode(owed.config).decode()
    return rawjson.encode({"environ": dict(owed.environ), "config": config, "state": owed.state})


def _decode(data: bytes, container_id: str) -> OwedDelete:
    raw = rawjson.loads_object(data, "owed DEL")
    environ = rawjson.mapping(raw.get("environ"), "owed DEL: environ")
    if not all(isinstance(value, str) for value in environ.values()):
        raise errors.DamagedRecord("owed DEL: environ must map names to strings")
    if (environ.get("CNI_COMMAND"), environ.get("CNI_CONTAINERID")) != ("DEL", container_id):
        raise errors.DamagedRecord("owed DEL: it is not of this container")
    try:
        config = binascii.a2b_base64(rawjson.text(raw, "config", "owed DEL"), strict_mode=True)
    except ValueError as error:
        raise errors.DamagedRecord(f"owed DEL: config is not base64: {error}") from error
    rawjson.loads_object(config, "owed DEL: config")
    return OwedDelete(environ, config, rawjson.text(raw, "state", "owed DEL"))
