"""What a first installation waits for: until then the node goes on as it was, afterwards every pod needs Multus."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from multus.install.settings import Settings

#: A daemon beats every five seconds; one that was there a minute ago will come back.
FRESH = 60.0


def of(told: Settings, *, daemon_too: bool = True) -> Sequence[Callable[[], str]]:
    """The gates of these settings, the daemon's only where it counts: each says what is missing, "" for nothing."""
    gates: list[Callable[[], str]] = []
    if told.readiness_file:
        gates.append(lambda: readiness(told.readiness_file))
    if told.kubeconfig:
        gates.append(lambda: kubeconfig(told.kubeconfig))
    if told.wanted.thick and daemon_too:
        gates.append(lambda: daemon(told.socket_dir, time.time()))
    return gates


def readiness(path: str) -> str:
    """The file that another network's agent makes when it is ready."""
    return "" if os.path.exists(path) else f"readinessindicatorfile {path} does not exist yet"


def kubeconfig(path: str) -> str:
    """Without it every call of the one-shot plugin fails."""
    return "" if os.path.exists(path) else f"kubeconfig {path} is not written yet"


def daemon(socket_dir: str, now: float) -> str:
    """The daemon's heartbeat; `now` is Unix time in seconds."""
    path = os.path.join(socket_dir, "heartbeat")
    try:
        age = now - os.stat(path).st_mtime
    except OSError:
        return f"no daemon has served yet ({path} does not exist)"
    return "" if age < FRESH else f"no daemon serves ({path} is {age:.0f} s old)"
