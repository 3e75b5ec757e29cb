"""What the daemon holds: at rest, after many calls, after a storm, and with ten times the networks."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import measure
import node
import scene
from node import Call
from rows import Row

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clusters import Cluster
    from node import Memory, Runtime

#: One pair in so many edits default routes.
GATEWAYS = 10

#: Calls of the storm.
STORM = 200

MORE = 9000

#: Modules that only some pods, or some configurations, need.
SELDOM = ("grpc", "multus.devices.grpc", "h2", "hpack", "yaml")


def rows(cluster: Cluster, runtime: Runtime, pairs: int, quick: bool) -> Iterator[Row]:
    """A daemon's life: 1,000 NADs and 110 pods are there when it begins."""
    with node.daemon(runtime.directory, cluster) as daemon:
        time.sleep(1)
        idle = daemon.memory()
        yield from _both("at rest", idle, 36)
        for number in range(pairs):
            measure.progress(f"memory: pair {number + 1} of {pairs}")
            pod = "gateway" if number % GATEWAYS == 0 else f"pod{number % 100}"
            for verb in ("ADD", "DEL"):
                runtime.call(Call(verb, pod))
        measure.progress("")
        time.sleep(1)
        yield from _both(f"after {pairs} pairs", daemon.memory(), 40)
        storm = range(STORM)
        for verb in ("ADD", "DEL"):
            runtime.calls([Call(verb, f"pod{number % 100}", "strict", number // 100) for number in storm])
        time.sleep(1)
        after = daemon.memory()
        yield from _both(f"after a storm of {STORM} calls", after, 40)
        grown = after.descriptors - idle.descriptors
        yield Row("descriptors more than at rest", grown, "", 8, None, _counts(idle, after))
        modules = daemon.end()
    loaded = [name for name in SELDOM if name in modules]
    yield Row("modules loaded that these calls don't need", len(loaded), "", 0, None, ", ".join(loaded))
    if not quick:
        yield from _growth(cluster, runtime, idle)


def _growth(cluster: Cluster, runtime: Runtime, idle: Memory) -> Iterator[Row]:
    nothing = json.dumps({"cniVersion": "1.0.0", "type": scene.DELEGATE})
    measure.progress(f"memory: {MORE} networks more")
    cluster.add_networks({f"more{number}": nothing for number in range(MORE)})
    with node.daemon(runtime.directory, cluster) as daemon:
        time.sleep(5)
        many = daemon.memory()
    measure.progress("")
    yield Row(f"at rest with {MORE} NADs more", many.rss, "MB", None, None, f"PSS {many.pss:.1f} MB")
    yield Row("growth per NAD", (many.rss - idle.rss) * 1024 / MORE, "KB")


def _both(when: str, memory: Memory, most: float) -> Iterator[Row]:
    yield Row(f"RSS {when}", memory.rss, "MB", most)
    yield Row(f"PSS {when}", memory.pss, "MB", most)


def _counts(before: Memory, after: Memory) -> str:
    return f"{before.descriptors} then {after.descriptors}; threads {before.threads} then {after.threads}"
