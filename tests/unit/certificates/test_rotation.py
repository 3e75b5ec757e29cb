"""When a certificate is requested, with whose credentials, and when it is renewed."""

from __future__ import annotations

import base64
import json
import threading
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from multus import errors
from multus.certificates import naming, pem, rotation, signing, store
from support import signer

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

HOUR = 3600.0
NOW = 1_795_516_830.0


class Server:
    """Signs at once, and notes which kubeconfig each request came with."""

    def __init__(self) -> None:
        self.authority = trustme.CA()
        self.now = NOW
        self.asked: list[str] = []
        self.refusing: dict[str, errors.CniError] = {}
        self.condition = ""
        self.signs = True
        self._requests: dict[str, dict[str, Any]] = {}

    def client(self, kubeconfig: str, environ: Mapping[str, str]) -> Any:
        return Client(self, kubeconfig.rpartition("/")[2])

    def fetch(self, who: str, path: str) -> dict[str, Any]:
        if who in self.refusing:
            raise self.refusing[who]
        return self._requests.get(path, {})

    def send(self, who: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        if who in self.refusing:
            raise self.refusing[who]
        self.asked.append(who)
        spec = body["spec"]
        status: dict[str, Any] = {}
        if self.condition:
            status["conditions"] = [{"type": self.condition, "status": "True", "message": "says the test"}]
        elif self.signs:
            request = base64.b64decode(spec["request"])
            made = signer.sign(self.authority, request, spec["expirationSeconds"], begins=self.now)
            status["certificate"] = base64.b64encode(made).decode()
        self._requests[f"{path}/{body['metadata']['name']}"] = {**body, "status": status}
        return body


class Client:
    def __init__(self, server: Server, who: str) -> None:
        self._server = server
        self._who = who

    def introduce(self, deadline: float) -> None:
        if self._who in self._server.refusing:
            raise self._server.refusing[self._who]

    def fetch(self, what: str, path: str, deadline: float) -> dict[str, Any]:
        return self._server.fetch(self._who, path)

    def send(self, verb: str, what: str, path: str, body: dict[str, Any], deadline: float) -> dict[str, Any]:
        return self._server.send(self._who, path, body)

    def close(self) -> None:
        pass


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def keeper(server: Server, tmp_path: Path) -> rotation.Rotation:
    bootstrap = {
        "clusters": [{"name": "c", "cluster": {"server": "https://h:1"}}],
        "contexts": [{"name": "k", "context": {"cluster": "c"}}],
    }
    (tmp_path / "bootstrap").write_text(json.dumps(bootstrap))
    place = rotation.wanted("n1", str(tmp_path / "bootstrap"), str(tmp_path / "certs"), str(tmp_path / "own"), HOUR)
    return rotation.Rotation(place, {}, client=server.client, clock=lambda: server.now)


def turn(keeper: rotation.Rotation) -> None:
    keeper.turn(float("inf"))


def test_first_then_nothing_then_renewed(keeper: rotation.Rotation, server: Server, tmp_path: Path) -> None:
    """The first with the bootstrap credentials, the next with the certificate itself; none between 0 and 70 %."""
    turn(keeper)
    assert server.asked == ["bootstrap"]
    assert (tmp_path / "own").exists()
    server.now = NOW + 0.69 * HOUR
    turn(keeper)
    assert server.asked == ["bootstrap"]
    server.now = NOW + 0.91 * HOUR
    turn(keeper)
    assert server.asked == ["bootstrap", "own"]
    life = pem.validity((tmp_path / "certs" / store.CURRENT).read_bytes())
    assert life.begins == pytest.approx(NOW + 0.91 * HOUR, abs=1)


def test_expired(keeper: rotation.Rotation, server: Server) -> None:
    """After its end a certificate is worth nothing: the bootstrap credentials get another."""
    turn(keeper)
    server.now = NOW + HOUR
    turn(keeper)
    assert server.asked == ["bootstrap", "bootstrap"]


def test_no_longer_trusted(keeper: rotation.Rotation, server: Server) -> None:
    """A server that refuses the certificate gets the bootstrap credentials."""
    turn(keeper)
    server.refusing["own"] = errors.Denied("x509: certificate signed by unknown authority")
    turn(keeper)
    assert server.asked == ["bootstrap", "bootstrap"]


def test_server_is_away(keeper: rotation.Rotation, server: Server) -> None:
    """A server that does not answer is no reason to give up a certificate; the start succeeds."""
    turn(keeper)
    server.refusing["own"] = errors.ClusterError("connection refused")
    keeper.ensure(threading.Event(), 0.0)
    assert server.asked == ["bootstrap"]


@pytest.mark.parametrize(
    "content", [b"", b"garbage", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_damaged(keeper: rotation.Rotation, server: Server, tmp_path: Path, content: bytes) -> None:
    """What is no pair is replaced."""
    (tmp_path / "certs").mkdir()
    (tmp_path / "certs" / store.CURRENT).write_bytes(content)
    turn(keeper)
    assert server.asked == ["bootstrap"]


def test_key_of_another(keeper: rotation.Rotation, server: Server, tmp_path: Path) -> None:
    """A certificate beside a key that is not its own is none."""
    turn(keeper)
    current = tmp_path / "certs" / store.CURRENT
    certificate = current.read_bytes().partition(b"-----END EC PRIVATE KEY-----\n")[2]
    current.write_bytes(pem.request("system:multus:n1", "system:multus")[0] + certificate)
    turn(keeper)
    assert server.asked == ["bootstrap", "bootstrap"]


@pytest.mark.parametrize(("condition", "message"), [("Denied", "denied: says the test"), ("Failed", "failed: says")])
def test_denied(keeper: rotation.Rotation, server: Server, condition: str, message: str) -> None:
    """The start fails with the approver's reason, and nothing is kept."""
    server.condition = condition
    with pytest.raises(errors.Denied, match=message):
        keeper.ensure(threading.Event(), 0.0)


def test_not_signed(server: Server) -> None:
    """Nobody approves: the error says so, and what to look at."""
    server.signs = False
    with pytest.raises(errors.ClusterError, match=r"was not signed.*cert-approver"):
        signing.obtain(server.client("bootstrap", {}), "n1", HOUR, 0.0)


def test_told_to_end(keeper: rotation.Rotation) -> None:
    """Whoever waits for the first certificate can be ended."""
    stopped = threading.Event()
    stopped.set()
    with pytest.raises(errors.Unavailable):
        keeper.ensure(stopped)
    keeper.keep(stopped)


@pytest.mark.parametrize(("part", "seconds"), [(0.0, 70), (0.5, 80), (1.0, 90)])
def test_moment(part: float, seconds: float) -> None:
    """Nodes that start together renew apart, between 70 and 90 per cent of a life."""
    assert rotation.renew_at(pem.Validity(1000, 1100), part) == pytest.approx(1000 + seconds)


@pytest.mark.parametrize("node", ["", "N", "a/b", "a" * 254, "a:b", "a\n"])
def test_no_node(node: str) -> None:
    """Without a node's name there is no certificate; an empty one has upstream's words."""
    with pytest.raises(errors.InvalidConfig, match="MULTUS_NODE_NAME" if not node else "name of a node"):
        rotation.Rotation(rotation.wanted(node, "/b", "/c"), {})


def test_request() -> None:
    """What upstream asks for, a long name of a node included."""
    node = "n" * 100
    body = signing.render("r", pem.request(naming.common_name(node), naming.PREFIX)[1], 600.5)
    assert body["spec"]["expirationSeconds"] == 600
    assert body["spec"]["usages"] == ["digital signature", "client auth"]
    assert body["spec"]["signerName"] == "kubernetes.io/kube-apiserver-client"
    subject = pem.subject(base64.b64decode(body["spec"]["request"]))
    assert subject == (f"system:multus:{node}", ("system:multus",))


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says what to install."""
    monkeypatch.setitem(__import__("sys").modules, "cryptography", None)
    with pytest.raises(errors.InvalidConfig, match=r"multus-cni\[certificates\]"):
        rotation.Rotation(rotation.wanted("n1", "/b", "/c"), {})
