"""A machine in namespaces of its own: start it, run programs on it, pull its plug, start it again."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from support.node import init
from support.node.api import eventually

if TYPE_CHECKING:
    from collections.abc import Sequence

    from support.node.layout import Layout

#: Taken into the cgroups that the node sees as its root, since `nsenter` joins namespaces only.
JOIN = f'while read c; do echo 0 > "$c"; done < {init.MEMBERSHIPS}; exec "$@"'

#: Networks of the node's cable: a block that is reserved for measurements between devices (RFC 2544).
CABLES = "198.18.{}.{}"


class MachineError(Exception):
    """The machine can't be started, or a command on it failed; the message says which."""


class Machine:
    """One node. Its cable has an end here, so its address is reachable from this machine."""

    def __init__(self, layout: Layout, path: str, *, leash: bool = True) -> None:
        self.layout = layout
        self._path = path
        self._leash = leash
        self.name = f"mnode-{layout.directory.name[-8:]}"
        self._process: subprocess.Popen[bytes] | None = None
        self.pid = 0
        self.number = -1
        self._reserved: socket.socket | None = None

    @property
    def address(self) -> str:
        """Of the node's eth0."""
        return CABLES.format(self.number, 2)

    def start(self) -> None:
        """Boot: namespaces, disk, cable. Raises MachineError."""
        self.layout.make()
        init.prepare()
        first = [sys.executable, "-IS", str(Path(init.__file__))]
        spaces = ["unshare", "--mount", "--net", "--pid", "--uts", "--fork", "--kill-child", "--mount-proc"]
        arguments = [str(self.layout.directory), self.name, "leash" if self._leash else "none"]
        with open(self.layout.logs / "init.log", "ab") as log:
            self._process = subprocess.Popen(
                [*spaces, *first, *arguments],
                stdin=subprocess.PIPE if self._leash else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        assert self._process.stdout is not None
        if self._process.stdout.readline() != b"ready\n":
            raise MachineError(f"the node does not boot: {(self.layout.logs / 'init.log').read_text()}")
        self.pid = only_child(self._process.pid)
        self._plug_in()
        self._remember()

    def stop(self) -> None:
        """Pull the plug: every process of the node is killed, its memory, mounts and network are gone."""
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        if self._process is not None:
            self._process.wait()
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None:
                    stream.close()
        self.pid, self._process = 0, None
        remove_cable(self.number)
        remove_cgroups(self.name)

    def close(self) -> None:
        """Stop it for good: its cable's number may be another's from here on."""
        self.stop()
        if self._reserved is not None:
            self._reserved.close()

    def command(self, argv: Sequence[str]) -> list[str]:
        """The command line that runs `argv` on the node when executed here."""
        enter = ["nsenter", "-t", str(self.pid), "-m", "-n", "-p", "-u", "-C", "--", "sh", "-c", JOIN, "sh"]
        return [*enter, *argv]

    def environment(self) -> dict[str, str]:
        """What programs of the node see of the environment."""
        return {"PATH": self._path, "HOME": "/root", "LANG": "C.UTF-8"}

    def run(self, *argv: str, stdin: str | None = None, check: bool = True) -> str:
        """Run a command on the node; its standard output. Raises MachineError with all that it printed when it fails
        and `check` is set."""
        done = subprocess.run(
            self.command(argv), input=stdin, capture_output=True, text=True, env=self.environment(), check=False
        )
        if check and done.returncode:
            printed = f"{done.stderr.strip()} {done.stdout.strip()}"
            raise MachineError(f"{' '.join(argv)}: exit status {done.returncode}: {printed}")
        return done.stdout

    def file(self, path: Path | str) -> Path:
        """A path inside the node, as a path of this machine."""
        return Path(f"/proc/{self.pid}/root{path}")

    def _plug_in(self) -> None:
        """A cable between this machine and the node; its number is the first that nobody has taken."""
        self._run_here("nsenter", "-t", str(self.pid), "-n", "ip", "link", "set", "lo", "up")
        numbers = [self.number] if self._reserved is not None else range(250)
        number = next((number for number in numbers if self._lay_cable(number)), None)
        if number is None:
            raise MachineError("no cable for the node: `ip link add` fails for every name")
        self.number, link = number, f"mnode{number}"
        self._run_here("ip", "address", "add", f"{CABLES.format(number, 1)}/30", "dev", link)
        self._run_here("ip", "link", "set", link, "up")
        self.run("ip", "address", "add", f"{self.address}/30", "dev", "eth0")
        self.run("ip", "link", "set", "eth0", "up")
        self.run("ip", "route", "add", "default", "via", CABLES.format(number, 1))
        self.run("sysctl", "-q", "-w", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")

    def _lay_cable(self, number: int) -> bool:
        """Whether there is one of this number now. The number stays this node's between two boots."""
        reserved = self._reserved or reserve(f"multus-cable-{number}")
        if reserved is None:
            return False
        pair = ["type", "veth", "peer", "name", "eth0", "netns", str(self.pid)]
        done = subprocess.run(["ip", "link", "add", f"mnode{number}", *pair], capture_output=True, check=False)
        if done.returncode:
            reserved.close()
            return False
        self._reserved = reserved
        return True

    def _run_here(self, *argv: str) -> None:
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode:
            raise MachineError(f"{' '.join(argv)}: {done.stderr.strip()}")

    def _remember(self) -> None:
        holder = os.getpid() if self._leash else 0
        state = {
            "pid": self.pid,
            "started": started(self.pid),
            "name": self.name,
            "number": self.number,
            "holder": holder,
            "holder_started": started(holder),
        }
        self.layout.state.write_text(json.dumps(state))


def reserve(name: str) -> socket.socket | None:
    """Take a name of which this network namespace has one, for as long as this process lives; None: it is taken."""
    reserved = socket.socket(socket.AF_UNIX)
    try:
        reserved.bind(f"\0{name}")
    except OSError:
        reserved.close()
        return None
    return reserved


def is_held(layout: Layout) -> bool:
    """Whether the node belongs to a process that still runs and will remove it itself."""
    try:
        state = json.loads(layout.state.read_text())
    except FileNotFoundError:
        return False
    return bool(state["holder"]) and started(state["holder"]) == str(state["holder_started"])


def remove(layout: Layout) -> None:
    """End the node that `layout` belongs to, whoever started it, and remove every trace of it."""
    with contextlib.suppress(FileNotFoundError):
        state = json.loads(layout.state.read_text())
        if started(state["pid"]) == state["started"]:
            os.kill(state["pid"], signal.SIGKILL)
            while started(state["pid"]) == state["started"]:
                time.sleep(0.05)
        remove_cable(state["number"])
        remove_cgroups(state["name"])
    shutil.rmtree(layout.directory)


def started(pid: int) -> str | None:
    """When a process was started, in ticks since boot, or None when there is none (a zombie is none either)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else fields[19]


def remove_cable(number: int) -> None:
    """Remove this machine's end of a cable: with the node's namespace it goes too, but some time later."""
    subprocess.run(["ip", "link", "del", f"mnode{number}"], capture_output=True, check=False)


def remove_cgroups(name: str) -> None:
    """Remove the cgroups of a node that has ended; the kernel may still be at work on its last processes."""
    for _ in range(100):
        if not [path for path in _cgroups(name) if not _rmdir(path)]:
            return
        time.sleep(0.05)
    raise MachineError(f"cgroups remain: {_cgroups(name)}")


def _cgroups(name: str) -> list[Path]:
    """The cgroups of a node, the innermost first."""
    tops = init.cgroups(name).values()
    return [Path(folder) for top in tops for folder, _, _ in os.walk(top, topdown=False)]


def _rmdir(path: Path) -> bool:
    try:
        path.rmdir()
    except OSError:
        return not path.exists()
    return True


def only_child(pid: int) -> int:
    """The child of a process that has one, or will have one as soon as it gets to it."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    return int(eventually(lambda: children.read_text().split(), f"a child of process {pid}")[0])
