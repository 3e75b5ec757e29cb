"""ADD: what the delegates are given, in which order, and what is told afterwards."""

from __future__ import annotations

import json
from typing import Any

import pytest

from multus import errors
from multus.cni import results, versions
from multus.cni.invoke import PluginExit
from unit.engine import world
from unit.engine.world import CONTAINER, NETNS, Node

POD = "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web"


def test_order_and_names() -> None:
    """The default network first, then the annotation's order; net<i> by position, a named one keeps its position."""
    one = Node()
    one.wants(3)
    one.pod("net-3, net-1@data0, default/net-2")
    one.add()
    assert one.order("ADD") == [
        ("bridge", "eth0"),
        ("macvlan", "net1"),
        ("macvlan", "data0"),
        ("macvlan", "net3"),
        ("tuning", "net3"),
    ]


def test_record_comes_first() -> None:
    """The record is there before the first plugin runs, whole; it is durable when ADD answers."""
    one = Node()
    one.wants(2)
    seen: list[list[str]] = []

    def look(call: Any) -> Any:
        record = one.record()
        seen.append([entry.ifname for entry in record.entries] if record is not None else [])
        return one.plugins.succeed(call)

    one.plugins.answer("bridge", "ADD", look)
    one.add()
    assert seen == [["eth0", "net1", "net2"]]
    assert one.records.durable == one.records.files


def test_chain() -> None:
    """Each plugin of a list is given the result of the one before; the list's name and version are its own."""
    one = Node()
    one.wants(2)
    one.add()
    macvlan, tuning = one.plugins.configs("ADD")[2:]
    assert "prevResult" not in macvlan
    assert tuning["prevResult"]["interfaces"][0]["name"] == "net2"
    assert (tuning["name"], tuning["cniVersion"], tuning["type"]) == ("net-2", "1.1.0", "tuning")


def test_environment_of_delegates() -> None:
    """CNI_PATH and the runtime's own CNI_ARGS reach the delegates, each key once."""
    one = Node()
    one.wants(1)
    one.add(CNI_ARGS=f"{POD};K8S_POD_UID=uid-1;FOO=bar;IgnoreUnknown=true", CNI_PATH="/a:/b")
    environ = one.plugins.calls[1].environ
    assert environ["CNI_PATH"] == "/a:/b"
    assert environ["CNI_CONTAINERID"] == CONTAINER
    assert environ["CNI_NETNS"] == NETNS
    keys = [pair.partition("=")[0] for pair in environ["CNI_ARGS"].split(";")]
    assert len(keys) == len(set(keys))
    assert set(keys) >= {"K8S_POD_NAME", "K8S_POD_UID", "FOO", "IgnoreUnknown"}


def test_lossless() -> None:
    """Keys that only a plugin knows reach it unchanged, numbers digit for digit."""
    one = Node()
    one.pod("net-a")
    text = '{"cniVersion":"1.0.0","type":"odd","big":12345678901234567890123,"float":1.500,"deep":{"a":[null,{}]}}'
    one.cluster.add_network("net-a", text)
    one.add()
    (stdin,) = (call.stdin.decode() for call in one.plugins.calls if call.plugin == "odd")
    for part in ('"big":12345678901234567890123', '"float":1.500', '"deep":{"a":[null,{}]}', '"name":"net-a"'):
        assert part in stdin


def test_runtime_config() -> None:
    """The runtime's runtimeConfig, unknown keys included, goes to the default network only (NPWG 7.5)."""
    declared = {"portMappings": True, "new": True}
    ports = [{"hostPort": 80, "containerPort": 8080, "protocol": "tcp"}]
    one = Node(
        default=world.network("cluster", world.plugin(capabilities=declared)),
        runtimeConfig={"portMappings": ports, "new": {"a": [1]}, "undeclared": 1},
    )
    one.nad(world.network("net-a", world.plugin("macvlan", capabilities=declared)))
    one.pod("net-a")
    one.add()
    default, secondary = one.plugins.configs("ADD")
    assert default["runtimeConfig"] == {"portMappings": ports, "new": {"a": [1]}}
    assert "runtimeConfig" not in secondary


@pytest.mark.parametrize("strict", [False, True])
def test_undeclared_capability(strict: bool) -> None:
    """A request that no plugin declares is a warning in an event, or with `strictCapabilities` an error before
    anything runs."""
    one = Node(strictCapabilities=strict)
    one.nad(world.network("net-a", world.plugin("macvlan", capabilities={"mac": True})))
    one.pod([{"name": "net-a", "ips": ["10.1.1.1/24"], "mac": "02:23:45:67:89:01"}])
    if strict:
        error = one.add_fails()
        assert error.code == 7
        assert "default/net-a: ips asked for" in error.message
        assert not one.plugins.calls
        return
    one.add()
    warning, added = one.cluster.events
    assert (warning.kind, added.kind) == ("Warning", "Normal")
    assert "ips asked for" in warning.message
    assert "mac" not in warning.message


def test_one_event_for_all_interfaces() -> None:
    """One event lists every interface with its addresses and network."""
    one = Node()
    one.wants(1)
    one.add()
    (event,) = one.cluster.events
    assert event.reason == "AddedInterface"
    assert event.message == "Add eth0 [10.1.0.2/16] from cluster; net1 [10.1.0.3/16] from default/net-1"


def test_answer_in_own_version() -> None:
    """The answer is the default network's result in the version of Multus' own configuration; without one, as the
    delegate printed it."""
    one = Node(default=world.network("cluster", version="0.4.0"))
    one.pod()
    assert one.add().raw["cniVersion"] == "1.1.0"
    other = Node(default=world.network("cluster", version="0.4.0"), cniVersion="")
    other.pod()
    answer = other.add()
    assert answer.raw["cniVersion"] == "0.4.0"
    assert answer.raw["ips"][0]["version"] == "4"


def test_no_cluster() -> None:
    """Without an API server only what is configured is attached, and nothing is told."""
    one = Node(delegates=[world.network("cluster"), world.network("other", world.plugin("ptp"))])
    one.run("ADD", ports=one.ports._replace(cluster=None))
    assert one.order("ADD") == [("bridge", "eth0"), ("ptp", "net1")]


def test_arguments_name_no_pod() -> None:
    """A runtime without Kubernetes names no pod: no lookup."""
    one = Node()
    one.add(CNI_ARGS="")
    assert one.cluster.calls == []
    assert one.order("ADD") == [("bridge", "eth0")]


# ── the pod ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("version", versions.SUPPORTED)
def test_pod_gone(version: str) -> None:
    """Nothing is attached, nothing recorded, and the answer is a valid result of the version asked for."""
    one = Node(cniVersion=version)
    answer = one.add()
    raw = results.as_version(answer, answer.cni_version)
    assert raw["cniVersion"] == version
    again = results.parse(raw, version, "answer")
    assert [ip.address for ip in again.ips] == ["0.0.0.0/0"]
    assert ("ip4" in raw) == (version in ("0.1.0", "0.2.0"))
    assert not one.plugins.calls
    assert one.is_clean()
    one.run("DEL")
    assert one.is_clean()


def test_another_pod_of_that_name() -> None:
    """The API's pod has another UID: its networks are not for this sandbox; the runtime shall retry."""
    one = Node()
    one.wants(1)
    one.pod("net-1", uid="uid-2")
    error = one.add_fails()
    assert error.code == 11
    assert 'expected pod UID "uid-1" but got "uid-2"' in error.message
    assert not one.plugins.calls
    assert one.is_clean()


def test_static_pod() -> None:
    """A static pod's UID in the API is its mirror's: it is attached all the same."""
    one = Node()
    one.wants(1)
    one.pod("net-1", uid="mirror", static=True)
    one.add()
    assert one.order("ADD")[-1] == ("macvlan", "net1")
    assert one.cluster.statuses[-1].pod.uid == "mirror"


def test_runtime_without_uid() -> None:
    """CNI_ARGS without a UID (older runtimes): taken by name."""
    one = Node()
    one.wants(1)
    one.add(uid="")
    assert one.order("ADD")[-1] == ("macvlan", "net1")


def test_api_server_away() -> None:
    """No pod, no networks: the runtime shall retry."""
    one = Node()
    one.wants(1)
    one.cluster.fail("pod", errors.ClusterError("connection refused"))
    assert one.add_fails().code == 11
    assert one.is_clean()


def test_definition_missing() -> None:
    """The definition and its namespace are named, in the error and in one event."""
    one = Node()
    one.pod("other/net-x")
    error = one.add_fails()
    for part in ("[default/web/uid-1]", "network-attachment-definition (net-x) in namespace (other)"):
        assert part in error.message
    (event,) = one.cluster.events
    assert (event.kind, event.reason) == ("Warning", "NoNetworkFound")
    assert one.is_clean()


# ── readinessindicatorfile ──────────────────────────────────────────────────────────────────────────────────────


def test_waits_for_readiness() -> None:
    """ADD waits for the file before it looks at anything."""
    one = Node(readinessindicatorfile="/run/ready")
    one.pod()
    one.plugins.missing.add("/run/ready")
    one.clock.at(one.clock.now + 10, lambda: one.plugins.missing.clear())
    one.add()
    assert one.clock.sleeps == [1.0] * 10


def test_readiness_never_comes() -> None:
    """After 45 s the runtime is asked to retry; nothing has run."""
    one = Node(readinessindicatorfile="/run/ready")
    one.pod()
    one.plugins.missing.add("/run/ready")
    error = one.add_fails()
    assert error.code == 11
    assert "readinessindicatorfile @ /run/ready" in error.message
    assert sum(one.clock.sleeps) <= 45.0
    assert not one.plugins.calls
    assert one.is_clean()


@pytest.mark.parametrize("verb", ["DEL", "CHECK"])
def test_readiness_is_of_no_concern(verb: str) -> None:
    """DEL and CHECK don't care."""
    one = Node(readinessindicatorfile="/run/ready")
    one.pod()
    one.add()
    one.plugins.missing.add("/run/ready")
    one.run(verb)
    assert one.clock.sleeps == []


# ── refused before anything runs ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("elements", "names"),
    [
        ([{"name": "net-1", "interface": "eth0"}], ("cluster", "default/net-1")),
        (
            [{"name": "net-1", "interface": "x"}, {"name": "net-2", "interface": "x"}],
            ("default/net-1", "default/net-2"),
        ),
        ([{"name": "net-1"}, {"name": "net-2", "interface": "net1"}], ("default/net-1", "default/net-2")),
    ],
)
def test_colliding_names(elements: list[dict[str, str]], names: tuple[str, str]) -> None:
    """Two networks that want one interface name: both are named, nothing has run."""
    one = Node()
    one.wants(2)
    one.pod(elements)
    error = one.add_fails()
    assert error.code == 7
    assert all(name in error.message for name in names)
    assert "[default/web/uid-1]" in error.message
    assert not one.plugins.calls
    assert one.is_clean()


@pytest.mark.parametrize("ifname", ["eth0", "net1"])
def test_interface_exists_already(ifname: str) -> None:
    """An interface of that name in the sandbox: refused before anything runs, and left alone."""
    one = Node()
    one.wants(1)
    one.netlink.namespaces[NETNS].add_link(ifname)
    error = one.add_fails()
    assert f"interface name {ifname} already exists" in error.message
    assert not one.plugins.calls
    assert [link.name for link in one.netlink.namespaces[NETNS].links] == ["lo", ifname]
    assert not one.records.files


@pytest.mark.parametrize("kind", ["multus", "multus-cni", "multus-shim", "multus-daemon"])
@pytest.mark.parametrize("place", ["default", "second", "chained"])
def test_delegate_that_is_multus(kind: str, place: str) -> None:
    """Refused by name before anything runs."""
    one = Node(default=world.network("cluster", world.plugin(kind if place == "default" else "bridge")))
    chain = [world.plugin("ptp"), world.plugin(kind)] if place == "chained" else [world.plugin(kind)]
    if place != "default":
        one.nad(world.network("net-a", *chain))
        one.pod("net-a")
    else:
        one.pod()
    error = one.add_fails()
    assert "Multus itself" in error.message
    assert error.code == 7
    assert not one.plugins.calls


def test_delegate_that_proves_to_be_multus() -> None:
    """A plugin told by its identity when it is to be started: what ran before it is undone."""
    one = Node()
    one.wants(1)
    one.plugins.answer("macvlan", "ADD", errors.SelfDelegation("macvlan is Multus itself"))
    assert one.add_fails().code == 7
    assert one.order("DEL") == [("bridge", "eth0")]
    assert one.is_clean()


def test_no_host_namespace() -> None:
    """A sandbox that is the host's own namespace: refused, nothing has run."""
    one = Node()
    one.wants(1)
    one.netlink.host.add(NETNS)
    assert one.add_fails().code == 8
    assert not one.plugins.calls


# ── where networks come from ────────────────────────────────────────────────────────────────────────────────────


def test_cluster_network_by_name() -> None:
    """A definition of multusNamespace, else a configuration of confDir; `defaultNetworks` follow."""
    one = Node(clusterNetwork="cluster", defaultNetworks=["extra", "/etc/cni/x.conflist"])
    one.nad(world.network("cluster", world.plugin("ovn")), namespace="kube-system")
    one.conf_files.add(json.dumps(world.network("cluster", world.plugin("wrong"))))
    one.conf_files.add(json.dumps(world.network("extra", world.plugin("ptp"))))
    one.conf_files.add(json.dumps(world.network("x", world.plugin("vlan"))), "/etc/cni/x.conflist")
    one.wants(1)
    one.add()
    assert one.order("ADD") == [("ovn", "eth0"), ("ptp", "net1"), ("vlan", "net2"), ("macvlan", "net3")]
    assert [entry["name"] for entry in one.status()] == ["kube-system/cluster", "extra", "x", "default/net-1"]


def test_system_namespaces() -> None:
    """Pods in system namespaces get no `defaultNetworks`, and their status all the same."""
    one = Node(clusterNetwork="/etc/cni/c.conf", defaultNetworks=["extra"])
    one.conf_files.add(json.dumps(world.network("c")), "/etc/cni/c.conf")
    one.cluster.add_pod("web", namespace="kube-system")
    one.add(CNI_ARGS="IgnoreUnknown=1;K8S_POD_NAMESPACE=kube-system;K8S_POD_NAME=web;K8S_POD_UID=uid-1")
    assert one.order("ADD") == [("bridge", "eth0")]
    assert [entry["name"] for entry in one.status()] == ["c"]


def test_default_network_annotation() -> None:
    """The pod's own choice takes the place of the default network; its interface is the runtime's."""
    one = Node()
    one.nad(world.network("own", world.plugin("ptp")), namespace="kube-system")
    one.wants(1)
    one.pod("net-1", annotations={"v1.multus-cni.io/default-network": "own"})
    one.add()
    assert one.order("ADD") == [("ptp", "eth0"), ("macvlan", "net1")]
    assert [entry.get("default", False) for entry in one.status()] == [True, False]


def test_isolation() -> None:
    """A network of another namespace is refused, before anything is looked up."""
    one = Node(namespaceIsolation=True)
    one.pod("other/net-a")
    error = one.add_fails()
    assert "pod is in namespace default but refers to target namespace other" in error.message
    assert not one.plugins.calls
    assert all(call != "network" for call, *_ in one.cluster.calls)


def test_definition_without_config() -> None:
    """The configuration of confDir of that name."""
    one = Node()
    one.cluster.add_network("net-a", "")
    one.pod("net-a")
    assert "no CNI configuration file in confDir" in one.add_fails().message.replace("\n", " ")
    one.conf_files.add(json.dumps(world.network("net-a", world.plugin("vlan"))))
    one.add()
    assert one.order("ADD")[-1] == ("vlan", "net1")


def test_auxiliary_chain() -> None:
    """The last network; a clusterNetwork that is no path is an error."""
    one = Node(clusterNetwork="/etc/cni/c.conf", auxiliaryCNIChainName="aux")
    one.conf_files.add(json.dumps(world.network("c")), "/etc/cni/c.conf")
    one.wants(1)
    one.add()
    assert one.order("ADD")[-1] == ("macvlan", "net1")
    one.run("DEL")
    passthru = world.network("aux", world.plugin("passthru", noLink=True), world.plugin("extra"))
    one.conf_files.chains["aux"] = one.conf_files.add(json.dumps(passthru))
    one.add()
    assert one.order("ADD")[-2:] == [("passthru", "net2"), ("extra", "net2")]
    one.run("DEL")
    assert one.is_clean()
    other = Node(clusterNetwork="c", auxiliaryCNIChainName="aux")
    other.conf_files.add(json.dumps(world.network("c")))
    other.pod()
    assert "ClusterNetwork must be a path" in other.add_fails().message


# ── plugins that answer oddly ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("out", [b"", b"  \n", b"null", b"[]", b"{", b'{"cniVersion": "9.9"}', b'{"ips": 5}'])
def test_unusable_result(out: bytes) -> None:
    """A plugin that succeeds without a usable result has failed: all is undone."""
    one = Node()
    one.wants(2)
    one.plugins.answer("tuning", "ADD", PluginExit(0, out, b""))
    error = one.add_fails()
    assert 'plugin type="tuning"' in error.message
    assert "default/net-2" in error.message
    assert one.is_clean()
