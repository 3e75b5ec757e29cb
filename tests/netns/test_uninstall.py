"""Uninstalled under pods that go on running: what is detached before, and what a runtime's DEL does afterwards.

CRI-O deletes a pod with the configuration it was created with, and executes the shim that was left behind. containerd
deletes it with the configuration it finds now, the default network's own.
"""

from __future__ import annotations

import copy
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from multus.install import lastorders, main
from multus.install import uninstall as uninstalling
from support.runtime import SHIM, PluginError, Runtime, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.runtime import Sandbox

pytestmark = pytest.mark.netns

PORTS = {"portMappings": [{"hostPort": 8099, "containerPort": 80, "protocol": "tcp", "hostIP": "10.88.0.1"}]}


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Runtime]:
    made = Runtime(tmp_path)
    made.shim = Path(shutil.copy2(SHIM, tmp_path / "multus-shim"))
    made.network("a", {"cniVersion": "1.0.0", **bridge(made, 11)})
    made.network("b", {"cniVersion": "1.0.0", "plugins": [bridge(made, 12), {"type": "tuning"}]})
    made.pod("pod", "a, b")
    made.start_daemon()
    yield made
    made.close()


def bridge(runtime: Runtime, number: int) -> dict[str, Any]:
    return {"type": "bridge", "bridge": f"br{number}", "ipam": runtime.host_local(f"10.{number}.0.0/24")}


def primary(runtime: Runtime) -> dict[str, Any]:
    """The default network: bridge, and portmap for what the runtime says."""
    [plugin] = [dict(found) for found in runtime.conf()["delegates"]]
    version, _ = plugin.pop("cniVersion"), plugin.pop("name")
    portmap = {"type": "portmap", "snat": False, "capabilities": {"portMappings": True}}
    return {"cniVersion": version, "name": "cluster", "plugins": [plugin, portmap]}


def installed(runtime: Runtime) -> dict[str, Any]:
    """What the runtime is told of Multus, and remembers with each pod."""
    return runtime.conf(delegates=[primary(runtime)], runtimeConfig=PORTS, capabilities={"portMappings": True})


def uninstall(runtime: Runtime, *flags: str) -> int:
    """`multus-install uninstall`."""
    file = runtime.dir / "daemon-config.json"
    told = json.loads(file.read_text()) if file.exists() else {}
    conf_dir = runtime.dir / "net.d"
    told |= {"cniConfigDir": str(conf_dir), "cniDir": str(runtime.cni_dir), "binDir": runtime.path}
    conf_dir.mkdir(exist_ok=True)
    file.write_text(json.dumps(told | {"socketDir": str(runtime.socket_dir)}))
    return main.run(["--log-level", "error", "uninstall", "--config", str(file), *flags])


def rules(runtime: Runtime) -> str:
    return run(["ip", "netns", "exec", runtime.host, "iptables-save", "-t", "nat"])


def is_clean(runtime: Runtime, pod: Sandbox) -> None:
    """Nothing is left of the pod, its ports included."""
    runtime.nothing_left(pod)
    is_released(runtime, pod)
    assert list(runtime.cni_dir.glob("last-orders/*")) == []


def is_released(runtime: Runtime, pod: Sandbox) -> None:
    """Nothing is left of its networks."""
    assert runtime.leases() == []
    assert not [name for name in runtime.host_links() if name.startswith("veth")]
    assert pod.links() == {"lo"}
    assert "8099" not in rules(runtime)


def test_crio_deletes_with_what_it_remembers(runtime: Runtime) -> None:
    """Every network of a pod is detached by the shim alone, and after the last pod the shim is gone."""
    conf = installed(runtime)
    pods = [runtime.sandbox(), runtime.sandbox()]
    for pod in pods:
        runtime.add(pod, conf)
        assert pod.links() == {"lo", "eth0", "net1", "net2"}
        conf = copy.deepcopy(conf) | {"runtimeConfig": {}}
    assert "8099" in rules(runtime)
    assert uninstall(runtime) == 1
    assert uninstall(runtime, "--force") == 0
    runtime.stop_daemon()
    runtime.delete(pods[0], conf)
    assert runtime.shim.exists()
    assert "8099" not in rules(runtime)
    runtime.delete(pods[1], conf)
    assert not runtime.shim.exists()
    for pod in pods:
        is_clean(runtime, pod)


def test_crio_deletes_a_sandbox_that_is_gone(runtime: Runtime) -> None:
    """After a reboot there is neither the namespace nor the socket directory: addresses and rules go all the same."""
    conf = installed(runtime)
    pod = runtime.sandbox()
    runtime.add(pod, conf)
    uninstall(runtime, "--force")
    runtime.stop_daemon()
    shutil.rmtree(runtime.socket_dir)
    runtime.socket_dir.mkdir()
    run(["ip", "netns", "delete", pod.netns_name])
    runtime.delete(pod, conf, CNI_NETNS="")
    runtime.sandboxes.remove(pod)
    assert (runtime.records(), runtime.results(), runtime.leases()) == ([], [], [])
    assert "8099" not in rules(runtime)
    assert not runtime.shim.exists()


@pytest.mark.parametrize("kind", ["thin", "thick"])
@pytest.mark.parametrize(("verb", "code"), [("ADD", 7), ("CHECK", 7), ("STATUS", 50)])
def test_the_rest_is_refused(runtime: Runtime, kind: str, verb: str, code: int) -> None:
    """Whatever is called with a configuration of before, but for DEL, is told that Multus was uninstalled and what to
    do. The one-shot plugin deletes from its records."""
    if kind == "thin":
        runtime.stop_daemon()
        shutil.rmtree(runtime.socket_dir)
    conf = installed(runtime) | {"cniVersion": "1.1.0"}
    pod = runtime.sandbox()
    runtime.add(pod, conf)
    if kind == "thin":
        lastorders.leave(str(runtime.cni_dir), thick=False)
    else:
        uninstall(runtime, "--force")
        runtime.stop_daemon()
    with pytest.raises(PluginError, match="Multus was uninstalled here: let the runtime read") as refused:
        runtime.call(verb, pod, conf)
    assert refused.value.code == code
    runtime.delete(pod, conf)
    is_clean(runtime, pod)


def test_another_installation_takes_over(runtime: Runtime) -> None:
    """It finds the records as they were: its daemon deletes the pods of before."""
    conf = installed(runtime)
    pod = runtime.sandbox()
    runtime.add(pod, conf)
    uninstall(runtime, "--force")
    runtime.stop_daemon()
    lastorders.withdraw(str(runtime.cni_dir))
    runtime.start_daemon()
    runtime.delete(pod, conf)
    is_clean(runtime, pod)
    assert runtime.shim.exists()


@pytest.fixture
def agent(runtime: Runtime) -> str:
    """An executable that is the agent on the runtime's host, as if that were the machine: beneath a pid 1 of its own,
    which has to be killed."""
    beneath = "unshare --pid --fork --kill-child --mount-proc --propagation slave"
    file = runtime.dir / "agent"
    file.write_text(
        f"#!/bin/sh\nip netns exec {runtime.host} {beneath} {SHIM} \"$@\" &\ntrap 'kill -9 $!; wait; exit' TERM\nwait\n"
    )
    file.chmod(0o755)
    return str(file)


def crio(runtime: Runtime, pod: Sandbox, conf: dict[str, Any]) -> None:
    """DEL as CRI-O does it, through the shim."""
    runtime.delete(pod, conf)


def containerd(runtime: Runtime, pod: Sandbox, conf: dict[str, Any]) -> None:
    """DEL as containerd does it, with the default network's own configuration and without Multus; libcni gives each
    plugin the runtime's arguments."""
    environ = {"CNI_COMMAND": "DEL", "CNI_CONTAINERID": pod.container_id, "CNI_NETNS": pod.netns}
    environ |= {"CNI_IFNAME": "eth0", "CNI_ARGS": pod.args, "CNI_PATH": runtime.path, "PATH": os.environ["PATH"]}
    conf = primary(runtime)
    for plugin in reversed(conf["plugins"]):
        told = {"name": conf["name"], "cniVersion": conf["cniVersion"], **plugin, "runtimeConfig": PORTS}
        program = ["ip", "netns", "exec", runtime.host, f"{runtime.path}/{plugin['type']}"]
        subprocess.run(program, input=json.dumps(told), env=environ, text=True, check=True, capture_output=True)


@pytest.mark.parametrize("delete", [crio, containerd])
def test_further_networks_are_detached(
    runtime: Runtime, agent: str, delete: Callable[[Runtime, Sandbox, dict[str, Any]], None]
) -> None:
    """Running pods keep eth0, its address and ports; the others are gone, on record too. Their DEL leaves nothing."""
    conf = installed(runtime)
    pod = runtime.sandbox()
    runtime.add(pod, conf)
    address = pod.addresses("eth0")
    assert uninstall(runtime, "--detach", "--agent", agent) == 0
    runtime.stop_daemon()
    assert pod.links() == {"lo", "eth0"}
    assert pod.addresses("eth0") == address
    assert [lease.split("/")[0] for lease in runtime.leases()] == ["cluster"]
    assert [name.split("-")[0] for name in runtime.results()] == ["cluster"]
    assert "8099" in rules(runtime)
    delete(runtime, pod, conf)
    is_released(runtime, pod)


def test_detaching_fails(runtime: Runtime, agent: str) -> None:
    """A network that can't be detached (a plugin of it is gone): it stays on record and nothing else is taken away; the
    other one is detached. Later it works."""
    directory = runtime.own_plugins()
    conf = installed(runtime)
    pod = runtime.sandbox()
    runtime.add(pod, conf)
    (directory / "tuning").unlink()
    assert uninstall(runtime, "--detach", "--agent", agent) == 1
    assert not (runtime.cni_dir / "last-orders").exists()
    assert [one.networks for one in uninstalling.busy(str(runtime.cni_dir))] == [("default/b",)]
    assert pod.links() == {"lo", "eth0"}
    (directory / "tuning").symlink_to("/usr/lib/cni/tuning")
    assert uninstall(runtime, "--detach", "--agent", agent) == 0
    runtime.stop_daemon()
    runtime.delete(pod, conf)
    is_clean(runtime, pod)


def test_executables_go_with_the_last_sandbox(runtime: Runtime) -> None:
    """`--dest-dir`: where no pod of before is left, nothing stays; else the shim does."""
    conf = installed(runtime)
    directory = runtime.shim.parent
    pod = runtime.sandbox()
    runtime.add(pod, conf)
    uninstall(runtime, "--force", "--dest-dir", str(directory))
    assert runtime.shim.exists()
    runtime.delete(pod, conf)
    assert uninstall(runtime, "--dest-dir", str(directory)) == 0
    assert not runtime.shim.exists()
    assert not (runtime.cni_dir / "last-orders").exists()
