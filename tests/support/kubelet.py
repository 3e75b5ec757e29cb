"""A kubelet as far as its PodResources service goes: gRPC over HTTP/2 on a real unix socket.

It answers from `pods`, by the field numbers of the published protocol definition (v1 and v1alpha1 of
`k8s.io/kubelet/pkg/apis/podresources`), and can be told to misbehave.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from typing import TYPE_CHECKING, NamedTuple

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

#: A container's devices: (resource, device ids), one for each NUMA node.
Devices = tuple[str, "Sequence[str]"]


class Container(NamedTuple):
    """A container and what it was given."""

    name: str
    devices: tuple[Devices, ...] = ()


class Pod(NamedTuple):
    """A pod of the node."""

    namespace: str
    name: str
    containers: tuple[Container, ...] = ()


# ── protocol buffers, written from the specification of their encoding ──────────────────────────────────────────


def varint(value: int) -> bytes:
    """A number."""
    if value < 128:
        return bytes([value])
    return bytes([128 | value % 128]) + varint(value // 128)


def field(number: int, content: bytes | str | int) -> bytes:
    """One field."""
    if isinstance(content, int):
        return varint(number * 8) + varint(content)
    data = content.encode() if isinstance(content, str) else content
    return varint(number * 8 + 2) + varint(len(data)) + data


def pod_resources(pod: Pod) -> bytes:
    """PodResources, with members of newer kubelets that nobody needs to know."""
    message = field(1, pod.name) + field(2, pod.namespace)
    for container in pod.containers:
        inner = field(1, container.name)
        for resource, ids in container.devices:
            topology = field(3, field(1, field(1, 1)))
            inner += field(2, field(1, resource) + b"".join(field(2, one) for one in ids) + topology)
        inner += field(3, b"\1\2\3") + field(5, field(1, "claim"))
        message += field(3, inner)
    return message + field(9, 12345678901) + varint(15 * 8 + 5) + b"\0\0\0\0" + varint(16 * 8 + 1) + bytes(8)


def requested(message: bytes) -> tuple[str, str]:
    """Namespace and name in a GetPodResourcesRequest (short strings)."""
    name = message[2 : 2 + message[1]].decode()
    rest = message[2 + message[1] :]
    return rest[2 : 2 + rest[1]].decode(), name


# ── the server ──────────────────────────────────────────────────────────────────────────────────────────────────


class Reply(NamedTuple):
    """How a call ends: `status` and `words`, and the message when the status is 0. `stays`: it does not end."""

    status: int
    words: str = ""
    message: bytes = b""
    stays: bool = False


class Kubelet:
    """Serves the socket until `close`. `methods` are those it has; `replies` what a method answers instead of the
    truth, one a call; `raw` what it sends instead of HTTP/2; `silent`: never an answer. `calls` names each call."""

    def __init__(
        self, path: str, pods: Sequence[Pod] = (), methods: dict[str, Callable[[bytes], Reply]] | None = None
    ) -> None:
        self.path = path
        self.pods = list(pods)
        self.methods = methods or {
            "/v1.PodResourcesLister/List": self._list,
            "/v1.PodResourcesLister/Get": self._get,
        }
        self.replies: dict[str, list[Reply]] = {}
        self.raw: bytes | None = None
        self.silent = False
        self.calls: list[str] = []
        self._stop = threading.Event()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(path)
        self._listener.listen(16)
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def become_old(self) -> None:
        """A kubelet that serves v1alpha1 only."""
        self.methods = {"/v1alpha1.PodResourcesLister/List": self._list}

    def without_get(self) -> None:
        """A kubelet that knows no `Get`."""
        del self.methods["/v1.PodResourcesLister/Get"]

    def close(self) -> None:
        """Stop serving; the socket is gone."""
        self._stop.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._listener.close()
        os.unlink(self.path)

    def _list(self, _request: bytes) -> Reply:
        return Reply(0, message=b"".join(field(1, pod_resources(pod)) for pod in self.pods))

    def _get(self, request: bytes) -> Reply:
        namespace, name = requested(request)
        for pod in self.pods:
            if (pod.namespace, pod.name) == (namespace, name):
                return Reply(0, message=field(1, pod_resources(pod)))
        return Reply(2, f"pod {name} in namespace {namespace} not found")

    def _accept(self) -> None:
        while not self._stop.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError, h2.exceptions.ProtocolError):
            connection.settimeout(0.05)
            if self.raw is not None:
                connection.sendall(self.raw)
                connection.shutdown(socket.SHUT_WR)
                connection.settimeout(None)
                while connection.recv(65536):
                    pass
                return
            _Session(connection, self).run(self._stop)

    def answer(self, path: str, request: bytes) -> Reply:
        """What to answer to a call."""
        self.calls.append(path.rpartition(".")[0].strip("/") + " " + path.rpartition("/")[2])
        waiting = self.replies.get(path.rpartition("/")[2])
        if waiting:
            return waiting.pop(0)
        method = self.methods.get(path)
        return method(request) if method is not None else Reply(12, f"unknown service or method {path}")


class _Session:
    """One connection."""

    def __init__(self, connection: socket.socket, kubelet: Kubelet) -> None:
        self.connection = connection
        self.kubelet = kubelet
        self.http = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        self.paths: dict[int, str] = {}
        self.bodies: dict[int, bytes] = {}
        self.waiting: dict[int, bytes] = {}
        self.trailers: dict[int, Reply] = {}

    def run(self, stop: threading.Event) -> None:
        """Until the client goes, or `stop`."""
        self.http.initiate_connection()
        while not stop.is_set():
            self.connection.sendall(self.http.data_to_send())
            try:
                data = self.connection.recv(65536)
            except TimeoutError:
                continue
            if not data:
                return
            for event in self.http.receive_data(data):
                self.take(event)
            self.pump()

    def take(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.RequestReceived):
            headers = {str(name): str(value) for name, value in event.headers}
            assert headers[":method"] == "POST"
            assert headers["te"] == "trailers"
            assert headers["content-type"] == "application/grpc"
            self.paths[event.stream_id] = headers[":path"]
            self.bodies[event.stream_id] = b""
        elif isinstance(event, h2.events.DataReceived):
            self.bodies[event.stream_id] += event.data
        elif isinstance(event, h2.events.StreamEnded):
            self.reply(event.stream_id)

    def reply(self, stream: int) -> None:
        request = self.bodies.pop(stream)
        assert request[0] == 0
        assert int.from_bytes(request[1:5], "big") == len(request) - 5
        reply = self.kubelet.answer(self.paths[stream], request[5:])
        if self.kubelet.silent:
            return
        headers = [(":status", "200"), ("content-type", "application/grpc")]
        if reply.status:  # "trailers only"
            words = "".join(letter if 32 <= ord(letter) < 127 else "%0A" for letter in reply.words)
            end = [("grpc-status", str(reply.status)), ("grpc-message", words)]
            self.http.send_headers(stream, headers + end, end_stream=True)
            return
        self.http.send_headers(stream, headers)
        self.waiting[stream] = b"\0" + len(reply.message).to_bytes(4, "big") + reply.message
        self.trailers[stream] = reply

    def pump(self) -> None:
        """As much of the messages as flow control allows."""
        for stream in list(self.waiting):
            data = self.waiting[stream]
            while data:
                room = min(self.http.local_flow_control_window(stream), self.http.max_outbound_frame_size)
                if room <= 0:
                    break
                self.http.send_data(stream, data[:room])
                data = data[room:]
            self.waiting[stream] = data
            if not data:
                del self.waiting[stream]
                if not self.trailers.pop(stream).stays:
                    self.http.send_headers(stream, [("grpc-status", "0")], end_stream=True)


@contextlib.contextmanager
def running(path: str, pods: Sequence[Pod] = ()) -> Iterator[Kubelet]:
    """A kubelet at `path`."""
    kubelet = Kubelet(path, pods)
    try:
        yield kubelet
    finally:
        kubelet.close()
