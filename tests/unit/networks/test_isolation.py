"""Namespace isolation."""

from __future__ import annotations

import pytest

from multus import errors
from multus.networks import isolation
from unit.networks import making


@pytest.mark.parametrize(
    ("namespace", "pod", "allowed"),
    [
        ("blue", "blue", True),
        ("default", "blue", True),
        ("green", "blue", False),
        ("blue", "default", False),
        ("Default", "blue", False),
    ],
)
def test_isolated(namespace: str, pod: str, allowed: bool) -> None:
    """The pod's own namespace and the global ones, compared exactly."""
    elements = [making.element(namespace=pod), making.element("secret", namespace=namespace)]
    conf = making.conf(namespaceIsolation=True)
    if allowed:
        isolation.check(elements, pod, conf)
        return
    with pytest.raises(errors.IsolationError) as caught:
        isolation.check(elements, pod, conf)
    for part in (f"pod is in namespace {pod}", f"target namespace {namespace}", "secret", "default"):
        assert part in caught.value.message


def test_global_namespaces_replace_default() -> None:
    """`default` is global only where it is listed."""
    conf = making.conf(namespaceIsolation=True, globalNamespaces="shared, other")
    isolation.check([making.element(namespace="shared"), making.element(namespace="other")], "blue", conf)
    with pytest.raises(errors.IsolationError, match="shared, other"):
        isolation.check([making.element(namespace="default")], "blue", conf)


def test_not_isolated() -> None:
    """Without the key any network of any namespace may be named."""
    isolation.check([making.element(namespace="green")], "blue", making.conf())
