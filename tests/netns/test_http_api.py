"""The HTTP API of a running daemon: what it says, and requests carried out by an agent or owed until one comes."""

from __future__ import annotations

import base64
import json
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from multus.host import figures
from support.runtime import SHIM, Runtime, Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.netns


class Client:
    """Speaks to `multus.sock` as upstream's shim does."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.path = str(runtime.socket_dir / "multus.sock")

    def ask(self, path: str, body: Any = None, method: str = "POST") -> tuple[int, str]:
        data = json.dumps(body).encode()
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(self.path)
            head = f"{method} {path} HTTP/1.1\r\nHost: dummy\r\nContent-Length: {len(data)}\r\n\r\n"
            sock.sendall(head.encode() + data)
            answer = b"".join(iter(lambda: sock.recv(1 << 16), b""))
        head_line, _, rest = answer.decode().partition("\r\n")
        return int(head_line.split()[1]), rest.partition("\r\n\r\n")[2]

    def call(self, verb: str, pod: Sandbox, conf: dict[str, Any], path: str = "/cni", ifname: str = "eth0") -> Any:
        env = {
            "CNI_COMMAND": verb,
            "CNI_CONTAINERID": pod.container_id,
            "CNI_NETNS": pod.netns,
            "CNI_IFNAME": ifname,
            "CNI_ARGS": pod.args,
            "CNI_PATH": self.runtime.path,
        }
        config = base64.b64encode(json.dumps(conf).encode()).decode()
        status, text = self.ask(path, {"env": env, "config": config})
        return status, json.loads(text) if text else None


def eventually(holds: Callable[[], object]) -> None:
    patience = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < patience
        time.sleep(0.05)


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Runtime]:
    made = Runtime(tmp_path)
    made.start_daemon(binDir=made.path, cniConfigDir=str(tmp_path / "net.d"))
    eventually((made.socket_dir / "multus.sock").exists)
    yield made
    made.close()


@pytest.fixture
def agent(runtime: Runtime) -> Iterator[subprocess.Popen[bytes]]:
    """`multus-shim --agent` on the runtime's host, as if that were the machine: beneath a pid 1 of its own."""
    beneath = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "slave"]
    command = [*beneath, str(SHIM), "--agent", str(runtime.socket_dir), runtime.path]
    process = subprocess.Popen(["ip", "netns", "exec", runtime.host, *command], env={"PATH": "/usr/sbin:/usr/bin"})
    yield process
    process.kill()  # unshare ignores SIGTERM; the agent goes with it
    process.wait()


def test_health_and_metrics(runtime: Runtime) -> None:
    """healthz, readyz and metrics answer; what ran is counted, and what the installer tells is there."""
    told = figures.Figures(str(runtime.dir / "net.d" / figures.DIRECTORY))
    told.set(figures.CONTESTED, 1)
    client = Client(runtime)
    assert client.ask("/healthz")[0] == client.ask("/readyz")[0] == 200
    assert client.ask("/nothing")[0] == 404
    runtime.pod("pod", None)
    pod, conf = runtime.sandbox(), runtime.conf()
    runtime.add(pod, conf)
    text = client.ask("/metrics", method="GET")[1]
    assert 'multus_call_duration_seconds_count{outcome="success",verb="ADD"} 1.0' in text
    assert "multus_records 1.0" in text
    assert "multus_configuration_contested 1.0" in text
    assert "multus_pods_without_networks 0.0" in text
    assert 'multus_delegate_duration_seconds_count{plugin="bridge",verb="ADD"} 1.0' in text
    runtime.delete(pod, conf)


def test_calls_by_the_agent(runtime: Runtime, agent: subprocess.Popen[bytes]) -> None:
    """Requests without hands are carried out by the agent; the runtime's own shim may delete what they attached."""
    client = Client(runtime)
    runtime.pod("pod", None)
    pod, conf = runtime.sandbox(), runtime.conf()
    eventually(lambda: client.call("ADD", pod, conf)[0] == 200)
    assert pod.links() == {"lo", "eth0"}
    extra = {"cniVersion": "1.0.0", "name": "hot", "type": "bridge", "bridge": "br9"}
    extra["ipam"] = runtime.host_local("10.9.0.0/24")  # type: ignore[assignment]
    status, answer = client.call("ADD", pod, extra, "/delegate", "hot0")
    assert (status, answer["Result"]["cniVersion"]) == (200, "1.1.0")
    assert pod.addresses("hot0")[0].startswith("10.9.0.")
    runtime.delete(pod, conf)
    runtime.nothing_left(pod)


def test_without_hands(runtime: Runtime) -> None:
    """With no agent ADD is refused at once; a DEL is kept, and done with the hands of the next call."""
    client = Client(runtime)
    runtime.pod("pod", None)
    pod, conf = runtime.sandbox(), runtime.conf()
    status, answer = client.call("ADD", pod, conf)
    assert (status, answer["code"]) == (400, 11)
    assert client.call("DEL", pod, conf)[0] == 200
    runtime.add(pod, conf)
    status, answer = client.call("DEL", pod, conf)
    assert (status, answer["code"]) == (400, 11)
    assert "multus_owed_deletes 1.0" in client.ask("/metrics", method="GET")[1]
    other = runtime.sandbox()
    runtime.add(other, conf)
    runtime.delete(other, conf)
    assert "multus_owed_deletes 0.0" in client.ask("/metrics", method="GET")[1]
    runtime.nothing_left(pod)
