"""`make soak`: the daemon attaches and detaches pods for minutes; its memory, descriptors and threads must stay flat.

Rounds of calls from several threads: do-nothing networks, every tenth pod on real bridges with a default route of its
own, and of each kind what goes wrong: networks that fail, runtimes that lose their patience. At the end of a round no
call runs; then the daemon is looked at. The first fifth of the time is its youth and doesn't count.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import statistics
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2] / "src")]

from multus.daemon import background  # noqa: E402
from support import faults, load  # noqa: E402
from support.runtime import PluginError, Runtime  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.runtime import Sandbox

#: Threads that call, and the calls of each in a round.
WIDTH, PODS = 4, 10

#: What may come and go in memory, in kB; and what a leak of one small object a call would be over some thousands.
SLACK = 1536

#: Threads for work behind the answer are made when several have something to do, at most so many.
ALLOWED = {"rss": SLACK, "pss": SLACK, "descriptors": 0, "threads": background.THREADS, "namespaces": 0}

#: The last call's thread may still be ending when its answer is there: the least of several looks counts.
LOOKS, PAUSE = 5, 0.02

#: How often the state is printed, in seconds.
REPORT = 10.0


class Look(NamedTuple):
    """The daemon at one moment: kB, and numbers."""

    rss: int
    pss: int
    descriptors: int
    threads: int
    namespaces: int


def look(pid: int) -> Look:
    """What the kernel says about it."""
    told = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
    descriptors = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    threads = len(list(Path(f"/proc/{pid}/task").iterdir()))
    namespaces = {(task / "ns" / "net").readlink() for task in Path(f"/proc/{pid}/task").iterdir()}
    rss, pss = (int(told[key].split()[0]) for key in ("Rss", "Pss"))
    return Look(rss, pss, descriptors, threads, len(namespaces))


class Soak:
    """One daemon, and the pods that come and go."""

    def __init__(self, directory: Path) -> None:
        self.runtime = runtime = Runtime(directory)
        (directory / "held").mkdir()
        runtime.own_plugins(
            holder=load.HOLDER.format(dir=directory / "held"),
            bad='[ "$CNI_COMMAND" = ADD ] || exit 0; echo \'{"code": 77, "msg": "bad day"}\'; exit 1',
            slow='[ "$CNI_COMMAND" = ADD ] || exit 0; exec sleep 60',
        )
        for kind in ("holder", "bad", "slow"):
            runtime.network(kind, {"cniVersion": "1.0.0", "type": kind})
        ipam = runtime.host_local("10.11.0.0/16")
        bridge = {"cniVersion": "1.0.0", "type": "bridge", "bridge": "br11", "isGateway": True, "ipam": ipam}
        runtime.network("bridge", bridge)
        runtime.pod("pod", "holder,holder")
        runtime.pod("routed", [{"name": "holder"}, {"name": "bridge", "default-route": ["10.11.0.1"]}])
        runtime.pod("bad", "holder,bad")
        runtime.pod("slow", "holder,slow")
        runtime.start_daemon(logLevel="error")
        conf = runtime.conf(delegates=[{"cniVersion": "1.0.0", "name": "cluster", "type": "holder"}])
        self.load = load.Load(runtime, conf)
        names = {0: "routed", 4: "bad", 7: "slow"}
        self.pods = [runtime.sandbox(names.get(number % 10, "pod")) for number in range(WIDTH * PODS)]
        self.pairs = 0

    def round(self) -> Look:
        """Every pod comes and goes once; how the daemon is when no call runs."""
        lives: list[Callable[[], None]] = [partial(self._life, pod) for pod in self.pods]
        self.load.run(WIDTH, lives, lambda: None)
        self.pairs += len(lives)
        assert self.runtime.daemon is not None
        looks = []
        for _ in range(LOOKS):
            time.sleep(PAUSE)
            looks.append(look(self.runtime.daemon.pid))
        return looks[0]._replace(**{key: min(getattr(one, key) for one in looks) for key in ("descriptors", "threads")})

    def _life(self, pod: Sandbox) -> None:
        if pod.name == "slow":
            self._given_up(pod)
        elif pod.name == "bad":
            with contextlib.suppress(PluginError):
                self.runtime.add(pod, self.load.conf)
        else:
            self.load.add(pod)
            self.runtime.check(pod, self.load.conf)
        self.load.delete(pod)

    def _given_up(self, pod: Sandbox) -> None:
        call = faults.begin(self.runtime, "ADD", pod, self.load.conf)
        faults.wait_for(partial(faults.runs, pod, "sleep"), "the delegate that takes long")
        call.kill()
        call.communicate()

    def end(self) -> None:
        """Nothing may be left of any pod."""
        assert self.load.failures == [], self.load.failures[:3]
        for pod in self.pods:
            self.runtime.nothing_left(pod)
            assert faults.working_for(pod.container_id) == []
        assert list((self.runtime.dir / "held").iterdir()) == []
        assert list((self.runtime.socket_dir / "inflight").iterdir()) == []


def grown(looks: list[Look]) -> list[str]:
    """What is not flat: the last third against the first, after the youth."""
    settled = looks[len(looks) // 5 :]
    third = max(1, len(settled) // 3)
    found = []
    for key in Look._fields:
        first, last = ([getattr(one, key) for one in part] for part in (settled[:third], settled[-third:]))
        before, after = statistics.median(first), statistics.median(last)
        if after > before + ALLOWED[key]:
            found.append(f"{key} grew from {before:g} to {after:g}")
    return found


def main() -> int:
    """Exit status 1 when something grows or is left."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    seconds = parser.parse_args().seconds
    directory = Path(tempfile.mkdtemp(prefix="soak-"))
    soak = Soak(directory)
    looks: list[Look] = []
    begun = printed = time.monotonic()
    try:
        while time.monotonic() < begun + seconds or len(looks) < 15:
            looks.append(soak.round())
            if len(looks) == 1 or time.monotonic() >= printed + REPORT:
                printed = time.monotonic()
                print(f"{printed - begun:6.0f} s {soak.pairs:7d} pods  {_line(looks[-1])}", flush=True)
        soak.end()
    finally:
        soak.runtime.close()
        shutil.rmtree(directory)
    print(f"  last {soak.pairs:7d} pods  {_line(looks[-1])}")
    problems = grown(looks)
    print("\n".join(problems) or "flat")
    return 1 if problems else 0


def _line(one: Look) -> str:
    sizes = f"RSS {one.rss / 1024:.1f} MB, PSS {one.pss / 1024:.1f} MB"
    return f"{sizes}, {one.descriptors} descriptors, {one.threads} threads, {one.namespaces} network namespaces"


if __name__ == "__main__":
    sys.exit(main())
