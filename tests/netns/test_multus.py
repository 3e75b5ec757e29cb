"""The whole plugin on real network namespaces with the real reference plugins, without an API server."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from support.runtime import PluginError, Runtime

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.netns


@pytest.fixture(params=["thin", "thick"])
def runtime(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Runtime]:
    made = Runtime(tmp_path)
    if request.param == "thick":
        made.start_daemon()
    yield made
    made.close()


def bridge(runtime: Runtime, number: int, **rest: Any) -> dict[str, Any]:
    subnet = f"10.{number}.0.0/24"
    ipam = runtime.host_local(subnet, **rest.pop("ipam", {}))
    return {"cniVersion": "1.0.0", "type": "bridge", "bridge": f"br{number}", "ipam": ipam, **rest}


def test_three_networks(runtime: Runtime) -> None:
    """eth0, net1 and net2 exist with their addresses, status lists all three, and DEL leaves nothing."""
    runtime.network("a", bridge(runtime, 11))
    runtime.network("b", bridge(runtime, 12))
    runtime.pod("pod", "a, b")
    pod, conf = runtime.sandbox(), runtime.conf()
    result = runtime.add(pod, conf)
    assert result["cniVersion"] == "1.0.0"
    assert result["ips"][0]["address"].startswith("10.88.0.")
    assert pod.links() == {"lo", "eth0", "net1", "net2"}
    assert pod.addresses("net1")[0].startswith("10.11.0.")
    assert pod.addresses("net2")[0].startswith("10.12.0.")
    runtime.check(pod, conf)
    runtime.delete(pod, conf)
    runtime.nothing_left(pod)


def test_delete_twice(runtime: Runtime) -> None:
    """A second DEL of a deleted sandbox succeeds."""
    pod, conf = runtime.sandbox(), runtime.conf()
    runtime.pod("pod", None)
    runtime.add(pod, conf)
    runtime.delete(pod, conf)
    runtime.delete(pod, conf)
    runtime.nothing_left(pod)


def test_delete_of_a_sandbox_never_added(runtime: Runtime) -> None:
    """DEL of what was never attached succeeds."""
    pod = runtime.sandbox()
    runtime.delete(pod, runtime.conf())
    runtime.nothing_left(pod)


def test_delete_after_the_namespace_went(runtime: Runtime) -> None:
    """DEL releases the addresses when the network namespace is gone already."""
    runtime.network("a", bridge(runtime, 11))
    runtime.pod("pod", "a")
    pod, conf = runtime.sandbox(), runtime.conf()
    runtime.add(pod, conf)
    subprocess.run(["ip", "netns", "delete", pod.netns_name], check=True)
    runtime.delete(pod, conf)
    assert (runtime.records(), runtime.results(), runtime.leases()) == ([], [], [])


def test_json_form_with_fixed_ip_and_mac(runtime: Runtime) -> None:
    """`ips`, `mac` and `interface` of an element reach plugins that declare the capabilities."""
    config = {
        "cniVersion": "1.0.0",
        "plugins": [
            {"type": "bridge", "bridge": "br5", "capabilities": {"ips": True}, "ipam": {"type": "static"}},
            {"type": "tuning", "capabilities": {"mac": True}},
        ],
    }
    runtime.network("fixed", config)
    element = {"name": "fixed", "ips": ["10.5.0.9/24"], "mac": "02:00:00:00:05:09", "interface": "data0"}
    runtime.pod("pod", [element])
    pod, conf = runtime.sandbox(), runtime.conf()
    runtime.add(pod, conf)
    assert pod.addresses("data0") == ["10.5.0.9/24"]
    assert pod.ip("link", "show", "dev", "data0")[0]["address"] == "02:00:00:00:05:09"
    runtime.check(pod, conf)
    runtime.delete(pod, conf)
    runtime.nothing_left(pod)


@pytest.mark.parametrize("kind", ["macvlan", "ptp", "loopback"])
def test_other_plugins(runtime: Runtime, kind: str) -> None:
    """The reference plugins work as secondary networks."""
    if kind == "macvlan":
        for command in (
            ["link", "add", "mv0", "type", "veth", "peer", "name", "mv1"],
            ["link", "set", "mv0", "up"],
            ["link", "set", "mv1", "up"],
        ):
            subprocess.run(["ip", "-n", runtime.host, *command], check=True)
    extra: dict[str, Any] = {"macvlan": {"master": "mv0"}, "ptp": {}, "loopback": {}}[kind]
    if kind != "loopback":
        extra["ipam"] = runtime.host_local("10.7.0.0/24")
    runtime.network("x", {"cniVersion": "0.4.0", "type": kind, **extra})
    runtime.pod("pod", [{"name": "x", "interface": "lo"}] if kind == "loopback" else "x")
    pod, conf = runtime.sandbox(), runtime.conf()
    runtime.add(pod, conf)
    if kind != "loopback":
        assert pod.addresses("net1")[0].startswith("10.7.0.")
    runtime.check(pod, conf)
    runtime.delete(pod, conf)
    assert runtime.records() == []
    assert runtime.leases() == []


def test_host_device(runtime: Runtime) -> None:
    """host-device moves a link into the sandbox and back."""
    subprocess.run(["ip", "-n", runtime.host, "link", "add", "hd0", "type", "veth", "peer", "name", "hd1"], check=True)
    runtime.network("x", {"cniVersion": "1.0.0", "type": "host-device", "device": "hd0"})
    runtime.pod("pod", "x")
    pod, conf = runtime.sandbox(), runtime.conf()
    runtime.add(pod, conf)
    assert "net1" in pod.links()
    assert "hd0" not in runtime.host_links()
    runtime.delete(pod, conf)
    assert "hd0" in runtime.host_links()


def test_chained_plugins_and_runtime_config(runtime: Runtime) -> None:
    """portMappings of the runtime reach the default network's portmap; bandwidth of an element its own network."""
    default = {
        "cniVersion": "1.0.0",
        "name": "cluster",
        # portmap 1.1 looks for its IPv6 rules where there is no IPv6 address.
        "disableCheck": True,
        "plugins": [
            {"type": "bridge", "bridge": "cni0", "isGateway": True, "ipam": runtime.host_local("10.88.0.0/24")},
            {"type": "portmap", "snat": False, "capabilities": {"portMappings": True}},
        ],
    }
    chained = {
        "cniVersion": "1.0.0",
        "plugins": [bridge(runtime, 11), {"type": "bandwidth", "capabilities": {"bandwidth": True}}],
    }
    runtime.network("slow", chained)
    rates = {"ingressRate": 8000000, "ingressBurst": 800000}
    runtime.pod("pod", [{"name": "slow", "bandwidth": rates}])
    mappings = [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]
    conf = runtime.conf(delegates=[default], runtimeConfig={"portMappings": mappings})
    pod = runtime.sandbox()
    runtime.add(pod, conf)
    rules = ["ip", "netns", "exec", runtime.host, "iptables-save", "-t", "nat"]
    assert "--dport 8080" in subprocess.run(rules, check=True, capture_output=True, text=True).stdout
    qdiscs = ["ip", "netns", "exec", runtime.host, "tc", "qdisc"]
    assert "tbf" in subprocess.run(qdiscs, check=True, capture_output=True, text=True).stdout
    runtime.check(pod, conf)
    # The runtime's DEL may come without runtimeConfig: the record has it.
    runtime.delete(pod, runtime.conf(delegates=[default]))
    assert "--dport 8080" not in subprocess.run(rules, check=True, capture_output=True, text=True).stdout
    runtime.nothing_left(pod)


DUAL = {
    "cniVersion": "1.0.0",
    "name": "cluster",
    "type": "bridge",
    "bridge": "cni0",
    "isGateway": True,
}


def dual(runtime: Runtime, number: int, defaults: bool) -> dict[str, Any]:
    ranges = [[{"subnet": f"10.{number}.0.0/24"}], [{"subnet": f"fd00:{number}::/64"}]]
    routes = [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}] if defaults else []
    ipam = {"type": "host-local", "ranges": ranges, "routes": routes, "dataDir": str(runtime.dir / "ipam")}
    return {**DUAL, "name": f"n{number}", "bridge": f"br{number}", "ipam": ipam}


@pytest.mark.parametrize(
    ("routes", "own", "four", "six"),
    [
        pytest.param(None, False, ("10.88.0.1", "eth0"), ("fd00:88::1", "eth0"), id="nobody asked"),
        pytest.param(["10.21.0.1"], False, ("10.21.0.1", "net1"), ("fd00:88::1", "eth0"), id="v4 moved"),
        pytest.param(
            ["10.21.0.77", "fd00:21::7"], True, ("10.21.0.77", "net1"), ("fd00:21::7", "net1"), id="own default too"
        ),
        pytest.param(["fd00:21::1"], False, ("10.88.0.1", "eth0"), ("fd00:21::1", "net1"), id="v6 moved"),
        pytest.param(["10.21.0.1", "fd00:21::1"], False, ("10.21.0.1", "net1"), ("fd00:21::1", "net1"), id="both"),
        pytest.param([], True, ("10.21.0.1", "net1"), ("fd00:21::1", "net1"), id="empty list, own defaults kept"),
        pytest.param([], False, ("10.88.0.1", "eth0"), ("fd00:88::1", "eth0"), id="empty list, no own default"),
    ],
)
def test_default_route(
    runtime: Runtime, routes: list[str] | None, own: bool, four: tuple[str, str], six: tuple[str, str]
) -> None:
    """The kernel's tables hold exactly the default routes the annotation asked for (NPWG 4.1.2.1.9)."""
    runtime.network("other", dual(runtime, 21, own))
    element: dict[str, Any] = {"name": "other"} | ({} if routes is None else {"default-route": routes})
    runtime.pod("pod", [element])
    pod = runtime.sandbox()
    conf = runtime.conf(delegates=[dual(runtime, 88, True)])
    if routes is None and own:
        pytest.fail("two plugins would set a default")
    result = runtime.add(pod, conf)
    assert pod.defaults(4) == [four]
    assert [(g, d) for g, d in pod.defaults(6) if not g.startswith("fe80")] == [six]
    told = {route["dst"] for route in result.get("routes", [])}
    assert ("0.0.0.0/0" in told) == (four[1] == "eth0")
    assert ("::/0" in told) == (six[1] == "eth0")
    status = statuses(runtime)
    by_interface = {entry["interface"]: entry.get("gateway", []) for entry in status}
    assert (four[0] in by_interface["net1"]) == (four[1] == "net1")
    assert (six[0] in by_interface["eth0"]) == (six[1] == "eth0")
    runtime.check(pod, conf)
    runtime.delete(pod, conf)
    runtime.nothing_left(pod)


def statuses(runtime: Runtime) -> list[dict[str, Any]]:
    """The network-status that was written for default/pod."""
    body = json.loads((runtime.dir / "manifests.status" / "default_pod.json").read_text())
    text = body["annotations"]["k8s.v1.cni.cncf.io/network-status"]
    found: list[dict[str, Any]] = json.loads(text)
    return found


def test_two_gateways_of_one_family(runtime: Runtime) -> None:
    """Two attachments that both give an IPv4 gateway are refused before anything runs."""
    runtime.network("a", bridge(runtime, 11))
    runtime.network("b", bridge(runtime, 12))
    runtime.pod("pod", [{"name": n, "default-route": [g]} for n, g in (("a", "10.11.0.1"), ("b", "10.12.0.1"))])
    pod = runtime.sandbox()
    with pytest.raises(PluginError, match="default") as caught:
        runtime.add(pod, runtime.conf())
    assert "default/a" in caught.value.msg
    assert "default/b" in caught.value.msg
    runtime.nothing_left(pod)


@pytest.mark.parametrize("networks", ["a/b/c", "[null]", '[{"name": 5}]', "a@b@c", "{", "missing", "UPPER"])
def test_unusable_annotation(runtime: Runtime, networks: str) -> None:
    """ADD fails with a clear error and leaves nothing."""
    runtime.pod("pod", networks)
    pod = runtime.sandbox()
    with pytest.raises(PluginError, match="network"):
        runtime.add(pod, runtime.conf())
    runtime.nothing_left(pod)
    runtime.delete(pod, runtime.conf())


def test_colliding_names(runtime: Runtime) -> None:
    """Two attachments that want one interface name are refused before anything runs."""
    runtime.network("a", bridge(runtime, 11))
    runtime.pod("pod", "a@x0,a@x0")
    pod = runtime.sandbox()
    with pytest.raises(PluginError, match="x0"):
        runtime.add(pod, runtime.conf())
    runtime.nothing_left(pod)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("policy", ["strict", "auto"])
def test_failure_at_every_step(runtime: Runtime, count: int, policy: str) -> None:
    """Whichever of the networks fails, what was attached before is undone."""
    for number in range(count):
        runtime.network(f"n{number}", bridge(runtime, 11 + number))
    runtime.own_plugins(bad='[ "$CNI_COMMAND" = ADD ] || exit 0; echo \'{"code": 77, "msg": "bad day"}\'; exit 1')
    runtime.network("bad", {"cniVersion": "1.0.0", "type": "bad"})
    for position in range(count + 1):
        names = [f"n{number}" for number in range(count)]
        names.insert(position, "bad")
        runtime.pod("pod", ",".join(names))
        pod = runtime.sandbox()
        with pytest.raises(PluginError, match="bad day") as failure:
            runtime.add(pod, runtime.conf(delegateConcurrency=policy))
        assert failure.value.code == 77
        runtime.nothing_left(pod)


def test_missing_plugin_binary(runtime: Runtime) -> None:
    """A delegate whose plugin does not exist is named, and nothing is left."""
    runtime.network("x", {"cniVersion": "1.0.0", "type": "nosuchplugin"})
    runtime.pod("pod", "x")
    pod = runtime.sandbox()
    with pytest.raises(PluginError, match='"nosuchplugin"'):
        runtime.add(pod, runtime.conf())
    runtime.nothing_left(pod)


@pytest.mark.parametrize("kind", ["multus", "multus-shim"])
def test_multus_as_its_own_delegate(runtime: Runtime, kind: str) -> None:
    """A delegate that is Multus is refused."""
    runtime.network("x", {"cniVersion": "1.0.0", "type": kind})
    runtime.pod("pod", "x")
    pod = runtime.sandbox()
    with pytest.raises(PluginError, match="itself"):
        runtime.add(pod, runtime.conf())
    runtime.nothing_left(pod)


def test_failed_delete_is_kept_and_finished(runtime: Runtime) -> None:
    """What DEL can't undo stays on record; the runtime's retry finishes it."""
    plugins = runtime.own_plugins()
    runtime.network("a", bridge(runtime, 11))
    runtime.network("p", {"cniVersion": "1.0.0", "type": "ptp", "ipam": runtime.host_local("10.7.0.0/24")})
    runtime.pod("pod", "a,p")
    pod = runtime.sandbox()
    conf = runtime.conf()
    runtime.add(pod, conf)
    (plugins / "ptp").unlink()
    with pytest.raises(PluginError, match="ptp"):
        runtime.delete(pod, conf)
    assert runtime.records() == [pod.container_id]
    assert pod.links() == {"lo", "net2"}
    (plugins / "ptp").symlink_to("/usr/lib/cni/ptp")
    runtime.delete(pod, conf)
    runtime.nothing_left(pod)


def test_a_network_that_never_was_does_not_keep_the_pod(runtime: Runtime) -> None:
    """A network whose plugin refuses ADD and DEL alike is reported by one DEL more, then forgotten."""
    runtime.network("a", bridge(runtime, 11))
    runtime.network("wrong", {"cniVersion": "1.0.0", "type": "bridge", "ipam": {"type": "host-local"}})
    runtime.pod("pod", "a,wrong")
    pod, conf = runtime.sandbox(), runtime.conf()
    with pytest.raises(PluginError, match="default/wrong"):
        runtime.add(pod, conf)
    assert runtime.records() == [pod.container_id]
    with pytest.raises(PluginError, match="default/wrong"):
        runtime.delete(pod, conf)
    runtime.delete(pod, conf)
    runtime.nothing_left(pod)


def test_failed_delete_forgotten(runtime: Runtime) -> None:
    """With `retryDeleteOnError: false` the record goes after the first attempt."""
    plugins = runtime.own_plugins()
    runtime.pod("pod", None)
    pod = runtime.sandbox()
    conf = runtime.conf(retryDeleteOnError=False)
    runtime.add(pod, conf)
    (plugins / "bridge").unlink()
    with pytest.raises(PluginError):
        runtime.delete(pod, conf)
    assert (runtime.records(), runtime.results()) == ([], [])


@pytest.mark.parametrize("content", ["", "[]", "null", "{", "[null]", '[{"Bytes": 5}]'])
def test_damaged_record(runtime: Runtime, content: str) -> None:
    """A damaged record is set aside, and DEL works from the cached results."""
    runtime.network("a", bridge(runtime, 11))
    runtime.pod("pod", "a")
    pod, conf = runtime.sandbox(), runtime.conf()
    runtime.add(pod, conf)
    (runtime.cni_dir / pod.container_id).write_text(content)
    runtime.delete(pod, conf)
    runtime.nothing_left(pod)
    assert len(list((runtime.cni_dir / "damaged").iterdir())) == 1


def test_delete_after_the_network_definition_went(runtime: Runtime) -> None:
    """DEL needs neither the pod nor the NAD."""
    runtime.network("a", bridge(runtime, 11))
    runtime.pod("pod", "a")
    pod, conf = runtime.sandbox(), runtime.conf()
    runtime.add(pod, conf)
    for path in runtime.manifests.glob("*.json"):
        path.unlink()
    runtime.delete(pod, conf)
    runtime.nothing_left(pod)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_killed_in_the_middle(runtime: Runtime, tmp_path: Path, number: int) -> None:
    """Kill the plugin while a delegate runs: the next DEL releases everything."""
    mark = tmp_path / "running"
    runtime.own_plugins(slow=f'[ "$CNI_COMMAND" = DEL ] && exit 0\ntouch {mark}\nsleep 600')
    runtime.network("a", bridge(runtime, 11))
    runtime.network("s", {"cniVersion": "1.0.0", "type": "slow"})
    runtime.pod("pod", "a,s")
    pod, conf = runtime.sandbox(), runtime.conf()
    process = runtime.spawn("ADD", pod, conf)
    process.stdin.write(json.dumps(conf).encode())
    process.stdin.close()
    while not mark.exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(number)
    process.wait()
    process.stdout.close()
    process.stderr.close()
    runtime.delete(pod, conf)
    runtime.nothing_left(pod)


def test_cluster_network_modes(runtime: Runtime) -> None:
    """clusterNetwork as NAD name, as a conf's name, as file and as directory; defaultNetworks beside it."""
    runtime.network("base", bridge(runtime, 11), namespace="kube-system")
    runtime.network("also", bridge(runtime, 12), namespace="kube-system")
    conflist = {"cniVersion": "1.0.0", "name": "byname", "plugins": [bridge(runtime, 13)]}
    file = runtime.conf_dir / "10-byname.conflist"
    file.write_text(json.dumps(conflist))
    runtime.pod("pod", None)
    for reference, subnet in (
        ("base", "10.11.0."),
        ("byname", "10.13.0."),
        (str(file), "10.13.0."),
        (str(runtime.conf_dir), "10.13.0."),
    ):
        pod = runtime.sandbox()
        conf = runtime.conf(delegates=[], clusterNetwork=reference, defaultNetworks=["also"])
        runtime.add(pod, conf)
        assert pod.addresses("eth0")[0].startswith(subnet)
        assert pod.addresses("net1")[0].startswith("10.12.0.")
        runtime.check(pod, conf)
        runtime.delete(pod, conf)
        runtime.nothing_left(pod)


def test_default_network_annotation(runtime: Runtime) -> None:
    """The pod's own default network takes the place of the cluster's."""
    runtime.network("mine", bridge(runtime, 11), namespace="kube-system")
    runtime.pod("pod", None, annotations={"v1.multus-cni.io/default-network": "mine"})
    pod, conf = runtime.sandbox(), runtime.conf()
    runtime.add(pod, conf)
    assert pod.addresses("eth0")[0].startswith("10.11.0.")
    runtime.delete(pod, conf)
    runtime.nothing_left(pod)


def test_subdirectory_and_auxiliary_chain(runtime: Runtime, tmp_path: Path) -> None:
    """Plugins of `<name>/*.conf` are appended to a conflist file; the auxiliary chain runs as the last network."""
    file = runtime.conf_dir / "10-base.conflist"
    file.write_text(json.dumps({"cniVersion": "1.0.0", "name": "base", "plugins": [bridge(runtime, 13)]}))
    (runtime.conf_dir / "base").mkdir()
    sysctl = {"type": "tuning", "sysctl": {"net.ipv4.conf.eth0.arp_filter": "1"}}
    (runtime.conf_dir / "base" / "10-tuning.conf").write_text(json.dumps(sysctl))
    runtime.pod("pod", None)
    pod, conf = runtime.sandbox(), runtime.conf(delegates=[], clusterNetwork=str(file))
    runtime.add(pod, conf)
    value = ["ip", "netns", "exec", pod.netns_name, "cat", "/proc/sys/net/ipv4/conf/eth0/arp_filter"]
    assert subprocess.run(value, check=True, capture_output=True, text=True).stdout == "1\n"
    runtime.delete(pod, conf)
    runtime.nothing_left(pod)


def test_gc_with_a_living_secondary_removes_nothing(runtime: Runtime) -> None:
    """The runtime lists only (container, eth0); net1 of a living sandbox must survive."""
    runtime.network("a", bridge(runtime, 11))
    runtime.pod("pod", "a")
    pod, gone = runtime.sandbox(), runtime.sandbox()
    conf = runtime.conf()
    runtime.add(pod, conf)
    runtime.add(gone, conf)
    before = runtime.leases()
    valid = [{"containerID": pod.container_id, "ifname": "eth0"}]
    request = {**conf, "cniVersion": "1.1.0"}
    with pytest.raises(PluginError, match="valid-attachments"):
        runtime.call("GC", None, request)
    both = [*valid, {"containerID": gone.container_id, "ifname": "eth0"}]
    runtime.call("GC", None, {**request, "cni.dev/valid-attachments": both})
    assert runtime.leases() == before
    runtime.call("GC", None, {**request, "cni.dev/valid-attachments": valid})
    assert runtime.records() == [pod.container_id]
    assert len(runtime.leases()) == 2
    assert pod.links() == {"lo", "eth0", "net1"}
    runtime.delete(pod, conf)
    assert runtime.leases() == []


def test_isolation(runtime: Runtime) -> None:
    """With namespaceIsolation a network of another namespace is refused, of a global one allowed."""
    runtime.network("a", bridge(runtime, 11), namespace="other")
    runtime.pod("pod", "other/a")
    pod = runtime.sandbox()
    with pytest.raises(PluginError, match="namespace isolation enabled"):
        runtime.add(pod, runtime.conf(namespaceIsolation=True))
    conf = runtime.conf(namespaceIsolation=True, globalNamespaces="default, other")
    runtime.add(pod, conf)
    runtime.delete(pod, conf)
    runtime.nothing_left(pod)


def test_uid_of_another_pod(runtime: Runtime) -> None:
    """A pod of the same name with another UID is not this sandbox's pod; a static pod is exempt."""
    runtime.pod("pod", None, uid="new")
    pod = runtime.sandbox(uid="old")
    with pytest.raises(PluginError, match='expected pod UID "old" but got "new"') as caught:
        runtime.add(pod, runtime.conf())
    assert caught.value.code == 11
    runtime.pod("pod", None, uid="new", annotations={"kubernetes.io/config.source": "file"})
    runtime.add(pod, runtime.conf())
    runtime.delete(pod, runtime.conf())
    runtime.nothing_left(pod)


def test_host_namespace_is_refused(runtime: Runtime) -> None:
    """A CNI_NETNS that is the host's own network namespace is code 8."""
    pod = runtime.sandbox()
    runtime.pod("pod", None)
    with pytest.raises(PluginError) as caught:
        runtime.add(pod, runtime.conf(), CNI_NETNS=f"/run/netns/{runtime.host}")
    assert caught.value.code == 8


@pytest.mark.parametrize("version", ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0"])
def test_every_version_of_the_configuration(runtime: Runtime, version: str) -> None:
    """ADD answers in the configuration's version whatever the delegate's."""
    runtime.pod("pod", None)
    pod, conf = runtime.sandbox(), runtime.conf(cniVersion=version)
    result = runtime.add(pod, conf)
    assert result["cniVersion"] == version
    assert ("ip4" in result) == (version < "0.3")
    runtime.delete(pod, conf)
    runtime.nothing_left(pod)


def test_requested_name_taken_in_the_sandbox(runtime: Runtime) -> None:
    """An interface of a planned name that exists already is an error before anything runs."""
    runtime.network("a", bridge(runtime, 11))
    runtime.pod("pod", "a")
    pod = runtime.sandbox()
    subprocess.run(["ip", "-n", pod.netns_name, "link", "add", "net1", "type", "bridge"], check=True)
    with pytest.raises(PluginError, match="net1 already exists"):
        runtime.add(pod, runtime.conf())
    assert runtime.leases() == []
    assert runtime.records() == []


@pytest.mark.parametrize("runtime", ["thick"], indirect=True)
def test_the_daemon_is_confined(runtime: Runtime) -> None:
    """What runs through the daemon in this suite runs with CAP_NET_ADMIN alone."""
    assert runtime.daemon is not None
    runtime.pod("pod", None)
    runtime.add(runtime.sandbox(), runtime.conf())
    status = Path(f"/proc/{runtime.daemon.pid}/status").read_text()
    sets = dict(line.split(":\t") for line in status.splitlines() if line.startswith("Cap"))
    assert int(sets["CapEff"], 16) == int(sets["CapBnd"], 16) == 1 << 12
