"""The sequence: make the node and the pods, attach, look, prove, CHECK, delete, look again."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, NamedTuple

from multus import errors
from multus.ctl.demo import machine, probes, topology
from multus.ctl.demo.probes import Attachment, Proof

if TYPE_CHECKING:
    from multus.ctl.demo.plugin import Call, Runtime
    from multus.ctl.demo.report import Reporter


class Outcome(NamedTuple):
    """Everything that was seen."""

    attachments: tuple[Attachment, ...] = ()
    proofs: tuple[Proof, ...] = ()
    calls: tuple[Call, ...] = ()

    @property
    def failed(self) -> tuple[Proof, ...]:
        """The proofs that did not pass."""
        return tuple(proof for proof in self.proofs if not proof.passed)


class Story:
    """One run, told to `report`. What was seen so far is in `outcome` also when a chapter raises."""

    def __init__(self, runtime: Runtime, report: Reporter) -> None:
        self._runtime = runtime
        self._report = report
        self._attachments: list[Attachment] = []
        self._proofs: list[Proof] = []

    @property
    def outcome(self) -> Outcome:
        """What was seen so far."""
        return Outcome(tuple(self._attachments), tuple(self._proofs), tuple(self._runtime.calls))

    def attach(self) -> None:
        """Make the node and the pods, attach them, and prove everything about them.

        Raises errors.IoFailure when the machine can't do it; what Multus does wrong is a failed proof."""
        self._report.heading("A node and three pods")
        make_node()
        self._report.step(f"network namespaces {topology.HOST} (the node), {', '.join(p.netns for p in topology.PODS)}")
        self._report.step(f"manifests in {topology.STATE}/manifests: {', '.join(copy_files())}")
        self._report.heading("ADD: multus, and the plugins it delegates to")
        if not all(self._called("ADD", pod) for pod in topology.PODS):
            return
        self._look()
        self._report.heading("Proofs")
        self._prove()
        self._report.heading("CHECK")
        for pod in topology.PODS:
            self._called("CHECK", pod)

    def detach(self) -> None:
        """DEL for each pod, and proof that nothing of them is left."""
        self._report.heading("DEL")
        for pod in topology.PODS:
            self._called("DEL", pod)
        left = probes.left_on_node(topology.PODS)
        self._proof(Proof("no interface, address or record of the pods is left", not left, ", ".join(left)))

    def _look(self) -> None:
        self._report.heading("What the pods have now")
        for pod in topology.PODS:
            self._attachments += probes.attachments(pod)
        self._report.table(self._attachments)

    def _prove(self) -> None:
        for pod in topology.PODS:
            self._proof(probes.interfaces_proof(pod, [one for one in self._attachments if one.pod == pod.name]))
        for expected in topology.EXPECTATIONS:
            self._proof(probes.expectation_proof(expected, self._attachments))
        for ping in topology.PINGS:
            self._proof(probes.ping_proof(ping, self._attachments))

    def _called(self, verb: str, pod: topology.Pod) -> bool:
        try:
            call = self._runtime.call(verb, pod)
        except errors.CniError as error:
            self._proof(Proof(f"{verb} {pod.name}", False, f"code {error.code}: {error}"))
            return False
        self._proof(Proof(f"{verb} {pod.name}", True, f"{call.milliseconds:.0f} ms"))
        return True

    def _proof(self, proof: Proof) -> None:
        self._proofs.append(proof)
        self._report.proof(proof)


def make_node() -> None:
    """The namespaces, and in the node's an interface with a router on the other end of its wire."""

    def host(*arguments: str) -> None:
        machine.ip("-n", topology.HOST, *arguments)

    for name in (topology.HOST, *(pod.netns for pod in topology.PODS)):
        machine.ip("netns", "add", name)
        machine.ip("-n", name, "link", "set", "lo", "up")
    host("link", "add", topology.UPLINK, "type", "veth", "peer", "name", topology.ROUTER_LINK)
    host("address", "add", f"{topology.ROUTER}/25", "dev", topology.ROUTER_LINK)
    host("address", "add", f"{topology.BEYOND}/32", "dev", "lo")
    host("link", "set", topology.UPLINK, "up")
    host("link", "set", topology.ROUTER_LINK, "up")


def copy_files() -> list[str]:
    """The manifests, to where Multus' configuration says they are; their names."""
    source = topology.files()
    target = topology.STATE / "manifests"
    try:
        target.mkdir(parents=True)
        (topology.STATE / "net.d").mkdir()
        names = sorted(path.name for path in source.glob("*.yaml"))
        for name in names:
            shutil.copyfile(source / name, target / name)
    except OSError as error:
        raise errors.IoFailure(f"{error.filename}: {error.strerror}") from error
    return names
