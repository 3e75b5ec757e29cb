"""`readinessindicatorfile`: a file whose existence says that the default network is ready (NPWG 6.1.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multus import errors

if TYPE_CHECKING:
    from multus.engine.call import Call, Ports

PATIENCE = 45.0
INTERVAL = 1.0


def wait(call: Call, ports: Ports) -> None:
    """Wait for the file, `PATIENCE` seconds at most; errors.TryAgainLater when it does not appear."""
    path = call.conf.readiness_indicator_file
    if not path:
        return
    until = min(ports.clock.monotonic() + PATIENCE, call.deadline - call.conf.rollback_reserve)
    while not ports.executor.exists(path):
        if ports.clock.monotonic() + INTERVAL > until:
            raise errors.TryAgainLater(
                "have you checked that your default network is ready? still waiting for readinessindicatorfile"
                f" @ {path}"
            )
        ports.clock.sleep(INTERVAL)


def require(call: Call, ports: Ports) -> None:
    """STATUS never waits: errors.Unavailable (code 50) while the file is absent."""
    path = call.conf.readiness_indicator_file
    if path and not ports.executor.exists(path):
        raise errors.Unavailable(f"the default network is not ready: readinessindicatorfile {path} does not exist")
