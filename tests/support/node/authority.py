"""The cluster's certificate authority, and what each of its programs needs to speak to the others."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import trustme
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from support.node import layout

if TYPE_CHECKING:
    from pathlib import Path

#: File name -> organisation and common name of the client certificate in it.
CLIENTS = {
    "admin": ("system:masters", "admin"),
    "kubelet": ("system:nodes", f"system:node:{layout.NODE_NAME}"),
    "controllers": (None, "system:kube-controller-manager"),
    "scheduler": (None, "system:kube-scheduler"),
    "multus": (None, f"multus:{layout.NODE_NAME}"),
}


def write(directory: Path, address: str) -> None:
    """Write a new CA, the serving certificates for a node's address, the clients' and the key of tokens."""
    authority = trustme.CA(organization_name="multus-cluster")
    authority.cert_pem.write_to_path(str(directory / "ca.crt"))
    authority.private_key_pem.write_to_path(str(directory / "ca.key"))
    names = ["127.0.0.1", layout.SERVICE_ADDRESS, address, "localhost", "kubernetes.default.svc", layout.NODE_NAME]
    _save(directory, "server", authority.issue_cert(*names))
    for name, (organisation, common) in CLIENTS.items():
        # A certificate without any name of a host would carry an empty list of them, which Go refuses.
        host = f"{name}.client.invalid"
        _save(directory, name, authority.issue_cert(host, common_name=common, organization_name=organisation))
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = serialization.PrivateFormat.TraditionalOpenSSL
    private = key.private_bytes(serialization.Encoding.PEM, pem, serialization.NoEncryption())
    (directory / "accounts.key").write_bytes(private)


def _save(directory: Path, name: str, issued: trustme.LeafCert) -> None:
    issued.cert_chain_pems[0].write_to_path(str(directory / f"{name}.crt"))
    issued.private_key_pem.write_to_path(str(directory / f"{name}.key"))


def kubeconfig(keys: Path, client: str, address: str) -> str:
    """A kubeconfig of one of `CLIENTS`, as JSON, which is YAML too."""
    cluster = {"server": f"https://{address}:{layout.API_PORT}", "certificate-authority": str(keys / "ca.crt")}
    user = {"client-certificate": str(keys / f"{client}.crt"), "client-key": str(keys / f"{client}.key")}
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "here", "cluster": cluster}],
            "users": [{"name": client, "user": user}],
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": client}}],
            "current-context": "here",
        },
        indent=1,
    )
