"""What the node daemon and its shim cost, as ratios to bare things measured in the same run (docs/benchmarks.md).

    make bench                                      the tables: the one-shot plugin, the daemon, devices
    make bench BENCH_ARGS=--quick                   with fewer rounds
    KUBE_ASSETS=DIR make bench                      with the kube-apiserver and etcd in DIR
    .venv/bin/python benchmarks/thick.py            the daemon alone

What is compared is measured in turn, round by round, and what is told are medians: other work on the machine weighs on
both sides.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import alone
import bare
import clusters
import footprint
import node
import scene
import storm
from rows import Row

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from clusters import Cluster
    from rows import Row

#: Calls at once.
WIDTH = 20

#: Bridge networks of the largest pod, do-nothing networks of the pods of the storm (with the default one: four).
BRIDGES = 8
IDLE = 3

PODS = 110
NADS = 1000


def main(arguments: Sequence[str]) -> int:
    """Measure and print; 1 when an aim is missed and --strict was given."""
    chosen = parser().parse_args(arguments)
    if os.geteuid() != 0:
        print("bench: makes network namespaces and must be run as root", file=sys.stderr)
        return 2
    rows: list[Row] = []
    with stage() as (cluster, runtime, delegate):
        print(f"\nthe node daemon; API server: {cluster.name}; delegate: {delegate}")
        print(f"{platform.machine()}, {os.cpu_count()} CPUs, Linux {platform.release()}")
        for title, measured in _parts(cluster, runtime, chosen.quick, chosen.only):
            print(f"\n{title}")
            for row in measured:
                print(f"  {row.text()}", flush=True)
                rows.append(row)
    if chosen.json:
        _write(Path(chosen.json), cluster, rows)
    return 1 if chosen.strict and any(row.is_missed for row in rows) else 0


def parser() -> argparse.ArgumentParser:
    """The command line, that of bench.py among it."""
    made = argparse.ArgumentParser(prog="thick", description="What the node daemon and its shim cost.")
    made.add_argument("--quick", action="store_true", help="fewer rounds, fewer pairs")
    made.add_argument("--only", choices=("calls", "storm", "memory"), help="only this part")
    made.add_argument(
        "--rounds", type=int, default=30, metavar="N", help="of the one-shot plugin's table; not used here"
    )
    made.add_argument("--json", default="", metavar="FILE", help="add the numbers to that file, as member `thick`")
    made.add_argument("--strict", action="store_true", help="exit with 1 when an aim is missed")
    return made


#: Where the socket directory is: on nodes /run is memory.
MEMORY = next(filter(os.path.isdir, ["/dev/shm"]), None)  # noqa: S108 - a directory of its own is made in it


@contextlib.contextmanager
def stage() -> Iterator[tuple[Cluster, node.Runtime, str]]:
    """API server, namespaces, plugins, pods and networks; all of it is removed afterwards."""
    host = f"mxbench-host-{os.getpid()}"
    pod = f"mxbench-pod-{os.getpid()}"
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="multus-bench-")))
        run = stack.enter_context(tempfile.TemporaryDirectory(prefix="multus-bench-", dir=MEMORY))
        (directory / "run").symlink_to(run)
        cluster = stack.enter_context(clusters.started(directory))
        stack.enter_context(scene.namespace(host))
        stack.enter_context(scene.namespace(pod))
        delegate = node.prepare(directory, directory / "run")
        bare.compile_loop(directory / "loop")
        uids = _populate(directory, cluster)
        runtime = node.Runtime(directory, pod, host, uids, WIDTH)
        stack.callback(runtime.close)
        yield cluster, runtime, delegate


def _populate(directory: Path, cluster: Cluster) -> dict[str, str]:
    """1,000 NADs, eight of them bridges; 110 pods, of which the first ones are special. The pods' UIDs."""
    nothing = json.dumps({"cniVersion": "1.0.0", "type": scene.DELEGATE})
    networks = {f"bridge{number}": node.bridge(directory, number) for number in range(BRIDGES)}
    networks |= {f"net{number}": nothing for number in range(NADS - BRIDGES)}
    cluster.add_networks(networks)
    gateway = json.dumps([{"name": "bridge0", "default-route": ["10.100.0.1"]}])
    wanted = {
        "none": "",
        "bridges": ",".join(f"bridge{number}" for number in range(BRIDGES)),
        "gateway": gateway,
    }
    idle = ",".join(f"net{number}" for number in range(IDLE))
    wanted |= {f"pod{number}": idle for number in range(PODS - len(wanted))}
    annotations = {name: {"k8s.v1.cni.cncf.io/networks": text} if text else {} for name, text in wanted.items()}
    return cluster.add_pods(annotations)


def _parts(
    cluster: Cluster, runtime: node.Runtime, quick: bool, only: str | None
) -> Iterator[tuple[str, Iterator[Row]]]:
    if only in (None, "calls", "storm"):
        with node.daemon(runtime.directory, cluster) as daemon:
            if only != "storm":
                yield "one call at a time", alone.plain(daemon, cluster, runtime, 7 if quick else 40)
                yield f"{BRIDGES} bridge networks", alone.bridges(daemon, runtime, BRIDGES, 3 if quick else 15)
                yield "requests to the API server", alone.requests(cluster, runtime, 5 if quick else 20)
            if only != "calls":
                yield f"{WIDTH} calls at once", storm.rows(cluster, runtime, IDLE, WIDTH, 3 if quick else 7)
    if only in (None, "memory"):
        yield "memory of the daemon", footprint.rows(cluster, runtime, 100 if quick else 1000, quick)


def _write(path: Path, cluster: Cluster, rows: Sequence[Row]) -> None:
    """Beside what bench.py wrote there."""
    known = json.loads(path.read_text()) if path.exists() else {}
    known["thick"] = {"api_server": cluster.name, "rows": [row._asdict() for row in rows]}
    path.write_text(json.dumps(known, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
