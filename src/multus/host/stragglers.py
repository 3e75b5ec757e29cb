"""Delegates that outlived a killed call, and what outlived a delegate.

Whoever kills `multus` (SIGKILL: the runtime's patience was over) kills nothing that it had started. Delegates hold the
sandbox's lock (`multus.host.locks`), so the next call of that sandbox waits for them; one that hangs is ended here.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from multus import log
from multus.host.executor import MARKER

if TYPE_CHECKING:
    from collections.abc import Iterator

#: An environment is a page or two; this bounds what is read of a stranger's.
_ENVIRON_LIMIT = 1 << 20


def identity(pid: int) -> str:
    """What tells a process from a later one of the same number: pid and start time; "" when there is none."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return ""
    # proc(5): field 22 is the start time; the state is field 3, the first behind the name. A zombie works no more.
    return "" if fields[0] in (b"Z", b"X") else f"{pid} {fields[19].decode()}"


def is_running(told: str) -> bool:
    """Whether the process that `identity` described is still there."""
    pid, _, _ = told.partition(" ")
    return pid.isdigit() and identity(int(pid)) == told


def end(container_id: str, name: str) -> None:
    """Send the signal of that name to every process that is a delegate of ours for that container."""
    for pid in _with(f"{MARKER}=", f"CNI_CONTAINERID={container_id}\0"):
        log.warning("ending a delegate that outlived its call", container=container_id, pid=pid, signal=name)
        _send(pid, getattr(signal, name))


def kill(mark: str) -> bool:
    """SIGKILL for every process that has the variable `mark` ("NAME=value"); whether there was one."""
    found = list(_with(f"{mark}\0"))
    for pid in found:
        _send(pid, signal.SIGKILL)
    return bool(found)


def _send(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def _with(*variables: str) -> Iterator[int]:
    """The processes in whose environment each variable, or beginning of one, is. A zombie has none any more."""
    wanted = [f"\0{variable}".encode() for variable in variables]
    for name in os.listdir("/proc"):
        if name.isdigit():
            environ = _environ(name)
            if all(one in environ for one in wanted):
                yield int(name)


def _environ(pid: str) -> bytes:
    """Its variables, a NUL before and behind each."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return b"\0" + file.read(_ENVIRON_LIMIT)
    except OSError:
        return b""
