"""What the measured calls need: a sandbox, pods and networks from an API server and from manifests, a delegate."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from measure import Command, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

HERE = Path(__file__).resolve().parent

#: The plugin type of the delegates.
DELEGATE = "nothing"

#: Where the pod comes from -> the key of Multus' configuration that says so.
SOURCES = {"TLS": "kubeconfig", "manifests": "manifestsDir"}


class Stage(NamedTuple):
    """Everything, ready to be called; see `prepared`."""

    directory: Path
    netns: str
    multus: str
    interpreter: str
    delegate: str
    networks: tuple[int, ...]

    def calls(self) -> Iterator[tuple[Kind, Command]]:
        """One round: the bare start, VERSION, then an ADD and its DEL of each kind."""
        bare = (self.interpreter, "-I", "-S", "-c", "pass")
        yield Kind("bare", "", 0), Command(bare, {}, Path(os.devnull), self.directory / "output")
        yield Kind("VERSION", "", 0), self._command("VERSION", "manifests", 0)
        for source in SOURCES:
            for count in self.networks:
                for verb in ("ADD", "DEL"):
                    yield Kind(verb, source, count), self._command(verb, source, count)

    def _command(self, verb: str, source: str, count: int) -> Command:
        sandbox = f"bench-{source}-{count}"
        environ = {
            "CNI_COMMAND": verb,
            "CNI_CONTAINERID": sandbox,
            "CNI_NETNS": f"/var/run/netns/{self.netns}",
            "CNI_IFNAME": "eth0",
            "CNI_PATH": str(self.directory / "bin"),
            "CNI_ARGS": f"IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=pod{count};"
            f"K8S_POD_INFRA_CONTAINER_ID={sandbox};K8S_POD_UID=",
        }
        return Command((self.multus,), environ, self.directory / f"{source}.conf", self.directory / "output")


@contextlib.contextmanager
def prepared(networks: Sequence[int]) -> Iterator[Stage]:
    """A stage with a pod for each number in `networks`; all of it is removed afterwards."""
    multus = Path(sys.executable).with_name("multus")
    netns = f"mxbench-{os.getpid()}"
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="multus-bench-")))
        stack.enter_context(namespace(netns))
        (directory / "bin").mkdir()
        delegate = make_delegate(directory / "bin" / DELEGATE)
        _write_objects(directory, networks)
        stack.enter_context(_api_server(directory))
        for source, key in SOURCES.items():
            value = directory / ("manifests" if source == "manifests" else "multus.kubeconfig")
            (directory / f"{source}.conf").write_text(json.dumps(_configuration(directory, source, key, str(value))))
        yield Stage(directory, netns, str(multus), interpreter_of(multus), delegate, tuple(networks))


def interpreter_of(launcher: Path) -> str:
    """The interpreter that the executable's first line names."""
    if not launcher.exists():
        sys.exit(f"bench: no {launcher}: run `make setup`")
    return launcher.read_text().splitlines()[0].removeprefix("#!").split()[0]


def make_delegate(target: Path) -> str:
    """The plugin that does nothing, as cheap as this machine can make it; which kind it is."""
    compiler = shutil.which("cc")
    if compiler is not None:
        for static in (["-static"], []):
            command = [compiler, "-O2", *static, "-o", str(target), str(HERE / "nothing.c")]
            if subprocess.run(command, capture_output=True, check=False).returncode == 0:
                return f"C program{', static' if static else ''}"
    shell = shutil.which("dash") or "/bin/sh"
    target.write_text(f"#!{shell}\n{(HERE / 'nothing.sh').read_text()}")
    target.chmod(0o755)
    return f"script of {shell} (no C compiler here: each delegate costs about 1 ms more)"


def _configuration(directory: Path, source: str, key: str, value: str) -> dict[str, Any]:
    return {
        "cniVersion": "1.0.0",
        "name": "multus-bench",
        "type": "multus",
        key: value,
        "cniDir": str(directory / "cni" / source),
        "confDir": str(directory / "net.d"),
        "binDir": str(directory / "bin"),
        "delegates": [{"cniVersion": "1.0.0", "name": "cluster", "type": DELEGATE}],
    }


def _write_objects(directory: Path, networks: Sequence[int]) -> None:
    """The manifests; the API server reads the same files."""
    manifests = directory / "manifests"
    manifests.mkdir()
    for number in range(max(networks)):
        config = json.dumps({"cniVersion": "1.0.0", "type": DELEGATE})
        metadata = {"name": f"net{number}", "namespace": "default"}
        nad = {"apiVersion": "k8s.cni.cncf.io/v1", "kind": "NetworkAttachmentDefinition", "metadata": metadata}
        (manifests / f"net{number}.json").write_text(json.dumps({**nad, "spec": {"config": config}}))
    for count in networks:
        wanted = ",".join(f"net{number}" for number in range(count))
        metadata_of_pod = {"name": f"pod{count}", "namespace": "default", "annotations": _asking(wanted)}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata_of_pod}
        (manifests / f"pod{count}.json").write_text(json.dumps(pod))


def _asking(wanted: str) -> dict[str, str]:
    return {"k8s.v1.cni.cncf.io/networks": wanted} if wanted else {}


@contextlib.contextmanager
def namespace(name: str) -> Iterator[None]:
    """A network namespace with its loopback up, until the end of the context."""
    subprocess.run(["ip", "netns", "add", name], check=True)
    subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
    try:
        yield
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True)


@contextlib.contextmanager
def _api_server(directory: Path) -> Iterator[None]:
    """The tests' API server in a process of its own; it ends when its standard input does."""
    command = [sys.executable, str(HERE / "apiserver.py"), str(directory)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        if server.stdout.readline() != "ready\n":
            sys.exit("bench: the API server did not start")
        try:
            yield
        finally:
            server.stdin.close()
