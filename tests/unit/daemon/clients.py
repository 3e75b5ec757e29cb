"""Clients of the HTTP API as they are on the wire: upstream's shim, the dynamic-networks-controller, a raw one."""

from __future__ import annotations

import base64
import json
import socket
import time
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from multus.cni.rawjson import Json

#: How long a test waits for an answer that never comes.
PATIENCE = 30.0


class Reply(NamedTuple):
    """What came back; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


def connect(path: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(PATIENCE)
    try:
        sock.connect(path)
    except OSError:
        sock.close()
        raise
    return sock


def read(sock: socket.socket) -> Reply | None:
    """The answer, to the end of the connection; None where there was none."""
    data = b""
    while chunk := sock.recv(1 << 16):
        data += chunk
    if not data:
        return None
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    assert int(headers["content-length"]) == len(body)
    return Reply(int(first.split(" ")[1]), headers, body)


def raw(path: str, data: bytes) -> Reply | None:
    """Send `data`, read the answer."""
    with connect(path) as sock:
        sock.sendall(data)
        return read(sock)


def go_request(method: str, target: str, body: bytes | None = None) -> bytes:
    """A request as Go's net/http writes it over a unix socket."""
    lines = [f"{method} {target} HTTP/1.1", "Host: dummy", "User-Agent: Go-http-client/1.1"]
    if body is not None:
        lines += [f"Content-Length: {len(body)}", "Content-Type: application/json"]
    return "\r\n".join([*lines, "Accept-Encoding: gzip", "", ""]).encode() + (body or b"")


def ask(path: str, method: str, target: str, body: bytes | None = None) -> Reply:
    reply = raw(path, go_request(method, target, body))
    assert reply is not None
    return reply


def body_of(env: Json, config: Any, attributes: Json | None = None) -> bytes:
    text = config if isinstance(config, bytes) else json.dumps(config).encode()
    members: Json = {"env": env, "config": base64.b64encode(text).decode()}
    if attributes is not None:
        members["interfaceAttributes"] = attributes
    return json.dumps(members).encode()


class ShimError(Exception):
    """What upstream's shim tells the runtime: text, and the code where the daemon gave one."""

    def __init__(self, message: str, code: int = 999) -> None:
        super().__init__(message)
        self.code = code


class UpstreamShim:
    """Upstream's shim, one object a call: its environment goes with it, whole."""

    def __init__(self, path: str, env: Json, config: Json) -> None:
        self.path = path
        self.env = {"PATH": "/usr/bin", "HOME": "/root", "SECRET_TOKEN": "hunter2", **env}
        self.config = config

    def run(self) -> Json | None:
        """ADD, CHECK, GC, STATUS as the runtime sees them. Raises ShimError."""
        self._wait_ready()
        reply = ask(self.path, "POST", "/cni", body_of(self.env, self.config))
        if reply.status != 200:
            try:
                told = json.loads(reply.body)
            except ValueError:
                told = None
            if isinstance(told, dict) and told.get("msg"):
                raise ShimError(told["msg"], told.get("code", 0))
            raise ShimError(f"CNI request failed with status {reply.status}: '{reply.body.decode()}'")
        if self.env["CNI_COMMAND"] != "ADD":
            return None
        answer = json.loads(reply.body)
        assert list(answer) == ["Result"]
        result: Json = answer["Result"]
        return result

    def delete(self) -> Reply:
        """DEL: one look at /healthz, then the request, whose failure the shim logs and forgets."""
        assert ask(self.path, "POST", "/healthz", b"null").status == 200
        return ask(self.path, "POST", "/cni", body_of(self.env, self.config))

    def _wait_ready(self) -> None:
        end = time.monotonic() + PATIENCE
        while ask(self.path, "POST", "/readyz", b"null").status != 200:
            assert time.monotonic() < end
            time.sleep(0.1)


class Controller:
    """The dynamic-networks-controller: `/delegate` with exactly the variables and attributes it sends."""

    def __init__(self, path: str, container: str, netns: str, pod: str = "web", uid: str = "uid-1") -> None:
        self.path = path
        self.env = {
            "CNI_CONTAINERID": container,
            "CNI_NETNS": netns,
            "CNI_ARGS": f"K8S_POD_NAMESPACE=default;K8S_POD_NAME={pod};K8S_POD_UID={uid}",
        }

    def add(self, ifname: str, config: Json, ips: tuple[str, ...] = (), mac: str = "", args: Any = None) -> Json:
        """The result; an error as the controller reports it."""
        attributes: Json | None = None
        if ips or mac or args is not None:
            attributes = {**({"ips": list(ips)} if ips else {}), **({"mac": mac} if mac else {}), "cni-args": args}
        reply = self._post("ADD", ifname, config, attributes)
        result: Json = json.loads(reply.body)["Result"]
        return result

    def remove(self, ifname: str, config: Json) -> None:
        assert self._post("DEL", ifname, config, None).body == b""

    def _post(self, command: str, ifname: str, config: Json, attributes: Json | None) -> Reply:
        env = {**self.env, "CNI_COMMAND": command, "CNI_IFNAME": ifname}
        reply = ask(self.path, "POST", "/delegate", body_of(env, config, attributes))
        if reply.status != 200:
            raise ShimError(f"unexpected CNI response status {reply.status}: '{reply.body.decode()}'")
        return reply
