"""An API server for tests and benchmarks: HTTPS, threads, and just the requests Multus makes.

    with ApiServer() as server:
        server.add_pod("web", annotations={...})
        server.add_network("net-a", '{"type": "bridge"}')
        path = server.write_kubeconfig(directory)

It checks tokens and client certificates, keeps what was written, and can be told to misbehave (`script`). Errors are
Status objects as the API conventions have them; a patch with another UID is invalid (422).
"""

from __future__ import annotations

import copy
import json
import os
import socket
import ssl
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple

import trustme

from support import history

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

Json = dict[str, Any]
NETWORK_RESOURCE = "network-attachment-definitions"


class Fault(NamedTuple):
    """How one request is answered instead of properly. `act`: "" answers with `status` and `body`; "reset" resets the
    connection, "close" closes it without an answer, "half" sends half of a response and closes, "lost" does what is
    asked and closes without an answer, "then-close" answers properly and closes without saying so. "stream" sends
    `body` in a chunk and ends properly, "cut" closes instead of ending, "silent" waits until the server closes,
    "mute" does so without even a head. `delay` seconds pass first. Only for requests with `where` in the path."""

    status: int = 0
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    act: str = ""
    delay: float = 0.0
    where: str = ""


def failing(status: int, reason: str = "", message: str = "scripted", retry_after: str = "") -> Fault:
    """A fault that is a Status object."""
    headers = (("Retry-After", retry_after),) if retry_after else ()
    return Fault(status, json.dumps(status_object(status, reason, message)).encode(), headers)


def status_object(code: int, reason: str, message: str) -> Json:
    """The object an API server answers with when something is wrong."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "message": message,
        "reason": reason,
        "code": code,
    }


class ApiServer:
    """Listens on `host` (an address) once entered. Objects are plain dictionaries by (namespace, name)."""

    def __init__(self, host: str = "127.0.0.1", *, tls: bool = True) -> None:
        self.host = host
        self.token = "token-1"
        self.pods: dict[tuple[str, str], Json] = {}
        self.networks: dict[tuple[str, str], Json] = {}
        self.events: list[Json] = []
        #: (method, path) of each request, in order.
        self.requests: list[tuple[str, str]] = []
        #: The headers of the last request, names in lower case.
        self.headers: dict[str, str] = {}
        #: How many connections were accepted.
        self.connections = 0
        #: (verb, resource) that RBAC refuses, e.g. ("patch", "pods/status").
        self.forbidden: set[tuple[str, str]] = set()
        #: Without the CustomResourceDefinition, NADs are a path that is not known.
        self.has_crd = True
        #: Whether answers are sent in chunks.
        self.chunked = False
        self.lock = threading.Lock()
        #: What watches are told.
        self.history = history.History()
        self._faults: list[Fault] = []
        self._uids = 0
        self.authority = trustme.CA()
        self._tls = _server_context(self.authority) if tls else None
        self._server: _Server | None = None

    # ── what tests arrange ──────────────────────────────────────────────────────────────────────────────────────────

    def add_pod(
        self,
        name: str,
        namespace: str = "default",
        annotations: dict[str, str] | None = None,
        uid: str = "",
        node: str = "",
    ) -> Json:
        """Create or replace a pod; each gets a UID of its own."""
        self._uids += 1
        if (namespace, name) in self.pods:
            self.remove_pod(name, namespace)
        made: Json = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": name,
                "namespace": namespace,
                "uid": uid or f"00000000-0000-4000-8000-{self._uids:012d}",
                "resourceVersion": "1",
                "annotations": dict(annotations or {}),
            },
            "spec": {"containers": [{"name": "main", "image": "example"}]},
            "status": {"phase": "Pending"},
        }
        if node:
            made["spec"]["nodeName"] = node
        self.history.record("pods", "ADDED", made)
        self.pods[namespace, name] = made
        return made

    def add_network(
        self, name: str, config: str | None, namespace: str = "default", annotations: dict[str, str] | None = None
    ) -> Json:
        """Create or replace a NAD; without `config` it has no spec."""
        made: Json = {
            "apiVersion": "k8s.cni.cncf.io/v1",
            "kind": "NetworkAttachmentDefinition",
            "metadata": {"name": name, "namespace": namespace, "annotations": dict(annotations or {})},
        }
        if config is not None:
            made["spec"] = {"config": config}
        kind = "MODIFIED" if (namespace, name) in self.networks else "ADDED"
        self.history.record(NETWORK_RESOURCE, kind, made)
        self.networks[namespace, name] = made
        return made

    def remove_pod(self, name: str, namespace: str = "default") -> None:
        """Delete a pod."""
        self.history.record("pods", "DELETED", self.pods.pop((namespace, name)))

    def annotate(self, name: str, annotations: dict[str, str], namespace: str = "default") -> None:
        """Add annotations to a pod."""
        pod = self.pods[namespace, name]
        pod["metadata"]["annotations"].update(annotations)
        self.history.record("pods", "MODIFIED", pod)

    def remove_network(self, name: str, namespace: str = "default") -> None:
        """Delete a NAD."""
        self.history.record(NETWORK_RESOURCE, "DELETED", self.networks.pop((namespace, name)))

    def annotations_of(self, name: str, namespace: str = "default") -> dict[str, str]:
        """The annotations a pod has now."""
        found: dict[str, str] = self.pods[namespace, name]["metadata"]["annotations"]
        return found

    def events_of(self, uid: str) -> list[Json]:
        """The events on one pod, in the order they came."""
        return [event for event in self.events if event["involvedObject"]["uid"] == uid]

    def script(self, *faults: Fault) -> None:
        """The next requests are answered by these, one each."""
        self._faults += faults

    def next_fault(self, path: str) -> Fault | None:
        """The fault for the request at hand."""
        with self.lock:
            found = next((fault for fault in self._faults if fault.where in path), None)
            if found is not None:
                self._faults.remove(found)
            return found

    def drop_connections(self) -> None:
        """Close all open connections, as a server that restarts."""
        if self._server is not None:
            self._server.drop()

    # ── how it is reached ───────────────────────────────────────────────────────────────────────────────────────────

    @property
    def port(self) -> int:
        """Where it listens."""
        assert self._server is not None
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """The server URL."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}"

    @property
    def ca(self) -> bytes:
        """The CA's certificate, PEM."""
        return bytes(self.authority.cert_pem.bytes())

    def client_certificate(self) -> tuple[bytes, bytes]:
        """A certificate that the server accepts, and its key, PEM."""
        issued = self.authority.issue_cert("client.example")
        chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
        return chain, issued.private_key_pem.bytes()

    def kubeconfig(self, user: Json | None = None, cluster: Json | None = None) -> Json:
        """A kubeconfig with the token; `user` replaces the user, `cluster` adds to the cluster."""
        data = _base64(self.ca)
        access: Json = {"server": self.url}
        if self._tls:
            access["certificate-authority-data"] = data
        access.update(cluster or {})
        access = {key: value for key, value in access.items() if value is not None}
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": access}],
            "users": [{"name": "multus", "user": {"token": self.token} if user is None else user}],
            "contexts": [{"name": "here", "context": {"cluster": "test", "user": "multus"}}],
            "current-context": "here",
        }

    def write_kubeconfig(self, directory: Path, user: Json | None = None, cluster: Json | None = None) -> str:
        """Write `kubeconfig` as JSON; returns its path."""
        path = directory / "multus.kubeconfig"
        path.write_text(json.dumps(self.kubeconfig(user, cluster)))
        path.chmod(0o600)
        return str(path)

    def __enter__(self) -> ApiServer:
        self._server = _Server(self, self._tls)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.shutdown()
        self.history.close()
        self._server.drop()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    block_on_close = True
    request_queue_size = 128

    def __init__(self, api: ApiServer, tls: ssl.SSLContext | None) -> None:
        self.address_family = socket.AF_INET6 if ":" in api.host else socket.AF_INET
        self.api = api
        self.tls = tls
        self.open: set[socket.socket] = set()
        super().__init__((api.host, 0), _Handler)

    def server_bind(self) -> None:
        """Without the reverse look-up of the host's name that the standard class makes."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """The handshake happens in the connection's own thread: a client that is slow delays nobody."""
        connection = request
        try:
            request.settimeout(30)
            request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.tls is not None:
                connection = self.tls.wrap_socket(request, server_side=True)
        except OSError:
            request.close()
            return
        with self.api.lock:
            self.api.connections += 1
            self.open.add(connection)
        super().process_request_thread(connection, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Close, without the standard class' orderly shutdown of a socket that may be gone."""
        with self.api.lock:
            self.open.discard(request)
        request.close()

    def drop(self) -> None:
        """End all connections."""
        with self.api.lock:
            connections = list(self.open)
        for connection in connections:
            try:
                # Not through TLS: no goodbye, as when a process dies.
                socket.socket.shutdown(connection, socket.SHUT_RDWR)
            except OSError:
                pass

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        """Pods and NADs."""
        self._handle()

    do_POST = do_PATCH = do_GET  # noqa: N815

    def log_message(self, *arguments: Any) -> None:
        """Silence."""

    def _handle(self) -> None:
        api = self.server.api
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        with api.lock:
            api.requests.append((self.command, self.path))
            api.headers = {name.lower(): value for name, value in self.headers.items()}
        fault = api.next_fault(self.path)
        if fault is not None and fault.delay:
            time.sleep(fault.delay)
        if fault is None and "watch=1" in self.path:
            self._watch()
        elif fault is None or fault.act == "then-close":
            self._send(*self._answer(body))
            if fault is not None:
                self.close_connection = True
        elif fault.act == "lost":
            self._answer(body)
            self.close_connection = True
        elif fault.act:
            self._break(fault)
        else:
            self._send(fault.status, fault.body, fault.headers)

    def _break(self, fault: Fault) -> None:
        self.close_connection = True
        if fault.act == "half":
            self.wfile.write(b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"kind":')
        elif fault.act == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            os.close(self.connection.detach())
        elif fault.act == "mute":
            self.server.api.history.wait_closed()
        elif fault.act in ("stream", "cut", "silent"):
            self._begin()
            self._chunk(fault.body)
            if fault.act == "stream":
                self._chunk(b"", last=True)
            elif fault.act == "silent":
                self.server.api.history.wait_closed()

    # ── watches ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _watch(self) -> None:
        path, _, text = self.path.partition("?")
        resource = path.rpartition("/")[2]
        refused = None if self._authenticated() else (401, status_object(401, "Unauthorized", "Unauthorized"))
        refused = refused or self._forbidden("watch", resource, "")
        if refused:
            self._send(*refused)
            return
        self._begin()
        try:
            for line in self.server.api.history.lines(resource, history.parsed(text)):
                self._chunk(line)
        except history.Expired:
            status = status_object(410, "Expired", "too old resource version")
            self._chunk(json.dumps({"type": "ERROR", "object": status}).encode() + b"\n")
        self._chunk(b"", last=True)

    def _begin(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")

    def _chunk(self, data: bytes, *, last: bool = False) -> None:
        if data or last:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def _list(self, resource: str, objects: dict[tuple[str, str], Json], text: str) -> tuple[int, Json]:
        refused = self._forbidden("list", resource, "")
        if refused:
            return refused
        try:
            found = [objects[key] for key in sorted(objects)]
            return 200, self.server.api.history.page(found, history.parsed(text))
        except history.Expired:
            return 410, status_object(410, "Expired", "The provided continue parameter is too old")

    def _send(self, status: int, body: bytes | Json, headers: tuple[tuple[str, str], ...] = ()) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        chunked = self.server.api.chunked and len(data) > 1
        lines = [f"HTTP/1.1 {status} Any", "Content-Type: application/json"]
        lines += [f"{name}: {value}" for name, value in headers]
        lines.append("Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(data)}")
        if chunked:
            half = len(data) // 2
            parts = (data[:half], data[half:], b"")
            data = b"".join(b"%x;ext=1\r\n%s\r\n" % (len(part), part) for part in parts)
        self.wfile.write("\r\n".join([*lines, "", ""]).encode() + data)

    # ── the API ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _answer(self, body: bytes) -> tuple[int, Json]:
        api = self.server.api
        if not self._authenticated():
            return 401, status_object(401, "Unauthorized", "Unauthorized")
        path, _, text = self.path.partition("?")
        parts = path.split("/")
        with api.lock:
            match self.command, parts[1:]:
                case "GET", ["api", "v1", "namespaces", namespace, "pods", name]:
                    return self._object("pods", api.pods, namespace, name)
                case "GET", ["apis", "k8s.cni.cncf.io", "v1", "namespaces", namespace, resource, name] if (
                    resource == NETWORK_RESOURCE and api.has_crd
                ):
                    return self._object(f"{NETWORK_RESOURCE}.k8s.cni.cncf.io", api.networks, namespace, name)
                case "GET", ["api", "v1", "pods"]:
                    return self._list("pods", api.pods, text)
                case "GET", ["apis", "k8s.cni.cncf.io", "v1", resource] if resource == NETWORK_RESOURCE and api.has_crd:
                    return self._list(resource, api.networks, text)
                case "PATCH", ["api", "v1", "namespaces", namespace, "pods", name, "status"]:
                    return self._patch(namespace, name, json.loads(body))
                case "POST", ["api", "v1", "namespaces", namespace, "events"]:
                    return self._event(namespace, json.loads(body))
        return 404, json.loads('{"paths": []}')

    def _authenticated(self) -> bool:
        if isinstance(self.connection, ssl.SSLSocket) and self.connection.getpeercert():
            return True
        return self.headers.get("Authorization") == f"Bearer {self.server.api.token}"

    def _forbidden(self, verb: str, resource: str, name: str) -> tuple[int, Json] | None:
        if (verb, resource) not in self.server.api.forbidden:
            return None
        message = f'{resource} "{name}" is forbidden: User "multus" cannot {verb} resource "{resource}"'
        return 403, status_object(403, "Forbidden", message)

    def _object(
        self, resource: str, objects: dict[tuple[str, str], Json], namespace: str, name: str
    ) -> tuple[int, Json]:
        refused = self._forbidden("get", resource, name)
        if refused:
            return refused
        if (namespace, name) not in objects:
            return 404, status_object(404, "NotFound", f'{resource} "{name}" not found')
        return 200, copy.deepcopy(objects[namespace, name])

    def _patch(self, namespace: str, name: str, patch: Json) -> tuple[int, Json]:
        api = self.server.api
        refused = self._forbidden("patch", "pods/status", name)
        if refused:
            return refused
        if self.headers.get("Content-Type") != "application/merge-patch+json":
            return 415, status_object(415, "UnsupportedMediaType", "the body of the request was in an unknown format")
        pod = api.pods.get((namespace, name))
        if pod is None:
            return 404, status_object(404, "NotFound", f'pods "{name}" not found')
        metadata = patch.get("metadata", {})
        if metadata.get("uid", pod["metadata"]["uid"]) != pod["metadata"]["uid"]:
            message = f'Pod "{name}" is invalid: metadata.uid: Invalid value: "{metadata["uid"]}": field is immutable'
            return 422, status_object(422, "Invalid", message)
        api.annotate(name, metadata.get("annotations", {}), namespace)
        return 200, copy.deepcopy(pod)

    def _event(self, namespace: str, event: Json) -> tuple[int, Json]:
        api = self.server.api
        name = event["metadata"]["name"]
        refused = self._forbidden("create", "events", name)
        if refused:
            return refused
        if event["involvedObject"]["namespace"] != namespace or event["metadata"]["namespace"] != namespace:
            return 422, status_object(422, "Invalid", "involvedObject.namespace: does not match event.namespace")
        if any(known["metadata"]["name"] == name for known in api.events):
            return 409, status_object(409, "AlreadyExists", f'events "{name}" already exists')
        api.events.append(event)
        return 201, event


def _server_context(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "::1", "localhost", "api.example").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_OPTIONAL
    return context


def _base64(data: bytes) -> str:
    import base64

    return base64.b64encode(data).decode()
