"""Default routes, once after the last attachment: what the plan wants becomes what the kernel has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multus import errors, log
from multus.networks import routes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from multus.cni.results import Result
    from multus.engine.call import Call, Ports
    from multus.networks.plan import Plan


def settle(call: Call, ports: Ports, plan: Plan, results: Sequence[Result]) -> tuple[Result, ...]:
    """Edit the sandbox's default routes as `plan` says; the results with the defaults that are really there.

    Raises errors.CniError when the kernel refuses. Nothing is opened when no attachment asked for a default route."""
    if not plan.routes.wanted:
        return tuple(results)
    ifnames = [attachment.ifname for attachment in plan.attachments]
    try:
        net = ports.netlink.open(call.environment.netns)
        try:
            links = net.links()
            edits = routes.edits(plan.routes, ifnames, net.default_routes(), links)
            for old in edits.delete:
                log.verbose("default route removed", pod=call.pod_id, gateway=old.gateway, interface=old.oif)
                net.delete_route(old)
            for new in edits.add:
                log.verbose("default route added", pod=call.pod_id, gateway=new.gateway, interface=new.oif)
                net.add_default(new.family, new.gateway, new.oif)
            settled = net.default_routes()
        finally:
            net.close()
    except errors.CniError as error:
        raise error.within(f"[{call.pod_id}]: setting the default route") from error
    return routes.outcome(plan.routes, ifnames, results, settled, links)
