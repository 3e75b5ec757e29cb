"""Interface names."""

from __future__ import annotations

import pytest

from multus import errors
from multus.networks import interfaces
from unit.networks import making


def test_names() -> None:
    """The runtime's for the default network, net<i> by position; a named one keeps its position."""
    made = [making.default(), making.delegate("a", interface="x"), making.delegate("b"), making.delegate("c")]
    assert interfaces.assign(made, "eth0") == ("eth0", "x", "net2", "net3")


def test_default_network_with_a_name() -> None:
    """The default-network annotation may name the interface."""
    assert interfaces.assign([making.delegate("a", master=True, interface="main0")], "eth0") == ("main0",)
    assert interfaces.assign([making.delegate("a", master=True)], "ens3") == ("ens3",)


@pytest.mark.parametrize(
    "wishes", [["eth0", ""], ["x", "x"], ["net2", ""], ["", "net1"]], ids=["default", "same", "taken", "takes"]
)
def test_collisions(wishes: list[str]) -> None:
    """Both networks and the name are told."""
    made = [making.default(), *(making.delegate(f"n{i}", interface=wish) for i, wish in enumerate(wishes))]
    with pytest.raises(errors.InterfaceCollision) as caught:
        interfaces.assign(made, "eth0")
    assert caught.value.message.count("default/n") + caught.value.message.count("cluster") == 2


@pytest.mark.parametrize("name", ["a/b", "..", "x" * 16, "a b", "a:b", "net%d", "a\nb"])
def test_bad_names(name: str) -> None:
    """What the kernel refuses, or takes for something else."""
    with pytest.raises(errors.InvalidConfig, match="network default/net-a: interface name"):
        interfaces.assign([making.default(), making.delegate(interface=name)], "eth0")
