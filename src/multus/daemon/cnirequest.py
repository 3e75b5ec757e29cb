"""The body of a request to `/cni` and `/delegate`: upstream's JSON, checked as upstream checks it, in its words.

{"env": {"CNI_COMMAND": "ADD", ...}, "config": "<base64 of the configuration>",
 "interfaceAttributes": {"ips": [...], "mac": "...", "cni-args": {...}}}
"""

from __future__ import annotations

import binascii
from typing import TYPE_CHECKING, Any, NamedTuple

from multus import errors
from multus.cni import environment, rawjson
from multus.networks import elementkeys, keys
from multus.networks.selection import Selection

if TYPE_CHECKING:
    from collections.abc import Callable

    from multus.cni.rawjson import Json

WHAT = "request body"

#: Verbs about an attachment, and those about the node.
OF_SANDBOX = ("ADD", "DEL", "CHECK")
OF_NODE = ("STATUS", "GC")

#: What a kubelet's runtime calls a pod's own interface.
DEFAULT_IFNAME = "eth0"

_CNI = "could not extract the CNI command args"
_POD = "could not extract the kubernetes runtime args"
_ATTRIBUTES = "interfaceAttributes"


class CniRequest(NamedTuple):
    """`environ` has the CNI_* variables alone: upstream's shim sends all it has, secrets included."""

    environ: dict[str, str]
    config: bytes
    asked: Selection

    @property
    def command(self) -> str:
        """CNI_COMMAND."""
        return self.environ["CNI_COMMAND"]


def decode(body: bytes, path: str, *, of_node: tuple[str, ...] = OF_NODE) -> CniRequest:
    """The request in `body`. A missing CNI_PATH becomes `path`, a missing CNI_IFNAME eth0; `of_node`: the verbs about
    the node that are served. Raises errors.CniError."""
    raw = rawjson.loads_object(body, WHAT)
    environ = _environ(raw)
    command = environ.get("CNI_COMMAND")
    if not command:
        raise errors.InvalidEnvironment(f"{_CNI}: unexpected or missing CNI_COMMAND")
    if command in OF_SANDBOX:
        _require(environ)
        environ.setdefault("CNI_IFNAME", DEFAULT_IFNAME)
    elif command not in of_node:
        raise errors.InvalidEnvironment(f"unknown cmd type: {environment.shown(command)[1:-1]}")
    if not environ.get("CNI_PATH"):
        environ["CNI_PATH"] = path
    return CniRequest(environ, _config(raw), _asked(raw))


def _environ(raw: Json) -> dict[str, str]:
    given = rawjson.mapping(raw.get("env") or {}, f"{WHAT}: env")
    found = {key: value for key, value in given.items() if key.startswith("CNI_")}
    for key, value in found.items():
        if not isinstance(value, str):
            raise errors.DecodeError(f"{WHAT}: env: {key} must be a string, not {rawjson.kind(value)}")
        if not keys.is_system_text(value):
            raise errors.InvalidEnvironment(f"{_CNI}: {key} contains characters that are not allowed")
    return found


def _require(environ: dict[str, str]) -> None:
    for key in ("CNI_CONTAINERID", "CNI_NETNS", "CNI_ARGS"):
        if key not in environ:
            raise errors.InvalidEnvironment(f"{_CNI}: missing {key}")
    pairs = {}
    for part in environ["CNI_ARGS"].split(";"):
        key, equals, value = part.partition("=")
        if not equals or "=" in value:
            raise errors.InvalidEnvironment(f"{_POD}: invalid CNI_ARG '{environment.shown(part)[1:-1]}'")
        pairs[key] = value
    for key in ("K8S_POD_NAMESPACE", "K8S_POD_NAME"):
        if key not in pairs:
            raise errors.InvalidEnvironment(f"{_POD}: missing {key}")
    namespace, name = pairs["K8S_POD_NAMESPACE"], pairs["K8S_POD_NAME"]
    if not namespace or not name:
        raise errors.InvalidEnvironment(f"required CNI variable missing. pod name: {name}; pod namespace: {namespace}")


def _config(raw: Json) -> bytes:
    """Go's encoding of bytes: base64, null for none."""
    text = rawjson.text(raw, "config", WHAT)
    try:
        return binascii.a2b_base64(text, strict_mode=True) if text else b""
    except ValueError as error:
        raise errors.DecodeError(f"{WHAT}: config is not base64: {error}") from error


_DECODERS: dict[str, tuple[str, Callable[[str, Any], Any]]] = {
    key: elementkeys.KEYS[key] for key in ("ips", "mac", "cni-args")
}


def _asked(raw: Json) -> Selection:
    """The attributes; as upstream, unknown ones are ignored. Raises errors.AnnotationError."""
    if raw.get(_ATTRIBUTES) is None:
        return Selection("", "")
    given = keys.known(rawjson.mapping(raw[_ATTRIBUTES], f"{WHAT}: {_ATTRIBUTES}"), _DECODERS)
    fields = {}
    for key, value in given.items():
        field, decoder = _DECODERS[key]
        fields[field] = decoder(f"{_ATTRIBUTES}: {key}", value)
    return Selection("", "", **fields)
