"""A daemon on a node of the benchmark's own: its process, what it costs, and the calls that a runtime makes.

Calls run in a network namespace that stands for the host's, so bridges are made there; the daemon and the API server
stay outside.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import measure
import scene
from clusters import NODE
from measure import Command

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from clusters import Cluster
    from measure import Sample

ROOT = Path(__file__).resolve().parent.parent
SHIM = ROOT / "build" / "multus-shim"
PLUGINS = Path("/usr/lib/cni")

#: How long a daemon may take to know everything.
PATIENCE = 60.0

#: Written by the daemon's process when it ends: what it had imported.
_AT_EXIT = """import atexit, sys
def tell(path={path!r}):
    with open(path, "w") as file:
        file.write(" ".join(sys.modules))
atexit.register(tell)
"""


class Memory(NamedTuple):
    """Of the daemon, in MB, and how many descriptors and threads it has."""

    rss: float
    pss: float
    descriptors: int
    threads: int


class Daemon:
    """One `multus-daemon`, as its launcher starts it."""

    def __init__(self, directory: Path, kubeconfig: Path) -> None:
        self.socket_dir = directory / "run"
        self._modules = directory / "modules"
        settings = directory / "daemon-config.json"
        told = {
            "socketDir": str(self.socket_dir),
            "cniDir": str(directory / "cni"),
            "kubeconfig": str(kubeconfig),
            "nodeName": NODE,
            "logFile": str(directory / "daemon.log"),
            "logLevel": "error",
        }
        settings.write_text(json.dumps(told))
        launcher = Path(sys.executable).with_name("multus-daemon")
        code = _AT_EXIT.format(path=str(self._modules)) + launcher.read_text()
        command = [scene.interpreter_of(launcher), "-I", "-S", "-c", code, "-config", str(settings)]
        self._process = subprocess.Popen(command, env={"PATH": os.environ.get("PATH", os.defpath)}, cwd="/")
        self._clock = (~self._process.pid << 3) | 2  # clock_getcpuclockid(3): the CPU time of all threads ever

    def cpu(self) -> float:
        """CPU time spent so far, in milliseconds."""
        return time.clock_gettime(self._clock) * 1000

    def memory(self) -> Memory:
        """What it holds now."""
        proc = Path(f"/proc/{self._process.pid}")
        rollup = proc.joinpath("smaps_rollup").read_text()
        sizes = {line.split(":")[0]: int(line.split()[1]) / 1024 for line in rollup.splitlines()[1:]}
        count = {what: len(os.listdir(proc / what)) for what in ("fd", "task")}
        return Memory(sizes["Rss"], sizes["Pss"], count["fd"], count["task"])

    def end(self) -> set[str]:
        """SIGTERM, and its end; the modules it had imported."""
        self._process.terminate()
        if self._process.wait(60) != 0:
            sys.exit(f"bench: multus-daemon ended with {self._process.returncode}")
        return set(self._modules.read_text().split())


@contextlib.contextmanager
def daemon(directory: Path, cluster: Cluster) -> Iterator[Daemon]:
    """A daemon that watches, until the end of the context (or its own)."""
    before = cluster.watches()
    made = Daemon(directory, cluster.kubeconfig)
    try:
        deadline = time.monotonic() + PATIENCE
        while len(cluster.watches() - before) < 2:
            if time.monotonic() > deadline or made._process.poll() is not None:
                sys.exit("bench: the daemon ended, or does not watch")
            time.sleep(0.1)
        yield made
    finally:
        if made._process.poll() is None:
            made._process.terminate()
            made._process.wait()


class Call(NamedTuple):
    """What a runtime says. `conf` is the name of a file with a configuration; `slot` tells calls at once apart."""

    verb: str
    pod: str
    conf: str = "strict"
    slot: int = 0


class Runtime:
    """Makes calls from threads that are in the private host namespace."""

    def __init__(self, directory: Path, netns: str, host: str, uids: dict[str, str], width: int) -> None:
        self.directory = directory
        self._netns = netns
        self._uids = uids
        self._pool = ThreadPoolExecutor(width, initializer=_enter, initargs=(f"/run/netns/{host}",))

    def command(self, call: Call) -> Command:
        """The process of a call."""
        sandbox = f"bench-{call.pod}-{call.slot}"
        environ = {
            "CNI_COMMAND": call.verb,
            "CNI_CONTAINERID": sandbox,
            "CNI_NETNS": f"/run/netns/{self._netns}",
            "CNI_IFNAME": "eth0",
            "CNI_PATH": str(self.directory / "bin"),
            "CNI_ARGS": f"IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME={call.pod};"
            f"K8S_POD_INFRA_CONTAINER_ID={sandbox};K8S_POD_UID={self._uids.get(call.pod, '')}",
        }
        stdin = self.directory / f"{call.conf}.conf"
        return Command((str(SHIM),), environ, stdin, self.directory / f"output-{call.slot}")

    def run(self, command: Command) -> Sample:
        """One process, to its end."""
        return self._pool.submit(measure.call, command).result()

    def call(self, call: Call) -> Sample:
        """One call, to its end."""
        return self.run(self.command(call))

    def at_once(self, work: Sequence[Any]) -> float:
        """Carry out all of `work`, functions without arguments, as many at once as there are threads; the seconds."""
        began = time.perf_counter()
        running = [self._pool.submit(one) for one in work]
        for one in running:
            one.result()
        return time.perf_counter() - began

    def calls(self, calls: Sequence[Call]) -> float:
        """The same for calls."""
        commands = [self.command(call) for call in calls]
        return self.at_once([lambda command=command: measure.call(command) for command in commands])

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown()


def prepare(directory: Path, socket_dir: Path) -> str:
    """Plugins, and the runtime's configurations: strict, auto, and one whose plugins are recorded; the delegate."""
    bin_dir = directory / "bin"
    bin_dir.mkdir()
    for plugin in PLUGINS.iterdir():
        (bin_dir / plugin.name).symlink_to(plugin)
    delegate = scene.make_delegate(bin_dir / scene.DELEGATE)
    confs = {"strict": {}, "auto": {"delegateConcurrency": "auto"}, "recorded": {"binDir": str(directory / "record")}}
    for name, keys in confs.items():
        conf = {
            "cniVersion": "1.0.0",
            "name": "multus-bench",
            "type": "multus-shim",
            "daemonSocketDir": str(socket_dir),
            "cniDir": str(directory / "cni"),
            "confDir": str(directory / "net.d"),
            "binDir": str(bin_dir),
            "delegates": [{"cniVersion": "1.0.0", "name": "cluster", "type": scene.DELEGATE}],
            **keys,
        }
        (directory / f"{name}.conf").write_text(json.dumps(conf))
    return delegate


def bridge(directory: Path, number: int) -> str:
    """A network of the real bridge plugin with addresses of host-local."""
    ipam = {"type": "host-local", "subnet": f"10.{100 + number}.0.0/16", "dataDir": str(directory / "ipam")}
    return json.dumps({"cniVersion": "1.0.0", "type": "bridge", "bridge": f"mxb{number}", "ipam": ipam})


def _enter(path: str) -> None:
    """From here on this thread, and the processes it starts, are in another network namespace."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if ctypes.CDLL(None, use_errno=True).setns(descriptor, 0x40000000) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), path)
    finally:
        os.close(descriptor)
