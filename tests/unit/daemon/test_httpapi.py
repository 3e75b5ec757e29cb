"""The HTTP API, asked by upstream's clients as they are."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from multus.testing import executor
from unit.daemon import clients
from unit.daemon.clients import Controller, ShimError, UpstreamShim
from unit.daemon.servers import Server
from unit.engine import world
from unit.engine.world import CODE, CONTAINER, NETNS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from multus.cni.rawjson import Json

pytestmark = pytest.mark.api

ENV = {
    "CNI_CONTAINERID": CONTAINER,
    "CNI_NETNS": NETNS,
    "CNI_IFNAME": "eth0",
    "CNI_PATH": "/opt/cni/bin",
    "CNI_ARGS": "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web;K8S_POD_UID=uid-1",
}
EXTRA = world.network("extra", world.plugin("macvlan"), version="1.0.0")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    one = Server(tmp_path)
    yield one
    if one.agent is not None:
        one.agent.free.set()
    one.stop()


def shim(server: Server, command: str, **env: str) -> UpstreamShim:
    return UpstreamShim(server.socket, {**ENV, "CNI_COMMAND": command, **env}, server.node.conf)


def controller(server: Server) -> Controller:
    return Controller(server.socket, CONTAINER, NETNS)


def told(reply: clients.Reply) -> Json:
    found: Json = json.loads(reply.body)
    return found


def post(server: Server, env: Json, config: Any = None, path: str = "/cni", **keys: Any) -> clients.Reply:
    body = clients.body_of(env, server.node.conf if config is None else config, **keys)
    return clients.ask(server.socket, "POST", path, body)


# ── paths and methods ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health(server: Server, method: str, path: str) -> None:
    """Both are empty and 200, by GET and by POST, with and without a body."""
    for body in (None, b"null"):
        reply = clients.ask(server.socket, method, path, body)
        assert (reply.status, reply.body) == (200, b"")
        assert reply.headers["connection"] == "close"


def test_not_ready(server: Server) -> None:
    """From SIGTERM on /readyz is 500; the process is healthy still."""
    server.ready = False
    assert clients.ask(server.socket, "POST", "/readyz", b"null").status == 500
    assert clients.ask(server.socket, "GET", "/healthz").status == 200


@pytest.mark.parametrize(("method", "path"), [("GET", "/cni"), ("PUT", "/delegate"), ("DELETE", "/healthz")])
def test_wrong_method(server: Server, method: str, path: str) -> None:
    """405 with upstream's words."""
    reply = clients.ask(server.socket, method, path)
    assert (reply.status, reply.body) == (405, b"Method not allowed\n")
    assert reply.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize("path", ["/", "/cni/", "/CNI", "/debug/pprof"])
def test_wrong_path(server: Server, path: str) -> None:
    """404, empty."""
    reply = clients.ask(server.socket, "POST", path, b"{}")
    assert (reply.status, reply.body) == (404, b"")


def test_modes(server: Server, tmp_path: Path) -> None:
    """The socket is root's alone, and so is its directory."""
    assert (tmp_path / "run" / "multus.sock").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "run").stat().st_mode & 0o777 == 0o700


# ── /cni, as upstream's shim asks ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("version", ["0.2.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"])
def test_add(server: Server, version: str) -> None:
    """The result is the default network's, always in 1.1.0; it is on record when it is told."""
    server.node.conf["cniVersion"] = version
    server.node.conf["delegates"] = [world.network("cluster", version=version)]
    result = shim(server, "ADD").run()
    assert result is not None
    assert result["cniVersion"] == "1.1.0"
    assert result["ips"][0]["address"] == "10.1.0.2/16"
    assert server.on_record(CONTAINER) == ["eth0"]


def test_whole_life(server: Server) -> None:
    """ADD, CHECK, STATUS, GC and DEL of upstream's shim; only ADD is answered with something."""
    server.node.wants(2)
    assert shim(server, "ADD").run() is not None
    for command in ("CHECK", "STATUS"):
        assert shim(server, command).run() is None
    server.node.conf["cni.dev/valid-attachments"] = [{"containerID": CONTAINER, "ifname": "eth0"}]
    assert shim(server, "GC").run() is None
    reply = shim(server, "DEL").delete()
    assert (reply.status, reply.body) == (200, b"")
    assert server.on_record(CONTAINER) == []
    assert server.node.is_clean()


def test_waits_until_ready(server: Server) -> None:
    """The shim polls /readyz until the daemon is ready."""
    server.ready = False
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(shim(server, "ADD").run()))
    thread.start()
    while 'code="500",handler="/readyz"' not in server.metrics.exposition().body.decode():
        time.sleep(0.01)
    server.ready = True
    thread.join(30)
    assert results[0]["cniVersion"] == "1.1.0"


def test_plugin_error(server: Server) -> None:
    """A delegate's error keeps its code; the message names pod and network, and holds nothing of the configuration."""
    server.node.plugins.broken.add(("ADD", "eth0", "bridge"))
    with pytest.raises(ShimError, match=r"\[default/web/uid-1:cluster\]: error adding container to network") as caught:
        shim(server, "ADD").run()
    assert caught.value.code == CODE
    reply = post(server, {**ENV, "CNI_COMMAND": "ADD"})
    assert (reply.status, reply.headers["content-type"]) == (400, "application/json")
    assert list(told(reply)) == ["code", "msg", "details"]
    assert b"delegates" not in reply.body


def test_status_code(server: Server) -> None:
    """STATUS codes arrive."""
    server.node.plugins.answer("bridge", "STATUS", executor.failed(51, "pool is full"))
    with pytest.raises(ShimError, match="pool is full") as caught:
        shim(server, "STATUS").run()
    assert caught.value.code == 51


def test_failed_delete(server: Server) -> None:
    """A DEL that failed is never answered as if it had not, and the record stays."""
    shim(server, "ADD").run()
    server.node.plugins.broken.add(("DEL", "eth0", "bridge"))
    reply = shim(server, "DEL").delete()
    assert reply.status == 400
    assert told(reply)["code"] == CODE
    assert server.on_record(CONTAINER) == ["eth0"]


def test_defaults(server: Server) -> None:
    """Without CNI_IFNAME it is eth0; without CNI_PATH the daemon's binDir."""
    env = {key: value for key, value in ENV.items() if key not in ("CNI_IFNAME", "CNI_PATH")}
    assert post(server, {**env, "CNI_COMMAND": "ADD"}).status == 200
    assert server.on_record(CONTAINER) == ["eth0"]


def test_environment_stays_out(server: Server) -> None:
    """Of what the shim sends only CNI_* is used."""
    shim(server, "ADD").run()
    assert all(key.startswith("CNI_") for call in server.node.plugins.calls for key in call.environ)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"CNI_COMMAND": None}, "could not extract the CNI command args: unexpected or missing CNI_COMMAND"),
        ({"CNI_CONTAINERID": None}, "could not extract the CNI command args: missing CNI_CONTAINERID"),
        ({"CNI_NETNS": None}, "could not extract the CNI command args: missing CNI_NETNS"),
        ({"CNI_ARGS": None}, "could not extract the CNI command args: missing CNI_ARGS"),
        ({"CNI_ARGS": "K8S_POD_NAMESPACE=a;"}, "could not extract the kubernetes runtime args: invalid CNI_ARG ''"),
        ({"CNI_ARGS": "A=b=c"}, "could not extract the kubernetes runtime args: invalid CNI_ARG 'A=b=c'"),
        ({"CNI_ARGS": "K8S_POD_NAME=a"}, "could not extract the kubernetes runtime args: missing K8S_POD_NAMESPACE"),
        ({"CNI_ARGS": "K8S_POD_NAMESPACE=a"}, "could not extract the kubernetes runtime args: missing K8S_POD_NAME"),
        (
            {"CNI_ARGS": "K8S_POD_NAMESPACE=;K8S_POD_NAME=a"},
            "required CNI variable missing. pod name: a; pod namespace: ",
        ),
        ({"CNI_COMMAND": "FROB"}, "unknown cmd type: FROB"),
        ({"CNI_CONTAINERID": "../x"}, "invalid characters in containerID"),
        ({"CNI_IFNAME": "a/b"}, "interface name contains"),
        ({"CNI_NETNS": "/run/\0"}, "CNI_NETNS contains characters that are not allowed"),
        ({"CNI_IFNAME": 5}, "env: CNI_IFNAME must be a string"),
    ],
)
def test_bad_environment(server: Server, change: Json, message: str) -> None:
    """What upstream refuses, in its words; then nothing runs."""
    env = {**ENV, "CNI_COMMAND": "ADD", **change}
    reply = post(server, {key: value for key, value in env.items() if value is not None})
    assert reply.status == 400
    assert message in told(reply)["msg"]
    assert server.node.plugins.calls == []


@pytest.mark.parametrize("path", ["/cni", "/delegate"])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b'{"env": 5}',
        b'{"env": {"CNI_COMMAND": "STATUS"}, "config": "***"}',
        b'{"env": {"CNI_COMMAND": "STATUS"}, "config": 5}',
        b'{"env": {"CNI_COMMAND": "STATUS"}, "config": null}',
        b'{"env": {"CNI_COMMAND": "STATUS"}, "config": "bnVsbA=="}',
        b'{"env": {"CNI_COMMAND": "STATUS"}, "config": "e30="}',
        b'{"env": ' + b"[" * 100_000,
        b"\xff\xfe",
    ],
)
def test_bad_body(server: Server, path: str, body: bytes) -> None:
    """Whatever the body is, the answer is an error object, and the daemon lives on."""
    reply = clients.ask(server.socket, "POST", path, body)
    assert reply.status == 400
    assert told(reply)["msg"]
    assert clients.ask(server.socket, "GET", "/healthz").status == 200


# ── /delegate, as the dynamic-networks-controller asks ──────────────────────────────────────────────────────────


def test_attach(server: Server) -> None:
    """The result is 1.1.0 and has the interface in the sandbox, or the controller would not know it again."""
    shim(server, "ADD").run()
    result = controller(server).add("ens4", EXTRA)
    assert result["cniVersion"] == "1.1.0"
    assert result["interfaces"][0]["name"] == "ens4"
    assert result["interfaces"][0]["sandbox"] == NETNS
    assert server.on_record(CONTAINER) == ["eth0", "ens4"]


def test_attributes(server: Server) -> None:
    """Addresses, MAC and cni-args reach the plugin; cni-args null is none."""
    shim(server, "ADD").run()
    one = controller(server)
    one.add("ens4", EXTRA, ("10.9.9.9/24",), "02:03:04:05:06:07", {"k": "v"})
    environ = server.node.plugins.calls[-1].environ
    assert environ["CNI_ARGS"].endswith(";MAC=02:03:04:05:06:07;IP=10.9.9.9/24")
    assert server.node.plugins.configs("ADD")[-1]["args"] == {"cni": {"k": "v"}}
    one.add("ens5", {**EXTRA, "name": "more"}, ("10.9.9.10/24",))
    assert "args" not in server.node.plugins.configs("ADD")[-1]


@pytest.mark.parametrize(
    "attributes", [{"mac": "nonsense"}, {"ips": ["nonsense"]}, {"ips": "10.0.0.1"}, {"cni-args": 5}, {"mac": 5}]
)
def test_bad_attributes(server: Server, attributes: Json) -> None:
    """Refused before anything runs, naming the attribute."""
    env = {**ENV, "CNI_COMMAND": "ADD", "CNI_IFNAME": "ens4"}
    reply = post(server, env, EXTRA, "/delegate", attributes=attributes)
    assert reply.status == 400
    assert f"interfaceAttributes: {next(iter(attributes))}" in told(reply)["msg"]
    assert server.node.plugins.calls == []


def test_own_configuration(server: Server) -> None:
    """The keys that the daemon lays over Multus' configuration never reach a delegate."""
    shim(server, "ADD").run()
    controller(server).add("ens4", EXTRA)
    assert server.node.plugins.configs("ADD")[-1] == EXTRA


def test_conflist(server: Server) -> None:
    """A list runs whole, for ADD, CHECK and DEL."""
    shim(server, "ADD").run()
    chain = world.network("extra", world.plugin("macvlan"), world.plugin("tuning"))
    one = controller(server)
    one.add("ens4", chain)
    assert post(server, {**ENV, "CNI_COMMAND": "CHECK", "CNI_IFNAME": "ens4"}, chain, "/delegate").status == 200
    one.remove("ens4", chain)
    assert server.node.order("CHECK") == [("macvlan", "ens4"), ("tuning", "ens4")]
    assert server.node.order("DEL") == [("tuning", "ens4"), ("macvlan", "ens4")]


def test_remove(server: Server) -> None:
    """DEL is answered empty, and the attachment leaves the record."""
    shim(server, "ADD").run()
    one = controller(server)
    one.add("ens4", EXTRA)
    one.remove("ens4", EXTRA)
    assert server.on_record(CONTAINER) == ["eth0"]


def test_torn_down_with_the_pod(server: Server) -> None:
    """The pod's DEL detaches what was plugged."""
    shim(server, "ADD").run()
    controller(server).add("ens4", EXTRA)
    assert shim(server, "DEL").delete().status == 200
    assert server.node.order("DEL") == [("macvlan", "ens4"), ("bridge", "eth0")]
    assert server.node.is_clean()


def test_remove_fails(server: Server) -> None:
    """A failed DEL is told."""
    shim(server, "ADD").run()
    one = controller(server)
    one.add("ens4", EXTRA)
    server.node.plugins.broken.add(("DEL", "ens4", "macvlan"))
    with pytest.raises(ShimError, match="status 400") as caught:
        one.remove("ens4", EXTRA)
    assert '"code":1234' in str(caught.value)
    assert server.on_record(CONTAINER) == ["eth0", "ens4"]


def test_delegate_status(server: Server) -> None:
    """STATUS asks that network's plugins; it needs no pod."""
    server.node.plugins.answer("macvlan", "STATUS", executor.failed(50, "down"))
    reply = post(server, {"CNI_COMMAND": "STATUS"}, world.network("extra", world.plugin("macvlan")), "/delegate")
    assert (reply.status, told(reply)["code"]) == (400, 50)


def test_delegate_gc(server: Server) -> None:
    """GC is not of this path."""
    reply = post(server, {"CNI_COMMAND": "GC"}, EXTRA, "/delegate")
    assert (reply.status, told(reply)["msg"]) == (400, "unknown cmd type: GC")


def test_host_namespace(server: Server) -> None:
    """The host's own network namespace is no sandbox; the refusal names the pod, the network and the interface."""
    server.node.netlink.host.add(NETNS)
    with pytest.raises(ShimError, match=r"\[default/web/uid-1:extra\]: interface ens4: ") as caught:
        controller(server).add("ens4", EXTRA)
    assert '"code":8' in str(caught.value)


def test_no_network_name(server: Server) -> None:
    """A delegate without a name could never be found again."""
    with pytest.raises(ShimError, match="missing network name"):
        controller(server).add("ens4", {"cniVersion": "1.0.0", "type": "macvlan"})


# ── without hands ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("command", "code"), [("ADD", 11), ("CHECK", 11), ("GC", 11), ("STATUS", 50)])
def test_no_hands(server: Server, command: str, code: int) -> None:
    """Refused at once, saying what to do about it."""
    server.agent = None
    with pytest.raises(ShimError, match="--agent") as caught:
        shim(server, command).run()
    assert caught.value.code == code
    assert server.owed.count == 0


def test_owed(server: Server) -> None:
    """A DEL of what is on record is kept, not answered as if it were done, and carried out when hands come."""
    server.node.wants(1)
    shim(server, "ADD").run()
    hands, server.agent = server.agent, None
    reply = shim(server, "DEL").delete()
    assert (reply.status, told(reply)["code"]) == (400, 11)
    assert server.owed.count == 1
    assert server.on_record(CONTAINER) == ["eth0", "net1"]
    assert hands is not None
    assert server.owed.carry_out(hands) == 1
    assert server.node.is_clean()
    assert server.on_record(CONTAINER) == []
    assert server.owed.count == 0


def test_nothing_to_owe(server: Server) -> None:
    """A DEL of a sandbox nothing is known of succeeds: there is nothing to do."""
    server.agent = None
    assert shim(server, "DEL").delete().status == 200
    assert server.owed.count == 0


def test_delegate_is_not_owed(server: Server) -> None:
    """A hot unplug is refused: who asked may change their mind, and the pod's DEL tears it down anyway."""
    shim(server, "ADD").run()
    controller(server).add("ens4", EXTRA)
    server.agent = None
    with pytest.raises(ShimError, match='"code":11'):
        controller(server).remove("ens4", EXTRA)
    assert server.owed.count == 0


# ── at the limit ────────────────────────────────────────────────────────────────────────────────────────────────


def test_all_workers_busy(tmp_path: Path) -> None:
    """While calls use every thread there is, health and metrics are answered, and the next call waits its turn."""
    one = Server(tmp_path, workers=1)
    assert one.agent is not None
    one.agent.free.clear()
    threads = [threading.Thread(target=shim(one, "STATUS").run) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert one.agent.entered.acquire(timeout=30)
    for method, path in (("GET", "/healthz"), ("POST", "/readyz"), ("GET", "/metrics")):
        assert clients.ask(one.socket, method, path).status == 200
    one.agent.free.set()
    for thread in threads:
        thread.join(30)
    assert len(one.node.order("STATUS")) == 2
    assert one.stop()


# ── metrics ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_metrics(server: Server) -> None:
    """The socket shows them too; every request is counted as upstream counts it."""
    shim(server, "ADD").run()
    clients.ask(server.socket, "GET", "/nowhere")
    clients.ask(server.socket, "PUT", "/cni")
    text = clients.ask(server.socket, "GET", "/metrics").body.decode()
    for line in (
        'multus_server_request_total{code="200",handler="/cni",method="post"} 1.0',
        'multus_server_request_total{code="200",handler="/readyz",method="post"} 1.0',
        'multus_server_request_total{code="404",handler="NotFound",method="get"} 1.0',
        'multus_server_request_total{code="405",handler="/cni",method="put"} 1.0',
        'multus_call_duration_seconds_count{outcome="success",verb="ADD"} 1.0',
    ):
        assert line in text
