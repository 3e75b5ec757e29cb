"""The daemon is restarted or killed under load: what the runtime sees of it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from support import faults, load
from support.runtime import Runtime

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.runtime import Sandbox

pytestmark = pytest.mark.netns

#: Pods side by side, and how often each is attached and detached.
PODS, ROUNDS = 8, 6


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Runtime]:
    made = Runtime(tmp_path)
    made.start_daemon()
    made.network("b", {"cniVersion": "1.0.0", **bridge(made, 11)})
    made.pod("pod", [{"name": "b", "default-route": ["10.11.0.1"]}])
    yield made
    made.close()


def bridge(runtime: Runtime, number: int) -> dict[str, Any]:
    ipam = runtime.host_local(f"10.{number}.0.0/24")
    return {"type": "bridge", "bridge": f"br{number}", "isGateway": True, "ipam": ipam}


def coming_and_going(runtime: Runtime, made: load.Load, rounds: int = ROUNDS) -> list[Callable[[], None]]:
    """For each pod a task that attaches and detaches it, again and again."""

    def life(pod: Sandbox) -> None:
        for _ in range(rounds):
            made.add(pod)
            made.delete(pod)

    return [partial(life, runtime.sandbox()) for _ in range(PODS)]


def nothing_left(runtime: Runtime) -> None:
    for pod in runtime.sandboxes:
        runtime.nothing_left(pod)
        assert faults.working_for(pod.container_id) == []
    assert list((runtime.socket_dir / "inflight").glob("*")) == []


@pytest.mark.parametrize("restart", [load.orderly, load.handed_over], ids=["one after the other", "overlapping"])
def test_orderly_restart_under_load(runtime: Runtime, restart: Callable[[Runtime], None]) -> None:
    """The runtime sees no error at all, and nothing is left."""
    made = load.Load(runtime, runtime.conf())
    calls = 2 * PODS * ROUNDS

    def restarts() -> None:
        for part in (1, 2, 3):
            made.wait(part * calls // 4)
            restart(runtime)

    made.run(PODS, coming_and_going(runtime, made), restarts)
    assert made.failures == []
    nothing_left(runtime)


def test_killed_under_load(runtime: Runtime) -> None:
    """Code 11 for calls that were running, no error for others; nothing is left once their DELs succeeded."""
    made = load.Load(runtime, runtime.conf())
    calls = 2 * PODS * ROUNDS
    moments: list[float] = []

    def kills() -> None:
        for part in (1, 2, 3):
            made.wait(part * calls // 4)
            moments.append(load.killed(runtime))

    made.run(PODS, coming_and_going(runtime, made), kills)
    assert made.failures
    made.only_around(moments)
    nothing_left(runtime)
