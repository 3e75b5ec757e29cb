"""SIGKILL at every step of ADD and DEL: the next DEL, or GC, leaves nothing. docs/faults.md tells the steps."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from support import faults
from support.runtime import SOURCE, Runtime, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.netns

#: In the order of an ADD: the default network, a chain, one that gets the default route, and one more, which the shim
#: is told of together with that.
ADD_STEPS = (
    "lock",
    "record",
    "record written",
    "recorded",
    "ADD eth0 bridge begins",
    "ADD eth0 host-local begins",
    "ADD eth0 host-local ends",
    "ADD eth0 bridge ends",
    "result",
    "result kept",
    "ADD net1 bridge begins",
    "ADD net1 host-local ends",
    "ADD net1 bridge ends",
    "ADD net1 tuning begins",
    "ADD net1 tuning ends",
    "ADD net2 bridge begins",
    "ADD net2 bridge ends",
    "ADD net3 bridge begins",
    "ADD net3 bridge ends",
    "route",
    "route gone",
    "route there",
    "sync",
    "status",
    "status written",
    "answer",
)

#: In the order of a DEL.
DEL_STEPS = (
    "load",
    "DEL net3 bridge begins",
    "DEL net3 bridge ends",
    "DEL net2 bridge begins",
    "DEL net2 host-local begins",
    "DEL net2 host-local ends",
    "DEL net2 bridge ends",
    "result forgotten",
    "DEL net1 tuning begins",
    "DEL net1 tuning ends",
    "DEL net1 bridge begins",
    "DEL net1 bridge ends",
    "DEL eth0 bridge begins",
    "DEL eth0 host-local ends",
    "DEL eth0 bridge ends",
    "forget",
    "forgotten",
    "answer",
)

#: In the order of an ADD whose last network fails.
ROLLBACK_STEPS = (
    "DEL net3 bridge begins",
    "DEL net2 bridge begins",
    "DEL net2 bridge ends",
    "result forgotten",
    "DEL net1 tuning ends",
    "DEL eth0 host-local begins",
    "DEL eth0 bridge ends",
    "forget",
    "forgotten",
)

#: Whom a SIGKILL ends in the shim: the runtime's child, its worker, both. They take turns unless all are asked for.
SHIM = ("front", "worker", "shim")
EVERYTHING = os.environ.get("MULTUS_FAULTS") == "all"


def points(steps: tuple[str, ...], always: tuple[str, ...], in_turn: tuple[str, ...] = SHIM) -> list[Any]:
    """Each step with its victims."""
    found = []
    for number, step in enumerate(steps):
        turn = in_turn if EVERYTHING else in_turn[number % len(in_turn) :][:1]
        found += [pytest.param(step, victim, id=f"{step}-{victim}") for victim in (*always, *turn)]
    return found


class Scene(faults.Faults):
    """A pod with three networks beside the default one."""

    def __init__(self, runtime: Runtime) -> None:
        super().__init__(
            runtime, bad='[ "$CNI_COMMAND" = ADD ] || exit 0; echo \'{"code": 77, "msg": "bad day"}\'; exit 1'
        )
        self.default = self._bridge(88, isGateway=True, routes=[{"dst": "0.0.0.0/0"}])
        chain = [self._bridge(11), {"type": "tuning", "sysctl": {"net.ipv4.conf.all.arp_filter": "1"}}]
        runtime.network("chain", {"cniVersion": "1.0.0", "plugins": chain})
        runtime.network("way", self._bridge(12, isGateway=True))
        runtime.network("more", self._bridge(13))
        runtime.network("bad", {"cniVersion": "1.0.0", "type": "bad"})
        self.networks: list[dict[str, Any]] = [{"name": "chain"}, {"name": "way", "default-route": ["10.12.0.1"]}]
        self.networks.append({"name": "more"})
        runtime.pod("pod", self.networks)
        self.conf = runtime.conf(delegates=[{**self.default, "cniVersion": "1.0.0", "name": "cluster"}])
        self.pod = runtime.sandbox()

    def _bridge(self, number: int, isGateway: bool = False, **ipam: Any) -> dict[str, Any]:  # noqa: N803 - as the plugin
        found = {"type": "bridge", "bridge": f"br{number}", "isGateway": isGateway}
        return {"cniVersion": "1.0.0", **found, "ipam": self.runtime.host_local(f"10.{number}.0.0/24", **ipam)}

    def collection(self) -> dict[str, Any]:
        """A GC request for which no sandbox lives."""
        default = {"cniVersion": "1.1.0", "cni.dev/valid-attachments": []}
        return {**self.conf, **default}

    def nothing_on_the_host(self) -> None:
        """As `nothing_at_all`, for a sandbox whose namespace has gone; nor a half-written file."""
        faults.wait_for(lambda: not faults.working_for(self.pod.container_id), "delegates to end")
        assert (self.runtime.records(), self.runtime.results(), self.runtime.leases()) == ([], [], [])
        assert not [name for name in self.runtime.host_links() if name.startswith("veth")]
        assert list(self.runtime.cni_dir.rglob(".tmp-*")) == []

    def delete_while_it_goes_on(self) -> None:
        """DEL right behind; whoever is still stopped goes on meanwhile."""
        call = self.begin("DEL", self.pod, self.conf)
        self.go()
        assert self.answer(call) == (0, {})


@pytest.fixture
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Scene]:
    runtime = Runtime(tmp_path)
    thick = "victim" not in request.fixturenames or request.getfixturevalue("victim") != "multus"
    if thick:
        runtime.socket_dir.mkdir(0o700)
    made = Scene(runtime)
    if thick:
        runtime.start_daemon()
    yield made
    made.close()
    runtime.close()


def successor(scene: Scene, victim: str) -> None:
    """After the daemon was killed another one starts."""
    if victim in ("daemon", "all"):
        scene.runtime.start_daemon()


def answered(scene: Scene, victim: str, call: Any) -> None:
    """Who was not killed answers the runtime with code 11."""
    if victim in ("daemon", "worker"):
        status, told = scene.answer(call)
        assert (status, told["code"]) == (1, 11)
    else:
        assert scene.answer(call)[0] == -9


@pytest.mark.parametrize(("step", "victim"), points(ADD_STEPS, ("multus", "daemon", "all")))
def test_killed_during_add(scene: Scene, step: str, victim: str) -> None:
    """Killed at that step of ADD: the call ends or says 11, and the DEL behind it releases everything."""
    call = scene.stopped_at(step, "ADD", scene.pod, scene.conf)
    scene.kill(victim, call)
    successor(scene, victim)
    scene.delete_while_it_goes_on()
    answered(scene, victim, call)
    scene.nothing_at_all(scene.pod)


@pytest.mark.parametrize(("step", "victim"), points(DEL_STEPS, ("multus", "daemon", "all")))
def test_killed_during_delete(scene: Scene, step: str, victim: str) -> None:
    """Killed at that step of DEL: the DEL that the runtime repeats releases the rest."""
    scene.runtime.add(scene.pod, scene.conf)
    call = scene.stopped_at(step, "DEL", scene.pod, scene.conf)
    scene.kill(victim, call)
    successor(scene, victim)
    scene.delete_while_it_goes_on()
    answered(scene, victim, call)
    scene.nothing_at_all(scene.pod)


@pytest.mark.parametrize(("step", "victim"), points(ROLLBACK_STEPS, (), ("daemon", "shim", "multus")))
def test_killed_during_rollback(scene: Scene, step: str, victim: str) -> None:
    """Killed while an ADD that failed is undone: the DEL behind it undoes the rest."""
    scene.runtime.pod("pod", [*scene.networks, {"name": "bad"}])
    call = scene.stopped_at(step, "ADD", scene.pod, scene.conf)
    scene.kill(victim, call)
    successor(scene, victim)
    scene.delete_while_it_goes_on()
    answered(scene, victim, call)
    scene.nothing_at_all(scene.pod)


@pytest.mark.parametrize(("step", "victim"), points(ADD_STEPS[2::4], ("daemon",), ("worker", "all", "multus")))
def test_collected_after_a_kill(scene: Scene, step: str, victim: str) -> None:
    """Killed during ADD, and the runtime forgets the sandbox: GC waits for what still runs, and releases everything."""
    call = scene.stopped_at(step, "ADD", scene.pod, scene.conf)
    scene.kill(victim, call)
    successor(scene, victim)
    run(["ip", "netns", "delete", scene.pod.netns_name])
    collect = scene.begin("GC", None, scene.collection())
    scene.go()
    assert scene.answer(collect) == (0, {})
    answered(scene, victim, call)
    scene.nothing_on_the_host()


@pytest.mark.parametrize(("step", "victim"), points(DEL_STEPS[1:-1], (), ("daemon", "shim", "multus")))
def test_killed_during_collection(scene: Scene, step: str, victim: str) -> None:
    """Killed during GC: the next GC releases the rest."""
    scene.runtime.add(scene.pod, scene.conf)
    run(["ip", "netns", "delete", scene.pod.netns_name])
    call = scene.stopped_at(step, "GC", None, scene.collection())
    scene.kill(victim, call)
    successor(scene, victim)
    collect = scene.begin("GC", None, scene.collection())
    scene.go()
    assert scene.answer(collect) == (0, {})
    answered(scene, victim, call)
    scene.nothing_on_the_host()


def test_every_step_is_explained() -> None:
    """docs/faults.md names every step and every victim."""
    text = (SOURCE.parent / "docs/faults.md").read_text()
    for name in (*ADD_STEPS, *DEL_STEPS, *ROLLBACK_STEPS, *SHIM, "multus", "daemon", "all", "order sent"):
        assert f"`{name}`" in text


def test_orders_of_a_dead_daemon_are_not_begun(scene: Scene) -> None:
    """A worker that got no processor time must not begin, behind its successor's DEL, what a dead daemon asked for."""
    call = scene.stopped_at("recorded", "ADD", scene.pod, scene.conf)
    (worker,) = faults.children(call.pid)
    os.kill(worker, signal.SIGSTOP)
    try:
        scene.arm("order sent")
        scene.go()
        faults.wait_for((scene.dir / "reached").exists, "the first order to be sent")
        scene.runtime.stop_daemon(signal.SIGKILL)
        scene.runtime.start_daemon()
        scene.runtime.delete(scene.pod, scene.conf)
    finally:
        os.kill(worker, signal.SIGCONT)
    answered(scene, "daemon", call)
    scene.runtime.nothing_left(scene.pod)
    assert faults.working_for(scene.pod.container_id) == []
