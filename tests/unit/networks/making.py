"""Values for the tests of the decisions, and strategies that make hostile ones."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from multus.cni import config, results
from multus.cni.arguments import PodArgs
from multus.networks import delegates, netconf
from multus.networks.nad import Nad
from multus.networks.plan import Attachment
from multus.networks.selection import Selection

if TYPE_CHECKING:
    from multus.cni.rawjson import Json
    from multus.cni.results import Result
    from multus.networks.delegates import Delegate
    from multus.networks.netconf import MultusConf

#: No time is asserted anywhere.
THOROUGH = settings(deadline=None, max_examples=120, suppress_health_check=[HealthCheck.too_slow])

POD = PodArgs("default", "pod", "sandbox-1", "uid-1")

BRIDGE: Json = {"cniVersion": "1.0.0", "type": "bridge", "bridge": "br1"}


def conf(**keys: Any) -> MultusConf:
    """Multus' configuration with one static delegate, and `keys` (dots in their names are written as `__`)."""
    raw = {"cniVersion": "1.0.0", "name": "multus", "type": "multus", "delegates": [{"name": "d", "type": "bridge"}]}
    return netconf.loads(json.dumps({**raw, **keys}).encode())


def element(name: str = "net-a", **fields: Any) -> Selection:
    """A network selection element of namespace ``default``."""
    return Selection(**{"name": name, "namespace": "default", **fields})


def nad(raw: Json | None = None, name: str = "net-a", resource_name: str = "") -> Nad:
    """A definition holding `raw`."""
    return Nad("default", name, json.dumps(raw if raw is not None else BRIDGE), resource_name)


def delegate(name: str = "net-a", *, raw: Json | None = None, master: bool = False, **asked: Any) -> Delegate:
    """A delegate of a NAD; `asked` are fields of its element."""
    found = config.from_object({"name": name, **(raw if raw is not None else BRIDGE)}, "test")
    return delegates.from_nad(nad(name=name), found, element(name, **asked), master=master)


def default(raw: Json | None = None) -> Delegate:
    """The default network."""
    return delegates.static({"name": "cluster", **(raw if raw is not None else BRIDGE)}, master=True)


def attachment(made: Delegate | None = None, ifname: str = "net1", **capabilities: Any) -> Attachment:
    """An attachment of `made`."""
    return Attachment(made or delegate(), ifname, (("K", "V"),), capabilities)


def result(version: str = "1.1.0", **members: Any) -> Result:
    """A plugin's result."""
    return results.parse({"cniVersion": version, **members}, version, "test")


# ── strategies ──────────────────────────────────────────────────────────────────────────────────────────────────

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
    st.sampled_from(["", "/", "../x", "10.1.1.1", "10.1.1.1/24", "fd00::1%a;b", "02:23:45:67:89:01", "eth0", "a,b"]),
)


def values(keys: st.SearchStrategy[str] | None = None, size: int = 12) -> st.SearchStrategy[Any]:
    """JSON values whose objects have keys of `keys`."""
    named = keys if keys is not None else st.text(max_size=8)
    return st.recursive(
        SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(named, inner, max_size=6), max_leaves=size
    )


def objects(keys: list[str], size: int = 12) -> st.SearchStrategy[dict[str, Any]]:
    """Objects of such keys, each with any value at all."""
    named = st.sampled_from(keys)
    return st.dictionaries(named, values(named, size), max_size=len(keys))
