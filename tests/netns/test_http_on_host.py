"""The HTTP API of a daemon that runs directly on the host: upstream's clients, the real plugins, the kernel."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from support.runtime import ENTRY, SOURCE, Runtime, Sandbox
from unit.daemon import clients
from unit.daemon.clients import Controller, ShimError, UpstreamShim

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from multus.cni.rawjson import Json

pytestmark = pytest.mark.netns

SLOW = 'cat > /dev/null; [ $CNI_COMMAND = ADD ] && { touch {mark}; sleep {seconds}; }; echo \'{"cniVersion":"1.0.0"}\''


class Host:
    """A runtime's host with a daemon on it that runs plugins itself."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.socket = str(runtime.socket_dir / "multus.sock")
        self.daemon: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        told = {
            "socketDir": str(self.runtime.socket_dir),
            "cniDir": str(self.runtime.cni_dir),
            "binDir": self.runtime.path,
            "runDelegates": True,
            "manifestsDir": str(self.runtime.manifests),
            "logFile": str(self.runtime.daemon_log),
            "logLevel": "debug",
        }
        file = self.runtime.dir / "host-daemon.json"
        file.write_text(json.dumps(told))
        code = f"import sys; sys.path.insert(0, {str(SOURCE)!r}); from multus.daemon.main import main; main()"
        command = ["ip", "netns", "exec", self.runtime.host, *ENTRY, code, "-config", str(file)]
        self.daemon = subprocess.Popen(command, env={"PATH": os.environ["PATH"]}, cwd="/")
        eventually(lambda: self._is_ready())

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self.daemon is not None:
            self.daemon.send_signal(number)
            self.daemon.wait(timeout=60)
            self.daemon = None

    def shim(self, command: str, pod: Sandbox, conf: Json) -> UpstreamShim:
        env = {
            "CNI_COMMAND": command,
            "CNI_CONTAINERID": pod.container_id,
            "CNI_NETNS": pod.netns,
            "CNI_IFNAME": "eth0",
            "CNI_ARGS": pod.args,
            "CNI_PATH": self.runtime.path,
        }
        return UpstreamShim(self.socket, env, conf)

    def controller(self, pod: Sandbox) -> Controller:
        return Controller(self.socket, pod.container_id, pod.netns, pod.name, pod.uid)

    def _is_ready(self) -> bool:
        try:
            return clients.ask(self.socket, "GET", "/readyz").status == 200
        except OSError:
            return False


def eventually(holds: Callable[[], object]) -> None:
    patience = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < patience
        time.sleep(0.02)


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Runtime]:
    made = Runtime(tmp_path)
    made.pod("pod", None)
    yield made
    made.close()


@pytest.fixture
def host(runtime: Runtime) -> Iterator[Host]:
    made = Host(runtime)
    yield made
    made.stop()


def bridge(runtime: Runtime, number: int, **keys: Any) -> Json:
    ipam = keys.pop("ipam", None) or runtime.host_local(f"10.{number}.0.0/24")
    return {
        "cniVersion": "1.0.0",
        "name": f"hot-{number}",
        "type": "bridge",
        "bridge": f"br{number}",
        "ipam": ipam,
        **keys,
    }


def test_upstreams_shim(runtime: Runtime, host: Host) -> None:
    """ADD, CHECK and DEL of upstream's shim with two networks of the pod's; nothing is left."""
    runtime.network("a", bridge(runtime, 11))
    runtime.network("b", bridge(runtime, 12))
    runtime.pod("pod", "a, b@data0")
    host.start()
    pod, conf = runtime.sandbox(), runtime.conf()
    result = host.shim("ADD", pod, conf).run()
    assert result is not None
    assert result["cniVersion"] == "1.1.0"
    assert pod.links() == {"lo", "eth0", "net1", "data0"}
    host.shim("CHECK", pod, conf).run()
    assert host.shim("DEL", pod, conf).delete().status == 200
    runtime.nothing_left(pod)


def test_controller(runtime: Runtime, host: Host) -> None:
    """An interface plugged with its address and MAC is there, is unplugged, and the pod's own networks stay."""
    host.start()
    pod, conf = runtime.sandbox(), runtime.conf()
    host.shim("ADD", pod, conf).run()
    one = host.controller(pod)
    extra = bridge(runtime, 9, ipam={"type": "static"}, capabilities={"mac": True, "ips": True})
    result = one.add("ens4", extra, ("10.9.0.66/24",), "02:03:04:05:06:07")
    inside = [link for link in result["interfaces"] if link.get("sandbox")]
    assert [(link["name"], link["mac"]) for link in inside] == [("ens4", "02:03:04:05:06:07")]
    assert pod.addresses("ens4") == ["10.9.0.66/24"]
    host.shim("CHECK", pod, conf).run()
    one.remove("ens4", extra)
    assert pod.links() == {"lo", "eth0"}
    assert host.shim("DEL", pod, conf).delete().status == 200
    runtime.nothing_left(pod)


def test_pods_del(runtime: Runtime, host: Host) -> None:
    """What is plugged goes with the pod, addresses included, also through a daemon that was restarted."""
    host.start()
    pod, conf = runtime.sandbox(), runtime.conf()
    host.shim("ADD", pod, conf).run()
    for number in (9, 10):
        host.controller(pod).add(f"ens{number}", bridge(runtime, number))
    host.stop()
    host.start()
    assert host.shim("DEL", pod, conf).delete().status == 200
    runtime.nothing_left(pod)


def test_failed_plug(runtime: Runtime, host: Host) -> None:
    """A plug that fails halfway leaves nothing of itself, and the pod as it was."""
    host.start()
    pod, conf = runtime.sandbox(), runtime.conf()
    host.shim("ADD", pod, conf).run()
    before = runtime.leases()
    first, second = bridge(runtime, 9), {"type": "no-such-plugin"}
    chain = {"cniVersion": "1.0.0", "name": "hot", "plugins": [first, second]}
    with pytest.raises(ShimError, match=r":hot\]: .*ens4.*no-such-plugin"):
        host.controller(pod).add("ens4", chain)
    assert pod.links() == {"lo", "eth0"}
    assert runtime.leases() == before


def test_taken_name(runtime: Runtime, host: Host) -> None:
    """A name that the sandbox has already is refused, and the interface that has it lives."""
    host.start()
    pod, conf = runtime.sandbox(), runtime.conf()
    host.shim("ADD", pod, conf).run()
    addresses = pod.addresses("eth0")
    with pytest.raises(ShimError, match="eth0 is attached already"):
        host.controller(pod).add("eth0", bridge(runtime, 9))
    assert pod.addresses("eth0") == addresses


def test_host_namespace(runtime: Runtime, host: Host) -> None:
    """The host's own network namespace is never plugged into."""
    host.start()
    pod, conf = runtime.sandbox(), runtime.conf()
    host.shim("ADD", pod, conf).run()
    links = runtime.host_links()
    pod.netns = f"/run/netns/{runtime.host}"
    with pytest.raises(ShimError, match='"code":8'):
        host.controller(pod).add("ens4", bridge(runtime, 9))
    assert runtime.host_links() == links


def slow(runtime: Runtime, seconds: int) -> tuple[Path, Json]:
    """A chain whose second plugin takes its time, and the file that says it has begun."""
    mark = runtime.dir / "begun"
    runtime.own_plugins(slow=SLOW.replace("{mark}", str(mark)).replace("{seconds}", str(seconds)))
    return mark, {"cniVersion": "1.0.0", "name": "hot", "plugins": [bridge(runtime, 9), {"type": "slow"}]}


def test_killed_while_plugging(runtime: Runtime, host: Host) -> None:
    """The daemon killed in the middle of it: the pod's DEL through its successor leaves nothing."""
    mark, chain = slow(runtime, 2)
    host.start()
    pod, conf = runtime.sandbox(), runtime.conf()
    host.shim("ADD", pod, conf).run()
    failed: list[BaseException] = []
    thread = threading.Thread(target=_plug, args=(host.controller(pod), chain, failed))
    thread.start()
    eventually(mark.exists)
    assert "ens4" in pod.links()
    host.stop(signal.SIGKILL)
    thread.join()
    assert failed
    host.start()
    assert host.shim("DEL", pod, conf).delete().status == 200
    runtime.nothing_left(pod)


def test_ended_while_plugging(runtime: Runtime, host: Host) -> None:
    """SIGTERM in the middle of it: what has begun is finished and answered."""
    mark, chain = slow(runtime, 1)
    host.start()
    pod, conf = runtime.sandbox(), runtime.conf()
    host.shim("ADD", pod, conf).run()
    failed: list[BaseException] = []
    thread = threading.Thread(target=_plug, args=(host.controller(pod), chain, failed))
    thread.start()
    eventually(mark.exists)
    host.stop()
    thread.join()
    assert not failed
    assert pod.addresses("ens4")


def _plug(one: Controller, chain: Json, failed: list[BaseException]) -> None:
    try:
        one.add("ens4", chain)
    except (ShimError, OSError, AssertionError) as error:
        failed.append(error)
