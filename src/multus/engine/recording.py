"""What is on record of a sandbox, once its attachments have changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multus import errors, log

if TYPE_CHECKING:
    from multus.engine.call import Call, Ports
    from multus.networks.record import Record


def keep(call: Call, ports: Ports, known: Record) -> None:
    """Make `known` what is on record, durably; without attachments there is no record. Raises errors.IoFailure."""
    if not known.entries:
        ports.records.remove(call.container_id)
        return
    ports.records.save(call.container_id, known)
    ports.records.sync(call.container_id)


def restore(call: Call, ports: Ports, known: Record) -> None:
    """The same after a rollback, where it is tried and no more."""
    try:
        keep(call, ports, known)
    except errors.CniError as error:
        # The record written before the delegate ran still stands: DEL undoes too much rather than too little.
        log.error("record not updated after rollback", pod=call.pod_id, error=error)
