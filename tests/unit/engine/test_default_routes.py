"""default-route (NPWG 4.1.2.1.9): kernel, results, cached results and network-status tell the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from multus import errors
from multus.networks.routes import KernelRoute
from unit.engine import world
from unit.engine.world import CONTAINER, NETNS, Node

if TYPE_CHECKING:
    from collections.abc import Sequence

FOUR, SIX = "10.1.0.1", "fd00::1"
DUAL = (FOUR, SIX)


def node(asked: Sequence[dict[str, Any]], default: Sequence[str] = DUAL, others: Sequence[Sequence[str]] = ()) -> Node:
    """A default network with its own default routes, and networks net-1, net-2, ... with `others`' own gateways."""
    one = Node(default=world.network("cluster", world.plugin(gateways=list(default))))
    elements = []
    for number, keys in enumerate(asked, 1):
        own = list(others[number - 1]) if number <= len(others) else []
        one.nad(world.network(f"net-{number}", world.plugin("macvlan", gateways=own)))
        elements.append({"name": f"net-{number}", **keys})
    one.pod(elements)
    return one


def kernel(one: Node) -> set[tuple[str, str]]:
    """(interface, gateway) of every default route."""
    namespace = one.netlink.namespaces[NETNS]
    names = {link.number: link.name for link in namespace.links}
    return {(names[route.oif], route.gateway) for route in namespace.defaults()}


def told(one: Node) -> set[tuple[str, str]]:
    """The same as network-status has it."""
    return {(entry["interface"], gateway) for entry in one.status() for gateway in entry.get("gateway", ())}


def cached(one: Node) -> set[tuple[str, str]]:
    """The same as the cached results have it."""
    found = [(known.ifname, known.result) for known in one.results.of(CONTAINER)]
    return {(name, route.gw) for name, result in found if result for route in result.routes if route.dst.endswith("/0")}


CASES = [
    # default's own gateways, what each network asks for, its own gateways, what must be there
    pytest.param(DUAL, [None], [()], {("eth0", FOUR), ("eth0", SIX)}, id="nobody asks"),
    pytest.param(DUAL, [["10.9.0.1"]], [()], {("net1", "10.9.0.1"), ("eth0", SIX)}, id="v4 moves"),
    pytest.param(DUAL, [["fd09::1"]], [()], {("eth0", FOUR), ("net1", "fd09::1")}, id="v6 moves"),
    pytest.param(
        DUAL, [["10.9.0.1", "fd09::1"]], [()], {("net1", "10.9.0.1"), ("net1", "fd09::1")}, id="both families move"
    ),
    pytest.param(
        DUAL, [["10.9.0.1"], ["fd09::1"]], [(), ()], {("net1", "10.9.0.1"), ("net2", "fd09::1")}, id="one family each"
    ),
    pytest.param((), [["10.9.0.1"]], [()], {("net1", "10.9.0.1")}, id="there was none"),
    pytest.param(
        (), [["10.9.0.1"]], [("10.7.0.1",)], {("net1", "10.9.0.1")}, id="its own plugin's default is replaced"
    ),
    pytest.param((FOUR,), [["10.1.0.1"]], [()], {("net1", FOUR)}, id="the same gateway on another interface"),
    pytest.param((), [["10.7.0.1"]], [("10.7.0.1",)], {("net1", "10.7.0.1")}, id="what the plugin set already"),
    pytest.param((FOUR,), [[]], [("fd07::1",)], {("eth0", FOUR), ("net1", "fd07::1")}, id="empty list, other family"),
    pytest.param(DUAL, [[]], [()], {("eth0", FOUR), ("eth0", SIX)}, id="empty list, plugin has none"),
    pytest.param((), [None, []], [("10.6.0.1",), ("fd07::1",)], {("net1", "10.6.0.1"), ("net2", "fd07::1")}, id="mix"),
    pytest.param(
        (SIX,), [[], ["fd09::1"]], [("10.7.0.1",), ()], {("net1", "10.7.0.1"), ("net2", "fd09::1")}, id="list and list"
    ),
]


@pytest.mark.parametrize(("default", "asked", "own", "expected"), CASES)
def test_kernel_results_and_status_agree(
    default: Sequence[str], asked: list[Any], own: list[Any], expected: set[tuple[str, str]]
) -> None:
    """Per family: a gateway given is the only default route, an empty list keeps the plugin's own, a family that
    nobody asked for stays."""
    one = node([{"default-route": wish} if wish is not None else {} for wish in asked], default, own)
    answer = one.add()
    assert kernel(one) == expected
    assert told(one) == expected
    assert cached(one) == expected
    assert {("eth0", route.gw) for route in answer.routes} == {pair for pair in expected if pair[0] == "eth0"}
    assert one.netlink.open_sockets == 0
    one.run("CHECK")
    one.run("DEL")
    assert one.is_clean()


def test_empty_list_takes_the_family_over() -> None:
    """Two plugins' default routes of one family by metric: the one with the empty list stays, the other goes."""
    one = node([{"default-route": []}], (FOUR,), [()])
    plain = one.plugins.succeed

    def attach(call: Any) -> Any:
        done = plain(call)
        namespace = one.netlink.namespaces[NETNS]
        namespace.add_default("4", "10.7.0.1", namespace.links[-1].number, metric=100)
        return done

    one.plugins.answer("macvlan", "ADD", attach)
    one.add()
    assert kernel(one) == {("net1", "10.7.0.1")}


def test_routes_of_other_tables_and_destinations_stay() -> None:
    """Only default routes of the main table are touched."""
    one = node([{"default-route": ["10.9.0.1"]}])
    namespace = one.netlink.namespaces[NETNS]
    kept = [
        KernelRoute("4", "10.0.0.0/8", FOUR, 1, 0, 3, 0, 254),
        KernelRoute("4", "", FOUR, 1, 0, 3, 0, 100),
    ]
    namespace.routes += kept
    one.add()
    assert [route for route in namespace.routes if route in kept] == kept


def test_several_defaults_of_one_family() -> None:
    """All of them go, whatever their metric."""
    one = node([{"default-route": ["10.9.0.1"]}], (FOUR,))
    plain = one.plugins.succeed

    def attach(call: Any) -> Any:
        done = plain(call)
        one.netlink.namespaces[NETNS].add_default("4", "10.1.0.9", 2, metric=50)
        return done

    one.plugins.answer("bridge", "ADD", attach)
    one.add()
    assert kernel(one) == {("net1", "10.9.0.1")}


def test_edited_once_after_the_last() -> None:
    """The routes are edited after the last attachment, once, through one socket that is closed."""
    one = node([{"default-route": ["10.9.0.1"]}, {}])
    one.add()
    edits = [call for call in one.netlink.calls if call[0] in ("add_default", "delete_route")]
    assert edits == [("delete_route", "4", FOUR, "2"), ("add_default", "4", "10.9.0.1", "3")]
    assert [call[0] for call in one.netlink.calls].count("open") == 2  # the other one looks for taken names
    assert one.netlink.open_sockets == 0


def test_nobody_asks() -> None:
    """No network beside the default one, no default route asked for: no socket at all."""
    one = node([])
    one.add()
    assert one.netlink.calls == []


@pytest.mark.parametrize("family", [("10.9.0.1", "10.8.0.1"), ("fd09::1", "fd08::1")])
@pytest.mark.parametrize("together", [True, False])
def test_two_gateways_of_a_family(family: tuple[str, str], together: bool) -> None:
    """An error that names both networks and both gateways, before anything runs."""
    first, second = family
    asked = (
        [{"default-route": [first, second]}] if together else [{"default-route": [first]}, {"default-route": [second]}]
    )
    one = node(asked)
    error = one.add_fails()
    assert error.code == 7
    for part in ("multus does not support ECMP", first, second, "default/net-1", "[default/web/uid-1]"):
        assert part in error.message
    assert together or "default/net-2" in error.message
    assert not one.plugins.calls
    assert one.is_clean()


def test_network_made_no_interface() -> None:
    """A gateway for a network without an interface in the pod: an error that names it, all undone."""
    one = Node()
    one.nad(world.network("net-1", world.plugin("macvlan", noLink=True)))
    one.pod([{"name": "net-1", "default-route": ["10.9.0.1"]}])
    error = one.add_fails()
    assert "made no interface net1" in error.message
    assert one.is_clean()


def test_default_network_itself_asks() -> None:
    """The default network, chosen by annotation, may hold a gateway too."""
    one = node([{}], (FOUR,))
    one.nad(world.network("own", world.plugin("ptp", gateways=[FOUR, SIX])), namespace="kube-system")
    wish = '[{"name": "own", "default-route": ["10.1.0.254"]}]'
    one.pod("net-1", annotations={"v1.multus-cni.io/default-network": wish})
    answer = one.add()
    assert kernel(one) == {("eth0", "10.1.0.254"), ("eth0", SIX)} == told(one)
    assert {route.gw for route in answer.routes} == {"10.1.0.254", SIX}


def test_kernel_refuses() -> None:
    """All is undone, and it is said what was being done."""
    one = node([{"default-route": ["10.9.0.1"]}])
    one.netlink.fail("add_default", errors.IoFailure("Network is unreachable"))
    error = one.add_fails()
    assert "[default/web/uid-1]: setting the default route: Network is unreachable" in error.message
    assert one.is_clean()
    assert not one.cluster.statuses
