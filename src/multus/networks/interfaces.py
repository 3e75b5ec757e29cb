"""Interface names: the element's wish, the runtime's for the default network, else net1, net2, ..."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multus import errors
from multus.cni import environment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from multus.networks.delegates import Delegate


def assign(delegates: Sequence[Delegate], runtime_ifname: str) -> tuple[str, ...]:
    """One name per delegate, position i giving ``net<i>``; a named interface still consumes its position.

    Raises errors.InterfaceCollision naming both networks (NPWG 4.1.2.1.5), errors.InvalidConfig for a bad name."""
    names: dict[str, str] = {}
    for number, delegate in enumerate(delegates):
        name = _name(delegate, number, runtime_ifname)
        problem = environment.ifname_problem(name)
        if problem:
            raise errors.InvalidConfig(f"network {delegate.name}: {problem}: {environment.shown(name)}")
        if name in names:
            raise errors.InterfaceCollision(
                f"networks {names[name]} and {delegate.name} both want the interface name {name}:"
                " give one of them another name"
            )
        names[name] = delegate.name
    return tuple(names)


def _name(delegate: Delegate, number: int, runtime_ifname: str) -> str:
    if delegate.selection is not None and delegate.selection.interface:
        return delegate.selection.interface
    return runtime_ifname if delegate.master else f"net{number}"
