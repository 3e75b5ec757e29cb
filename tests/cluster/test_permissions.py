"""Each permission that is deployed is needed: without it something does not work, and says so."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from support.node import plugins
from support.node.plugins import Thick, Thin
from support.node.pods import bridge

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.node.cluster import Cluster
    from support.node.plugins import Plugin
    from support.node.pods import Namespace

Json = dict[str, Any]

pytestmark = pytest.mark.cluster

ROLE = f"{plugins.RBAC}/clusterroles/multus"
NETWORKS = "network-attachment-definitions"

#: Without these no pod with a network starts. The daemon knows pods and networks from its watches.
NEEDED_TO_START = {Thin.name: {(NETWORKS, "get"), ("pods", "get"), ("pods/status", "patch")}}
NEEDED_TO_START[Thick.name] = {("pods/status", "patch")}

#: Without these the daemon's log says what it can't do.
NEEDED_TO_WATCH = {(resource, verb) for resource in (NETWORKS, "pods") for verb in ("list", "watch")}

#: Shown by test_claims: without them no claim is found.
NEEDED_FOR_CLAIMS = {("resourceclaims", "get"), ("resourceslices", "list")}

#: Without it a pod has no event of ours.
NEEDED_FOR_EVENTS = {("events", "create")}

#: For the pods of the node that run without their networks.
NEEDED_TO_FIND = {("pods", "list")}

#: For the condition of a node whose configuration is taken away. Shown by tests/api/test_installer.py, as is
#: `create pods/eviction` of the overlay.
NEEDED_FOR_THE_CONDITION = {("nodes/status", "patch")}

#: For what the watches don't know yet.
NEEDED_BESIDE_WATCHES = {(NETWORKS, "get"), ("pods", "get")}


def granted(path: str) -> set[tuple[str, str]]:
    """Resource and verb of every permission in a manifest."""
    [role] = plugins.manifests(path, "ClusterRole")
    return {(resource, verb) for rule in role["rules"] for resource in rule["resources"] for verb in rule["verbs"]}


@contextlib.contextmanager
def without(cluster: Cluster, resource: str, verb: str) -> Iterator[None]:
    """For the time of a `with`: Multus may not do this."""
    role = cluster.api.get(ROLE)
    kept = [
        {**rule, "verbs": [one for one in rule["verbs"] if one != verb]} if resource in rule["resources"] else rule
        for rule in role["rules"]
    ]
    cluster.api.patch(ROLE, {"rules": [rule for rule in kept if rule["verbs"]]})
    cluster.wait("the permission to be withdrawn", lambda: not may(cluster, resource, verb))
    try:
        yield
    finally:
        cluster.api.patch(ROLE, {"rules": role["rules"]})
        cluster.wait("the permission to be given again", lambda: may(cluster, resource, verb))


def may(cluster: Cluster, resource: str, verb: str) -> bool:
    """Whether the API server lets Multus do this."""
    group = {NETWORKS: "k8s.cni.cncf.io"}.get(resource, "")
    main, _, part = resource.partition("/")
    asked = {"group": group, "resource": main, "subresource": part, "verb": verb, "namespace": "default"}
    review = {"kind": "SubjectAccessReview", "apiVersion": "authorization.k8s.io/v1"}
    body: Json = {**review, "spec": {"user": plugins.USER, "resourceAttributes": asked}}
    answer = cluster.api.create("/apis/authorization.k8s.io/v1/subjectaccessreviews", body)
    return bool(answer["status"]["allowed"])


@pytest.mark.parametrize(
    ("plugin", "resource", "verb"),
    [(name, *pair) for name, pairs in NEEDED_TO_START.items() for pair in sorted(pairs)],
    indirect=["plugin"],
    scope="session",
)
def test_needed_to_start(namespace: Namespace, resource: str, verb: str) -> None:
    """Without the permission a pod waits, an event says what is forbidden; with it the pod runs."""
    namespace.network("one", bridge())
    with without(namespace.cluster, resource, verb):
        pod = namespace.start("pod", "one")
        pod.event(lambda event: event["type"] == "Warning" and "forbidden" in event["message"])
    assert pod.phase().links() == {"eth0", "net1"}


def test_needed_for_events(namespace: Namespace, plugin: Plugin) -> None:
    """Without the permission to create events a pod runs, and the log says that its event was refused."""
    cluster = namespace.cluster
    before = plugin.log(cluster).count("forbidden")
    with without(cluster, "events", "create"):
        namespace.pod("pod")
        cluster.wait("the log to say it", lambda: plugin.log(cluster).count("forbidden") > before)


@pytest.mark.parametrize("plugin", [Thick.name], indirect=True, scope="session")
@pytest.mark.parametrize(("resource", "verb"), sorted(NEEDED_TO_WATCH))
def test_needed_to_watch(cluster: Cluster, plugin: Plugin, resource: str, verb: str) -> None:
    """Without the permission the daemon's watch does not come about, and its log says so."""
    before = plugin.log(cluster).count("forbidden")
    with without(cluster, resource, verb):
        cluster.restart_program(Thick.daemon)
        cluster.wait("the log to say it", lambda: plugin.log(cluster).count("forbidden") > before)
    cluster.restart_program(Thick.daemon)


#: What each manifest grants.
GRANTED = {
    "thin/rbac.yaml": NEEDED_TO_START[Thin.name] | NEEDED_TO_FIND,
    "base/rbac.yaml": NEEDED_TO_START[Thick.name] | NEEDED_TO_WATCH | NEEDED_BESIDE_WATCHES,
}


@pytest.mark.parametrize("path", GRANTED)
def test_nothing_else_is_granted(path: str) -> None:
    """The manifests grant what is needed and nothing else."""
    everywhere = NEEDED_FOR_EVENTS | NEEDED_FOR_CLAIMS | NEEDED_FOR_THE_CONDITION
    assert granted(path) == GRANTED[path] | everywhere
