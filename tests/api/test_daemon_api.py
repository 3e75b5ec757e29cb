"""The whole daemon while its API server is slow, wrong or away: what is known goes on, DEL never needs it."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Any

import pytest

from support import faults
from support.apiserver import ApiServer, Fault, failing, status_object
from support.inside import inside
from support.runtime import NETNS_DIR, PluginError, Runtime, Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.netns, pytest.mark.api]

STATUS = "k8s.v1.cni.cncf.io/network-status"
NETWORKS = "k8s.v1.cni.cncf.io/networks"

#: More than a call can use up.
MANY = 200

EXPIRED = json.dumps({"type": "ERROR", "object": status_object(410, "Expired", "too old")}).encode() + b"\n"

#: Whatever is asked, for as long as they last.
ILLS = {
    "500": failing(500, "InternalError"),
    "429": failing(429, "TooManyRequests", retry_after="1"),
    "closes": Fault(act="close"),
    "resets": Fault(act="reset"),
    "half an answer": Fault(act="half"),
    "not JSON": Fault(200, b"<html>"),
}


class Node:
    """A daemon whose API server listens inside its host namespace."""

    def __init__(self, runtime: Runtime, server: ApiServer, directory: Path) -> None:
        self.runtime, self.server = runtime, server
        runtime.start_daemon(kubeconfig=server.write_kubeconfig(directory), nodeName="node1")
        self.up = True
        self.network("a", 11)
        self.pod = self.sandbox("pod", "a")
        self.known("pod", "a")

    def conf(self, **keys: Any) -> dict[str, Any]:
        return self.runtime.conf(**{"manifestsDir": "", "statusTimeout": 2, **keys})

    def network(self, name: str, number: int) -> None:
        ipam = self.runtime.host_local(f"10.{number}.0.0/24")
        config = {"cniVersion": "1.0.0", "type": "bridge", "bridge": f"br{number}", "ipam": ipam}
        self.server.add_network(name, json.dumps(config))

    def sandbox(self, name: str, networks: str) -> Sandbox:
        annotations = {NETWORKS: networks} if networks else {}
        made = self.server.add_pod(name, annotations=annotations, node="node1")
        return self.runtime.sandbox(name, uid=made["metadata"]["uid"])

    def known(self, name: str, networks: str) -> None:
        """Wait until the daemon's watches have told it of pod and networks: a call asks the server for neither."""

        def is_known() -> bool:
            probe = self.runtime.sandbox(name, uid=self.server.pods["default", name]["metadata"]["uid"])
            before = len(self.server.requests)
            self.runtime.add(probe, self.conf())
            asked = [path for verb, path in self.server.requests[before:] if verb == "GET" and "watch=" not in path]
            self.runtime.delete(probe, self.conf())
            return asked == []

        faults.wait_for(is_known, f"pod {name} and networks {networks} to be known")

    def away(self) -> None:
        """The server ends."""
        self.up = False
        self.server.__exit__(None, None, None)

    def everything_fails(self, fault: Fault) -> None:
        """From here on, until `recovers`."""
        self.server.script(*([fault] * MANY))
        self.server.drop_connections()

    def recovers(self) -> None:
        with self.server.lock:
            self.server._faults.clear()

    def asked_about(self, name: str) -> list[tuple[str, str]]:
        return [request for request in self.server.requests if f"/pods/{name}" in request[1]]

    def nothing_left(self) -> None:
        for sandbox in self.runtime.sandboxes:
            self.runtime.nothing_left(sandbox)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    runtime = Runtime(tmp_path)
    server = ApiServer()
    made = None
    try:
        inside(str(NETNS_DIR / runtime.host), server.__enter__)
        made = Node(runtime, server, tmp_path)
        yield made
    finally:
        runtime.stop_daemon(signal.SIGKILL)  # an orderly end waits for a server that no test needs any more
        runtime.close()
        if made is None or made.up:
            server.__exit__(None, None, None)


def test_known_pods_go_on_while_it_is_away(node: Node) -> None:
    """ADD, CHECK, DEL and GC of what is known; the network-status waits, where it is allowed to."""
    conf = node.conf(statusPolicy="background")
    node.away()
    node.runtime.add(node.pod, conf)
    assert node.pod.links() == {"lo", "eth0", "net1"}
    node.runtime.check(node.pod, conf)
    living = [{"containerID": node.pod.container_id, "ifname": "eth0"}]
    node.runtime.call("GC", None, {**conf, "cniVersion": "1.1.0", "cni.dev/valid-attachments": living})
    node.runtime.delete(node.pod, conf)
    node.nothing_left()


def test_status_that_cannot_be_written(node: Node) -> None:
    """Where the status must be there with the answer, ADD says 11 and why, and undoes everything."""
    node.away()
    with pytest.raises(PluginError, match="error setting the networks status") as caught:
        node.runtime.add(node.pod, node.conf())
    assert caught.value.code == 11
    node.nothing_left()
    node.runtime.delete(node.pod, node.conf())
    node.nothing_left()


def test_pod_that_is_not_known_while_it_is_away(node: Node) -> None:
    """Nobody knows what it asked for: ADD says 11 in its time, and attaches nothing; its DEL succeeds."""
    node.away()
    stranger = node.runtime.sandbox("stranger", uid="u")
    with pytest.raises(PluginError, match="stranger") as caught:
        node.runtime.add(stranger, node.conf(addTimeout=5, rollbackReserve=3))
    assert caught.value.code == 11
    node.runtime.delete(stranger, node.conf())
    node.nothing_left()


@pytest.mark.parametrize("ill", [pytest.param(ILLS[name], id=name) for name in ("500", "half an answer")])
def test_delete_never_needs_it(node: Node, ill: Fault) -> None:
    """DEL and CHECK of a server that answers nothing properly; it is not even asked about the pod."""
    node.runtime.add(node.pod, node.conf())
    node.everything_fails(ill)
    before = len(node.asked_about("pod"))
    node.runtime.check(node.pod, node.conf())
    node.runtime.delete(node.pod, node.conf())
    assert len(node.asked_about("pod")) == before
    node.nothing_left()


@pytest.mark.parametrize("ill", [pytest.param(fault, id=name) for name, fault in ILLS.items()])
def test_add_of_a_server_that_is_ill(node: Node, ill: Fault) -> None:
    """ADD of a new pod says 11 and leaves nothing for as long as it lasts; afterwards it succeeds."""
    node.everything_fails(ill)
    pod = node.sandbox("late", "a")
    with pytest.raises(PluginError, match="late") as caught:
        node.runtime.add(pod, node.conf(addTimeout=5, rollbackReserve=3))
    assert caught.value.code == 11
    node.nothing_left()
    node.recovers()
    node.runtime.add(pod, node.conf(statusTimeout=30))
    assert pod.links() == {"lo", "eth0", "net1"}
    assert len(json.loads(node.server.annotations_of("late")[STATUS])) == 2
    node.runtime.delete(pod, node.conf())
    node.nothing_left()


@pytest.mark.parametrize("ill", [pytest.param(fault, id=name) for name, fault in ILLS.items()])
def test_one_bad_answer(node: Node, ill: Fault) -> None:
    """A single bad answer to the writing of the status costs time at most, or a retry; never a half-attached pod."""
    node.server.script(ill._replace(where="/pods/pod"))
    try:
        node.runtime.add(node.pod, node.conf(statusTimeout=10))
    except PluginError as error:
        assert error.code == 11  # noqa: PT017 - both ends are good ones
        node.nothing_left()
        node.runtime.add(node.pod, node.conf(statusTimeout=10))
    assert len(json.loads(node.server.annotations_of("pod")[STATUS])) == 2
    node.runtime.delete(node.pod, node.conf())
    node.nothing_left()


def test_slow_server(node: Node) -> None:
    """A server that thinks for a while: ADD succeeds late."""
    node.server.script(*[Fault(act="then-close", delay=1.0)] * 3)
    node.runtime.add(node.pod, node.conf(statusTimeout=30))
    assert node.pod.links() == {"lo", "eth0", "net1"}
    node.runtime.delete(node.pod, node.conf())
    node.nothing_left()


@pytest.mark.parametrize(
    "ill",
    [
        pytest.param(failing(410, "Expired"), id="410"),
        pytest.param(Fault(body=EXPIRED, act="stream"), id="410 in the stream"),
        pytest.param(Fault(body=b'{"type": "ADDED", "obj', act="cut"), id="half a line"),
        pytest.param(Fault(body=b"<html>\n", act="stream"), id="not JSON"),
        pytest.param(failing(500, "InternalError"), id="500"),
        pytest.param(failing(429, "TooManyRequests", retry_after="1"), id="429"),
        pytest.param(Fault(act="reset"), id="resets"),
    ],
)
def test_watch_that_breaks(node: Node, ill: Fault) -> None:
    """Whatever ends a watch, what changes afterwards becomes known, and calls work meanwhile."""
    node.server.script(*[ill._replace(where="watch=1")] * 4)
    node.server.drop_connections()
    node.network("b", 12)
    pod = node.sandbox("late", "a,b")
    node.runtime.add(pod, node.conf(statusTimeout=30))
    assert pod.links() == {"lo", "eth0", "net1", "net2"}
    node.runtime.delete(pod, node.conf())
    node.known("late", "a,b")
    node.nothing_left()


def test_pod_without_annotation(node: Node) -> None:
    """Known to ask for nothing: it is attached while the server is away, its status left for later."""
    plain = node.sandbox("plain", "")
    node.known("plain", "")
    node.away()
    node.runtime.add(plain, node.conf(statusPolicy="background"))
    assert plain.links() == {"lo", "eth0"}
    node.runtime.delete(plain, node.conf())
    node.nothing_left()
