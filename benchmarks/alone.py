"""Calls one at a time: the shim's start, ADD and DEL without networks and with real ones, requests they cause."""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import bare
import clusters
import measure
import scene
from measure import Command
from node import Call
from rows import Row
from wire import Wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from clusters import Cluster
    from node import Daemon, Runtime

#: Rounds before the ones that count.
WARM_UP = 2

#: After each call: its event is sent after the answer, and must not weigh on what is measured next.
PAUSE = 0.03

#: As long as the annotation that Multus writes for the default network.
STATUS = '[{\n    "name": "cluster",\n    "interface": "eth0",\n    "ips": [\n        "192.0.2.2"\n    ],\n'
STATUS += '    "default": true,\n    "dns": {}\n}]'


class Samples:
    """Milliseconds by name; only those after the warm-up count."""

    def __init__(self) -> None:
        self._taken: defaultdict[str, list[float]] = defaultdict(list)

    def take(self, name: str, milliseconds: float) -> None:
        """One more."""
        self._taken[name].append(milliseconds)

    def __getitem__(self, name: str) -> float:
        return statistics.median(self._taken[name][WARM_UP:])

    def told(self, *names: str) -> str:
        """The medians, for reading."""
        return ", ".join(f"{name} {self[name]:.2f} ms" for name in names)


def plain(daemon: Daemon, cluster: Cluster, runtime: Runtime, rounds: int) -> Iterator[Row]:
    """Nothing but the default network, which does nothing."""
    samples = Samples()
    patch = _patch(cluster)
    interpreter = scene.interpreter_of(Path(sys.executable).with_name("multus"))
    start = _bare(runtime, interpreter, "-I", "-S", "-c", "pass")
    true = _bare(runtime, "/bin/true")
    for number in range(WARM_UP + rounds):
        measure.progress(f"plain: round {number + 1} of {WARM_UP + rounds}")
        samples.take("/bin/true", runtime.run(true).wall)
        samples.take("shim", runtime.call(Call("VERSION", "none")).wall)
        samples.take("start", runtime.run(start).wall)
        samples.take("PATCH", patch())
        _pair(samples, daemon, runtime, Call("ADD", "none"), "")
    measure.progress("")
    yield Row(
        "shim (VERSION) / true",
        samples["shim"] / samples["/bin/true"],
        "",
        1.5,
        None,
        samples.told("shim", "/bin/true"),
    )
    floor = samples["start"] + samples["PATCH"]
    yield Row(
        "ADD / (python start + PATCH)", samples["ADD"] / floor, "", 1.2, None, samples.told("ADD", "start", "PATCH")
    )
    yield Row("DEL / python start", samples["DEL"] / samples["start"], "", 0.5, None, samples.told("DEL", "start"))
    yield Row("daemon's CPU, an ADD and its DEL", samples["CPU"], "ms", 3)


def bridges(daemon: Daemon, runtime: Runtime, count: int, rounds: int) -> Iterator[Row]:
    """Real bridge networks with addresses of host-local: in order, side by side, and by the bare loop."""
    samples = Samples()
    loop = bare.Loop(runtime, "bridges", "bridge", count)
    for number in range(WARM_UP + rounds):
        measure.progress(f"bridges: round {number + 1} of {WARM_UP + rounds}")
        _pair(samples, daemon, runtime, Call("ADD", "bridges"), "strict ")
        for verb in ("ADD", "DEL"):
            samples.take(f"loop {verb}", runtime.run(loop.command(verb)).wall)
        _pair(samples, daemon, runtime, Call("ADD", "bridges", "auto"), "auto ")
    measure.progress("")
    strict, auto = samples["strict ADD"], samples["auto ADD"]
    yield Row(
        "ADD, in strict order / bare loop",
        strict / samples["loop ADD"],
        "",
        1.15,
        None,
        samples.told("strict ADD", "loop ADD"),
    )
    yield Row("ADD, side by side (auto) / in strict order", auto / strict, "", 0.8, None, samples.told("auto ADD"))
    strict, auto = samples["strict DEL"], samples["auto DEL"]
    yield Row("DEL / bare loop", strict / samples["loop DEL"], "", None, None, samples.told("strict DEL", "loop DEL"))
    yield Row("daemon's CPU, an ADD and its DEL, strict order", samples["strict CPU"], "ms", 6)
    yield Row("daemon's CPU, an ADD and its DEL, auto", samples["auto CPU"], "ms")


def requests(cluster: Cluster, runtime: Runtime, pairs: int) -> Iterator[Row]:
    """What ADD and DEL of pods with three networks ask of the API server, as counted there."""
    before, events = cluster.requests(), cluster.events()
    for number in range(pairs):
        for verb in ("ADD", "DEL"):
            runtime.call(Call(verb, f"pod{number}"))
    deadline = time.monotonic() + 10
    while cluster.events() - events < pairs and time.monotonic() < deadline:
        time.sleep(0.1)
    asked = cluster.requests() - before
    own = {"LIST events"}  # those of the loop above
    for what in ("PATCH pods", "POST events"):
        share = asked.pop(what, 0) / pairs
        yield Row(f"{what}, per ADD", share, "", 1, 1)
    others = {what: count for what, count in asked.items() if count and what not in own}
    told = ", ".join(f"{what} {count}" for what, count in others.items())
    yield Row(f"any other, in {pairs} pairs of ADD and DEL", sum(others.values()), "", 0, None, told)


def _pair(samples: Samples, daemon: Daemon, runtime: Runtime, add: Call, prefix: str) -> None:
    cpu = daemon.cpu()
    for verb in ("ADD", "DEL"):
        samples.take(f"{prefix}{verb}", runtime.call(add._replace(verb=verb)).wall)
        time.sleep(PAUSE)
    samples.take(f"{prefix}CPU", daemon.cpu() - cpu)


def _bare(runtime: Runtime, *words: str) -> Command:
    return Command(words, {}, Path(os.devnull), runtime.directory / "bare")


def _patch(cluster: Cluster) -> Callable[[], float]:
    """Sends one status to the API server over a connection that is open; the milliseconds."""
    wire = Wire(cluster.kubeconfig)
    numbers = iter(range(1, 1 << 30))

    def patch() -> float:
        annotations = {"k8s.v1.cni.cncf.io/network-status": f"{STATUS}{' ' * (next(numbers) % 2)}"}
        request = wire.request("PATCH", f"{clusters.PODS}/none/status", {"metadata": {"annotations": annotations}})
        began = time.perf_counter()
        wire.send(request)
        return (time.perf_counter() - began) * 1000

    return patch
