"""DEL: detach everything that was attached to the sandbox, from the record alone.

The record says what ADD was given; the cached results stand in for a lost one; where both are missing the default
network is detached, and the others only if the live pod surely is this call's. Every detachment is attempted
(NPWG 7.2). What fails stays on record, so that the runtime's retry finishes it (`retryDeleteOnError`). What was never
attached does not: a network whose ADD failed, and whose plugin refuses to delete it for the same reason (its
configuration is wrong, say), is reported once more and then forgotten, or the pod could never go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from multus import errors, log
from multus.engine import attach, recording
from multus.networks import record

if TYPE_CHECKING:
    from multus.engine.call import Call, Ports
    from multus.networks.record import Entry, Record
    from multus.ports import CachedResult, Pod


def run(call: Call, ports: Ports) -> None:
    """Detach everything. Raises errors.CniError when something could not be detached."""
    with ports.records.lock(call.container_id, call.deadline):
        known = load(call, ports)
        if known is not None:
            _detach_known(call, ports, known)
        else:
            _detach_unknown(call, ports)


def load(call: Call, ports: Ports) -> Record | None:
    """What is attached: the record, with attachments that only the cached results know; None when there is neither.
    A damaged record has been set aside and is reported, never an error."""
    try:
        known = ports.records.load(call.container_id, call.environment.ifname)
    except errors.DamagedRecord as error:
        log.error("damaged record set aside, using the cached results", pod=call.pod_id, error=error)
        known = None
    return with_cached(call, ports, known)


def with_cached(call: Call, ports: Ports, known: Record | None) -> Record | None:
    """`known` and every cached result of the sandbox it does not list (hot-plugged, or the record is lost)."""
    entries = list(known.entries) if known is not None else []
    listed = {(entry.config.name, entry.ifname) for entry in entries}
    for cached in ports.results.of(call.container_id):
        if cached.config is not None and (cached.network, cached.ifname) not in listed:
            entries.append(_from_cached(cached, call.environment.ifname))
    pod = known.pod if known is not None else call.pod
    return record.Record(tuple(entries), pod) if entries else known


def _from_cached(cached: CachedResult, runtime_ifname: str) -> Entry:
    assert cached.config is not None
    return record.from_cached(
        cached.config, cached.ifname, cached.netns, cached.args, cached.capability_args, runtime_ifname
    )


def _detach_known(call: Call, ports: Ports, known: Record) -> None:
    known = _completed(call, ports, known)
    undone = attach.detach(call, ports, reversed(known.entries), call.deadline)
    retried = call.conf.retry_delete_on_error
    owed = [entry for entry, error in undone if retried and _may_succeed_yet(entry, error)]
    recording.keep(call, ports, record.keeping(known, owed))
    if not retried:
        for entry, _ in undone:
            ports.results.remove(entry.config.name, call.container_id, entry.ifname)
    if undone:
        raise attach.combined(undone).within(f"[{call.pod_id}]: error removing the pod's networks")


def _may_succeed_yet(entry: Entry, error: errors.CniError) -> bool:
    return not entry.failed or error.code == errors.TryAgainLater.default_code


def _completed(call: Call, ports: Ports, known: Record) -> Record:
    """The record with what its sandbox most likely has beside what was hot-plugged while there was no record. As that
    is not known, a plugin that refuses to delete it is reported once and not asked again."""
    if not any(entry.alone for entry in known.entries):
        return known
    listed = {entry.key for entry in known.entries}
    found = [entry._replace(failed=True) for entry in _resolved_again(call, ports) if entry.key not in listed]
    return known._replace(entries=(*found, *known.entries))


def _detach_unknown(call: Call, ports: Ports) -> None:
    """Nothing is known of this sandbox: most likely nothing was ever attached."""
    entries = _resolved_again(call, ports)
    undone = attach.detach(call, ports, reversed(entries), call.deadline)
    real = [(entry, error) for entry, error in undone if _counts_unknown(entry, error)]
    if real:
        raise attach.combined(real).within(f"[{call.pod_id}]: error removing the pod's networks")


def _counts_unknown(entry: Entry, error: errors.CniError) -> bool:
    """What can't even be found is fine. A network that nobody knows to be attached (it was reported and forgotten, say)
    does not keep the pod when its plugin refuses. The default network does, and so does what may succeed yet."""
    if isinstance(error, errors.PluginNotFound):
        return False
    return entry.master or error.code == errors.TryAgainLater.default_code or isinstance(error, errors.IoFailure)


def _resolved_again(call: Call, ports: Ports) -> tuple[Entry, ...]:
    """All networks of the live pod; the default network alone where they can't be resolved, or it is not this pod."""
    from multus.engine import pods

    pod = pods.for_delete(call, ports)
    for one in (pod, None) if pod is not None else (None,):
        try:
            return _planned(call, ports, one)
        except errors.CniError as error:
            log.warning("networks not resolved, not detached", pod=call.pod_id, error=error)
    return ()


def _planned(call: Call, ports: Ports, pod: Pod | None) -> tuple[Entry, ...]:
    from multus.engine import gather
    from multus.networks import plan

    found = gather.networks(call, ports, pod) if pod is not None else [gather.default_network(call, ports, None)]
    planned = plan.make(
        found, conf=call.conf, runtime_ifname=call.environment.ifname, pod_args=call.pod, args=call.args
    )
    return record.from_plan(planned, call.environment.netns, call.pod).entries
