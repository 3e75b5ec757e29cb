"""Hot plug: one network more, or one less, for a sandbox that lives.

An attachment made this way is recorded as those of ADD are, so that the pod's DEL tears it down; one that is detached
leaves the record. The network-status annotation is its asker's affair, as are the rules of the networks annotation:
whoever may use these verbs is root on the node.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from multus import errors, log
from multus.cni import execution, versions
from multus.engine import attach as attaching
from multus.engine import check as checking
from multus.engine import delete, pods, publish, recording
from multus.networks import delegates, plan, record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from multus.cni.config import NetworkConfig
    from multus.cni.results import Result
    from multus.engine.call import Call, Ports
    from multus.networks.plan import Plan
    from multus.networks.record import Entry, Record
    from multus.networks.selection import Selection
    from multus.ports import Pod

#: The interface of the default network, in the records of upstream's making.
DEFAULT = "eth0"


def attach(call: Call, ports: Ports, network: NetworkConfig, asked: Selection) -> Result:
    """Attach `network` as CNI_IFNAME with the addresses, MAC and cni-args of `asked`; its result. Raises
    errors.CniError naming pod, network and interface; then it is not attached, or still on record for DEL."""
    with _naming(call, network), ports.records.lock(call.container_id, call.deadline):
        planned = _plan(call, network, asked)
        pod = _pod(call, ports)
        before = _without_leftover(call, ports, network, _on_record(call, ports))
        _refuse_taken(call, ports, before)
        publish.warned(call, ports, pod, planned)
        result = _attach(call, ports, planned, before)
        publish.added(ports, pod, planned, [result])
        return result


def detach(call: Call, ports: Ports, network: NetworkConfig) -> None:
    """Detach it, as it was attached; with `network` itself where nothing is known of it. The API is not asked. Raises
    errors.CniError naming pod, network and interface."""
    with _naming(call, network), ports.records.lock(call.container_id, call.deadline):
        known = _on_record(call, ports)
        entry = _entry(call, ports, network, known)
        if entry.master:
            raise errors.InvalidConfig("this is the pod's default network, which only the pod's own DEL detaches")
        undone = attaching.detach(call, ports, [entry], call.deadline)
        if undone:
            raise undone[0][1]
        if known is not None:
            recording.keep(call, ports, _without(known, entry))


def check(call: Call, ports: Ports, network: NetworkConfig) -> None:
    """CHECK of this one attachment, with what it was attached with. Raises errors.CniError."""
    with _naming(call, network), ports.records.lock(call.container_id, call.deadline):
        entry = _entry(call, ports, network, _on_record(call, ports), must_exist=True)
        checking.check_entry(call, ports, entry)


def status(call: Call, ports: Ports, network: NetworkConfig) -> None:
    """STATUS of its plugins; their code is kept. Raises errors.CniError."""
    delegates.refuse_self(delegates.from_file(network, master=False))
    execution.status(network, call.path, ports.executor, call.deadline)


# ── what is on record ───────────────────────────────────────────────────────────────────────────────────────────


def _on_record(call: Call, ports: Ports) -> Record | None:
    try:
        return ports.records.load(call.container_id, DEFAULT)
    except errors.DamagedRecord as error:
        log.error("damaged record set aside, using the cached results", pod=call.pod_id, error=error)
        return _with_cached(call, ports, None)


def _with_cached(call: Call, ports: Ports, known: Record | None) -> Record | None:
    """As `delete.with_cached`; this call's interface is not the default network's."""
    return delete.with_cached(call._replace(environment=call.environment._replace(ifname=DEFAULT)), ports, known)


def _entry(
    call: Call, ports: Ports, network: NetworkConfig, known: Record | None, *, must_exist: bool = False
) -> Entry:
    """The attachment of `network` at this interface: from the record, the cached result, else as it would be made."""
    whole = _with_cached(call, ports, known)
    ifname = call.environment.ifname
    at_ifname = [entry for entry in (whole.entries if whole is not None else ()) if entry.ifname == ifname]
    for entry in at_ifname:
        if entry.config.name == network.name:
            return entry
    if at_ifname:
        raise errors.InvalidConfig(f"interface {ifname} belongs to network {at_ifname[0].config.name}")
    if must_exist:
        raise errors.CniError("it is not attached", code=checking.UNKNOWN_CONTAINER)
    delegates.refuse_self(delegates.from_file(network, master=False))
    return record.from_cached(network, ifname, call.environment.netns, (), {}, "")


def _without(known: Record, gone: Entry) -> Record:
    left = [entry for entry in known.entries if entry.key != gone.key]
    if gone.alone and left:
        left[0] = left[0]._replace(alone=True)
    return known._replace(entries=tuple(left))


# ── attaching ───────────────────────────────────────────────────────────────────────────────────────────────────


def _plan(call: Call, network: NetworkConfig, asked: Selection) -> Plan:
    """A plan of one attachment. Raises errors.CniError for what can be refused before anything is looked at."""
    ifname = call.environment.ifname
    delegate = delegates.hot_plugged(network, asked._replace(interface=ifname))
    delegates.refuse_self(delegate)
    versions.check(network.cni_version)
    return plan.make([delegate], conf=call.conf, runtime_ifname="", pod_args=call.pod, args=call.args)


def _pod(call: Call, ports: Ports) -> Pod | None:
    try:
        return pods.for_add(call, ports)
    except pods.Gone:
        raise errors.NotFound("pod not found during Multus GetPod") from None


def _without_leftover(call: Call, ports: Ports, network: NetworkConfig, known: Record | None) -> Record | None:
    """`known` without an attachment of this network at this interface that was begun and never ended (the daemon was
    killed, or undoing it failed), which is undone first. Raises errors.InterfaceCollision when it is attached."""
    ifname = call.environment.ifname
    whole = _with_cached(call, ports, known)
    for entry in whole.entries if whole is not None else ():
        if entry.ifname != ifname:
            continue
        ended = ports.results.load(entry.config.name, call.container_id, ifname) is not None
        if entry.config.name != network.name or (ended and not entry.failed):
            raise errors.InterfaceCollision(f"interface {ifname} is attached already, to network {entry.name}")
        undone = attaching.detach(call, ports, [entry], call.deadline)
        if undone:
            raise undone[0][1].within("an earlier attempt is not undone yet")
        return _without(known, entry) if known is not None else None
    return known


def _refuse_taken(call: Call, ports: Ports, known: Record | None) -> None:
    """The name must be free in the kernel too: plugins may rename, and not every interface is on record."""
    ifname = call.environment.ifname
    taken = attaching.link_names(call, ports)
    planned = {entry.ifname for entry in known.entries} if known is not None else set()
    if ifname in taken | planned and ifname != "lo":
        raise errors.InterfaceCollision(f"interface name {ifname} already exists in the pod's network namespace")


def _attach(call: Call, ports: Ports, planned: Plan, known: Record | None) -> Result:
    """Record it, attach it; undone on any failure, SIGTERM included."""
    before = known if known is not None else record.Record((), call.pod)
    made = record.from_plan(planned, call.environment.netns, call.pod).entries[0]
    entry = made._replace(alone=not before.entries)
    ready = attaching.prepare(call, ports, entry, call.deadline - call.conf.rollback_reserve)
    try:
        ports.records.save(call.container_id, _with(before, entry))
        result = attaching.read(call, ready, attaching.run(call, ports, ready))
        ports.records.sync(call.container_id)
    except BaseException as error:
        ended = entry._replace(failed=attaching.is_refusal(error))
        undone = attaching.detach(call, ports, [entry], call.deadline) if ready.begun else []
        recording.restore(call, ports, _with(before, ended) if undone else before)
        raise
    return result


def _with(known: Record, entry: Entry) -> Record:
    return known._replace(entries=(*known.entries, entry))


@contextmanager
def _naming(call: Call, network: NetworkConfig) -> Iterator[None]:
    try:
        yield
    except errors.CniError as error:
        if error.message.startswith(f"[{call.pod_id}"):
            raise
        where = f"[{call.pod_id}:{network.name}]: interface {call.environment.ifname}"
        raise error.within(where) from error
