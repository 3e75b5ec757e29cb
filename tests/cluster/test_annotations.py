"""What a pod asks for in its annotations."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

import pytest

from support.node.pods import DEFAULT_KEY, bridge, container, subnet

if TYPE_CHECKING:
    from support.node.pods import Namespace

pytestmark = pytest.mark.cluster


def test_no_annotation(namespace: Namespace) -> None:
    """A pod without annotation has the default network alone, and its status says so."""
    pod = namespace.pod("pod")
    assert pod.links() == {"eth0"}
    [entry] = pod.status
    assert (entry["name"], entry["interface"], entry["default"]) == ("primary", "eth0", True)
    assert entry["ips"] == pod.addresses("eth0") == [pod.get()["status"]["podIP"]]


def test_short_annotation(namespace: Namespace) -> None:
    """The short annotation: net1 and net2 in order, each with the address its status tells."""
    one, two = bridge(), bridge()
    namespace.network("one", one)
    namespace.network("two", two)
    pod = namespace.pod("pod", f"one, {namespace.name}/two")
    assert pod.links() == {"eth0", "net1", "net2"}
    status = {entry["interface"]: entry for entry in pod.status}
    assert [status[name]["name"] for name in ("net1", "net2")] == [f"{namespace.name}/one", f"{namespace.name}/two"]
    for name, config in (("net1", one), ("net2", two)):
        [address] = pod.addresses(name)
        assert address.startswith(subnet(config))
        assert status[name]["ips"] == [address]


def test_short_annotation_with_interface(namespace: Namespace) -> None:
    """`network@interface` names the interface; the others keep the number of their place."""
    namespace.network("one", bridge())
    namespace.network("two", bridge())
    assert namespace.pod("pod", "one@storage,two").links() == {"eth0", "storage", "net2"}


def test_json_annotation(namespace: Namespace) -> None:
    """A fixed address, a fixed MAC and an interface name, by the capabilities of the network."""
    config = bridge(capabilities={"ips": True, "mac": True})
    config["ipam"] = {"type": "static"}
    namespace.network("fixed", config)
    element = {"name": "fixed", "ips": ["10.99.0.7/24"], "mac": "02:11:22:33:44:55", "interface": "data"}
    pod = namespace.pod("pod", [element])
    assert pod.addresses("data") == ["10.99.0.7"]
    assert pod.ip("link", "show", "dev", "data")[0]["address"] == "02:11:22:33:44:55"
    assert pod.status[1]["ips"] == ["10.99.0.7"]
    assert pod.status[1]["mac"] == "02:11:22:33:44:55"


def test_default_route(namespace: Namespace) -> None:
    """`default-route` moves the pod's default route to the chosen network."""
    config = bridge(isGateway=True)
    namespace.network("uplink", config)
    gateway = subnet(config) + "1"
    pod = namespace.pod("pod", [{"name": "uplink", "default-route": [gateway]}])
    assert [(r["gateway"], r["dev"]) for r in pod.ip("route", "show", "default")] == [(gateway, "net1")]


def test_cni_args(namespace: Namespace) -> None:
    """`cni-args` reach the plugin: tuning sets what they ask for."""
    config = {
        "cniVersion": "1.0.0",
        "plugins": [bridge(), {"type": "tuning"}],
    }
    namespace.network("tuned", config)
    pod = namespace.pod("pod", [{"name": "tuned", "cni-args": {"mac": "02:66:77:88:99:aa"}}])
    assert pod.ip("link", "show", "dev", "net1")[0]["address"] == "02:66:77:88:99:aa"


def test_port_mapping_on_the_default_network(namespace: Namespace) -> None:
    """A host port of the pod leads to the default network, with a secondary network beside it."""
    namespace.network("one", bridge())
    server = ["/bin/sh", "-c", "trap 'exit 0' TERM; while :; do echo hello | nc -l -p 8080 & wait $!; done"]
    ports = [{"containerPort": 8080, "hostPort": 18080}]
    pod = namespace.pod("pod", "one", containers=[container(command=server, ports=ports)])
    assert pod.links() == {"eth0", "net1"}
    address = (pod.cluster.machine.address, 18080)
    assert pod.cluster.wait("an answer at the host port", lambda: _first_bytes(address)) == b"hello\n"


def _first_bytes(address: tuple[str, int]) -> bytes | None:
    try:
        with socket.create_connection(address, 5) as connection:
            return connection.recv(100)
    except OSError:
        return None


def test_default_network_annotation(namespace: Namespace) -> None:
    """The default-network annotation replaces eth0's network; the primary is not used at all."""
    config = bridge()
    namespace.network("own", config)
    pod = namespace.pod("pod", annotations={DEFAULT_KEY: json.dumps([{"name": "own", "namespace": namespace.name}])})
    [address] = pod.addresses("eth0")
    assert address.startswith(subnet(config))
    assert [entry["name"] for entry in pod.status] == [f"{namespace.name}/own"]
