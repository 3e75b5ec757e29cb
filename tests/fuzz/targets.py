"""What is fuzzed. A target takes its case (text by name) and raises errors.CniError, or nothing; anything else that
comes out of it is a finding."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from fuzz import corpus, devicetargets
from multus import errors, serving
from multus.cni import arguments, config, environment, execution, invoke, rawjson, results, versions
from multus.cni.arguments import PodArgs
from multus.cni.invoke import PluginCall, PluginExit
from multus.engine import add, check, delete, gc, status
from multus.engine.call import Call, Ports
from multus.networks import delegates, nad, netconf, outcome, plan, record, routes, selection
from multus.networks import status as network_status
from multus.networks.nad import Nad
from multus.networks.plan import Attachment
from multus.networks.routes import KernelRoute, Link, RoutePlan
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
    from collections.abc import Callable, Sequence

    from multus.cni.rawjson import Json
    from multus.cni.results import Result

    Case = dict[str, str]

POD = PodArgs("default", "web", "sandbox-1", "uid-1")
NETNS = "/run/netns/one"

#: Characters; what a plugin printed may be quoted in it once.
LONGEST_MESSAGE = 10_000


class Target(NamedTuple):
    """`seeds` are the valid texts of each part of a case."""

    run: Callable[[Case], None]
    seeds: dict[str, Sequence[str]]


def told(error: errors.CniError) -> None:
    """An error can be printed to the runtime, and is one line."""
    json.loads(rawjson.encode(error.as_object("1.1.0")))
    assert "\n" not in str(error), "the message is more than a line"
    assert len(error.message) < LONGEST_MESSAGE, "the message is a dump"


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape") if text.isascii() or not _wild(text) else b"\xff" + text[:0].encode()


def _wild(text: str) -> bool:
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return True
    return False


# ── single functions ────────────────────────────────────────────────────────────────────────────────────────────


def _annotation(case: Case) -> None:
    elements = selection.parse(case["text"], "default")
    made = [_delegate(element) for element in elements]
    conf = netconf.loads(b'{"name": "m", "clusterNetwork": "c", "delegateConcurrency": "auto"}')
    planned = plan.make([_default(), *made], conf=conf, runtime_ifname="eth0", pod_args=POD, args=())
    record.decode(record.encode(record.from_plan(planned, NETNS, POD)), "eth0")


def _default() -> delegates.Delegate:
    return delegates.static({"name": "cluster", "type": "bridge"}, master=True)


def _delegate(element: selection.Selection) -> delegates.Delegate:
    found = config.loads(corpus.CONFIGURATIONS[0], "corpus")
    return delegates.from_nad(Nad(element.namespace, element.name), found, element)


def _default_annotation(case: Case) -> None:
    selection.parse_default(case["text"], "kube-system")


def _definition(case: Case) -> None:
    found = nad.config_of(Nad("default", "net-a", case["text"]))
    if found is None:
        return
    element = selection.Selection("net-a", "default", cni_args={"a": 1})
    made = delegates.from_nad(Nad("default", "net-a"), found, element)
    delegates.refuse_self(made)
    for plugin in made.config.plugins:
        config.request(made.config, plugin, capability_args={"ips": ["10.1.1.1"]})
    again = config.loads(config.encode(found), "again")
    assert again.raw == found.raw, "not lossless"


def _conf(case: Case) -> None:
    netconf.loads(_raw(case["text"]))


def _result(case: Case) -> None:
    result = results.parse(_raw(case["text"]), "1.0.0", "result")
    for version in versions.SUPPORTED:
        results.as_version(result, version)
    outcome.answer(result, "0.2.0")
    told_status = network_status.entries([(Attachment(_default(), "eth0", (), {}), result)])
    network_status.render(told_status)
    _rerouted(result)


def _rerouted(result: Result) -> None:
    """With a default route taken away, and with one given."""
    links = [Link(2, "eth0", "", 1500)]
    real = [KernelRoute("4", "", "10.9.9.9", 2, 0, 3, 0, 254)]
    for held in ([], real):
        wanted = RoutePlan((routes.Gateway(0, "4", "10.9.9.9"),))
        (settled,) = routes.outcome(wanted, ["eth0"], [result], held, links)
        results.parse(settled.raw, settled.cni_version, "settled")


def _record(case: Case) -> None:
    found = record.decode(_raw(case["text"]), "eth0")
    assert record.decode(record.encode(found), "eth0") == found, "not the same when read again"


def _arguments(case: Case) -> None:
    pairs = arguments.parse(case["text"])
    pod = arguments.pod(pairs)
    given = arguments.for_delegate(pairs, pod, "02:23:45:67:89:01", ["10.1.1.1"])
    assert len(dict(given)) == len(given), "a key twice"
    assert arguments.parse(arguments.render(given)) == given


def _environment(case: Case) -> None:
    given = rawjson.loads_object(case["text"], "environment")
    environment.from_environ({key: value for key, value in given.items() if isinstance(value, str)})


def _plugin(case: Case) -> None:
    """What a plugin prints, however it ends."""
    call = PluginCall("bridge", {}, b"{}", 0.0)
    out = _raw(case["text"])
    for exit_status in (1, -9, 0):
        try:
            invoke.output(call, PluginExit(exit_status, out, out))
        except errors.CniError as error:
            told(error)
    plugins = FakeExecutor()
    plugins.answer("bridge", "VERSION", PluginExit(0, out, b""))
    execution.version("bridge", "/opt/cni/bin", plugins, 0.0)


# ── whole calls ─────────────────────────────────────────────────────────────────────────────────────────────────


class _Plugins(FakeExecutor):
    """Plugins that hold what they were asked for until DEL, and make their interface."""

    def __init__(self, namespace: FakeNamespace, said: bytes) -> None:
        super().__init__()
        self.held: set[tuple[str, str, str]] = set()
        self._namespace = namespace
        self._said = said

    def succeed(self, call: PluginCall) -> PluginExit:
        """As a plugin would; the one called `odd` prints what it likes."""
        verb, ifname = call.environ["CNI_COMMAND"], call.environ["CNI_IFNAME"]
        key = (executor.config_of(call)["name"], ifname, call.plugin)
        if verb == "DEL":
            self.held.discard(key)
            self._namespace.remove_link(ifname)
        if verb == "ADD":
            self.held.add(key)
            if all(link.name != ifname for link in self._namespace.links):
                link = self._namespace.add_link(ifname)
                if not self._namespace.defaults():
                    self._namespace.add_default("4", "10.1.0.1", link.number)
            if call.plugin == "odd":
                return PluginExit(0, self._said, b"")
        return super().succeed(call)


class _World:
    def __init__(self, case: Case) -> None:
        netlink = FakeNetlink()
        netlink.namespaces[NETNS] = FakeNamespace()
        self.plugins = _Plugins(netlink.namespaces[NETNS], _raw(case.get("result", "{}")))
        self.cluster = FakeCluster()
        self.records = FakeRecords()
        self.results = FakeResults()
        files = FakeConfFiles()
        files.add('{"cniVersion": "1.1.0", "name": "cluster", "type": "bridge"}')
        files.add('{"cniVersion": "1.1.0", "name": "x", "plugins": [{"type": "ptp"}]}', "/etc/cni/net.d/10-x.conflist")
        self.later: list[Callable[[], None]] = []
        self.clock = FakeClock()
        self.ports = Ports(
            executor=self.plugins,
            cluster=self.cluster,
            records=self.records,
            results=self.results,
            conf_files=files,
            netlink=netlink,
            devices=FakeDevices(),
            clock=self.clock,
            later=self.later.append,
        )

    def check_clean(self) -> None:
        """Nothing is attached, nothing on disk."""
        assert not self.plugins.held, f"still attached: {self.plugins.held}"
        assert not self.records.files, "still on record"
        assert not self.results.kept, "results are left"

    def call(self, verb: str, conf: bytes, args: str = corpus.ARGS[0]) -> Call:
        given = environment.Environment(verb, "sandbox-1", NETNS, "eth0", args, ("/opt/cni/bin",))
        pairs = arguments.parse(args)
        return Call(given, pairs, arguments.pod(pairs), netconf.loads(conf), "/opt/cni/bin", self.clock.now + 200)


def _engine(case: Case) -> None:
    """ADD, CHECK and DEL of a pod whose annotation, definitions, configuration and plugin are hostile."""
    world = _World(case)
    annotations = {selection.NETWORKS: case["annotation"]}
    if len(case["default"]) % 3 == 0:
        annotations[selection.DEFAULT_NETWORK] = case["default"]
    world.cluster.add_pod("web", annotations=annotations)
    for name, text in (("net-a", case["nad"]), ("net-b", case["nad"].replace("macvlan", "odd"))):
        for namespace in ("default", "other", "kube-system"):
            world.cluster.add_network(name, text, namespace)
    conf = _raw(case["conf"])
    call = world.call("ADD", conf, case["args"])
    try:
        add.run(call, world.ports)
    except errors.CniError as error:
        told(error)
        world.check_clean()
        return
    for work in world.later:
        work()
    try:
        check.run(call, world.ports)
    except errors.CniError as error:
        told(error)
    delete.run(call, world.ports)
    world.check_clean()


def _recorded(case: Case) -> None:
    """CHECK, GC, DEL and STATUS with a record that anything may have written."""
    for verb in (check.run, gc.run, delete.run, status.run):
        world = _World(case)
        world.records.files["sandbox-1"] = world.records.files["sandbox-2"] = _raw(case["record"])
        conf = {**corpus.MULTUS, "cni.dev/valid-attachments": [{"containerID": "sandbox-1", "ifname": "eth0"}]}
        try:
            verb(world.call("DEL", json.dumps(conf).encode()), world.ports)
        except errors.CniError as error:
            told(error)


class _Host:
    """A runtime's request to the node of `_World`."""

    def __init__(self, world: _World) -> None:
        self._world = world

    def configuration(self, raw: Json) -> Json:
        """Nothing is laid over it."""
        return raw

    def begin(self, request: environment.Environment, conf: netconf.MultusConf) -> None:
        """Nothing is refused."""

    def deadline(self, budget: float) -> float:
        """By the fake clock."""
        return self._world.clock.now + budget

    def ports(self, call: Call) -> Ports:
        """The fakes."""
        return self._world.ports


def _call(case: Case) -> None:
    """From environment and stdin to what is printed: always an answer, and never a defect of ours."""
    given = rawjson.loads_object(case["environment"], "environment")
    environ = {key: value for key, value in given.items() if isinstance(value, str)}
    if "args" in case:
        environ["CNI_ARGS"] = case["args"]
    world = _World(case)
    world.cluster.add_pod("web")
    if len(case["conf"]) % 2:
        world.records.files["sandbox-1"] = corpus.RECORDS[0].encode()
    answer = serving.answer(environ, lambda: _raw(case["conf"]), _Host(world))
    if answer.status:
        found = json.loads(answer.stdout)
        assert "internal error" not in found["msg"], found
        assert set(found) <= {"cniVersion", "code", "msg", "details"}
        assert isinstance(found["code"], int)
        assert found["code"] > 0
        assert found["msg"].isprintable()
    elif environ.get("CNI_COMMAND") in ("ADD", "VERSION"):
        assert json.loads(answer.stdout)["cniVersion"]
    else:
        assert answer.stdout == b""


TARGETS = {
    "annotation": Target(_annotation, {"text": corpus.ANNOTATIONS}),
    "default annotation": Target(_default_annotation, {"text": corpus.ANNOTATIONS}),
    "definition": Target(_definition, {"text": corpus.CONFIGURATIONS}),
    "configuration": Target(_conf, {"text": corpus.CONFS}),
    "result": Target(_result, {"text": corpus.RESULTS}),
    "record": Target(_record, {"text": corpus.RECORDS}),
    "arguments": Target(_arguments, {"text": corpus.ARGS}),
    "environment": Target(_environment, {"text": corpus.ENVIRONMENTS}),
    "plugin": Target(_plugin, {"text": corpus.RESULTS}),
    "engine": Target(
        _engine,
        {
            "annotation": corpus.ANNOTATIONS,
            "default": corpus.ANNOTATIONS[:2],
            "nad": corpus.CONFIGURATIONS,
            "conf": corpus.CONFS,
            "result": corpus.RESULTS,
            "args": corpus.ARGS,
        },
    ),
    "call": Target(_call, {"environment": corpus.ENVIRONMENTS, "conf": corpus.CONFS, "args": corpus.ARGS}),
    "recorded": Target(_recorded, {"record": corpus.RECORDS}),
    "kubelet": Target(devicetargets.message, {"text": devicetargets.MESSAGES}),
    "checkpoint": Target(devicetargets.kept, {"text": devicetargets.CHECKPOINTS}),
    "claims": Target(
        devicetargets.claimed,
        {
            "pod": devicetargets.PODS,
            "claim": devicetargets.CLAIMS,
            "slices": devicetargets.SLICES,
            "group": devicetargets.GROUPS,
        },
    ),
    "device-info": Target(devicetargets.described, {"text": devicetargets.INFOS}),
}
