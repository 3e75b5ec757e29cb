"""Records in memory: `multus.ports.Records` for tests."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from multus import errors
from multus.networks import record as format_
from multus.testing.failing import Failing
from multus.testing.locks import FakeLocks

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from multus.cni.arguments import PodArgs
    from multus.networks.record import Record


class FakeRecords(Failing):
    """`files` has what is written, encoded as on disk, by container id; `durable` what would survive a power cut;
    `damaged` what was set aside. Waiting for a lock that the same thread holds ends at once: the deadline."""

    def __init__(self) -> None:
        super().__init__()
        self.files: dict[str, bytes] = {}
        self.durable: dict[str, bytes] = {}
        self.damaged: dict[str, bytes] = {}
        self._numbers: dict[str, int] = {}
        self._saved = 0
        self._locks = FakeLocks()

    def load(self, container_id: str, runtime_ifname: str) -> Record | None:
        """As `ports.Records.load`."""
        self._called("load", container_id)
        if container_id not in self.files:
            return None
        try:
            return format_.decode(self.files[container_id], runtime_ifname)
        except errors.DamagedRecord:
            self.damaged[container_id] = self.files.pop(container_id)
            raise

    def save(self, container_id: str, record: Record) -> None:
        """As `ports.Records.save`."""
        self._called("save", container_id)
        if container_id not in self.files:
            self._saved += 1
            self._numbers[container_id] = self._saved
        self.files[container_id] = format_.encode(record)

    def sync(self, container_id: str) -> None:
        """As `ports.Records.sync`."""
        self._called("sync", container_id)
        self.durable[container_id] = self.files[container_id]

    def remove(self, container_id: str) -> None:
        """As `ports.Records.remove`."""
        self._called("remove", container_id)
        self.files.pop(container_id, None)
        self.durable.pop(container_id, None)

    def containers(self) -> Sequence[str]:
        """As `ports.Records.containers`."""
        self._called("containers")
        return sorted(self.files)

    def superseded(self, container_id: str, pod: PodArgs) -> bool:
        """As `ports.Records.superseded`."""
        self._called("superseded", container_id)
        if container_id not in self.files:
            return True
        newer = [other for other in self.files if self._numbers.get(other, 0) > self._numbers.get(container_id, 0)]
        found = [format_.decode(self.files[other], "eth0").pod for other in newer]
        return any((other.namespace, other.name) == (pod.namespace, pod.name) for other in found)

    @contextmanager
    def lock(self, container_id: str, deadline: float) -> Iterator[None]:
        """As `ports.Records.lock`."""
        self._called("lock", container_id)
        with self._locks.shared(container_id):
            yield

    @contextmanager
    def exclusive(self, deadline: float) -> Iterator[None]:
        """As `ports.Records.exclusive`."""
        self._called("exclusive")
        with self._locks.exclusive():
            yield
