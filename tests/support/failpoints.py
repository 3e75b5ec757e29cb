"""Steps of multus and its daemon at which a test may stop them: installed into the process under test, never the code.

A step is stopped at once, when `<directory>/armed/<step>` exists: it goes, `<directory>/reached` comes, and the process
waits for `<directory>/go`. Steps inside delegates are stopped by wrappers (support.faults), by the same files.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

#: step: a function of multus, and whether the step is before or after it
STEPS: dict[str, tuple[str, str]] = {
    "lock": ("multus.engine.readiness:wait", "before"),
    "record": ("multus.host.records:RecordFiles.save", "before"),
    "record written": ("multus.host.atomic:fill", "after"),
    "recorded": ("multus.host.records:RecordFiles.save", "after"),
    "order sent": ("multus.execproto.channel:Channel._send", "after"),
    "result": ("multus.host.results:ResultFiles.keep", "before"),
    "result kept": ("multus.host.results:ResultFiles.keep", "after"),
    "route": ("multus.host.routesocket:RouteSocket.delete_route", "before"),
    "route gone": ("multus.host.routesocket:RouteSocket.delete_route", "after"),
    "route there": ("multus.host.routesocket:RouteSocket.add_default", "after"),
    "sync": ("multus.host.records:RecordFiles.sync", "before"),
    "status": ("multus.engine.publish:network_status", "before"),
    "status written": ("multus.engine.publish:network_status", "after"),
    "load": ("multus.host.records:RecordFiles.load", "before"),
    "result forgotten": ("multus.host.results:ResultFiles.remove", "after"),
    "forget": ("multus.host.records:RecordFiles.remove", "before"),
    "forgotten": ("multus.host.records:RecordFiles.remove", "after"),
    "answer": ("multus.serving:answer", "after"),
}


def install(directory: str) -> None:
    """Make every step of `STEPS` one that can be stopped at."""
    for step, (target, when) in STEPS.items():
        module, _, path = target.partition(":")
        owner: Any = importlib.import_module(module)
        *parts, name = path.split(".")
        for part in parts:
            owner = getattr(owner, part)
        setattr(owner, name, _stopping(getattr(owner, name), directory, step, when == "after"))


def _stopping(function: Callable[..., Any], directory: str, step: str, after: bool) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if not after:
            stop(directory, step)
        done = function(*args, **kwargs)
        if after:
            stop(directory, step)
        return done

    return wrapper


def stop(directory: str, step: str) -> None:
    """Stop here if the step is armed."""
    try:
        os.unlink(os.path.join(directory, "armed", step))
    except OSError:
        return
    with contextlib.suppress(OSError):
        os.close(os.open(os.path.join(directory, "reached"), os.O_CREAT | os.O_WRONLY, 0o600))
    while not os.path.exists(os.path.join(directory, "go")):
        time.sleep(0.005)
