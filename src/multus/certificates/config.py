"""The kubeconfig of a node's own certificate, in JSON: the bootstrap kubeconfig's server, the store's key."""

from __future__ import annotations

import base64
import os
from typing import TYPE_CHECKING

from multus import errors
from multus.cni import rawjson
from multus.kubernetes import kubeconfig

if TYPE_CHECKING:
    from multus.cni.rawjson import Json
    from multus.kubernetes.access import Endpoint

CLUSTER, USER, CONTEXT = "default-cluster", "default-auth", "default-context"

#: A CA bundle is smaller.
LIMIT = 1 << 20


def render(bootstrap: str, certificate: str) -> bytes:
    """The file's content; of the bootstrap kubeconfig no credentials are taken over. Raises errors.IoFailure,
    errors.InvalidConfig."""
    endpoint = kubeconfig.load(bootstrap).endpoint
    document: Json = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": CLUSTER, "cluster": _cluster(endpoint)}],
        "users": [{"name": USER, "user": {"client-certificate": certificate, "client-key": certificate}}],
        "contexts": [{"name": CONTEXT, "context": {"cluster": CLUSTER, "user": USER, "namespace": "default"}}],
        "current-context": CONTEXT,
    }
    return rawjson.encode(document) + b"\n"


def write(path: str, content: bytes) -> bool:
    """Put it in place, 0600, whole; whether it was another before. Raises errors.IoFailure."""
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        if _content(path) == content:
            return False
        os.makedirs(os.path.dirname(path) or ".", 0o755, exist_ok=True)
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "wb") as file:
            file.write(content)
        os.rename(temporary, path)
    except OSError as error:
        raise errors.IoFailure(f"can't write {path}: {error.strerror}") from error
    return True


def _cluster(endpoint: Endpoint) -> Json:
    found: Json = {"server": endpoint.url + endpoint.prefix}
    if endpoint.insecure:
        found["insecure-skip-tls-verify"] = True
    if endpoint.ca.given:
        # Inline, because the file may be out of sight of who reads this kubeconfig.
        ca = endpoint.ca.data or _read(endpoint.ca.file)
        found["certificate-authority-data"] = base64.b64encode(ca).decode("ascii")
    if endpoint.server_name:
        found["tls-server-name"] = endpoint.server_name
    if endpoint.proxy:
        found["proxy-url"] = endpoint.proxy
    return found


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(LIMIT)
    except OSError as error:
        raise errors.IoFailure(f"certificate-authority {path}: {error.strerror}") from error


def _content(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read(LIMIT * 2)
    except FileNotFoundError:
        return None
