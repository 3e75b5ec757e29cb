"""Namespace isolation: whose networks a pod may name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multus import errors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from multus.networks.netconf import MultusConf
    from multus.networks.selection import Selection


def check(elements: Sequence[Selection], pod_namespace: str, conf: MultusConf) -> None:
    """Raises errors.IsolationError for an element of a namespace that is neither the pod's nor a global one."""
    if not conf.namespace_isolation:
        return
    for element in elements:
        if element.namespace != pod_namespace and element.namespace not in conf.global_namespaces:
            raise errors.IsolationError(
                "GetNetworkDelegates: namespace isolation enabled, annotation violates permission, pod is in namespace"
                f" {pod_namespace} but refers to target namespace {element.namespace} (network {element.name}): name a"
                f" network of the pod's own namespace{_allowed(conf)}"
            )


def _allowed(conf: MultusConf) -> str:
    return f" or of {', '.join(conf.global_namespaces)}" if conf.global_namespaces else ""
