"""A node in memory: plugins that hold what they were asked for, network namespaces, records, a cluster.

What a plugin does is written in its own configuration: `gateways` are the default routes it sets, `silent` reports no
interface, `noLink` makes none.
"""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

from multus import errors
from multus.cni import arguments, environment, rawjson, results, versions
from multus.cni.invoke import PluginExit
from multus.engine import add, check, delete, gc, status
from multus.engine.call import Call, Ports
from multus.networks import netconf
from multus.testing import executor
from multus.testing.clock import FakeClock
from multus.testing.cluster import FakeCluster
from multus.testing.conffiles import FakeConfFiles
from multus.testing.devices import FakeDevices
from multus.testing.executor import FakeExecutor
from multus.testing.namespaces import FakeNamespace
from multus.testing.netlink import FakeNetlink
from multus.testing.records import FakeRecords
from multus.testing.results import FakeResults

if TYPE_CHECKING:
    from collections.abc import Callable

    from multus.cni.invoke import PluginCall
    from multus.cni.rawjson import Json
    from multus.cni.results import Result
    from multus.networks.record import Record

VERBS: dict[str, Callable[[Call, Ports], Any]] = {
    "ADD": add.run,
    "DEL": delete.run,
    "CHECK": check.run,
    "STATUS": status.run,
    "GC": gc.run,
}

#: The code that a plugin of these tests fails with.
CODE = 1234

NETNS = "/run/netns/one"
CONTAINER = "sandbox-1"


class Held(NamedTuple):
    """What one plugin holds for one attachment until its DEL."""

    container: str
    ifname: str
    network: str
    plugin: str


class Plugins(FakeExecutor):
    """Well-behaved plugins that act on the node. Those in `broken`, as (verb, interface, type), fail with `CODE` having
    done half of their work: ADD all of it, DEL none."""

    def __init__(self, netlink: FakeNetlink) -> None:
        super().__init__()
        self.held: list[Held] = []
        self.broken: set[tuple[str, str, str]] = set()
        self._netlink = netlink
        self._attached = 0
        self._at_work = threading.Lock()

    def exists(self, path: str) -> bool:
        """Namespaces exist while the node has them."""
        if path.startswith("/run/netns/"):
            return path in self._netlink.namespaces
        return super().exists(path)

    def succeed(self, call: PluginCall) -> PluginExit:
        """Do it, or half of it and fail."""
        verb = call.environ["CNI_COMMAND"]
        conf = executor.config_of(call)
        broken = (verb, call.environ["CNI_IFNAME"], call.plugin) in self.broken
        if broken and verb != "ADD":
            return executor.failed(CODE, f"{call.plugin} does not {verb}", "it is broken")
        work = {"ADD": self._add, "DEL": self._delete, "GC": self._collect}.get(verb)
        with self._at_work:
            out = work(call, conf) if work is not None else PluginExit(0, b"", b"")
        return executor.failed(CODE, f"{call.plugin} does not ADD", "it is broken") if broken else out

    def _add(self, call: PluginCall, conf: Json) -> PluginExit:
        held = _held(call, conf)
        if held not in self.held:
            self.held.append(held)
        if conf.get("prevResult") is not None:
            return executor.printed(conf["prevResult"])
        self._attached += 1
        if not conf.get("noLink"):
            self._link(call, conf)
        version = versions.normalise(rawjson.text(conf, "cniVersion", "stdin"))
        return executor.printed(results.convert(_result(call, conf, self._attached), versions.LATEST, version))

    def _link(self, call: PluginCall, conf: Json) -> None:
        namespace = self._netlink.namespaces[call.environ["CNI_NETNS"]]
        link = namespace.add_link(call.environ["CNI_IFNAME"])
        for gateway in conf.get("gateways", ()):
            family = "6" if ":" in gateway else "4"
            # As real plugins: the second default route of a family is refused by the kernel, and that is ignored.
            if all(route.family != family for route in namespace.defaults()):
                namespace.add_default(family, gateway, link.number)

    def _delete(self, call: PluginCall, conf: Json) -> PluginExit:
        held = _held(call, conf)
        if held in self.held:
            self.held.remove(held)
        namespace = self._netlink.namespaces.get(call.environ["CNI_NETNS"])
        if namespace is not None:
            namespace.remove_link(call.environ["CNI_IFNAME"])
        return PluginExit(0, b"", b"")

    def _collect(self, call: PluginCall, conf: Json) -> PluginExit:
        """As the specification has it: what is of this network and not on the list goes."""
        living = {(one["containerID"], one["ifname"]) for one in conf["cni.dev/valid-attachments"]}
        self.held = [
            held
            for held in self.held
            if (held.network, held.plugin) != (conf["name"], call.plugin) or (held.container, held.ifname) in living
        ]
        return PluginExit(0, b"", b"")


def _held(call: PluginCall, conf: Json) -> Held:
    return Held(call.environ["CNI_CONTAINERID"], call.environ["CNI_IFNAME"], conf["name"], call.plugin)


def _result(call: PluginCall, conf: Json, number: int) -> Json:
    interface = {"name": call.environ["CNI_IFNAME"], "mac": f"02:00:00:00:00:{number:02x}"}
    made: Json = {"ips": [{"address": f"10.1.0.{number + 1}/16"}]}
    if not conf.get("silent"):
        made["interfaces"] = [{**interface, "sandbox": call.environ["CNI_NETNS"]}]
        made["ips"][0]["interface"] = 0
    routes = [{"dst": "::/0" if ":" in gateway else "0.0.0.0/0", "gw": gateway} for gateway in conf.get("gateways", ())]
    return made | ({"routes": routes} if routes else {})


def plugin(kind: str = "bridge", **keys: Any) -> Json:
    """One plugin of a list."""
    return {"type": kind, **keys}


def network(name: str, *plugins: Json, version: str = "1.1.0", **keys: Any) -> Json:
    """A configuration: of one plugin as a conf, of several as a conflist."""
    head = {"cniVersion": version, "name": name, **keys}
    if len(plugins) > 1:
        return {**head, "plugins": list(plugins)}
    return {**head, **(plugins[0] if plugins else plugin())}


class Node:
    """One node, one pod ``default/web`` (uid-1), and the engine with fakes."""

    def __init__(self, *, default: Json | None = None, **conf: Any) -> None:
        self.clock = FakeClock()
        self.netlink = FakeNetlink()
        self.netlink.namespaces[NETNS] = FakeNamespace()
        self.plugins = Plugins(self.netlink)
        self.cluster = FakeCluster()
        self.records = FakeRecords()
        self.results = FakeResults()
        self.conf_files = FakeConfFiles()
        self.devices = FakeDevices()
        self.later: list[Callable[[], None]] = []
        self.conf: Json = {"cniVersion": "1.1.0", "name": "multus", "type": "multus", **conf}
        if "clusterNetwork" not in conf:
            self.conf.setdefault("delegates", [default if default is not None else network("cluster")])
        self.ports = Ports(
            executor=self.plugins,
            cluster=self.cluster,
            records=self.records,
            results=self.results,
            conf_files=self.conf_files,
            netlink=self.netlink,
            devices=self.devices,
            clock=self.clock,
            later=self.later.append,
        )

    def pod(self, networks: Any = "", uid: str = "uid-1", **keys: Any) -> None:
        """The pod, with this networks annotation (text, or what its JSON says)."""
        text = networks if isinstance(networks, str) else json.dumps(networks)
        annotations = {"k8s.v1.cni.cncf.io/networks": text} if text else {}
        self.cluster.add_pod("web", uid=uid, annotations={**annotations, **keys.pop("annotations", {})}, **keys)

    def nad(self, conf: Json, namespace: str = "default", resource_name: str = "") -> None:
        """A definition named as its configuration."""
        self.cluster.add_network(conf["name"], json.dumps(conf), namespace, resource_name)

    def wants(self, count: int, **keys: Any) -> None:
        """The pod names `count` networks: net-1 of one plugin, net-2 of two, net-3 of one, ..."""
        self.pod(",".join(f"net-{number}" for number in range(1, count + 1)))
        for number in range(1, count + 1):
            chain = [plugin("macvlan", **keys)] + [plugin("tuning")] * (number % 2 == 0)
            self.nad(network(f"net-{number}", *chain))

    def call(self, verb: str, *, uid: str = "uid-1", conf: Json | None = None, **environ: str) -> Call:
        """The call as a runtime makes it."""
        args = f"IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web;K8S_POD_UID={uid}"
        given = environment.from_environ(
            {
                "CNI_COMMAND": verb,
                "CNI_CONTAINERID": CONTAINER,
                "CNI_NETNS": NETNS,
                "CNI_IFNAME": "eth0",
                "CNI_PATH": "/opt/cni/bin",
                "CNI_ARGS": args,
                **environ,
            }
        )
        pairs = arguments.parse(given.args)
        read = netconf.loads(json.dumps({**self.conf, **(conf or {})}).encode())
        budgets = {"ADD": read.add_timeout, "DEL": read.delete_timeout, "STATUS": read.status_verb_timeout}
        deadline = self.clock.now + budgets.get(verb, read.gc_timeout)
        return Call(given, pairs, arguments.pod(pairs), read, ":".join(given.path), deadline)

    def run(self, verb: str, *, ports: Ports | None = None, **keys: Any) -> Any:
        """Carry it out."""
        return VERBS[verb](self.call(verb, **keys), ports or self.ports)

    def add(self, **keys: Any) -> Result:
        """ADD; its answer."""
        result: Result = self.run("ADD", **keys)
        return result

    def add_fails(self, **keys: Any) -> errors.CniError:
        """ADD; its error."""
        return self.fails("ADD", **keys)

    def fails(self, verb: str, **keys: Any) -> errors.CniError:
        """The error that the verb ends in."""
        try:
            self.run(verb, **keys)
        except errors.CniError as error:
            return error
        raise AssertionError(f"{verb} succeeded")

    def record(self, container: str = CONTAINER) -> Record | None:
        """What is on record."""
        return self.records.load(container, "eth0")

    def status(self) -> list[Json]:
        """The network-status that was written last."""
        found: list[Json] = json.loads(self.cluster.statuses[-1].status)
        return found

    def is_clean(self) -> bool:
        """Whether nothing of any sandbox is left: not in plugins, not in namespaces, not on disk."""
        links = [link.name for one in self.netlink.namespaces.values() for link in one.links if link.name != "lo"]
        on_disk = [*self.records.files, *self.results.kept]
        return not (self.plugins.held or links or on_disk or self.netlink.open_sockets)

    def order(self, verb: str) -> list[tuple[str, str]]:
        """(plugin, interface) of every call of `verb`, in order."""
        return [(kind, ifname) for command, kind, ifname in self.plugins.order if command == verb]
