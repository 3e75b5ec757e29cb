"""The plan of an ADD: attachments in stages, as a value."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from multus import errors
from multus.cni import arguments
from multus.networks import capabilities, concurrency, interfaces, routes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from multus.cni.arguments import Pairs, PodArgs
    from multus.cni.rawjson import Json
    from multus.networks.delegates import Delegate
    from multus.networks.netconf import MultusConf
    from multus.networks.routes import RoutePlan


class Attachment(NamedTuple):
    """One delegate at one interface, with the CNI_ARGS and capability arguments of its call."""

    delegate: Delegate
    ifname: str
    args: Pairs
    capability_args: Json


class Plan(NamedTuple):
    """`attachments` in the order of names, status and events; `stages` are indices into them, one stage after the
    other, its members side by side; `warnings` is what is tolerated but should be known."""

    attachments: tuple[Attachment, ...]
    stages: tuple[tuple[int, ...], ...]
    routes: RoutePlan
    warnings: tuple[str, ...]


def make(
    delegates: Sequence[Delegate], *, conf: MultusConf, runtime_ifname: str, pod_args: PodArgs, args: Pairs
) -> Plan:
    """The plan for `delegates`, element 0 being the default network. Raises errors.InterfaceCollision,
    errors.RouteConflict, errors.InvalidConfig before anything runs."""
    names = interfaces.assign(delegates, runtime_ifname)
    attachments = tuple(
        Attachment(
            delegate=delegate,
            ifname=name,
            args=_args(delegate, args, pod_args),
            capability_args=capabilities.capability_args(delegate, conf.runtime_config),
        )
        for delegate, name in zip(delegates, names, strict=True)
    )
    return Plan(
        attachments=attachments,
        stages=_stages(delegates, names, conf),
        routes=routes.plan(delegates, names),
        warnings=_warnings(delegates, conf),
    )


def _args(delegate: Delegate, args: Pairs, pod_args: PodArgs) -> Pairs:
    element = delegate.selection
    if element is None:
        return arguments.for_delegate(args, pod_args)
    return arguments.for_delegate(args, pod_args, element.mac, element.ips)


def _stages(delegates: Sequence[Delegate], names: Sequence[str], conf: MultusConf) -> tuple[tuple[int, ...], ...]:
    if conf.delegate_concurrency != "auto":
        return tuple((number,) for number in range(len(delegates)))
    return concurrency.stages(delegates, names, conf.parallel_plugins)


def _warnings(delegates: Sequence[Delegate], conf: MultusConf) -> tuple[str, ...]:
    """Requests that no plugin of the network declares: an error with `strictCapabilities` (NPWG 4.1.2.1)."""
    found = []
    for delegate in delegates:
        if delegate.master:
            continue
        undeclared = capabilities.undeclared(delegate)
        if undeclared:
            text = (
                f"network {delegate.name}: {', '.join(undeclared)} asked for, but no plugin of the network declares"
                " the capability"
            )
            if conf.strict_capabilities:
                raise errors.InvalidConfig(f"{text}: add it to the plugin's capabilities, or remove the request")
            found.append(text)
    return tuple(found)
