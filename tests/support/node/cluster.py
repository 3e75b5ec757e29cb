"""A cluster of one node: programs started and ended one by one, and the few things that tests do with it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from support.node import authority, images, layout, machine, programs
from support.node.api import PATIENCE, Api, eventually
from support.node.layout import Layout

if TYPE_CHECKING:
    from collections.abc import Iterable

Json = dict[str, Any]

#: What a real node's shell would look in, after the programs of the assets.
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

#: Of the folders that clusters live in.
PREFIX = "multus-cluster-"

#: How long a program may take to end, before it is killed.
GRACE = 20


class Cluster:
    """Start it, use it, stop it. `with` removes every trace at the end."""

    def __init__(self, assets: Path, directory: Path | None = None, *, leash: bool = True) -> None:
        directory = directory or Path(tempfile.mkdtemp(prefix=PREFIX))
        self.layout = Layout(directory)
        self.machine = machine.Machine(self.layout, f"{assets}:{SYSTEM_PATH}", leash=leash)
        self._assets = assets
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._services: dict[str, list[str]] = {}
        self._api: Api | None = None

    def __enter__(self) -> Cluster:
        try:
            self.install()
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop and remove everything."""
        self.power_off()
        self.machine.close()
        machine.remove(self.layout)

    # ── the node ────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def api(self) -> Api:
        """The administrator's access to the API server."""
        assert self._api is not None, "the cluster is not started"
        return self._api

    @property
    def context(self) -> programs.Context:
        """What command lines depend on."""
        return programs.Context(self.layout, self._assets, self.machine.address)

    def install(self) -> None:
        """Put the CNI plugins on the node's disk; to be done before it is started for the first time."""
        self.layout.make()
        target = self.layout.disk / str(layout.BIN_DIR)[1:]
        target.mkdir(parents=True, exist_ok=True)
        for plugin in sorted((self._assets / "cni").iterdir()):
            if not plugin.name.startswith("."):
                _copy(plugin, target / plugin.name)
        for folder in (layout.CONF_DIR, layout.MANIFESTS_DIR):
            (self.layout.disk / str(folder)[1:]).mkdir(parents=True, exist_ok=True)

    def start(self) -> None:
        """Boot the node and start all programs; ends when the API server answers and containerd has the images."""
        self.machine.start()
        if not (self.layout.keys / "ca.crt").exists():
            authority.write(self.layout.keys, self.machine.address)
        programs.write_files(self.context)
        self._route_service()
        self._api = Api(f"https://{self.machine.address}:{layout.API_PORT}", self.layout.keys)
        for name in programs.ORDER:
            self.start_program(name)
            if name == "kube-apiserver":
                # The others give up where they don't find it in time.
                self._load_images()
                self.wait("the API server", lambda: self.api.answers("/readyz"))
        for name in self._services:
            self.start_program(name)
        self.wait_for_api()

    def power_off(self) -> None:
        """What is left after it is what was written to the disk."""
        self.machine.stop()
        for process in self._running.values():
            process.wait()
        self._running.clear()
        if self._api is not None:
            self._api.close()

    def reboot(self) -> None:
        """Power off and start again."""
        self.power_off()
        self.start()

    def enable(self, name: str, argv: list[str]) -> None:
        """Make a program one of the node's own: it is started now, and with each boot, and ends with the node."""
        self._services[name] = argv
        self.start_program(name)

    def start_program(self, name: str) -> None:
        """Start one of `programs.ORDER`, or one that was enabled."""
        argv = self._services[name] if name in self._services else programs.command(name, self.context)
        with open(self.layout.logs / f"{name}.log", "ab") as log:
            self._running[name] = subprocess.Popen(
                self.machine.command(argv),
                env=self.machine.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def stop_program(self, name: str, how: int = signal.SIGTERM) -> None:
        """End one program, and only it: what it started goes on."""
        pid = self.pid(name)
        process = self._running.pop(name)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, how)
        try:
            process.wait(GRACE)
        except subprocess.TimeoutExpired:
            os.kill(pid, signal.SIGKILL)
            process.wait()

    def restart_program(self, name: str, how: int = signal.SIGTERM) -> None:
        """End it and start it again."""
        self.stop_program(name, how)
        self.start_program(name)

    def start_api_server(self) -> None:
        """Start it again, and with it those of its clients that would look for it only now and then."""
        self.start_program("kube-apiserver")
        self.wait_for_api()
        for name in ("kube-controller-manager", "kube-scheduler"):
            self.restart_program(name)

    def pid(self, name: str) -> int:
        """The process of a program, not the `nsenter` that runs it."""
        return machine.only_child(self._running[name].pid)

    def wait_for_api(self) -> None:
        """Until the API server is ready and the service accounts are made."""
        self.wait("the API server", lambda: self.api.answers("/readyz"))
        account = "/api/v1/namespaces/default/serviceaccounts/default"
        self.wait("the default service account", lambda: self.api.answers(account))

    def wait_for_node(self) -> None:
        """Until the node is Ready and untainted: pods can be scheduled."""
        self.wait("the node to be Ready", self._node_ready)

    def wait(self, what: str, look: Any, patience: float = PATIENCE) -> Any:
        """`eventually`, but ends early when one of the programs has ended."""

        def check() -> Any:
            for name, process in self._running.items():
                if process.poll() is not None:
                    raise machine.MachineError(f"{name} has ended: {self.log(name)[-3000:]}")
            return look()

        return eventually(check, what, patience)

    def log(self, name: str) -> str:
        """What a program has printed."""
        return (self.layout.logs / f"{name}.log").read_text("utf-8", "replace")

    def _node_ready(self) -> bool:
        node = self.api.find(f"/api/v1/nodes/{layout.NODE_NAME}")
        if node is None or node["spec"].get("taints"):
            return False
        conditions = {c["type"]: c["status"] for c in node["status"].get("conditions", [])}
        return conditions.get("Ready") == "True"

    def _route_service(self) -> None:
        """The service `kubernetes`, without kube-proxy: pods and host programs find the API server at its address."""
        there = f"{self.machine.address}:{layout.API_PORT}"
        rule = ["-d", layout.SERVICE_ADDRESS, "-p", "tcp", "--dport", "443", "-j", "DNAT", "--to-destination", there]
        for chain in ("PREROUTING", "OUTPUT"):
            self.machine.run("iptables", "-w", "-t", "nat", "-A", chain, *rule)

    def _load_images(self) -> None:
        self.wait("containerd", lambda: succeeds(self.machine, [*self.ctr, "version"]))
        listed = self.machine.run(*self.ctr, "images", "ls", "-q").split()
        if images.BUSYBOX not in listed:
            self.load_image(images.busybox_archive(Path("/bin/busybox")))

    # ── what tests do with it ───────────────────────────────────────────────────────────────────────────────────────

    def write(self, path: Path, text: str, mode: int = 0o644) -> None:
        """Write a text file on the node."""
        self.write_bytes(path, text.encode(), mode)

    def write_bytes(self, path: Path, data: bytes, mode: int = 0o644) -> None:
        """Write a file on the node, in one step: whoever watches the folder never sees half of it."""
        target = self.machine.file(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.new")
        temporary.write_bytes(data)
        temporary.chmod(mode)
        temporary.replace(target)

    def load_image(self, archive: bytes) -> None:
        """Give containerd the images of an archive."""
        path = self.layout.conf / "image.tar"
        path.write_bytes(archive)
        self.machine.run(*self.ctr, "images", "import", str(path))
        path.unlink()

    def restart_containerd(self, how: int = signal.SIGTERM) -> None:
        """Restart it and wait until it answers."""
        self.restart_program("containerd", how)
        self.wait("containerd", lambda: succeeds(self.machine, [*self.ctr, "version"]))

    @property
    def ctr(self) -> list[str]:
        """The beginning of a command line for containerd's own client."""
        return [str(self._assets / "ctr"), "-a", str(layout.CONTAINERD_SOCKET), "-n", "k8s.io"]

    def kubectl(self, *arguments: str, check: bool = True) -> str:
        """Run kubectl on the node as the administrator."""
        return self.machine.run("kubectl", f"--kubeconfig={self.layout.kubeconfig}", *arguments, check=check)


def succeeds(node: machine.Machine, argv: Iterable[str]) -> bool:
    """Whether a command on the node does."""
    try:
        node.run(*argv)
    except machine.MachineError:
        return False
    return True


def _copy(source: Path, target: Path) -> None:
    """By a link where both are on one file system: the plugins are 70 MB."""
    target.unlink(missing_ok=True)
    try:
        target.hardlink_to(source.resolve())
    except OSError:
        shutil.copy2(source, target)
