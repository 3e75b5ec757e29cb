"""What a node's daemon watches: its pods, and every NetworkAttachmentDefinition."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multus import errors
from multus.kubernetes import client, kept
from multus.kubernetes.reflector import Reflector
from multus.kubernetes.watchstream import Source

if TYPE_CHECKING:
    from multus.kubernetes.kept import Definition
    from multus.kubernetes.reflector import Feed
    from multus.ports import Pod

#: A pod is ten times as large as a definition.
PODS_PAGE = 20

NETWORKS = Source(client.NETWORK_RESOURCE, f"/apis/k8s.cni.cncf.io/v1/{client.NETWORK_RESOURCE}")


def pods_of(node: str) -> Source:
    """The pods of one node; "" for those of the whole cluster. Raises errors.InvalidConfig for what is no name."""
    if not node:
        return Source("pods", "/api/v1/pods", page=PODS_PAGE)
    if not client.is_name(node):
        raise errors.InvalidConfig(f"{node[:260]!r} can't be the name of a node")
    return Source("pods", "/api/v1/pods", f"spec.nodeName={node}", PODS_PAGE)


def pods(feed: Feed) -> Reflector[Pod]:
    """Keeps pods."""
    return Reflector("pods", feed, kept.pod)


def networks(feed: Feed) -> Reflector[Definition | str]:
    """Keeps NetworkAttachmentDefinitions."""
    return Reflector(client.NETWORK_RESOURCE, feed, kept.network)
