"""GC: release what belongs to sandboxes that no longer live, and never anything else.

The runtime's `cni.dev/valid-attachments` names only ``(containerID, eth0)`` pairs: it does not know the secondary
networks. So it is read as the list of *living sandboxes*. Stale sandboxes are detached from their records; then the
plugins of every network name (all configurations that share it) are told the attachments of that network that live,
from the records. Living sandboxes without a record (attached before Multus came, or damaged) keep at least the pair
that the runtime named, on the default network.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from multus import errors, log
from multus.cni import execution
from multus.engine import attach, delete, gather
from multus.networks import record

if TYPE_CHECKING:
    from multus.cni.config import NetworkConfig
    from multus.engine.call import Call, Ports
    from multus.networks.record import Record

    Pairs = list[tuple[str, str]]


def run(call: Call, ports: Ports) -> None:
    """Collect. Raises errors.InvalidConfig when the runtime's list is missing (a missing list is not an empty one),
    else errors.CniError naming everything that could not be released."""
    valid = call.conf.valid_attachments
    if valid is None:
        raise errors.InvalidConfig("GC without cni.dev/valid-attachments: nothing is collected")
    living = {container_id for container_id, _ in valid}
    with ports.records.exclusive(call.deadline):
        known = _known(call, ports)
        failures = _release_stale(call, ports, known, living)
        networks = _Networks()
        networks.learn(known)
        default = _default_config(call, ports)
        if default is not None:
            networks.add(default)
            networks.keep(default.name, [pair for pair in valid if pair[0] not in known])
        networks.live([(container_id, known[container_id]) for container_id in sorted(living & set(known))])
        failures += networks.collect(call, ports)
    if failures:
        raise errors.CniError("GC: " + " / ".join(str(error) for error in failures), code=failures[0].code)


def _known(call: Call, ports: Ports) -> dict[str, Record]:
    """Everything attached on this node, by container id: records and cached results."""
    ids = set(ports.records.containers()) | {cached.container_id for cached in ports.results.all()}
    known = {}
    for container_id in sorted(ids):
        found = delete.load(_of(call, container_id), ports)
        if found is not None:
            known[container_id] = found
    return known


def _of(call: Call, container_id: str, netns: str = "") -> Call:
    """The same call, speaking of one sandbox; its pod is the record's affair."""
    environment = call.environment._replace(container_id=container_id, netns=netns, ifname="eth0")
    return call._replace(environment=environment)


def _namespace(stale: Record, taken: set[str]) -> str:
    """The network namespace that ADD was given: where it is still there, something holds it, and its links with it.
    "" where it may be another sandbox's by now."""
    found = next((entry.netns for entry in stale.entries if entry.netns), "")
    return "" if found in taken or found.startswith("/proc/") else found


def _release_stale(call: Call, ports: Ports, known: dict[str, Record], living: set[str]) -> list[errors.CniError]:
    failures = []
    taken = {entry.netns for container_id in living & set(known) for entry in known[container_id].entries}
    for container_id in [one for one in known if one not in living]:
        stale = known[container_id]
        log.verbose("releasing a stale sandbox", container=container_id)
        aim = _of(call, container_id, _namespace(stale, taken))._replace(pod=stale.pod)
        kept = [entry for entry in stale.entries if entry.config.disable_gc]
        undone = attach.detach(aim, ports, reversed([e for e in stale.entries if e not in kept]), call.deadline)
        failures += [error.within(f"container {container_id}") for _, error in undone]
        remaining = kept + [entry for entry, _ in undone]
        if remaining:
            ports.records.save(container_id, record.keeping(stale, remaining))
        else:
            ports.records.remove(container_id)
    return failures


def _default_config(call: Call, ports: Ports) -> NetworkConfig | None:
    try:
        return gather.default_network(call, ports, None).config
    except errors.CniError as error:
        log.warning("default network not resolved for GC, its records stand in", error=error)
        return None


class _Networks:
    """Per network name: the configurations that share it, and the attachments that live."""

    def __init__(self) -> None:
        self.configs: dict[str, list[NetworkConfig]] = {}
        self.valid: dict[str, Pairs] = {}

    def add(self, config: NetworkConfig) -> None:
        configs = self.configs.setdefault(config.name, [])
        if all(config.raw != other.raw for other in configs):
            configs.append(config)

    def learn(self, known: dict[str, Record]) -> None:
        for one in known.values():
            for entry in one.entries:
                self.add(entry.config)

    def keep(self, name: str, pairs: Pairs) -> None:
        self.valid.setdefault(name, []).extend(pairs)

    def live(self, records: list[tuple[str, Record]]) -> None:
        for container_id, one in records:
            for entry in one.entries:
                self.keep(entry.config.name, [(container_id, entry.ifname)])

    def collect(self, call: Call, ports: Ports) -> list[errors.CniError]:
        """GC of every configuration; what failed."""
        failures = []
        for name in sorted(self.configs):
            for config in self.configs[name]:
                try:
                    execution.gc(config, call.path, self.valid.get(name, []), ports.executor, call.deadline)
                except errors.CniError as error:
                    failures.append(error.within(f"network {name}"))
        return failures
