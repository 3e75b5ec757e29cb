"""The records as the daemon locks them: a sandbox is free once nothing of an earlier call is left on the host."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from multus import errors
from multus.execproto import inflight
from multus.host import records

if TYPE_CHECKING:
    from collections.abc import Iterator

    from multus.host.records import SpareFiles
    from multus.host.remembered import Remembered
    from multus.networks.record import Record
    from multus.ports import Clock


class NodeRecords(records.RecordFiles):
    """`ports.Records`; calls share this process, so its locks are not inherited by anybody's delegates."""

    def __init__(
        self,
        cni_dir: str,
        socket_dir: str,
        clock: Clock,
        known: Remembered[Record],
        spares: SpareFiles | None,
    ) -> None:
        super().__init__(cni_dir, clock, inherit=False, known=known, spares=spares)
        self._socket_dir = socket_dir

    @contextmanager
    def lock(self, container_id: str, deadline: float) -> Iterator[None]:
        """As `ports.Records.lock`. Delegates whose shim or daemon was killed hold the container's in-flight lock."""
        with super().lock(container_id, deadline):
            self._settled(container_id, deadline)
            try:
                yield
            finally:
                if not os.path.lexists(self._path(container_id)):  # a DEL of what was never attached ran plugins too
                    inflight.forget(self._socket_dir, container_id)

    @contextmanager
    def exclusive(self, deadline: float) -> Iterator[None]:
        """As `ports.Records.exclusive`. No call runs now, so whoever holds an in-flight lock is left of a killed one,
        and may be attaching what is to be collected."""
        with super().exclusive(deadline):
            for container_id in inflight.containers(self._socket_dir):
                self._settled(container_id, deadline)
            yield

    def remove(self, container_id: str) -> None:
        """As `ports.Records.remove`."""
        super().remove(container_id)
        inflight.forget(self._socket_dir, container_id)

    def _settled(self, container_id: str, deadline: float) -> None:
        """Wait until nothing of an earlier call is left. Raises errors.TryAgainLater."""
        if not inflight.wait(self._socket_dir, container_id, deadline):
            raise errors.TryAgainLater(f"delegates of an earlier call for container {container_id} are still running")
