"""`multusctl demo` from end to end: every proof passes and nothing is left on the machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.netns

STATE = Path("/run/multus-demo")
NETNS = Path("/var/run/netns")
MULTUSCTL = Path(sys.executable).with_name("multusctl")


def ours() -> list[str]:
    """What the demo has on this machine."""
    names = [name for name in os.listdir(NETNS) if name.startswith("mxdemo-")] if NETNS.exists() else []
    return names + ([str(STATE)] if STATE.exists() else [])


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    """Whatever a test did, the demo's own cleaning follows."""
    yield
    subprocess.run([MULTUSCTL, "demo", "--clean"], check=True, capture_output=True)


def demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([MULTUSCTL, "demo", *arguments], capture_output=True, text=True, timeout=300, check=False)


def proofs(value: dict[str, Any]) -> list[str]:
    return [f"{proof['name']}: {proof['detail']}" for proof in value["proofs"] if not proof["passed"]]


def test_everything_is_proved_and_nothing_left() -> None:
    """All proofs pass, and afterwards the machine has the links it had, no namespace and no file of the demo."""
    links = set(os.listdir("/sys/class/net"))
    done = demo("--output", "json")
    value = json.loads(done.stdout)
    assert proofs(value) == []
    assert (done.returncode, value["passed"], value["problem"]) == (0, True, "")
    assert [call["verb"] for call in value["calls"]] == ["ADD"] * 3 + ["CHECK"] * 3 + ["DEL"] * 3
    assert ours() == []
    assert set(os.listdir("/sys/class/net")) == links


def test_plain_text_in_a_pipe() -> None:
    """In a pipe the story is plain text with a table of what the pods have."""
    done = demo()
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    assert "POD   INTERFACE  NETWORK" in done.stdout
    assert "198.51.100.200/25" in done.stdout


def test_keep_then_clean() -> None:
    """--keep leaves the pods attached; --clean removes them."""
    assert demo("--keep").returncode == 0
    shown = subprocess.run(
        ["ip", "-n", "mxdemo-db", "address", "show", "data0"], capture_output=True, text=True, check=True
    )
    assert "198.51.100.200/25" in shown.stdout
    assert demo("--clean").returncode == 0
    assert ours() == []


def started() -> subprocess.Popen[str]:
    """A demo that has attached its pods and is proving them."""
    process = subprocess.Popen([MULTUSCTL, "demo"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("Proofs"):
            break
    return process


def test_interrupted() -> None:
    """Ctrl-C in the middle leaves nothing."""
    process = started()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=120)
    assert process.returncode == 130
    assert ours() == []


def test_after_a_crash() -> None:
    """A killed demo leaves things behind; the next one removes them and passes."""
    process = started()
    process.kill()
    process.communicate(timeout=120)
    assert ours() != []
    done = demo()
    assert done.returncode == 0, done.stdout
    assert "removed what an earlier run left: mxdemo-db" in done.stdout
    assert ours() == []


def test_failure_is_told() -> None:
    """A multus that fails makes the demo fail, saying which call, and still nothing is left."""
    done = demo("--multus", "/bin/false")
    assert done.returncode == 1
    assert "FAIL  ADD web" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("FAILED: ADD web")
    assert ours() == []
