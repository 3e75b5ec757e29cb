"""Numbers that the installer tells the daemon's metrics: `figures.json` in the directory of ours beside the runtime's
configuration. Of both processes the daemon alone has a port, and the installer alone knows these things.
"""

from __future__ import annotations

import os
import threading

from multus import errors, log
from multus.cni import rawjson
from multus.host import atomic

NAME = "figures.json"

#: The directory, beneath the runtime's configurations; runtimes don't look into directories.
DIRECTORY = "multus.d"

#: 1: another agent keeps taking the runtime's configuration away.
CONTESTED = "configurationContested"
#: Pods of this node that run without the networks they asked for, and how many of these were evicted since the start.
WITHOUT_NETWORKS = "podsWithoutNetworks"
EVICTED = "podsEvicted"


def read(conf_dir: str, name: str) -> float:
    """The number; NaN where nobody told it. Raises errors.CniError for a file that can't be understood."""
    return _load(os.path.join(conf_dir, DIRECTORY)).get(name, float("nan"))


def _load(directory: str) -> dict[str, float]:
    path = os.path.join(directory, NAME)
    data = atomic.read(path)
    found = rawjson.loads_object(data, path) if data is not None else {}
    return {name: float(value) for name, value in found.items() if isinstance(value, int | float)}


class Figures:
    """The numbers of one installer, which begin at 0 but for `CONTESTED`: a contest outlives its process. Those that
    can't be written are logged: nothing depends on them. Thread-safe."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._values = {CONTESTED: self._before(), WITHOUT_NETWORKS: 0.0, EVICTED: 0.0}
        self._write()

    def __getitem__(self, name: str) -> float:
        return self._values[name]

    def set(self, name: str, value: float) -> None:
        """It is `value` now."""
        with self._lock:
            if self._values[name] != value:
                self._values[name] = value
                self._write()

    def _before(self) -> float:
        try:
            return _load(self._directory).get(CONTESTED, 0.0)
        except errors.CniError as error:
            log.warning("figures of before not understood", error=error)
            return 0.0

    def _write(self) -> None:
        try:
            # Others read what lies beside it.
            os.makedirs(self._directory, 0o755, exist_ok=True)
            atomic.write(os.path.join(self._directory, NAME), rawjson.encode(self._values))
        except (OSError, errors.CniError) as error:
            log.warning("figures not written, the daemon's metrics lack them", error=error)
