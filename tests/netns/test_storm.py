"""A node that comes back: very many pods at once, with the daemon restarted and killed meanwhile.

MULTUS_STORM: how many pods (1000 is the full storm, 200 calls at once).
"""

from __future__ import annotations

import os
import random
import threading
from functools import partial
from typing import TYPE_CHECKING

import pytest

from support import load
from support.runtime import Runtime

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.runtime import Sandbox

pytestmark = pytest.mark.netns

PODS = int(os.environ.get("MULTUS_STORM", "300"))

#: Calls at once.
WIDTH = 200

#: One pod in so many has a network namespace of its own, and a bridge.
REAL = 10


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Runtime]:
    made = Runtime(tmp_path)
    (tmp_path / "held").mkdir()
    made.own_plugins(holder=load.HOLDER.format(dir=tmp_path / "held"))
    for name in ("one", "two"):
        made.network(name, {"cniVersion": "1.0.0", "type": "holder"})
    ipam = made.host_local("10.11.0.0/16")
    made.network("real", {"cniVersion": "1.0.0", "type": "bridge", "bridge": "br11", "isGateway": True, "ipam": ipam})
    made.pod("pod", "one,two")
    made.pod("real", [{"name": "one"}, {"name": "real", "default-route": ["10.11.0.1"]}])
    made.start_daemon()
    yield made
    made.close()


class Storm:
    """The pods, and the order of their calls."""

    def __init__(self, runtime: Runtime) -> None:
        conf = runtime.conf(delegates=[{"cniVersion": "1.0.0", "name": "cluster", "type": "holder"}])
        self.load = load.Load(runtime, conf)
        shared = runtime.sandbox()
        self.pods = [runtime.sandbox("real") if n % REAL == 0 else self._like(shared) for n in range(PODS)]

    def tasks(self) -> list[Callable[[], None]]:
        """Half of the pods come; then others come and go while those go, in random order."""
        half = len(self.pods) // 2
        first, then = [], []
        for pod in self.pods[:half]:
            there = threading.Event()
            first.append(partial(self._come, pod, there))
            then.append(partial(self._go, pod, there))
        then += [partial(self._come_and_go, pod) for pod in self.pods[half:]]
        random.Random(1).shuffle(then)
        return [*first, *then]

    def _come(self, pod: Sandbox, there: threading.Event) -> None:
        try:
            self.load.add(pod)
        finally:
            there.set()

    def _go(self, pod: Sandbox, there: threading.Event) -> None:
        there.wait()
        self.load.delete(pod)

    def _come_and_go(self, pod: Sandbox) -> None:
        self.load.add(pod)
        self.load.delete(pod)

    @staticmethod
    def _like(other: Sandbox) -> Sandbox:
        """Another container in the same namespace: the plugins of most pods make no links."""
        made = type(other)(other.name, other.namespace, other.uid)
        made.netns_name, made.netns = other.netns_name, other.netns
        return made


def test_storm(runtime: Runtime) -> None:
    """Two orderly restarts and one SIGKILL: no error but code 11 of calls that ran at the SIGKILL; nothing leaks."""
    storm = Storm(runtime)
    moments: list[float] = []

    def disturb() -> None:
        storm.load.wait(PODS // 4)
        load.orderly(runtime)
        storm.load.wait(PODS)
        moments.append(load.killed(runtime))
        storm.load.wait(PODS * 3 // 2)
        load.handed_over(runtime)

    storm.load.run(WIDTH, storm.tasks(), disturb)
    storm.load.only_around(moments)
    assert list((runtime.dir / "held").iterdir()) == []
    for pod in runtime.sandboxes:
        runtime.nothing_left(pod)
    assert list((runtime.socket_dir / "inflight").iterdir()) == []
    print(f"{PODS} pods, {len(storm.load.failures)} calls were told to try again")
