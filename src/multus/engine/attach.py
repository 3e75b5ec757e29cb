"""Attach and detach one recorded attachment: the delegate's plugins, and its cached result."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from multus import errors, log
from multus.cni import arguments, execution
from multus.engine import devices
from multus.ports import CachedResult

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import TypeVar

    from multus.cni.invoke import Ended, PluginCall
    from multus.cni.results import Result
    from multus.engine.call import Call, Ports
    from multus.networks.record import Entry
    from multus.ports import Opening

    T = TypeVar("T")
    R = TypeVar("R")


class Ready:
    """An attachment, ready to be made: all that can be done before its plugin runs, so that between two plugins there
    is little to do. The processor's caches are cold then, and code that runs once takes twenty times as long."""

    def __init__(
        self, entry: Entry, target: execution.Target, first: PluginCall, cached: CachedResult, opening: Opening
    ) -> None:
        self.entry = entry
        self.target = target
        self.first = first
        self.cached = cached
        self.opening = opening

    @property
    def begun(self) -> bool:
        """Whether a plugin was at work for it: what never ran needs no undoing."""
        return self.first.worked is not None

    @property
    def single(self) -> bool:
        """Whether it takes but one plugin, whose call needs no other's result."""
        return len(self.entry.config.plugins) == 1


def prepare(call: Call, ports: Ports, entry: Entry, deadline: float) -> Ready:
    """Make an attachment ready. Raises errors.CniError."""
    aim = target(call, entry, entry.netns)
    try:
        first = execution.adding(entry.config, aim, deadline)
    except errors.CniError as error:
        raise _named(call, entry, error) from error
    ports.executor.prepare(first)
    without_result = cached(call, entry, None)
    return Ready(entry, aim, first, without_result, ports.results.opening(without_result))


def run(call: Call, ports: Ports, ready: Ready) -> bytes:
    """Run the delegate's ADD and cache its result, as it was printed: that. Raises errors.CniError, the delegate's own
    code kept."""
    entry = ready.entry
    _tell(call, entry)
    try:
        printed = execution.added(entry.config, ready.target, ready.first, ports.executor)
        ports.results.keep(ready.cached, ready.opening, printed)
    except errors.CniError as error:
        raise _named(call, entry, error) from error
    return printed


def run_in_turn(call: Call, ports: Ports, several: Sequence[Ready]) -> Iterable[Ended]:
    """Run the ADD of delegates of one plugin each, one after another, to the first that fails. How each ended; see
    `ended`."""
    for ready in several:
        _tell(call, ready.entry)
    return ports.executor.series([ready.first for ready in several], go_on=False)


def ended(call: Call, ports: Ports, ready: Ready, how: Ended) -> bytes:
    """As `run`, for a delegate whose only plugin has ended."""
    try:
        printed = execution.printed_by(ready.first, how)
        ports.results.keep(ready.cached, ready.opening, printed)
    except errors.CniError as error:
        raise _named(call, ready.entry, error) from error
    return printed


def _tell(call: Call, entry: Entry) -> None:
    log.verbose("attaching", pod=call.pod_id, network=entry.name, interface=entry.ifname)


def read(call: Call, ready: Ready, printed: bytes) -> Result:
    """What `run` gave, read. Raises errors.CniError for what is no result."""
    try:
        return execution.result_of(ready.entry.config, printed)
    except errors.CniError as error:
        raise _named(call, ready.entry, error) from error


def _named(call: Call, entry: Entry, error: errors.CniError) -> errors.CniError:
    context = f'[{call.pod_id}:{entry.name}]: error adding container to network "{entry.name}"'
    return error.within(f"{context} as {entry.ifname}")


def detach(call: Call, ports: Ports, entries: Iterable[Entry], deadline: float) -> list[tuple[Entry, errors.CniError]]:
    """DEL every one of `entries` in that order, whatever fails (NPWG 7.2); what could not be undone, and why.

    As with ADD, everything is made ready first and tidied up last. A cached result is there until then: who is killed
    meanwhile leaves it to the next DEL."""
    work = _Detaching(call, ports, list(entries), deadline)
    ready = work.each([(number, None) for number in range(len(work.entries))], work.ready)
    done: list[tuple[int, object]] = []
    for single, group in itertools.groupby(ready, lambda one: len(one[1]) == 1):
        some = list(group)
        done += work.in_turn(some) if single and len(some) > 1 else work.each(some, work.run)
    work.each(done, work.forget)
    return [(work.entries[number], work.failed[number]) for number in sorted(work.failed)]


class _Detaching:
    """Attachments that are undone, step after step; who fails in one is left out of the next."""

    def __init__(self, call: Call, ports: Ports, entries: list[Entry], deadline: float) -> None:
        self.entries = entries
        self.failed: dict[int, errors.CniError] = {}
        self._call = call
        self._ports = ports
        self._deadline = deadline
        self._netns: str | None = None

    def each(self, items: list[tuple[int, T]], step: Callable[[Entry, T], R]) -> list[tuple[int, R]]:
        """`step` of each entry (by its number) and what the step before made of it."""
        done = []
        for number, item in items:
            entry = self.entries[number]
            try:
                done.append((number, step(entry, item)))
            except errors.CniError as error:
                named = {"network": entry.name, "interface": entry.ifname}
                log.error("detaching failed", pod=self._call.pod_id, **named, error=error)
                self.failed[number] = error.within(f"network {entry.name}, interface {entry.ifname}")
        return done

    def ready(self, entry: Entry, _: None) -> tuple[PluginCall, ...]:
        """The calls of its DEL. Raises errors.CniError, as do the others."""
        call, ports = self._call, self._ports
        if self._netns is None:
            self._netns = _living(ports, call.environment.netns)
        known = ports.results.load(entry.config.name, call.container_id, entry.ifname)
        prev = known.result if known is not None else None
        calls = execution.deleting(entry.config, target(call, entry, self._netns), prev, self._deadline)
        for one in calls:
            ports.executor.prepare(one)
        return calls

    def run(self, entry: Entry, calls: tuple[PluginCall, ...]) -> None:
        """Carry them out."""
        self._tell(entry)
        execution.deleted(calls, self._ports.executor)

    def in_turn(self, several: list[tuple[int, tuple[PluginCall, ...]]]) -> list[tuple[int, bytes]]:
        """As `run`, of those that have one call, whatever becomes of it."""
        for number, _ in several:
            self._tell(self.entries[number])
        ends = self._ports.executor.series([calls[0] for _, calls in several], go_on=True)
        ended = [(number, (calls[0], how)) for (number, calls), how in zip(several, ends, strict=True)]
        return self.each(ended, lambda _, one: execution.output_of(*one))

    def _tell(self, entry: Entry) -> None:
        log.verbose("detaching", pod=self._call.pod_id, network=entry.name, interface=entry.ifname)

    def forget(self, entry: Entry, _: object) -> None:
        """It is gone."""
        self._ports.results.remove(entry.config.name, self._call.container_id, entry.ifname)
        devices.forget(self._call, self._ports, [entry])


def _living(ports: Ports, netns: str) -> str:
    """The sandbox may be gone by the time of DEL; plugins are then told so by an empty CNI_NETNS. Asked once for all
    of them: in the daemon it is a round trip to the shim."""
    return netns if netns and ports.executor.exists(netns) else ""


def target(call: Call, entry: Entry, netns: str) -> execution.Target:
    """What the plugins of `entry` are called with."""
    return execution.Target(
        container_id=call.container_id,
        netns=netns,
        ifname=entry.ifname,
        args=entry.args or arguments.for_delegate(call.args, call.pod),
        path=call.path,
        capability_args=entry.capability_args,
    )


def cached(call: Call, entry: Entry, result: Result | None) -> CachedResult:
    """The cached result of an attachment, as libcni would keep it."""
    return CachedResult(
        network=entry.config.name,
        container_id=call.container_id,
        ifname=entry.ifname,
        netns=entry.netns,
        config=entry.config,
        args=entry.args,
        capability_args=entry.capability_args,
        result=result,
    )


def is_refusal(error: BaseException) -> bool:
    """Whether an ADD that ended so attached nothing for certain: its plugin said no, once and for all. One that ran
    out of time, or whose result could not be kept, may have attached something."""
    transient = errors.TryAgainLater.default_code
    return isinstance(error, errors.CniError) and error.code != transient and not isinstance(error, errors.IoFailure)


def link_names(call: Call, ports: Ports) -> set[str]:
    """The interfaces that are in the sandbox now. Raises errors.IoFailure, errors.SameNamespace."""
    net = ports.netlink.open(call.environment.netns)
    try:
        return {link.name for link in net.links()}
    finally:
        net.close()


def combined(failures: list[tuple[Entry, errors.CniError]]) -> errors.CniError:
    """One error for several: the first one's class and code, every message."""
    first = failures[0][1]
    if len(failures) == 1:
        return first
    text = " / ".join(str(error) for _, error in failures)
    return errors.CniError(f"errors: {text}", code=first.code)
