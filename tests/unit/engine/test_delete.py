"""DEL: everything is detached with what ADD was given, from the record, the cached results, or what is left."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

from multus import errors
from multus.testing import executor
from unit.engine import world
from unit.engine.world import CODE, CONTAINER, NETNS, Node

if TYPE_CHECKING:
    from multus.cni.rawjson import Json

GUID = "24:8a:07:03:00:8d:ae:2f"
PORTS = [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]


def attached(count: int = 2, **conf: Any) -> Node:
    """A node whose pod has `count` networks beside the default one."""
    one = Node(**conf)
    one.wants(count)
    one.add()
    return one


def test_reverse_order() -> None:
    """The last attachment first, and of each the last plugin first; the default network last of all."""
    one = attached()
    one.run("DEL")
    assert one.order("DEL") == [("tuning", "net2"), ("macvlan", "net2"), ("macvlan", "net1"), ("bridge", "eth0")]
    assert one.is_clean()


def test_no_api_server() -> None:
    """With a record neither the pod nor a definition is looked up."""
    one = attached()
    one.cluster.calls.clear()
    one.run("DEL")
    assert one.cluster.calls == []


def rich() -> Node:
    """A pod that asks for everything there is, on networks that declare it."""
    declared = {"capabilities": dict.fromkeys(["ips", "mac", "portMappings", "bandwidth", "infinibandGUID"], True)}
    one = Node(
        default=world.network("cluster", world.plugin("bridge", capabilities={"portMappings": True, "new": True})),
        runtimeConfig={"portMappings": [{"hostPort": 80, "containerPort": 80}], "new": {"a": 1}},
    )
    one.nad(world.network("net-a", world.plugin("macvlan", **declared), world.plugin("portmap", **declared)))
    one.pod(
        [
            {
                "name": "net-a",
                "interface": "data0",
                "ips": ["10.5.0.9/24"],
                "mac": "02:23:45:67:89:01",
                "infiniband-guid": GUID,
                "portMappings": PORTS,
                "bandwidth": {"ingressRate": 1000, "ingressBurst": 10},
                "cni-args": {"colour": "green"},
            }
        ]
    )
    return one


@pytest.mark.parametrize("verb", ["DEL", "CHECK"])
def test_given_what_add_was_given(verb: str) -> None:
    """CNI_ARGS, runtimeConfig with port mappings and bandwidth, cni-args, and the final result of ADD."""
    one = rich()
    one.add(CNI_ARGS="IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web;K8S_POD_UID=uid-1;EXTRA=x")
    one.cluster.pods.clear()
    one.run(verb)
    added = {call.plugin: call for call in one.plugins.calls if call.environ["CNI_COMMAND"] == "ADD"}
    later = {call.plugin: call for call in one.plugins.calls if call.environ["CNI_COMMAND"] == verb}
    assert set(later) == {"bridge", "macvlan", "portmap"}
    for kind, call in later.items():
        assert {**call.environ, "CNI_COMMAND": "ADD"} == added[kind].environ
        then, now = executor.config_of(added[kind]), executor.config_of(call)
        then.pop("prevResult", None)
        assert now.pop("prevResult")["ips"]
        assert now == then
    runtime = executor.config_of(later["portmap"])["runtimeConfig"]
    assert set(runtime) == {"ips", "mac", "portMappings", "bandwidth", "infinibandGUID"}
    assert executor.config_of(later["bridge"])["runtimeConfig"]["new"] == {"a": 1}
    assert "MAC=02:23:45:67:89:01;IP=10.5.0.9/24" in later["macvlan"].environ["CNI_ARGS"]


def test_given_what_add_was_given_without_record() -> None:
    """The cached results alone say the same."""
    one = rich()
    one.add()
    one.records.files.clear()
    one.run("DEL", conf={"runtimeConfig": {}})
    portmap, bridge = (
        executor.config_of(next(call for call in one.plugins.calls if _is(call, "DEL", kind)))
        for kind in ("portmap", "bridge")
    )
    assert portmap["runtimeConfig"]["portMappings"] == PORTS
    assert bridge["runtimeConfig"]["portMappings"] == [{"hostPort": 80, "containerPort": 80}]
    assert one.is_clean()


def _is(call: Any, verb: str, kind: str) -> bool:
    return bool(call.environ["CNI_COMMAND"] == verb and call.plugin == kind)


def test_previous_result_by_version() -> None:
    """prevResult is handed to DEL since CNI 0.4.0 only."""
    one = Node(default=world.network("cluster", version="0.3.1"))
    one.pod("net-a")
    one.nad(world.network("net-a", world.plugin("macvlan"), version="0.4.0"))
    one.add()
    one.run("DEL")
    given = {conf["name"]: "prevResult" in conf for conf in one.plugins.configs("DEL")}
    assert given == {"net-a": True, "cluster": False}


def test_sandbox_gone() -> None:
    """The namespace may be gone already, or CNI_NETNS empty: plugins are told so by an empty CNI_NETNS."""
    for given in (NETNS, ""):
        one = attached(1)
        if given:
            del one.netlink.namespaces[NETNS]
        one.run("DEL", CNI_NETNS=given)
        netns = [call.environ["CNI_NETNS"] for call in one.plugins.calls if call.environ["CNI_COMMAND"] == "DEL"]
        assert netns == ["", ""]
        assert not one.plugins.held


def test_sandbox_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many networks there are, one question finds out whether the namespace lives: it may be a round trip."""
    one = attached(3)
    asked: list[str] = []
    exists = one.plugins.exists

    def counted(path: str) -> bool:
        asked.append(path)
        return exists(path)

    monkeypatch.setattr(one.plugins, "exists", counted)
    one.run("DEL")
    assert asked == [NETNS]
    assert not one.plugins.held


PLUGINS = [("eth0", "bridge"), ("net1", "macvlan"), ("net2", "macvlan"), ("net2", "tuning")]


@pytest.mark.parametrize(("ifname", "kind"), PLUGINS)
def test_one_fails(ifname: str, kind: str) -> None:
    """All others are detached; the error keeps its code and names pod, network and interface; the undone part stays on
    record, durable, and the runtime's retry finishes just that."""
    one = attached()
    one.plugins.broken.add(("DEL", ifname, kind))
    error = one.fails("DEL")
    assert error.code == CODE
    assert error.details == "it is broken"
    name = {"eth0": "cluster", "net1": "default/net-1", "net2": "default/net-2"}[ifname]
    for part in ("[default/web/uid-1]", f"network {name}, interface {ifname}", f'type="{kind}" failed (delete)'):
        assert part in error.message
    assert {ifname_ for _, ifname_ in one.order("DEL")} == {"eth0", "net1", "net2"}
    assert {held.ifname for held in one.plugins.held} == {ifname}
    record = one.record()
    assert record is not None
    assert [entry.ifname for entry in record.entries] == [ifname]
    assert one.records.durable == one.records.files
    one.plugins.broken.clear()
    one.plugins.calls.clear()
    one.run("DEL")
    assert {ifname_ for _, ifname_ in one.order("DEL")} == {ifname}
    assert all("prevResult" in conf for conf in one.plugins.configs("DEL"))
    assert one.is_clean()


def test_several_fail() -> None:
    """Every failure is in the message; the code is the first one's."""
    one = attached()
    one.plugins.answer("macvlan", "DEL", executor.failed(11, "busy"))
    one.plugins.answer("bridge", "DEL", executor.failed(12, "broken"))
    error = one.fails("DEL")
    assert error.code == 11
    for part in ("interface net2", "interface net1", "interface eth0", "busy", "broken"):
        assert part in error.message
    record = one.record()
    assert record is not None
    assert [entry.ifname for entry in record.entries] == ["eth0", "net1", "net2"]


def test_retry_is_not_wanted() -> None:
    """`retryDeleteOnError: false`: the record goes after the first attempt, which still reports."""
    one = attached(1, retryDeleteOnError=False)
    one.plugins.broken.add(("DEL", "net1", "macvlan"))
    assert one.fails("DEL").code == CODE
    assert not one.records.files


@pytest.mark.parametrize("verb", ["DEL", "CHECK"])
def test_another_call_is_busy(verb: str) -> None:
    """Two calls for one container never overlap: at the deadline the runtime is asked to retry."""
    one = attached(1)
    with one.records.lock(CONTAINER, 0.0):
        assert one.fails(verb).code == 11
    with one.records.lock("another", 0.0):
        one.run(verb)


# ── what is on disk is not what it was ──────────────────────────────────────────────────────────────────────────


def test_again() -> None:
    """A second DEL succeeds: the runtime may call it as often as it likes."""
    one = attached()
    one.run("DEL")
    one.run("DEL")
    assert one.is_clean()


def test_record_lost() -> None:
    """The cached results stand in, the last written first; even when the pod is gone."""
    one = attached()
    one.records.files.clear()
    one.cluster.pods.clear()
    one.run("DEL")
    assert [ifname for _, ifname in one.order("DEL")] == ["net2", "net2", "net1", "eth0"]
    assert one.is_clean()


def test_results_know_more() -> None:
    """An attachment that only the results know (made after ADD) is detached too."""
    one = attached(1)
    known = one.results.kept["net-1", CONTAINER, "net1"]
    assert known.config is not None
    config = known.config._replace(name="hot", raw={**known.config.raw, "name": "hot"})
    one.results.save(known._replace(network="hot", ifname="net9", config=config))
    one.run("DEL")
    assert [ifname for _, ifname in one.order("DEL")] == ["net9", "net1", "eth0"]
    assert one.is_clean()


@pytest.mark.parametrize("content", ["", "[]", "null", "{", "[null]", '[{"Bytes": 5}]', '"text"', "[[]]", "\0"])
def test_record_damaged(content: str) -> None:
    """It is set aside, and the results stand in."""
    one = attached()
    one.records.files[CONTAINER] = content.encode()
    one.run("DEL")
    assert one.records.damaged == {CONTAINER: content.encode()}
    assert one.is_clean()


def test_both_lost_and_pod_gone() -> None:
    """Only the default network is known then: it is detached."""
    one = attached(1)
    one.records.files.clear()
    one.results.kept.clear()
    one.cluster.pods.clear()
    one.run("DEL")
    assert one.order("DEL") == [("bridge", "eth0")]


def test_both_lost_and_pod_alive() -> None:
    """The live pod has the call's UID: its networks are resolved again and all of them detached."""
    one = attached(1)
    one.records.files.clear()
    one.results.kept.clear()
    one.run("DEL")
    assert one.order("DEL") == [("macvlan", "net1"), ("bridge", "eth0")]
    assert not one.plugins.held


@pytest.mark.parametrize(
    ("pod", "uid"),
    [({"uid": "uid-2"}, "uid-1"), ({"uid": "uid-2"}, ""), ({}, "uid-2")],
    ids=["successor", "no-uid-known", "predecessor"],
)
def test_pod_of_another_uid(pod: Json, uid: str) -> None:
    """A pod of the same name that is not surely this one: its secondary networks are not touched."""
    one = Node()
    one.wants(1)
    one.pod("net-1", **pod)
    one.run("DEL", uid=uid)
    assert one.order("DEL") == [("bridge", "eth0")]


def test_static_pod() -> None:
    """A static pod has another UID in the API than the runtime's: it is taken by its name."""
    one = Node()
    one.wants(1)
    one.pod("net-1", uid="mirror", static=True)
    one.run("DEL")
    assert one.order("DEL") == [("macvlan", "net1"), ("bridge", "eth0")]


def test_api_server_away() -> None:
    """DEL never needs it."""
    one = Node()
    one.wants(1)
    one.cluster.fail("pod", errors.ClusterError("connection refused"))
    one.run("DEL")
    assert one.order("DEL") == [("bridge", "eth0")]


@pytest.mark.parametrize("annotation", ["[null]", "net-1,missing", '[{"name": "net-1", "interface": "eth0"}]', "//"])
def test_networks_that_were_refused(annotation: str) -> None:
    """ADD refused the annotation, nothing was attached, DEL succeeds and asks nothing of networks never added."""
    one = Node()
    one.wants(1)
    one.pod(annotation)
    one.add_fails()
    one.run("DEL")
    assert ("macvlan", "net1") not in one.order("DEL")
    assert one.is_clean()


@pytest.mark.parametrize("annotation", ["[null]", "missing", '[{"name": "net-1", "interface": "eth0"}]'])
def test_default_network_is_always_detached(annotation: str) -> None:
    """Both lost, the pod alive but its networks not to be resolved: the default network is detached at least."""
    one = Node()
    one.wants(1)
    one.add()
    one.pod(annotation)
    one.records.files.clear()
    one.results.kept.clear()
    one.run("DEL")
    assert one.order("DEL") == [("bridge", "eth0")]


def test_nothing_configured_any_more() -> None:
    """No record, no results, no default network to be found: nothing was ever attached."""
    one = Node(clusterNetwork="gone")
    one.pod()
    one.run("DEL")
    assert not one.plugins.calls


def test_plugin_uninstalled_and_never_attached() -> None:
    """No record, and the default network's plugin is not there (any more): nothing to be done."""
    one = Node()
    one.plugins.answer("bridge", "DEL", errors.PluginNotFound("failed to find plugin"))
    one.run("DEL")


def test_default_network_fails_without_record() -> None:
    """Where the default network is all that is known, its failure is still reported."""
    one = Node()
    one.plugins.broken.add(("DEL", "eth0", "bridge"))
    assert one.fails("DEL").code == CODE


def upstreams(*elements: Json) -> bytes:
    """A record as upstream writes it."""
    return json.dumps(
        [
            {
                "Conf": {"name": conf["name"], "type": conf.get("type", ""), "ipam": {}, "dns": {}},
                "ConfList": {},
                "Name": name,
                "ifnameRequest": "",
                **asked,
                "Bytes": base64.b64encode(json.dumps(conf).encode()).decode(),
            }
            for name, conf, asked in ((one["name"], one["conf"], one.get("asked", {})) for one in elements)
        ]
    ).encode()


def test_record_of_upstreams() -> None:
    """A pod that upstream attached is detached by us: names, requests and the call's own CNI_ARGS."""
    one = Node()
    one.records.files[CONTAINER] = upstreams(
        {"name": "cluster", "conf": world.network("cluster")},
        {
            "name": "default/net-a",
            "conf": world.network("net-a", world.plugin("macvlan", capabilities={"ips": True, "mac": True})),
            "asked": {"ipRequest": ["10.5.0.9/24"], "macRequest": "02:23:45:67:89:01", "IsFilterV4Gateway": True},
        },
    )
    one.run("DEL")
    assert one.order("DEL") == [("macvlan", "net1"), ("bridge", "eth0")]
    assert one.plugins.configs("DEL")[0]["runtimeConfig"] == {"mac": "02:23:45:67:89:01", "ips": ["10.5.0.9/24"]}
    assert "K8S_POD_NAME=web" in one.plugins.calls[0].environ["CNI_ARGS"]
    assert one.is_clean()
