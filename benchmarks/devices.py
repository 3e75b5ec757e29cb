"""What it costs to learn a pod's devices on a full node: 500 pods, 4,000 devices.

    make bench                                    prints it after the table of calls
    .venv/bin/python benchmarks/devices.py --pods 110

The kubelet is the one of the tests, in a process of its own, with its answer prepared, so that what is measured is the
wait of an ADD; each line is measured in a fresh process, because that is what the one-shot plugin is. The first lookup
of a process includes loading the library.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

from support import kubelet  # noqa: E402 - the path comes first

if TYPE_CHECKING:
    from collections.abc import Sequence

VF = "vendor.example/vf"

#: Devices of a pod.
EACH = 8

CLIENT = """
import json, sys, time
sys.path.insert(0, sys.argv[1])
import socket
from multus.devices import sources
from multus.ports import Pod
def memory(key):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(key))
node = sources.NodeDevices(sys.argv[2], sys.argv[3], None)
pod = Pod("default", sys.argv[4], sys.argv[4], {})
before = memory("VmRSS")
took = []
for _ in range(int(sys.argv[5])):
    started = time.perf_counter()
    found = node.ids(pod, time.monotonic() + 60)
    took.append((time.perf_counter() - started) * 1000)
assert [len(ids) for ids in found.values()] == [8], found
print(json.dumps({"took": took, "grown": (memory("VmRSS") - before) / 1024, "peak": memory("VmHWM") / 1024}))
"""


class Row(NamedTuple):
    """One way to learn devices; milliseconds and megabytes."""

    way: str
    first: float
    later: float
    grown: float
    peak: float


def main(arguments: Sequence[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pods", type=int, default=500, help=f"pods of the node, {EACH} devices each")
    parser.add_argument("--rounds", type=int, default=5, help="processes per line, the median of which counts")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as directory:
        rows = measured(Path(directory), chosen.pods, chosen.rounds)
    print(f"\ndevices of one pod among {chosen.pods} pods with {chosen.pods * EACH} devices")
    print(f"  {'':32}{'first, ms':>10}{'later, ms':>10}{'grown by, MB':>14}{'peak, MB':>10}")
    for row in rows:
        print(f"  {row.way:32}{row.first:10.1f}{row.later:10.1f}{row.grown:14.1f}{row.peak:10.1f}")
    return 0


def measured(directory: Path, pods: int, rounds: int) -> list[Row]:
    """All ways."""
    socket, checkpoint = str(directory / "kubelet.sock"), directory / "checkpoint"
    checkpoint.write_text(json.dumps(kept(pods)))
    rows = []
    for way in ("Get", "List"):
        server = subprocess.Popen([sys.executable, __file__, "--serve", socket, way, str(pods)])
        try:
            while not Path(socket).exists():
                time.sleep(0.01)
            rows.append(row(f"kubelet, {way}", socket, str(checkpoint), pods, rounds))
        finally:
            server.terminate()
            server.wait()
            Path(socket).unlink()
    rows.append(row(f"checkpoint ({checkpoint.stat().st_size >> 10} KiB)", socket, str(checkpoint), pods, rounds))
    return rows


def row(way: str, socket: str, checkpoint: str, pods: int, rounds: int) -> Row:
    """The medians of fresh processes."""
    command = [sys.executable, "-I", "-c", CLIENT, str(ROOT / "src"), socket, checkpoint, f"pod-{pods - 1}", "10"]
    told = [json.loads(subprocess.run(command, check=True, capture_output=True).stdout) for _ in range(rounds)]
    return Row(
        way,
        first=statistics.median(one["took"][0] for one in told),
        later=statistics.median(took for one in told for took in one["took"][1:]),
        grown=statistics.median(one["grown"] for one in told),
        peak=statistics.median(one["peak"] for one in told),
    )


def ids(number: int) -> list[str]:
    """The devices of a pod."""
    return [f"0000:{number:03x}:02.{function}" for function in range(EACH)]


def kept(pods: int) -> dict[str, object]:
    """The kubelet's checkpoint; a device plugin's allocation has a few hundred bytes."""
    entries = [
        {
            "PodUID": f"pod-{number}",
            "ContainerName": "main",
            "ResourceName": VF,
            "DeviceIDs": {"0": ids(number)},
            "AllocResp": "x" * 400,
        }
        for number in range(pods)
    ]
    return {"Data": {"PodDeviceEntries": entries, "RegisteredDevices": {VF: []}}, "Checksum": 1}


def serve(path: str, way: str, pods: int) -> None:
    """Be the kubelet until the process is ended."""
    everything = [
        kubelet.Pod("default", f"pod-{number}", (kubelet.Container("main", ((VF, ids(number)),)),))
        for number in range(pods)
    ]
    answer = kubelet.Reply(0, message=b"".join(kubelet.field(1, kubelet.pod_resources(pod)) for pod in everything))
    server = kubelet.Kubelet(path, everything)
    server.methods["/v1.PodResourcesLister/List"] = lambda _request: answer
    if way == "List":
        server.without_get()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    else:
        sys.exit(main(sys.argv[1:]))
