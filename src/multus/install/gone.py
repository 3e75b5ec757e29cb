"""Whether Multus is being uninstalled, or only restarted: the fate of the DaemonSet tells.

A pod that is told to end does not know why. When its DaemonSet is gone, the runtime's configuration has to go too, or
no pod would start on this node again. In any other case it has to stay. So without a clear answer it stays.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from multus import errors, log

if TYPE_CHECKING:
    from multus.kubernetes.client import Client

#: Seconds between two questions. The API server goes on accepting a deleted service account's token for about ten.
PAUSE = 1.0


class Fate:
    """Of the DaemonSet `namespace`/`name`. Ask `exists` once while it surely does."""

    def __init__(self, client: Client, namespace: str, name: str) -> None:
        self._client = client
        self._what = f'daemonsets.apps "{namespace}/{name}"'
        self._path = f"/apis/apps/v1/namespaces/{namespace}/daemonsets/{name}"
        self._seen = False

    def exists(self, deadline: float) -> bool:
        """Whether it is there and not being deleted, `deadline` in monotonic seconds. Raises errors.ClusterError."""
        try:
            found = self._client.fetch(self._what, self._path, deadline)
        except errors.NotFound:
            return False
        self._seen = True
        metadata = found.get("metadata")
        return not (isinstance(metadata, dict) and metadata.get("deletionTimestamp"))

    def is_gone(self, deadline: float) -> bool:
        """Whether it is surely gone. An account that is not known any more, and was, is deleted with it."""
        while True:
            try:
                return not self.exists(deadline)
            except errors.CniError as error:
                if self._seen and isinstance(error, errors.Denied) and "401 Unauthorized" in error.message:
                    return True
                log.verbose("not known whether Multus is being uninstalled", error=error)
            if time.monotonic() + PAUSE >= deadline:
                return False
            time.sleep(PAUSE)
