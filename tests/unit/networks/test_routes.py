"""default-route: the plan, the edits, and what is told afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from multus import errors
from multus.cni import results, versions
from multus.cni.results import Route
from multus.networks import routes
from multus.networks.routes import Gateway, KernelRoute, Link, NewDefault, RoutePlan
from unit.networks import making

if TYPE_CHECKING:
    from collections.abc import Sequence

    from multus.cni.results import Result
    from multus.networks.routes import Edits

NAMES = ("eth0", "net1", "net2")
LINKS = [Link(number, name, "", 1500) for number, name in ((1, "lo"), (2, "eth0"), (3, "net1"), (4, "net2"))]


def default(family: str, gateway: str, oif: int, **keys: Any) -> KernelRoute:
    """A default route of the main table."""
    return KernelRoute(
        **{
            "family": family,
            "dst": "",
            "gateway": gateway,
            "oif": oif,
            "metric": 0,
            "protocol": 3,
            "scope": 0,
            "table": 254,
            **keys,
        }
    )


FOUR, SIX = default("4", "10.1.0.1", 2), default("6", "fd00::1", 2)


def planned(*asked: Sequence[str] | None) -> RoutePlan:
    """The plan for eth0, and networks that ask for that."""
    made = [making.default()]
    for number, wish in enumerate(asked, 1):
        asks: dict[str, Any] = {} if wish is None else {"default_route": tuple(wish)}
        made.append(making.delegate(f"n{number}", **asks))
    return routes.plan(made, NAMES[: len(made)])


def edits(plan: RoutePlan, *held: KernelRoute) -> Edits:
    """The edits where the kernel has `held`."""
    return routes.edits(plan, NAMES, held, LINKS)


# ── plan ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_plan() -> None:
    """Who gives a gateway, and who keeps its plugin's own."""
    assert planned(None, None) == RoutePlan()
    assert not planned(None).wanted
    assert planned(["10.9.0.1", "fd09::1"], []) == RoutePlan(
        (Gateway(1, "4", "10.9.0.1"), Gateway(1, "6", "fd09::1")), (2,)
    )
    assert planned([]).wanted


@pytest.mark.parametrize(
    "asked",
    [
        [["10.9.0.1", "10.8.0.1"]],
        [["10.9.0.1"], ["10.8.0.1"]],
        [["10.9.0.1"], ["10.9.0.1"]],
        [["fd09::1"], ["10.8.0.1", "fd08::1"]],
    ],
)
def test_two_of_a_family(asked: list[list[str]]) -> None:
    """Both networks, their interfaces and gateways are named."""
    with pytest.raises(errors.RouteConflict, match="multus does not support ECMP") as caught:
        planned(*asked)
    for number, gateways in enumerate(asked, 1):
        assert f"default/n{number} (net{number})" in caught.value.message
        assert any(gateway in caught.value.message for gateway in gateways)


# ── edits ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_gateway_given() -> None:
    """Every other default of the family goes, on any interface, of any metric; the other family stays."""
    others = [FOUR, SIX, default("4", "10.7.0.1", 3, metric=100), default("4", "", 4)]
    found = edits(planned(["10.9.0.1"]), *others)
    assert found.add == (NewDefault("4", "10.9.0.1", 3),)
    assert found.delete == (others[0], others[2], others[3])


def test_there_already() -> None:
    """The plugin made the very route: it stays, and nothing is added."""
    mine = default("4", "10.9.0.1", 3)
    assert edits(planned(["10.9.0.1"]), FOUR, mine) == ((FOUR,), ())
    assert edits(planned(["fd09::1"]), default("6", "fd09:0::1", 3)) == ((), ())


@pytest.mark.parametrize(
    "other",
    [
        {"oif": 2},
        {"gateway": "10.9.0.2"},
        {"hops": 2},
        {"tos": 8},
        {"protocol": routes.ROUTER_ADVERTISEMENT},
    ],
)
def test_nearly_there(other: dict[str, Any]) -> None:
    """A route on another interface, a multipath one, one that expires: replaced."""
    held = default("4", "10.9.0.1", 3)._replace(**other)
    assert edits(planned(["10.9.0.1"]), held) == ((held,), (NewDefault("4", "10.9.0.1", 3),))


def test_empty_list() -> None:
    """In the families that its plugin configured the others lose theirs; the rest stays."""
    mine = default("4", "10.7.0.1", 3, metric=5)
    assert edits(planned([]), FOUR, SIX, mine) == ((FOUR,), ())
    assert edits(planned([]), FOUR, SIX) == ((), ())


def test_empty_lists() -> None:
    """Several all keep theirs."""
    mine, yours = default("4", "10.7.0.1", 3), default("4", "10.6.0.1", 4, metric=9)
    assert edits(planned([], []), FOUR, mine, yours) == ((FOUR,), ())


def test_gateway_wins_over_an_empty_list() -> None:
    """Of the same family."""
    kept = default("4", "10.7.0.1", 3)
    found = edits(planned([], ["10.9.0.1"]), FOUR, kept)
    assert found == ((FOUR, kept), (NewDefault("4", "10.9.0.1", 4),))


def test_no_interface() -> None:
    """A gateway needs one; the error names it."""
    with pytest.raises(errors.InvalidConfig, match="made no interface net1"):
        routes.edits(planned(["10.9.0.1"]), NAMES, [], LINKS[:2])


# ── outcome ─────────────────────────────────────────────────────────────────────────────────────────────────────


def told(version: str = "1.1.0", *printed: dict[str, Any]) -> Result:
    """A result with those routes (and one that is no default)."""
    rich = {
        "ips": [{"address": "10.1.0.5/16"}, {"address": "fd00::5/64"}],
        "routes": [*printed, {"dst": "10.0.0.0/8", "gw": "10.1.0.9"}],
    }
    return results.parse(results.convert(rich, "1.1.0", version), version, "test")


@pytest.mark.parametrize("version", versions.SUPPORTED)
def test_results_are_corrected(version: str) -> None:
    """In every version's shape: the default moves from one result to the other; the remaining routes stay."""
    before = [
        told(version, {"dst": "0.0.0.0/0", "gw": "10.1.0.1"}, {"dst": "::/0", "gw": "fd00::1"}),
        told(version),
        told(version),
    ]
    held = [default("4", "10.9.0.1", 3), SIX]
    after = routes.outcome(planned(["10.9.0.1"], None), NAMES, before, held, LINKS)
    assert [set(_defaults(one)) for one in after] == [{"fd00::1"}, {"10.9.0.1"}, set()]
    for one in after:
        again = results.parse(one.raw, version, "again")
        assert set(_defaults(again)) == set(_defaults(one))
        assert Route("10.0.0.0/8", "10.1.0.9") in again.routes
    assert after[2] is before[2]


def _defaults(result: Result) -> list[str]:
    return [route.gw for route in result.routes if results.is_default(route.dst)]


def test_right_already() -> None:
    """The very same object: nothing to be written again."""
    before = [told("1.1.0", {"dst": "0.0.0.0/0", "gw": "10.1.0.1"}), told()]
    after = routes.outcome(planned([]), NAMES[:2], before, [FOUR], LINKS)
    assert after[0] is before[0]
    assert after[1] is before[1]


def test_untouched_families() -> None:
    """What a plugin tells of a family that nobody asked for is its own affair, right or wrong."""
    before = [told("1.1.0", {"dst": "::/0", "gw": "fd00::9"}), told()]
    after = routes.outcome(planned(["10.9.0.1"]), NAMES[:2], before, [default("4", "10.9.0.1", 3), SIX], LINKS)
    assert _defaults(after[0]) == ["fd00::9"]
    assert _defaults(after[1]) == ["10.9.0.1"]


def test_members_nobody_knows_stay() -> None:
    """Only routes change."""
    raw: dict[str, Any] = {
        "ips": [{"address": "10.1.0.5/16", "x": 1}],
        "routes": [{"dst": "0.0.0.0/0", "gw": "10.1.0.1"}],
        "y": {"z": 1},
    }
    before = [making.result(**raw), told()]
    after = routes.outcome(planned(["10.9.0.1"]), NAMES[:2], before, [default("4", "10.9.0.1", 3)], LINKS)
    assert after[0].raw == {"cniVersion": "1.1.0", "ips": raw["ips"], "y": {"z": 1}}


def test_empty_list_corrects_the_others() -> None:
    """What another plugin told of its default route is no longer true."""
    before = [told("1.1.0", {"dst": "0.0.0.0/0", "gw": "10.1.0.1"}, {"dst": "::/0", "gw": "fd00::9"}), told()]
    held = [default("4", "10.7.0.1", 3), SIX]
    after = routes.outcome(planned([]), NAMES[:2], before, held, LINKS)
    assert [_defaults(one) for one in after] == [["fd00::9"], ["10.7.0.1"]]
