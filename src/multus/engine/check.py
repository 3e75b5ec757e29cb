"""CHECK: every attachment of the sandbox, the secondary networks included, with what ADD was given."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multus import errors, log
from multus.cni import execution, versions
from multus.engine import attach, delete

if TYPE_CHECKING:
    from multus.engine.call import Call, Ports
    from multus.networks.record import Entry

#: CNI specification, error code 3: the container is unknown.
UNKNOWN_CONTAINER = 3


def run(call: Call, ports: Ports) -> None:
    """Raises errors.CniError: the first failure's code, every failing attachment in the message."""
    with ports.records.lock(call.container_id, call.deadline):
        known = delete.load(call, ports)
        if known is None:
            raise errors.CniError(
                f"[{call.pod_id}]: no record of container {call.container_id}: it was never attached, or deleted",
                code=UNKNOWN_CONTAINER,
            )
        failures = []
        for entry in known.entries:
            try:
                check_entry(call, ports, entry)
            except errors.CniError as error:
                failures.append((entry, error.within(f"network {entry.name}, interface {entry.ifname}")))
    if failures:
        raise attach.combined(failures).within(f"[{call.pod_id}]")


def check_entry(call: Call, ports: Ports, entry: Entry) -> None:
    """CHECK of one attachment. Raises errors.CniError, its plugin's code kept."""
    if not versions.has_verb(entry.config.cni_version, "CHECK"):
        # The plugin's CNI version has no CHECK; one old network must not make the others uncheckable.
        log.verbose("CHECK skipped: CNI version has none", network=entry.name, version=entry.config.cni_version)
        return
    known = ports.results.load(entry.config.name, call.container_id, entry.ifname)
    prev = known.result if known is not None else None
    execution.check(
        entry.config, attach.target(call, entry, call.environment.netns), prev, ports.executor, call.deadline
    )
