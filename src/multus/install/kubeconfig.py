"""The one-shot plugin's kubeconfig, from the service account of the pod we run in.

It is JSON, which is YAML too: reading it costs the plugin no YAML library. The kubelet replaces the token every hour or
so, and an API server's CA may change: the file is written again whenever it would be another one.
"""

from __future__ import annotations

import base64
import os
from typing import TYPE_CHECKING

from multus import errors, log
from multus.cni import rawjson
from multus.install import files
from multus.kubernetes import incluster

if TYPE_CHECKING:
    from collections.abc import Mapping

    from multus.cni.rawjson import Json

NAME = "multus.kubeconfig"

#: As seen from the host, where the one-shot plugin reads it.
ON_HOST = f"/etc/cni/net.d/multus.d/{NAME}"

#: Tokens and certificates are smaller.
LIMIT = 1 << 20


def refresh(
    path: str, environ: Mapping[str, str], *, skip_tls_verify: bool, account: str = incluster.DIRECTORY
) -> bool:
    """Write the file if it is not what it should be; whether it was written. Raises errors.IoFailure,
    errors.InvalidConfig."""
    ca = files.read(os.path.join(account, "ca.crt"), LIMIT)
    token = files.read(os.path.join(account, "token"), LIMIT).strip()
    data = rawjson.encode(render(server(environ), token, b"" if skip_tls_verify else ca)) + b"\n"
    if files.find(path, LIMIT * 2) == data:
        return False
    files.write(path, data)
    log.verbose("kubeconfig written", file=path)
    return True


def server(environ: Mapping[str, str]) -> str:
    """The API server's URL. Raises errors.InvalidConfig naming the variable that is missing."""
    host, port = (environ.get(name, "") for name in ("KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"))
    if not host or not port:
        raise errors.InvalidConfig(
            "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT must say where the API server is"
        )
    host = host.strip("[]")
    scheme = environ.get("KUBERNETES_SERVICE_PROTOCOL") or "https"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def render(url: str, token: bytes, ca: bytes) -> Json:
    """The kubeconfig; without a CA the server is trusted blindly, which is said in it. Raises errors.InvalidConfig."""
    if not token or not token.isascii() or not token.decode("ascii").isprintable():
        raise errors.InvalidConfig("the service account's token is empty or no token")
    trust = {"certificate-authority-data": base64.b64encode(ca).decode()} if ca else {"insecure-skip-tls-verify": True}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "local", "cluster": {"server": url, **trust}}],
        "users": [{"name": "multus", "user": {"token": token.decode("ascii")}}],
        "contexts": [{"name": "multus-context", "context": {"cluster": "local", "user": "multus"}}],
        "current-context": "multus-context",
    }
