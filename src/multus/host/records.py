"""`<cniDir>/<containerID>`: the records of sandboxes as files.

Beside them in `cniDir`: `results/` (`multus.host.results`), `damaged/` (what could not be read), `owed/` (DELs that
nobody could carry out yet, `multus.daemon.owed`), `last-orders/` (what an uninstallation left to do,
`multus.install.lastorders`), `.locks/`, `.spare/` (`multus.host.spares`).
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from multus import errors
from multus.cni import environment
from multus.host import atomic, locks
from multus.networks import record

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

    from multus.cni.arguments import PodArgs
    from multus.host.remembered import Remembered
    from multus.host.spares import Spares
    from multus.networks.record import Record
    from multus.ports import Clock

RESULTS, DAMAGED, OWED, LAST_ORDERS = "results", "damaged", "owed", "last-orders"
LOCKS, SPARE = ".locks", ".spare"


class SpareFiles(NamedTuple):
    """Those of one `cniDir`: of records and cached results, whose content says what they are, and of locks, which are
    empty."""

    files: Spares
    locks: Spares

    def clear(self) -> None:
        """Remove them."""
        self.locks.clear()
        self.files.clear()


def spare_files(cni_dir: str) -> SpareFiles:
    """For a process that stays."""
    from multus.host.spares import Spares

    return SpareFiles(Spares(f"{cni_dir}/{SPARE}"), Spares(f"{cni_dir}/{SPARE}/{LOCKS}"))


class RecordFiles:
    """`ports.Records` in the directory `cni_dir`. `inherit`: delegates of this process hold its locks too
    (`multus.host.locks`); not where several calls share one process. `known`, `spares`: what a process that stays
    remembers, and keeps."""

    def __init__(
        self,
        cni_dir: str,
        clock: Clock,
        *,
        inherit: bool = True,
        known: Remembered[Record] | None = None,
        spares: SpareFiles | None = None,
    ) -> None:
        self._dir = cni_dir
        self._known = known
        self._files: atomic.Files = spares.files if spares is not None else atomic
        lock_spares = spares.locks if spares is not None else None
        self._locks = locks.LockDirectory(f"{cni_dir}/{LOCKS}", clock, inherit=inherit, spares=lock_spares)

    def load(self, container_id: str, runtime_ifname: str) -> Record | None:
        """As `ports.Records.load`; also raises errors.IoFailure."""
        path = self._path(container_id)
        remembered = self._remembered(path)
        if remembered is not None:
            return remembered
        data = atomic.read(path)
        if data is None:
            return None
        try:
            return record.decode(data, runtime_ifname, container_id)
        except errors.DamagedRecord as error:
            moved = atomic.set_aside(path, os.path.join(self._dir, DAMAGED))
            raise errors.DamagedRecord(f"{path} is damaged, moved to {moved}: {error.message}") from error

    def save(self, container_id: str, record_: Record) -> None:
        """As `ports.Records.save`."""
        path = self._path(container_id)
        written = self._files.write(path, record.encode(record_, container_id))
        if self._known is not None:
            self._known.put(path, written, record_)

    def sync(self, container_id: str) -> None:
        """As `ports.Records.sync`."""
        atomic.sync(self._path(container_id))

    def remove(self, container_id: str) -> None:
        """As `ports.Records.remove`; raises errors.IoFailure where the disk refuses."""
        path = self._path(container_id)
        self._files.remove(path, whole=self._known is not None and self._known.forget(path))

    def containers(self) -> Sequence[str]:
        """As `ports.Records.containers`. Raises errors.IoFailure."""
        try:
            with os.scandir(self._dir) as found:
                names = [entry.name for entry in found if entry.is_file(follow_symlinks=False)]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise errors.IoFailure(f"can't list {self._dir}: {error.strerror}") from error
        return sorted(name for name in names if environment.is_name(name))

    def superseded(self, container_id: str, pod: PodArgs) -> bool:
        """As `ports.Records.superseded`."""
        own = self._written(container_id)
        if own is None:
            return True
        others = [other for other in self.containers() if other != container_id]
        newer = [other for other in others if (self._written(other) or 0) > own]
        return any(self._is_of(other, pod) for other in newer)

    def lock(self, container_id: str, deadline: float) -> AbstractContextManager[None]:
        """As `ports.Records.lock`; also raises errors.IoFailure."""
        self._path(container_id)
        return self._locks.sandbox(container_id, deadline)

    @contextmanager
    def exclusive(self, deadline: float) -> Iterator[None]:
        """As `ports.Records.exclusive`; also raises errors.IoFailure. What killed writers left half written goes."""
        with self._locks.node(deadline):
            atomic.sweep(self._dir)
            atomic.sweep(os.path.join(self._dir, RESULTS))
            yield

    def _path(self, container_id: str) -> str:
        if container_id in (RESULTS, DAMAGED, OWED, LAST_ORDERS):
            raise errors.InvalidEnvironment(f'container id "{container_id}" is the name of a directory in {self._dir}')
        return f"{self._dir}/{environment.check_container_id(container_id)}"

    def _remembered(self, path: str) -> Record | None:
        if self._known is None:
            return None
        try:
            return self._known.get(path, atomic.stamp(os.lstat(path)))
        except OSError:
            return None  # reading it says what is wrong

    def _written(self, container_id: str) -> int | None:
        try:
            return os.stat(self._path(container_id)).st_mtime_ns
        except OSError:
            return None

    def _is_of(self, container_id: str, pod: PodArgs) -> bool:
        try:
            data = atomic.read(self._path(container_id))
            found = record.decode(data, "eth0") if data is not None else None
        except errors.CniError:
            return False
        return found is not None and (found.pod.namespace, found.pod.name) == (pod.namespace, pod.name)
