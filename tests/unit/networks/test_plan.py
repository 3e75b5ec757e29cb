"""The plan of an ADD."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from multus import errors
from multus.networks import plan
from unit.networks import making

if TYPE_CHECKING:
    from multus.networks.delegates import Delegate
    from multus.networks.plan import Plan

ARGS = (("IgnoreUnknown", "1"), ("EXTRA", "x"))


def made(*delegates: Delegate, **conf: Any) -> Plan:
    """The plan for the default network and `delegates`."""
    return plan.make(
        [making.default(), *delegates],
        conf=making.conf(**conf),
        runtime_ifname="eth0",
        pod_args=making.POD,
        args=ARGS,
    )


def test_attachments() -> None:
    """Names, arguments and capability arguments of each."""
    planned = made(making.delegate("a", ips=("10.1.1.1/24",), mac="02:23:45:67:89:01"), runtimeConfig={"x": 1})
    default, secondary = planned.attachments
    assert (default.ifname, default.capability_args) == ("eth0", {"x": 1})
    assert "MAC" not in dict(default.args)
    given = dict(secondary.args)
    assert (given["MAC"], given["IP"], given["EXTRA"]) == ("02:23:45:67:89:01", "10.1.1.1/24", "x")
    assert given["K8S_POD_NAME"] == "pod"
    assert secondary.capability_args == {"ips": ["10.1.1.1/24"], "mac": "02:23:45:67:89:01"}


def test_default_network_of_the_annotation() -> None:
    """Its mac and ips go into CNI_ARGS, as upstream's do."""
    chosen = making.delegate("own", master=True, mac="02:23:45:67:89:01")
    planned = plan.make([chosen], conf=making.conf(), runtime_ifname="eth0", pod_args=making.POD, args=())
    assert dict(planned.attachments[0].args)["MAC"] == "02:23:45:67:89:01"
    assert planned.attachments[0].capability_args == {}


def test_stages() -> None:
    """One after another by default."""
    networks = [making.delegate(name, raw={"type": "macvlan"}) for name in "abc"]
    assert made(*networks).stages == ((0,), (1,), (2,), (3,))
    assert made(*networks, delegateConcurrency="auto").stages == ((0,), (1, 2, 3))


def test_warnings() -> None:
    """Requests that nobody declares; with `strictCapabilities` an error."""
    asks = making.delegate("a", ips=("10.1.1.1/24",))
    (warning,) = made(asks).warnings
    assert "network default/a: ips asked for" in warning
    with pytest.raises(errors.InvalidConfig, match="network default/a: ips asked for"):
        made(asks, strictCapabilities=True)
    assert made(making.delegate("a")).warnings == ()


def test_refused() -> None:
    """Colliding names and default routes, before anything runs."""
    with pytest.raises(errors.InterfaceCollision):
        made(making.delegate("a", interface="eth0"))
    with pytest.raises(errors.RouteConflict):
        made(making.delegate("a", default_route=("10.1.1.1",)), making.delegate("b", default_route=("10.2.1.1",)))


def test_no_warning_for_the_default_network() -> None:
    """What its element asks goes into CNI_ARGS alone: no capability is needed."""
    chosen = making.delegate("own", master=True, mac="02:23:45:67:89:01")
    conf = making.conf(strictCapabilities=True)
    planned = plan.make([chosen], conf=conf, runtime_ifname="eth0", pod_args=making.POD, args=())
    assert planned.warnings == ()
