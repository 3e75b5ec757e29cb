"""`<socketDir>/heartbeat`: while it is young, shims answer STATUS without a daemon (it is being restarted, say)."""

from __future__ import annotations

import os
import threading

from multus import log

NAME = "heartbeat"

#: Seconds between two beats; a shim's patience (`statusGrace`) is a minute.
INTERVAL = 5.0


class Heartbeat:
    """Touches the file until it is stopped."""

    def __init__(self, socket_dir: str) -> None:
        self._path = os.path.join(socket_dir, NAME)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def start(self) -> None:
        """The first beat, and a thread for the others."""
        self._touch()
        self._thread.start()

    def stop(self) -> None:
        """No further beat; the last one stays."""
        self._stopped.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._stopped.wait(INTERVAL):
            self._touch()

    def _touch(self) -> None:
        try:
            os.close(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
            os.utime(self._path)
        except OSError as error:
            log.warning("heartbeat not written", file=self._path, error=error.strerror)
