"""As whom Multus on a node speaks to the API server when it has a certificate of its own (upstream's names)."""

from __future__ import annotations

import re

from multus import errors

#: What the common name begins with, and the organization, which is the user's group.
PREFIX = "system:multus"

SIGNER = "kubernetes.io/kube-apiserver-client"
USAGES = ("digital signature", "client auth")

_NODE = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", re.ASCII)


def is_node(text: str) -> bool:
    """Whether a node can have this name (a DNS-1123 subdomain)."""
    return len(text) <= 253 and _NODE.fullmatch(text) is not None


def common_name(node: str) -> str:
    """The certificate's user. Raises errors.InvalidConfig for what is no node's name."""
    if not node:
        raise errors.InvalidConfig(
            "error getting node name for perNodeCertificate, please check manifest to have MULTUS_NODE_NAME"
        )
    if not is_node(node):
        raise errors.InvalidConfig(f"{node[:260]!r} can't be the name of a node")
    return f"{PREFIX}:{node}"
