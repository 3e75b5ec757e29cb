"""`delegateConcurrency: auto`: which neighbours share a stage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from multus.networks import concurrency
from unit.networks import making

if TYPE_CHECKING:
    from multus.networks.delegates import Delegate


def stages(*made: Delegate, further: tuple[str, ...] = ()) -> list[list[int]]:
    """The stages of the default network and `made`."""
    names = ["eth0", *(f"net{number}" for number in range(1, len(made) + 1))]
    return [list(stage) for stage in concurrency.stages([making.default(), *made], names, further)]


def proven(number: int, **keys: Any) -> Delegate:
    """A macvlan network."""
    return making.delegate(f"n{number}", raw={"type": "macvlan", "master": f"eth{number}", **keys})


def test_proven_neighbours() -> None:
    """They share one; the default network is alone."""
    assert stages(proven(1), proven(2), proven(3)) == [[0], [1, 2, 3]]
    assert stages() == [[0]]


@pytest.mark.parametrize(
    "odd",
    [
        {"type": "sriov"},
        {"type": "macvlan", "ipam": {"type": "dhcp"}},
        {"type": "macvlan", "ipam": ["static"]},
        {"type": "macvlan", "ipam": {"type": 5}},
        {"plugins": [{"type": "macvlan"}, {"type": "sbr"}]},
        {"type": "macvlan", "master": "net1"},
        {"type": "macvlan", "master": "eth0"},
        {"type": "vlan", "linkInContainer": True},
        {"type": "ipvlan", "linksInContainer": ["net1"]},
        {"type": "bridge", "links": [{"name": "net1"}]},
        {"type": "bridge", "isDefaultGateway": True},
        {"type": "macvlan", "ipam": {"type": "static", "routes": [{"dst": "0.0.0.0/0"}]}},
        {"type": "macvlan", "ipam": {"type": "static", "routes": [{"dst": "::/0"}]}},
        {"type": "macvlan", "ipam": {"type": "static", "routes": [{"dst": "nonsense"}]}},
    ],
)
def test_odd_one_between(odd: dict[str, Any]) -> None:
    """It waits for those before it, and those after it wait for it."""
    assert stages(proven(1), making.delegate("odd", raw=odd), proven(3), proven(4)) == [[0], [1], [2], [3, 4]]


@pytest.mark.parametrize("wish", [(), ("10.1.1.1",)])
def test_default_route(wish: tuple[str, ...]) -> None:
    """One that holds the default route is alone."""
    asks = making.delegate("n2", raw={"type": "macvlan"}, default_route=wish)
    assert stages(proven(1), asks, proven(3)) == [[0], [1], [2], [3]]


@pytest.mark.parametrize(
    ("one", "other", "meet"),
    [
        ("10.1.0.0/16", "10.2.0.0/16", False),
        ("10.1.0.0/16", "10.1.0.0/16", True),
        ("10.1.0.5/16", "10.1.0.0/16", True),
    ],
)
def test_same_destination(one: str, other: str, meet: bool) -> None:
    """Two that set a route to the same network depend on the order."""
    made = [proven(n, ipam={"type": "static", "routes": [{"dst": dst}]}) for n, dst in enumerate((one, other), 1)]
    assert stages(*made) == ([[0], [1], [2]] if meet else [[0], [1, 2]])


def test_same_subnet_asked_for() -> None:
    """Connected networks are routes too."""
    made = [making.delegate(f"n{n}", raw={"type": "macvlan"}, ips=(f"10.1.0.{n}/24",)) for n in (1, 2)]
    assert stages(*made) == [[0], [1], [2]]


def test_further_types() -> None:
    """`parallelPlugins` extends the list."""
    made = [making.delegate(f"n{n}", raw={"type": "sriov"}) for n in (1, 2)]
    assert stages(*made) == [[0], [1], [2]]
    assert stages(*made, further=("sriov",)) == [[0], [1, 2]]


def test_all_are_there_once() -> None:
    """In order, whatever they are."""
    made = [proven(n) if n % 3 else making.delegate(f"n{n}", raw={"type": "odd"}) for n in range(1, 20)]
    assert [number for stage in stages(*made) for number in stage] == list(range(20))


def test_meets_one_in_the_middle() -> None:
    """Every member of the stage counts, not the first one alone."""
    networks = ("10.1.0.0/16", "10.2.0.0/16", "10.2.0.0/16", "10.3.0.0/16")
    made = [proven(n, ipam={"type": "static", "routes": [{"dst": dst}]}) for n, dst in enumerate(networks, 1)]
    assert stages(*made) == [[0], [1, 2], [3, 4]]
