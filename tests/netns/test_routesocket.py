"""Our route netlink against the kernel, with pyroute2 and iproute2 as oracles."""

from __future__ import annotations

import json
import subprocess
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from pyroute2 import NetNS

from multus import errors
from multus.host import netlink, netns

if TYPE_CHECKING:
    from collections.abc import Iterator

    from multus.ports import SandboxNet

pytestmark = pytest.mark.netns


class Sandbox:
    """A namespace with two interfaces that are up, 10.1.0.2/24 and fd01::2/64 on the first, 10.2... on the second."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.path = f"/run/netns/{name}"

    def ip(self, *arguments: str) -> Any:
        done = subprocess.run(["ip", "-n", self.name, "-j", *arguments], check=True, capture_output=True, text=True)
        return json.loads(done.stdout or "[]")

    def defaults(self, family: int) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.ip(f"-{family}", "route", "show", "default")
        return found


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    made = Sandbox(f"mxt-{uuid.uuid4().hex[:10]}")
    subprocess.run(["ip", "netns", "add", made.name], check=True)
    for number in ("1", "2"):
        made.ip("link", "add", f"net{number}", "type", "veth", "peer", "name", f"peer{number}")
        made.ip("link", "set", f"peer{number}", "up")
        made.ip("link", "set", f"net{number}", "up")
        made.ip("addr", "add", f"10.{number}.0.2/24", "dev", f"net{number}")
        made.ip("addr", "add", f"fd0{number}::2/64", "dev", f"net{number}", "nodad")
    yield made
    subprocess.run(["ip", "netns", "delete", made.name], check=True)


@pytest.fixture
def net(sandbox: Sandbox) -> Iterator[SandboxNet]:
    opened = netlink.LocalNetlink().open(sandbox.path)
    yield opened
    opened.close()


def number_of(net: SandboxNet, name: str) -> int:
    return next(link.number for link in net.links() if link.name == name)


def test_links(sandbox: Sandbox, net: SandboxNet) -> None:
    """Index, name, hardware address and MTU of every interface are what pyroute2 reads."""
    sandbox.ip("link", "set", "net1", "mtu", "1234")
    with NetNS(sandbox.name) as oracle:
        wanted = {
            (link["index"], link.get_attr("IFLA_IFNAME"), link.get_attr("IFLA_ADDRESS"), link.get_attr("IFLA_MTU"))
            for link in oracle.get_links()
        }
    assert set(net.links()) == wanted


def test_default_routes(sandbox: Sandbox, net: SandboxNet) -> None:
    """Default routes of both families in the main table, no other table's, no other destination's."""
    sandbox.ip("route", "add", "default", "via", "10.1.0.1", "metric", "7")
    sandbox.ip("route", "add", "default", "dev", "net2", "metric", "9")
    sandbox.ip("route", "add", "10.9.0.0/16", "via", "10.1.0.1")
    sandbox.ip("route", "add", "default", "via", "10.2.0.1", "table", "100")
    sandbox.ip("route", "add", "blackhole", "default", "metric", "99")
    sandbox.ip("-6", "route", "add", "default", "via", "fd01::1")
    found = {(route.family, route.gateway, route.oif, route.metric) for route in net.default_routes()}
    one, two = number_of(net, "net1"), number_of(net, "net2")
    assert found == {("4", "10.1.0.1", one, 7), ("4", "", two, 9), ("6", "fd01::1", one, 1024)}


def test_multipath(sandbox: Sandbox, net: SandboxNet) -> None:
    """An IPv4 multipath route is one with its hops; the hops of an IPv6 one are given, and deleted, one by one."""
    hops = ["nexthop", "via", "10.1.0.1", "nexthop", "via", "10.2.0.1"]
    sandbox.ip("route", "add", "default", *hops)
    for number in ("1", "2"):
        sandbox.ip("-6", "route", "append", "default", "via", f"fd0{number}::1", "metric", "50")
    four, *six = net.default_routes()
    assert (four.hops, four.gateway) == (2, "10.1.0.1")
    assert [(route.gateway, route.hops) for route in six] == [("fd01::1", 1), ("fd02::1", 1)]
    net.delete_route(four)
    net.delete_route(six[0])
    assert sandbox.defaults(4) == []
    assert [route["gateway"] for route in sandbox.defaults(6)] == ["fd02::1"]


@pytest.mark.parametrize(("family", "gateway"), [("4", "10.2.0.1"), ("6", "fd02::1")])
def test_add_replaces(sandbox: Sandbox, net: SandboxNet, family: str, gateway: str) -> None:
    """The new default takes the place of one with the same metric."""
    sandbox.ip("route", "add", "default", "via", "10.1.0.1")
    net.add_default(family, gateway, number_of(net, "net2"))
    [route] = sandbox.defaults(int(family))
    assert (route["gateway"], route["dev"]) == (gateway, "net2")


@pytest.mark.parametrize(("family", "gateway"), [("4", "192.0.2.1"), ("6", "fd99::1")])
def test_gateway_off_link(sandbox: Sandbox, net: SandboxNet, family: str, gateway: str) -> None:
    """A gateway that no address of the interface reaches is reached on-link."""
    net.add_default(family, gateway, number_of(net, "net1"))
    [route] = sandbox.defaults(int(family))
    assert (route["gateway"], route["dev"]) == (gateway, "net1")
    assert "onlink" in route["flags"]


def test_delete_exactly(sandbox: Sandbox, net: SandboxNet) -> None:
    """Of two defaults that differ in metric alone, the one that is meant goes; one that is gone is no error."""
    sandbox.ip("route", "add", "default", "via", "10.1.0.1", "metric", "5")
    sandbox.ip("route", "add", "default", "via", "10.1.0.1", "metric", "6")
    six = next(route for route in net.default_routes() if route.metric == 6)
    net.delete_route(six)
    assert [route["metric"] for route in sandbox.defaults(4)] == [5]
    net.delete_route(six)


def test_ipv4_by_an_ipv6_gateway(sandbox: Sandbox, net: SandboxNet) -> None:
    """A default of one family by a gateway of the other is told and deleted like any."""
    sandbox.ip("-4", "route", "add", "default", "via", "inet6", "fd01::1", "dev", "net1")
    [route] = [route for route in net.default_routes() if route.family == "4"]
    assert route.gateway == "fd01::1"
    net.delete_route(route)
    assert sandbox.defaults(4) == []


def test_the_kernel_says_why(sandbox: Sandbox, net: SandboxNet) -> None:
    """What the kernel refuses is an error in its own words."""
    number = number_of(net, "net1")
    sandbox.ip("link", "set", "net1", "down")
    with pytest.raises(errors.IoFailure, match=r"default route by 10\.1\.0\.1: "):
        net.add_default("4", "10.1.0.1", number)


def test_many_routes(sandbox: Sandbox, net: SandboxNet) -> None:
    """A dump of many datagrams is read whole."""
    batch = "\n".join(f"route add 172.{16 + i // 250}.{i % 250}.0/24 dev net1" for i in range(2000))
    subprocess.run(["ip", "-n", sandbox.name, "-batch", "-"], input=batch, text=True, check=True)
    sandbox.ip("route", "add", "default", "via", "10.1.0.1")
    assert [route.gateway for route in net.default_routes()] == ["10.1.0.1"]


def test_wrong_namespaces(tmp_path: object) -> None:
    """The host's own namespace, nothing at all, and a plain file are told apart."""
    opener = netlink.LocalNetlink()
    with pytest.raises(errors.SameNamespace):
        opener.open(netns.OWN)
    with pytest.raises(errors.IoFailure, match="no net namespace /no/such found"):
        opener.open("/no/such")
    with pytest.raises(errors.IoFailure, match="/etc/passwd is not a network namespace"):
        opener.open("/etc/passwd")


def test_this_process_stays_where_it_is(sandbox: Sandbox, net: SandboxNet) -> None:
    """Opening a socket in a sandbox moves no thread of this process for good."""
    assert netns.same_namespace("/proc/thread-self/ns/net")
    assert not netns.same_namespace(sandbox.path)
