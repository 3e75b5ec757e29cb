"""The kubelet's PodResources service, over a real socket, well-behaved and not."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multus import errors
from multus.devices import grpc, holdings, podresources, protowire
from multus.devices.holdings import Holding
from support import kubelet
from support.kubelet import Container, Pod, Reply

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WEB = Pod("default", "web", (Container("main", (("v/vf", ["2", "1"]), ("v/gpu", ["g"]))), Container("idle")))
TWO = Pod("default", "two", (Container("b", (("v/vf", ["9"]),)), Container("a", (("v/vf", ["3"]), ("v/vf", ["1"])))))
NAMESAKE = Pod("other", "web", (Container("main", (("v/vf", ["7"]),)),))

HELD = [Holding("container main", "v/vf", ("2", "1")), Holding("container main", "v/gpu", ("g",))]


def soon(seconds: float = 20.0) -> float:
    """A deadline."""
    return time.monotonic() + seconds


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Where the kubelet's socket is."""
    return str(tmp_path / "kubelet.sock")


@pytest.fixture
def serving(path: str) -> Iterator[kubelet.Kubelet]:
    """A kubelet with three pods."""
    with kubelet.running(path, [NAMESAKE, WEB, TWO]) as running:
        yield running


def test_get(serving: kubelet.Kubelet) -> None:
    """One call, for this pod alone: its containers in order, their resources."""
    assert podresources.PodResources(serving.path).of("default", "web", soon()) == HELD
    assert serving.calls == ["v1 Get"]


def test_list(serving: kubelet.Kubelet) -> None:
    """Without `Get` the pod is found by namespace and name among all; `Get` is not asked for again."""
    serving.without_get()
    service = podresources.PodResources(serving.path)
    assert service.of("default", "web", soon()) == HELD
    assert service.of("other", "web", soon()) == [Holding("container main", "v/vf", ("7",))]
    assert serving.calls == ["v1 Get", "v1 List", "v1 List"]


def test_get_switched_off(serving: kubelet.Kubelet) -> None:
    """A kubelet whose `Get` fails is asked for the list."""
    serving.replies["Get"] = [Reply(2, "PodResources API Get method disabled")]
    assert podresources.PodResources(serving.path).of("default", "web", soon()) == HELD
    assert serving.calls == ["v1 Get", "v1 List"]


def test_v1alpha1(serving: kubelet.Kubelet) -> None:
    """A kubelet that has only the old version."""
    serving.become_old()
    assert podresources.PodResources(serving.path).of("default", "web", soon()) == HELD
    assert serving.calls == ["v1 Get", "v1 List", "v1alpha1 List"]


def test_unknown_pod(serving: kubelet.Kubelet) -> None:
    """It holds nothing."""
    assert podresources.PodResources(serving.path).of("default", "nobody", soon()) == []


def test_containers_stay_apart(serving: kubelet.Kubelet) -> None:
    """Devices in the order of the containers, sorted within each over its NUMA nodes."""
    found = podresources.PodResources(serving.path).of("default", "two", soon())
    assert holdings.by_resource(found) == {"v/vf": ["9", "1", "3"]}


def test_a_device_handed_down() -> None:
    """An init container's device that the next container uses too is one device."""
    found = [Holding("init", "v/vf", ("2",)), Holding("main", "v/vf", ("2", "1"))]
    assert holdings.by_resource(found) == {"v/vf": ["2", "1"]}


def test_a_long_answer(path: str) -> None:
    """A megabyte, far beyond HTTP/2's first window, comes through whole."""
    pods = [
        Pod(
            "default", f"pod-{number}", (Container("main", (("v/vf", [f"{number}-{one:0100}" for one in range(10)]),)),)
        )
        for number in range(1000)
    ]
    with kubelet.running(path, pods) as running:
        running.without_get()
        (held,) = podresources.PodResources(path).of("default", "pod-999", soon())
    assert held.ids == tuple(f"999-{one:0100}" for one in range(10))


def test_busy(serving: kubelet.Kubelet) -> None:
    """A kubelet that serves only so many calls a second is asked again after a pause."""
    serving.replies["Get"] = [Reply(8, "rejected by rate limit")] * 2
    pauses: list[float] = []
    assert podresources.PodResources(serving.path, pauses.append).of("default", "web", soon()) == HELD
    assert len(pauses) == 2


def refused(path: str, seconds: float = 20.0) -> str:
    """The error of asking, which is one to retry, names the socket and is one line."""
    with pytest.raises(errors.TryAgainLater) as caught:
        podresources.PodResources(path, lambda _seconds: None).of("default", "web", soon(seconds))
    assert path in caught.value.message
    assert "\n" not in caught.value.message
    return caught.value.message


def test_refused(serving: kubelet.Kubelet) -> None:
    """The server's words are in the error."""
    serving.replies["Get"] = serving.replies["List"] = [Reply(13, "things\nbroke")]
    serving.replies["List"] = [Reply(13, "things\nbroke")]
    assert "refused to list pod resources: things broke (code 13)" in refused(serving.path)


def test_always_busy(serving: kubelet.Kubelet) -> None:
    """The deadline ends it."""
    serving.replies["Get"] = [Reply(8, "rejected by rate limit")] * 1_000_000
    assert "did not answer in time" in refused(serving.path, 0.2)


def test_silent(serving: kubelet.Kubelet) -> None:
    """A server that takes the call and never answers."""
    serving.silent = True
    assert "did not answer in time" in refused(serving.path, 0.2)


def test_dripping(path: str) -> None:
    """A server that sends something all the time, but never an answer: frames that are none of ours."""
    with kubelet.running(path) as running:
        running.raw = b"\0\0\0\4\0\0\0\0\0" + b"\0\0\0\x0b\0\0\0\0\0" * 3
        assert "closed the connection" in refused(path)


def test_no_deadline_left(serving: kubelet.Kubelet) -> None:
    """No time, no call."""
    assert "did not answer in time" in refused(serving.path, -1)
    assert serving.calls == []


@pytest.mark.parametrize("method", ["Get", "List"])
@pytest.mark.parametrize("message", [b"\xff", b"\x0a\xff\xff\xff\xff\x0f", b"\x0b", b"\x0a\x02\x1a\x7f"])
def test_malformed_message(serving: kubelet.Kubelet, method: str, message: bytes) -> None:
    """Bytes that are no such message."""
    if method == "List":
        serving.without_get()
    serving.replies[method] = [Reply(0, message=message)]
    assert "malformed message" in refused(serving.path)


SETTINGS = b"\0\0\0\4\0\0\0\0\0"
GOAWAY = b"\0\0\x08\7\0\0\0\0\0" + bytes(8)
RESET = b"\0\0\4\3\0\0\0\0\1" + bytes(3) + b"\7"
DATA_OF_NO_STREAM = b"\0\0\1\0\0\0\0\0\0x"


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "closed the connection"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "closed the connection"),
        (SETTINGS + DATA_OF_NO_STREAM, "does not speak HTTP/2 as it should"),
        (SETTINGS + GOAWAY, "ended the connection"),
        (SETTINGS + RESET, "gave up the call (HTTP/2 error 7)"),
    ],
    ids=["nothing", "http1", "data", "goaway", "reset"],
)
def test_no_grpc(path: str, raw: bytes, words: str) -> None:
    """Servers of something else, and connections that end."""
    with kubelet.running(path) as running:
        running.raw = raw
        assert words in refused(path)


def test_huge_answer(serving: kubelet.Kubelet, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message is bounded, whatever the server sends."""
    monkeypatch.setattr(grpc, "MESSAGE_LIMIT", 1 << 16)
    serving.replies["Get"] = [Reply(0, message=bytes(1 << 20))]
    assert "answered with more than 65536 bytes" in refused(serving.path)


@pytest.mark.parametrize("headers", [{":status": "404"}, {"grpc-status": ""}, {"grpc-status": "ok"}])
def test_strange_headers(headers: dict[str, str]) -> None:
    """HTTP without gRPC."""
    exchange = grpc._Exchange(1)
    exchange._headers = {b":status": b"200", **{name.encode(): value.encode() for name, value in headers.items()}}
    with pytest.raises(errors.TryAgainLater, match=r"HTTP status 404|without a gRPC status"):
        exchange.response()


@pytest.mark.parametrize("data", [b"", b"\0\0\0\0", b"\0\0\0\0\2x", b"\1\0\0\0\1x", b"\0\0\0\0\0x"])
def test_strange_messages(data: bytes) -> None:
    """No message, half of one, more than one, a compressed one."""
    exchange = grpc._Exchange(1)
    exchange._headers = {b":status": b"200", b"grpc-status": b"0"}
    exchange._data += data
    with pytest.raises(errors.TryAgainLater, match=r"one message|compressed"):
        exchange.response()


def test_no_socket(path: str) -> None:
    """A socket that isn't there, and one that nobody serves, can be told from a kubelet that fails."""
    with pytest.raises(podresources.NotListening):
        podresources.PodResources(path).of("default", "web", soon())
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
        with pytest.raises(podresources.NotListening):
            podresources.PodResources(path).of("default", "web", soon())


def test_a_path_too_long() -> None:
    """A path that no socket can have is an error like any other."""
    with pytest.raises(errors.TryAgainLater, match="can't be talked to"):
        podresources.PodResources("/" + "x" * 200).of("default", "web", soon())


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_message(message: bytes) -> None:
    """Whatever the bytes, only errors.DecodeError is raised."""
    for whose in (("", ""), ("default", "web")):
        try:
            podresources.decode(message, *whose)
            podresources.decode(kubelet.field(1, message), *whose)
            podresources.decode(kubelet.field(1, kubelet.field(3, message)), *whose)
        except errors.DecodeError:
            pass


@given(st.integers(min_value=1, max_value=1 << 28), st.text(max_size=300))
def test_strings_come_back(number: int, value: str) -> None:
    """What is written is read: field number and text, as the test's own encoder has them."""
    written = protowire.string(number, value)
    assert written == kubelet.field(number, value)
    ((found, content),) = protowire.members(memoryview(written))
    assert (found, protowire.text(content)) == (number, value)


@settings(deadline=None, max_examples=150)
@given(raw=st.binary(max_size=120), head=st.sampled_from([b"", b"\0\0\0\4\0\0\0\0\0"]))
def test_any_bytes_from_the_socket(raw: bytes, head: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whatever a server sends, the only thing raised is errors.TryAgainLater."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        channel = grpc.Channel.__new__(grpc.Channel)
        theirs.sendall(head + raw)
        theirs.shutdown(socket.SHUT_WR)
        _adopt(channel, ours)
        with pytest.raises(errors.TryAgainLater):
            channel.unary(podresources.LIST, b"")


def _adopt(channel: grpc.Channel, connected: socket.socket) -> None:
    """A channel over a connection that is there already."""
    import h2.config
    import h2.connection

    channel._socket = connected
    channel._deadline = soon()
    channel._left = 1 << 20
    channel._http = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    channel._http.initiate_connection()
