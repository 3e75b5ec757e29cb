"""ADD: attach the default network and every network the pod asked for; all of it, or nothing.

    look up the pod ─> gather networks ─> plan ─> record ─> attach, stage by stage ─> routes ─> status ─> answer
                                                     └────── any failure: detach what was started, in reverse

The record is on disk before the first delegate runs, so that DEL can undo whatever a crash leaves; it is durable
when ADD answers. Default routes are edited once, after the last attachment (NPWG 4.1.2.1.9).
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from multus import errors, log
from multus.engine import attach, devices, gather, pods, publish, readiness, recording, routes
from multus.networks import outcome, plan, record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from multus.cni.results import Result
    from multus.engine.call import Call, Ports
    from multus.networks.plan import Plan
    from multus.networks.record import Entry, Record
    from multus.ports import Pod


def run(call: Call, ports: Ports) -> Result:
    """Attach everything; the result for the runtime, i.e. the default network's. Raises errors.CniError, after
    which nothing is attached, or what could not be detached is on record for DEL. Every error names the pod."""
    try:
        return _run(call, ports)
    except errors.CniError as error:
        if error.message.startswith(f"[{call.pod_id}"):
            raise
        raise error.within(f"[{call.pod_id}]") from error


def _run(call: Call, ports: Ports) -> Result:
    with ports.records.lock(call.container_id, call.deadline):
        readiness.wait(call, ports)
        try:
            pod = pods.for_add(call, ports)
        except pods.Gone:
            log.warning("pod not found, nothing attached", pod=call.pod_id)
            return outcome.pod_gone(call.conf.cni_version, call.environment.ifname, call.environment.netns)
        try:
            return _attach_all(call, ports, pod)
        except errors.CniError as error:
            publish.failed(ports, pod, error)
            raise


def _attach_all(call: Call, ports: Ports, pod: Pod | None) -> Result:
    found = devices.equip(call, ports, pod, gather.networks(call, ports, pod))
    planned = plan.make(
        found, conf=call.conf, runtime_ifname=call.environment.ifname, pod_args=call.pod, args=call.args
    )
    planned = devices.plan_files(call, ports, planned)
    publish.warned(call, ports, pod, planned)
    _clear_leftovers(call, ports)
    _refuse_existing_links(call, ports, planned)
    written = record.from_plan(planned, call.environment.netns, call.pod)
    progress = _Progress(call, ports, written)
    try:
        ports.records.save(call.container_id, written)
        devices.share(call, ports, planned, written.entries)
        results = progress.carry_out(planned.stages)
        settled = routes.settle(call, ports, planned, results)
        answer = outcome.answer(settled[0], call.conf.cni_version)
        _keep_settled(call, ports, written, results, settled)
        progress.sync()
        infos = devices.described(call, ports, written.entries)
        publish.network_status(call, ports, pod, planned, settled, infos)
    except BaseException:
        progress.roll_back()
        raise
    publish.added(ports, pod, planned, settled)
    return answer


def _clear_leftovers(call: Call, ports: Ports) -> None:
    """A record of this very sandbox is what an earlier, failed ADD could not undo: finish that first."""
    try:
        left = ports.records.load(call.container_id, call.environment.ifname)
    except errors.DamagedRecord as error:
        log.error("damaged record set aside", pod=call.pod_id, error=error)
        return
    if left is None:
        return
    undone = attach.detach(call, ports, reversed(left.entries), call.deadline)
    if undone:
        raise attach.combined(undone).within(f"[{call.pod_id}]: an earlier ADD of this sandbox is not undone yet")
    ports.records.remove(call.container_id)


def _refuse_existing_links(call: Call, ports: Ports, planned: Plan) -> None:
    """No delegate may find its interface name taken. One network alone is left to its own plugin to refuse."""
    if len(planned.attachments) < 2:
        return
    taken = attach.link_names(call, ports)
    for attachment in planned.attachments:
        if attachment.ifname in taken and attachment.ifname != "lo":
            raise errors.InterfaceCollision(
                f"[{call.pod_id}:{attachment.delegate.name}]: interface name {attachment.ifname} already exists in"
                " the pod's network namespace"
            )


def _keep_settled(
    call: Call, ports: Ports, written: Record, results: Sequence[Result], settled: Sequence[Result]
) -> None:
    """Cached results must say what is really configured: CHECK compares them with the kernel."""
    for entry, before, after in zip(written.entries, results, settled, strict=True):
        if after is not before:
            ports.results.save(attach.cached(call, entry, after))


class _Progress:
    """How far an ADD came: which attachments were begun, and their results."""

    def __init__(self, call: Call, ports: Ports, written: Record) -> None:
        self.call = call
        self.ports = ports
        self.record = written
        self.ready: list[attach.Ready] = []
        self.printed: dict[int, bytes] = {}
        self.durable = False
        #: Those whose plugin said no, once and for all.
        self.refused: set[int] = set()
        self.deadline = call.deadline - call.conf.rollback_reserve

    def carry_out(self, stages: Sequence[Sequence[int]]) -> list[Result]:
        """Attach stage after stage; the members of one stage side by side."""
        self.ready = [attach.prepare(self.call, self.ports, entry, self.deadline) for entry in self.record.entries]
        self.ready[0].first.meanwhile = self._try_to_sync
        for single, group in itertools.groupby(stages, self._is_single):
            some = list(group)
            if single and len(some) > 1:
                self._in_turn([stage[0] for stage in some])
            else:
                for stage in some:
                    if len(stage) == 1:
                        self._attach(stage[0])
                    else:
                        self._side_by_side(stage)
        return [self._result(number) for number in range(len(self.ready))]

    def sync(self) -> None:
        """Make the record durable, unless it is by now."""
        if not self.durable:
            self.ports.records.sync(self.call.container_id)

    def _try_to_sync(self) -> None:
        """While the first plugin runs: the disk takes as long."""
        try:
            self.sync()
            self.durable = True
        except errors.CniError:
            pass  # `sync` will say so

    def _is_single(self, stage: Sequence[int]) -> bool:
        """Whether a stage is but one plugin, which can be ordered together with those before and after it."""
        return len(stage) == 1 and self.ready[stage[0]].single

    def _in_turn(self, numbers: Sequence[int]) -> None:
        several = [self.ready[number] for number in numbers]
        ends = attach.run_in_turn(self.call, self.ports, several)
        for number, how in zip(numbers, ends, strict=False):
            try:
                self.printed[number] = attach.ended(self.call, self.ports, self.ready[number], how)
            except errors.CniError as error:
                self._note(number, error)
                raise

    def _attach(self, number: int) -> None:
        try:
            self.printed[number] = attach.run(self.call, self.ports, self.ready[number])
        except errors.CniError as error:
            self._note(number, error)
            raise

    def _result(self, number: int) -> Result:
        try:
            return attach.read(self.call, self.ready[number], self.printed[number])
        except errors.CniError as error:
            self._note(number, error)
            raise

    def _note(self, number: int, error: errors.CniError) -> None:
        if attach.is_refusal(error):
            self.refused.add(number)

    def _side_by_side(self, stage: Sequence[int]) -> None:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(len(stage)) as pool:
            running = [pool.submit(self._attach, number) for number in stage]
        for future in running:
            future.result()

    def roll_back(self) -> None:
        """Detach in reverse what was begun; forget the record, or keep in it what could not be detached."""
        begun = [number for number, ready in enumerate(self.ready) if ready.begun]
        ended = [self._as_it_ended(number) for number in reversed(begun)]
        undone = [entry for entry, _ in attach.detach(self.call, self.ports, ended, self.call.deadline)]
        owed = {entry.key for entry in undone}
        devices.forget(self.call, self.ports, [entry for entry in self.record.entries if entry.key not in owed])
        recording.restore(self.call, self.ports, record.keeping(self.record, undone))

    def _as_it_ended(self, number: int) -> Entry:
        return self.record.entries[number]._replace(failed=number in self.refused)
