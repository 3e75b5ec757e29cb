"""What is kept of objects that may hold anything."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multus.kubernetes import kept
from multus.networks.nad import Nad

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


def pod_object(**metadata: Any) -> dict[str, Any]:
    """A pod as the API server has it."""
    return {"metadata": {"namespace": "ns", "name": "web", "uid": "u", **metadata}, "spec": {}}


def network_object(config: Any, **annotations: Any) -> dict[str, Any]:
    """A definition as the API server has it."""
    return {"metadata": {"namespace": "ns", "name": "n", "annotations": annotations}, "spec": {"config": config}}


def test_pod() -> None:
    """Only the annotations that are read."""
    networks, default = "k8s.v1.cni.cncf.io/networks", "v1.multus-cni.io/default-network"
    raw = pod_object(annotations={networks: "a", default: "b", "other": "c"})
    found = kept.pod(raw)
    assert found is not None
    assert (found.namespace, found.name, found.uid, found.static) == ("ns", "web", "u", False)
    assert found.annotations == {networks: "a", default: "b"}


@pytest.mark.parametrize(("source", "static"), [("file", True), ("api", False), (7, False)])
def test_static_pod(source: Any, static: bool) -> None:
    """The kubelet's mark on mirror pods."""
    found = kept.pod(pod_object(annotations={"kubernetes.io/config.source": source}))
    assert found is not None
    assert found.static is static


def test_claims() -> None:
    """Are kept, as a live lookup has them."""
    raw = pod_object() | {"spec": {"resourceClaims": [{"name": "x", "resourceClaimName": "claim"}]}}
    found = kept.pod(raw)
    assert found is not None
    assert found.claims is not None
    assert found.claims.names == ("claim",)


@pytest.mark.parametrize("metadata", [{"uid": ""}, {"uid": 7}, {"annotations": {kept.ANNOTATIONS[0]: "x" * 70000}}])
def test_pods_that_are_asked_for_each_time(metadata: dict[str, Any]) -> None:
    """Without a UID, or too large."""
    assert kept.pod(pod_object(**metadata)) is None


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (network_object("{}"), Nad("ns", "n", "{}")),
        (network_object(None), Nad("ns", "n")),
        ({"metadata": {}}, Nad("ns", "n")),
        (network_object("{}", **{"k8s.v1.cni.cncf.io/resourceName": "x/y"}), Nad("ns", "n", "{}", "x/y")),
    ],
)
def test_network(raw: dict[str, Any], expected: Nad) -> None:
    """What a live lookup would say."""
    value = kept.network(raw)
    assert value is not None
    assert kept.nad("ns", "n", value) == expected


@pytest.mark.parametrize("config", [7, {}, "x" * 70000])
def test_networks_that_are_asked_for_each_time(config: Any) -> None:
    """Of the wrong kind, or too large."""
    assert kept.network(network_object(config)) is None


@given(JSON, JSON, JSON, JSON)
def test_anything(metadata: Any, annotations: Any, uid: Any, spec: Any) -> None:
    """No object makes it fail."""
    assert kept.key({"metadata": metadata}) == ""
    raw = {"metadata": {"namespace": "ns", "name": "n", "uid": uid, "annotations": annotations}, "spec": spec}
    assert kept.key(raw) == "ns/n"
    kept.pod(raw)
    kept.network(raw)
