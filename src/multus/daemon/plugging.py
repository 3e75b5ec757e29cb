"""`/delegate`: one network for a sandbox that lives. The request's configuration is the delegate's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multus import errors, serving
from multus.cni import config, environment
from multus.engine import hotplug
from multus.networks import netconf

if TYPE_CHECKING:
    from multus.cni.config import NetworkConfig
    from multus.cni.rawjson import Json
    from multus.cni.results import Result
    from multus.daemon.cnirequest import CniRequest

#: The verb about no attachment that this path knows (`/cni` knows GC too).
OF_NODE = ("STATUS",)

_VERBS = {"DEL": hotplug.detach, "CHECK": hotplug.check, "STATUS": hotplug.status}


def answer(asked: CniRequest, host: serving.Host) -> Result | None:
    """Carry it out; the result of ADD. Raises errors.CniError."""
    request = environment.from_environ(asked.environ)
    network = config.loads(asked.config, "delegate configuration")
    environment.check_network_name(network.name)
    conf = netconf.from_object(host.configuration(_around(network)))
    call = serving.make_call(request, conf, host)
    try:
        host.begin(request, conf)
    except errors.CniError as error:
        raise error.within(f"[{call.pod_id}:{network.name}]: interface {request.ifname}") from error
    ports = host.ports(call)
    if asked.command == "ADD":
        return hotplug.attach(call, ports, network, asked.asked)
    _VERBS[asked.command](call, ports, network)
    return None


def _around(network: NetworkConfig) -> Json:
    """A configuration of Multus that knows `network` alone: the daemon's keys are laid over this one, never over the
    delegate's own."""
    return {
        "cniVersion": network.cni_version,
        "name": "multus-cni-network",
        "type": "multus",
        "delegates": [network.raw],
    }
