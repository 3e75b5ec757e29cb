"""`multusctl status`: what Multus is doing on this node, from its files; nothing is asked of the API server.

Which configuration is in force, which default network it delegates to and why that one, whether the daemon lives, how
many sandboxes are on record. It only looks: a damaged record stays where it is.
"""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, NamedTuple

from multus import errors
from multus.daemon import heartbeat
from multus.host import atomic, clock, records
from multus.install import settings, state
from multus.networks import record

if TYPE_CHECKING:
    from multus.install.settings import Settings

#: Where the daemon's configuration is: in its container, on the host.
PLACES = ("/etc/multus/daemon-config.json", settings.DEFAULT_PATH)

#: A daemon whose last sign of life is older is not there, in seconds: it gives one every `heartbeat.INTERVAL`.
STALE = 3 * heartbeat.INTERVAL


class View(NamedTuple):
    """`configuration`, `default_network`: paths, "" for none; `why` that default network; `problem`: what keeps the
    configuration from being in force, "" for nothing. `daemon_age`: seconds since the daemon's last sign of life, None
    when there never was one. `damaged`: records that can't be read."""

    configuration: str
    default_network: str
    why: str
    problem: str
    daemon_age: float | None
    sandboxes: int
    attachments: int
    damaged: int

    @property
    def healthy(self) -> bool:
        """Whether pods get their networks. Without a daemon only the one-shot plugin gives them any."""
        return bool(self.configuration) and not self.problem and (self.daemon_age is None or self.daemon_age < STALE)


def run(config: str, output: str) -> int:
    """Print it; 0 when all is well, else 1. Raises errors.CniError for a configuration that can't be read."""
    view = look(_settings(config))
    if output == "json":
        print(json.dumps({**view._asdict(), "healthy": view.healthy}, indent=2))
    else:
        print("\n".join(f"{name:16} {errors.one_line(text)}" for name, text in lines(view)))
    return 0 if view.healthy else 1


def look(told: Settings) -> View:
    """What the node's files say. Raises errors.IoFailure."""
    known = state.load(told.state_dir)
    in_force = known.file if known.file and os.path.exists(known.file) else ""
    problem = known.problem or (f"{known.file} is gone" if known.file and not in_force else "")
    return View(in_force, known.primary, known.why, problem, _daemon_age(told.socket_dir), *_on_record(told.cni_dir))


def lines(view: View) -> list[tuple[str, str]]:
    """Name and text of each line."""
    age = view.daemon_age
    alive = "none (the one-shot plugin needs none)" if age is None else f"last sign of life {age:.0f} s ago"
    damaged = f", {view.damaged} damaged records" if view.damaged else ""
    return [
        ("configuration", view.configuration or "none"),
        ("default network", view.default_network or "none"),
        ("because", view.why or "-"),
        ("daemon", f"{alive}{': not there' if age is not None and age >= STALE else ''}"),
        ("on record", f"{view.sandboxes} sandboxes, {view.attachments} attachments{damaged}"),
        ("problem", view.problem or "none"),
    ]


def _settings(config: str) -> Settings:
    """Those of the named file, of the first that is there, else of a node that has none (the one-shot plugin's)."""
    path = config or next((place for place in PLACES if os.path.exists(place)), "")
    return settings.load(path) if path else settings.Settings()


def _daemon_age(socket_dir: str) -> float | None:
    try:
        return max(0.0, time.time() - os.stat(os.path.join(socket_dir, heartbeat.NAME)).st_mtime)
    except OSError:
        return None


def _on_record(cni_dir: str) -> tuple[int, int, int]:
    """Sandboxes, their attachments, and how many records can't be read."""
    attachments, damaged = 0, 0
    containers = records.RecordFiles(cni_dir, clock.SystemClock()).containers()
    for container_id in containers:
        try:
            data = atomic.read(os.path.join(cni_dir, container_id))
            attachments += len(record.decode(data, "eth0").entries) if data is not None else 0
        except errors.CniError:
            damaged += 1
    return len(containers), attachments, damaged
