"""The node of these tests itself: that it is a machine of its own, and that nothing of it is left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.node import machine
from support.node.api import eventually
from support.node.layout import Layout

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.cluster

PATH = "/usr/sbin:/usr/bin:/sbin:/bin"

#: Another process that starts a node, says so, and waits to be killed.
HOLDER = """\
import sys
sys.path[:0] = sys.argv[2:]
from pathlib import Path
from support.node import machine
from support.node.layout import Layout
machine.Machine(Layout(Path(sys.argv[1])), "/usr/sbin:/usr/bin:/sbin:/bin").start()
print("started", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def node(tmp_path: Path) -> Iterator[machine.Machine]:
    """A node without any program."""
    made = machine.Machine(Layout(tmp_path / "node-of-its-own"), PATH)
    made.start()
    yield made
    made.close()


def traces(node: machine.Machine) -> list[str]:
    """What this machine shows of a node."""
    cgroups = [str(path) for path in Path("/sys/fs/cgroup").glob(f"**/{node.name}")]
    cables = [path.name for path in Path("/sys/class/net").glob(f"mnode{node.number}")]
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    folder = str(node.layout.directory)
    return [*cgroups, *cables, *(line for line in mounts if folder in line)]


def test_own_files(node: machine.Machine) -> None:
    """What is written to the node's folders is not written to this machine's; all but /run outlives a reboot."""
    for path in ("/etc/written", "/var/written", "/opt/written", "/run/written"):
        node.run("touch", path)
        assert not Path(path).exists()
    node.stop()
    node.start()
    assert node.file("/etc/written").exists()
    assert node.file("/var/written").exists()
    assert not node.file("/run/written").exists()


def test_own_processes(node: machine.Machine) -> None:
    """Its first process is number 1; a process that loses its parent is reaped."""
    assert "init.py" in node.run("cat", "/proc/1/cmdline")
    node.run("sh", "-c", "sh -c 'sleep 0.1' >/dev/null 2>&1 &")
    eventually(lambda: len(node.run("ps", "-e", "-o", "stat=").split()) == 2, "only the first process and `ps`")


def test_nothing_is_left(tmp_path: Path) -> None:
    """A node that is stopped and removed leaves no cgroup, no cable, no mount, no file and no process."""
    made = machine.Machine(Layout(tmp_path / "node"), PATH)
    made.start()
    sleeper = subprocess.Popen(made.command(["sleep", "1000"]))
    assert traces(made)
    machine.remove(made.layout)
    assert sleeper.wait() != 0
    made.close()
    assert not traces(made)
    assert not made.layout.directory.exists()


def test_tests_that_are_killed(tmp_path: Path) -> None:
    """The node ends with the process that started it, however that ends; what it left on disk can be removed later."""
    layout = Layout(tmp_path / "node")
    arguments = [str(layout.directory), *sys.path]
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdin is not None
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"started\n"
    assert machine.is_held(layout)
    state = json.loads(layout.state.read_text())
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    holder.stdin.close()
    holder.stdout.close()
    eventually(lambda: machine.started(state["pid"]) != state["started"], "the node to end")
    assert not machine.is_held(layout)
    machine.remove(layout)
    assert not layout.directory.exists()
