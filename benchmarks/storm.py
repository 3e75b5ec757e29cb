"""Many calls at once, against threads that run the same delegates, one PATCH and one event each, and nothing else.

Both sides are timed until the last event has arrived: the daemon sends it after the answer, which spares the runtime
the wait, not the machine the work.
"""

from __future__ import annotations

import functools
import queue
import statistics
import time
from typing import TYPE_CHECKING, Any

import bare
import clusters
import measure
import scene
from alone import STATUS
from node import Call
from rows import Row
from wire import Wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from clusters import Cluster
    from node import Runtime

#: Calls of a round, each of another pod.
CALLS = 100


def rows(cluster: Cluster, runtime: Runtime, networks: int, width: int, rounds: int) -> Iterator[Row]:
    """ADDs per second of both."""
    loop = bare.Loop(runtime, "pod0", scene.DELEGATE, networks)
    wires: queue.SimpleQueue[Wire] = queue.SimpleQueue()
    for _ in range(width):
        wires.put(Wire(cluster.kubeconfig))
    ours: list[float] = []
    answered: list[float] = []
    others: list[float] = []
    adds, deletes = ([Call(verb, f"pod{pod}") for pod in range(CALLS)] for verb in ("ADD", "DEL"))
    for number in range(rounds + 1):
        measure.progress(f"storm: round {number + 1} of {rounds + 1}")
        whole, answers = _timed(cluster, lambda: runtime.calls(adds))
        ours.append(whole)
        answered.append(answers)
        runtime.calls(deletes)
        work = [_work(runtime, loop, wires, pod, number) for pod in range(CALLS)]
        others.append(_timed(cluster, functools.partial(runtime.at_once, work))[0])
    measure.progress("")
    rate, limit = (CALLS / statistics.median(taken[1:]) for taken in (ours, others))
    heard = CALLS / statistics.median(answered[1:])
    told = f"{rate:.0f} ADD/s ({heard:.0f} until the last answer), loop {limit:.0f}/s"
    yield Row("ADDs per second / bare loop", rate / limit, "", None, 0.6, told)


def _timed(cluster: Cluster, run: Callable[[], float]) -> tuple[float, float]:
    """Seconds until all events are there, and until the last answer."""
    expected = cluster.events() + CALLS
    answers = run()
    began = time.perf_counter()
    while cluster.events() < expected:
        if time.perf_counter() - began > 60:
            raise SystemExit("bench: events do not arrive")
    return answers + time.perf_counter() - began, answers


def _work(
    runtime: Runtime, loop: bare.Loop, wires: queue.SimpleQueue[Wire], pod: int, number: int
) -> Callable[[], None]:
    """One bare ADD: delegates, a PATCH, an event."""
    command = loop.command("ADD", pod)
    path = f"{clusters.PODS}/pod{pod}/status"
    patch = {"metadata": {"annotations": {"k8s.v1.cni.cncf.io/network-status": f"{STATUS}{' ' * (number % 2)}"}}}
    event = _event(pod, number)

    def run() -> None:
        measure.call(command)
        wire = wires.get()
        try:
            wire.send(wire.request("PATCH", path, patch))
            wire.send(wire.request("POST", clusters.EVENTS, event))
        finally:
            wires.put(wire)

    return run


def _event(pod: int, number: int) -> dict[str, Any]:
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"bare-{pod}-{number}.{time.time_ns():x}", "namespace": clusters.NAMESPACE},
        "involvedObject": {"apiVersion": "v1", "kind": "Pod", "namespace": clusters.NAMESPACE, "name": f"pod{pod}"},
        "type": "Normal",
        "reason": "AddedInterface",
        "message": "Add eth0 [192.0.2.2/24] from cluster",
        "count": 1,
        "firstTimestamp": when,
        "lastTimestamp": when,
        "source": {"component": "multus", "host": clusters.NODE},
    }
