"""What the demo makes and what must be true of it. The networks and pods themselves are files (`examples/demo`)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from multus.cni.rawjson import Json

#: Names of the network namespaces begin so.
PREFIX = "mxdemo-"

#: The namespace that stands for the node.
HOST = f"{PREFIX}host"

#: Where `ip netns` keeps its namespaces.
NETNS_DIR = Path("/var/run/netns")

#: All files of the demo; the manifests name it, too.
STATE = Path("/run/multus-demo")

#: The plugins that the networks use.
PLUGINS = ("bridge", "macvlan", "tuning", "host-local")

#: The node's side of the `uplink` network: macvlan's master, the router on the other end of the wire, and an address
#: beyond that router.
UPLINK, ROUTER_LINK = "uplink0", "router0"
ROUTER, BEYOND = "203.0.113.1", "203.0.113.200"

NAMESPACE = "default"


class Pod(NamedTuple):
    """A pod of `pods.yaml`, and the interfaces it must get beside ``lo``."""

    name: str
    interfaces: tuple[str, ...]

    @property
    def netns(self) -> str:
        """The name of its network namespace."""
        return PREFIX + self.name

    @property
    def container_id(self) -> str:
        """What a runtime would call its sandbox."""
        return f"demo-sandbox-{self.name}"


PODS = (
    Pod("web", ("eth0", "net1", "net2")),
    Pod("db", ("eth0", "net1", "data0")),
    Pod("edge", ("eth0", "net1", "net2")),
)


class Ping(NamedTuple):
    """`source` must reach `target` (a pod's interface as ``pod/interface``, or an address) through `interface`; None
    leaves the choice to the pod's routes."""

    source: str
    interface: str | None
    target: str
    why: str


PINGS = (
    Ping("web", "eth0", "db/eth0", "the default network"),
    Ping("web", "net1", "db/net1", "storage, bridge"),
    Ping("web", "net2", "edge/net1", "uplink, macvlan"),
    Ping("edge", "net2", "db/data0", "tuned, bridge and tuning"),
    Ping("edge", None, BEYOND, "beyond the router, by the moved default route"),
)


class Expectation(NamedTuple):
    """What one interface must look like; "" and 0 leave it open. `default_via` is the gateway of the pod's one and only
    default route, which must be on this interface."""

    pod: str
    interface: str
    why: str
    address: str = ""
    mac: str = ""
    mtu: int = 0
    default_via: str = ""


EXPECTATIONS = (
    Expectation("web", "eth0", "default route left alone", default_via="192.0.2.1"),
    Expectation("db", "data0", "fixed address", address="198.51.100.200/25"),
    Expectation("db", "data0", "fixed hardware address", mac="00:00:5e:00:53:c8"),
    Expectation("db", "data0", "MTU set by the chained plugin", mtu=1400),
    Expectation("edge", "net1", "default route moved", default_via=ROUTER),
)


def files() -> Path:
    """The directory of the demo's files: in the installed package, or in the source tree."""
    installed = Path(__file__).parent / "manifests"
    return installed if installed.is_dir() else Path(__file__).parents[4] / "examples" / "demo"


def configuration(plugins: str) -> Json:
    """Multus' own configuration, looking for plugins in the directory `plugins`."""
    conf: Json = json.loads((files() / "multus.json").read_text())
    return {**conf, "binDir": plugins}
