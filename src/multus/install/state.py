"""`multus.d/installed.json`: what was decided, for the next start and for whoever wants to know why.

Which default network is in use must outlive a reboot: at boot its file may not be there yet, and the first file that
appears need not be the one.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from multus import errors, log
from multus.cni import rawjson
from multus.install import files

NAME = "installed.json"

#: Lies beside it after an uninstallation: nobody puts the configuration back until the next installation.
UNINSTALLED = "uninstalled"


class State(NamedTuple):
    """`file`: the path of the runtime's configuration; `primary`: of the default network's; `why` it was chosen.
    `problem` is what keeps the configuration from being in force, "" for nothing."""

    file: str = ""
    primary: str = ""
    why: str = ""
    problem: str = ""


def load(directory: str) -> State:
    """The state in the directory; an empty one where there is none, or none that can be understood."""
    path = os.path.join(directory, NAME)
    try:
        data = files.find(path)
        if data is None:
            return State()
        raw = rawjson.loads_object(data, path)
        return State(*(rawjson.text(raw, field, path) for field in State._fields))
    except errors.CniError as error:
        log.warning("state of the installation not understood, decided anew", error=error)
        return State()


def save(directory: str, state: State) -> None:
    """Write it. Raises errors.IoFailure."""
    files.write(os.path.join(directory, NAME), rawjson.encode(state._asdict()) + b"\n", 0o644)


def is_uninstalled(directory: str) -> bool:
    """Whether an uninstallation was the last that happened."""
    return os.path.lexists(os.path.join(directory, UNINSTALLED))


def set_uninstalled(directory: str, value: bool) -> None:
    """Say so, or no longer. Raises errors.IoFailure."""
    path = os.path.join(directory, UNINSTALLED)
    if value:
        files.write(path, b"", 0o644)
    else:
        files.remove(path)
