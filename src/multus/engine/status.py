"""STATUS: could ADD be served? As upstream, the default network answers for the node; its error code is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multus import errors
from multus.cni import execution
from multus.engine import gather, readiness

if TYPE_CHECKING:
    from multus.engine.call import Call, Ports

NOT_READY = (50, 51)


def run(call: Call, ports: Ports) -> None:
    """Raises errors.CniError with the default network's own code (50, 51, ...), errors.Unavailable (50) otherwise."""
    readiness.require(call, ports)
    try:
        default = gather.default_network(call, ports, None)
    except errors.CniError as error:
        raise errors.Unavailable(f"the default network can't be resolved: {error.message}") from error
    execution.status(default.config, call.path, ports.executor, call.deadline)
