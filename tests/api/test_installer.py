"""The installer at a real API server: with exactly the rights that the manifests give it, and without them."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from multus import errors
from multus.cni import arguments, config, results
from multus.host import clock, figures, records
from multus.host import results as result_files
from multus.install import contest, reports, settings, slippedwatch
from multus.install.settings import Settings
from multus.install.source import Report
from multus.kubernetes import connect
from multus.networks import record, selection
from multus.ports import CachedResult

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from multus.kubernetes.client import Client
    from support.kubeapi import KubeApi

pytestmark = pytest.mark.api

DEPLOY = Path(__file__).parents[2] / "deploy"
ROLES = "/apis/rbac.authorization.k8s.io/v1/clusterroles"
KINDS = {"ClusterRole": ROLES, "ClusterRoleBinding": ROLES.replace("clusterroles", "clusterrolebindings")}
NODE, NODES = "node-1", "/api/v1/nodes"
PODS, BUDGETS = "/api/v1/namespaces/default/pods", "/apis/policy/v1/namespaces/default/poddisruptionbudgets"
REPLICASETS = "/apis/apps/v1/namespaces/default/replicasets"

Json = dict[str, Any]


@pytest.fixture(scope="module")
def granted(real_server: KubeApi) -> Iterator[KubeApi]:
    """The server with the cluster-wide rights of the manifests, those for evictions included, and a node."""
    made = []
    for name in ("base/rbac.yaml", "overlays/evict/rbac.yaml"):
        for found in yaml.safe_load_all((DEPLOY / name).read_text()):
            if found["kind"] in KINDS:
                real_server.call("POST", KINDS[found["kind"]], found)
                made.append(f"{KINDS[found['kind']]}/{found['metadata']['name']}")
    real_server.call("POST", NODES, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}})
    yield real_server
    for path in (*made, f"{NODES}/{NODE}"):
        real_server.call("DELETE", path)


@pytest.fixture
def client(granted: KubeApi, tmp_path: Path) -> Iterator[Client]:
    """As the installer's service account."""
    made = connect.client(granted.write_kubeconfig(tmp_path, "multus"), {})
    assert made is not None
    yield made
    made.close()


@contextlib.contextmanager
def without(server: KubeApi, role: str, resource: str) -> Iterator[None]:
    """For the time of a `with`: the role does not name the resource."""
    found = server.call("GET", f"{ROLES}/{role}")
    rules = found["rules"]
    server.call("PUT", f"{ROLES}/{role}", found | {"rules": [r for r in rules if resource not in r["resources"]]})
    try:
        yield
    finally:
        current = server.call("GET", f"{ROLES}/{role}")
        server.call("PUT", f"{ROLES}/{role}", current | {"rules": rules})


def eventually(holds: Callable[[], object]) -> None:
    """The server learns of a changed role a moment later."""
    patience = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < patience
        time.sleep(0.1)


# ── the condition of the node ───────────────────────────────────────────────────────────────────────────────────────


def conditions(server: KubeApi) -> dict[str, Json]:
    found = server.call("GET", f"{NODES}/{NODE}")["status"].get("conditions", [])
    return {one["type"]: one for one in found}


def report(client: Client, *reasons: str) -> None:
    sending = reports.NodeEvents(client, NODE)
    for reason in reasons:
        sending.send(Report(reason, f"because {reason}", "Warning"))
    sending.close(60)


def test_condition_comes_and_goes(granted: KubeApi, client: Client) -> None:
    """It is on while the configuration is taken away, then off; the kubelet's conditions stay as they are."""
    ready = {"type": "Ready", "status": "True", "reason": "x", "message": "y", "lastTransitionTime": None}
    node = granted.call("GET", f"{NODES}/{NODE}")
    node["status"]["conditions"] = [ready]
    granted.call("PUT", f"{NODES}/{NODE}/status", node)
    report(client, contest.TAKEN_AWAY)
    found = conditions(granted)
    assert set(found) == {"Ready", reports.CONDITION}
    assert (found["Ready"]["status"], found[reports.CONDITION]["status"]) == ("True", "True")
    assert found[reports.CONDITION]["message"] == f"because {contest.TAKEN_AWAY}"
    report(client, contest.TAKEN_AWAY, contest.RESTORED)
    assert conditions(granted)[reports.CONDITION]["status"] == "False"


def test_condition_needs_its_right(granted: KubeApi, client: Client) -> None:
    """Without `patch nodes/status` there is no condition, and nothing else breaks."""
    patch: Json = {"status": {"conditions": [reports.condition(Report(contest.TAKEN_AWAY, "it"), time.time_ns())]}}

    def is_denied() -> bool:
        try:
            client.patch_node_status(NODE, patch, time.monotonic() + 30)
        except errors.Denied as error:
            return "nodes/status" in error.message
        return False

    with without(granted, "multus", "nodes/status"):
        eventually(is_denied)
        before = conditions(granted)
        report(client, contest.TAKEN_AWAY)
        assert conditions(granted) == before
    eventually(lambda: not is_denied())


# ── pods that run without their networks ────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def owner(granted: KubeApi) -> Iterator[Json]:
    """A ReplicaSet, as the controller of pods; nobody is at work for it."""
    template = {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    spec = {"replicas": 1, "selector": {"matchLabels": {"app": "x"}}, "template": template}
    body = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "owner"}, "spec": spec}
    yield granted.call("POST", REPLICASETS, body)
    granted.call("DELETE", f"{REPLICASETS}/owner")


def run_pod(server: KubeApi, name: str, owner: Json) -> Json:
    """A pod that runs on the node and asks for a network."""
    metadata: Json = {"name": name, "labels": {"app": "x"}, "annotations": {selection.NETWORKS: "one"}}
    controller = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "owner", "controller": True}
    metadata["ownerReferences"] = [controller | {"uid": owner["metadata"]["uid"]}]
    spec = {"nodeName": NODE, "containers": [{"name": "c", "image": "i"}], "terminationGracePeriodSeconds": 0}
    spec["automountServiceAccountToken"] = False
    made = server.call("POST", PODS, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    is_ready = {"type": "Ready", "status": "True", "lastTransitionTime": None}
    made["status"] |= {"phase": "Running", "conditions": [is_ready]}
    return server.call("PUT", f"{PODS}/{name}/status", made)


def names(server: KubeApi) -> set[str]:
    return {pod["metadata"]["name"] for pod in server.call("GET", PODS)["items"]}


def watch(client: Client, directory: Path, policy: str) -> slippedwatch.Watch:
    told = Settings(conf_dir=str(directory), cni_dir=str(directory / "cni"), slipped_pods=policy)
    return slippedwatch.Watch(client, NODE, told, figures.Figures(told.state_dir))


def look(watching: slippedwatch.Watch, holds: Callable[[], object]) -> None:
    """Again and again: the list comes from a cache, and what is seen twice counts."""

    def looked() -> object:
        watching.look()
        return holds()

    eventually(looked)


def reasons(server: KubeApi, pod: Json) -> set[str]:
    return {event["reason"] for event in server.events_of(pod["metadata"]["uid"])}


def test_reported_only(granted: KubeApi, client: Client, owner: Json, tmp_path: Path) -> None:
    """Without the policy it stays, with an event on it."""
    pod = run_pod(granted, "stays", owner)
    look(watch(client, tmp_path, settings.REPORT), lambda: reasons(granted, pod))
    assert reasons(granted, pod) == {"NetworksMissing"}
    assert "stays" in names(granted)
    granted.remove_pod("stays")


def test_evicted(granted: KubeApi, client: Client, owner: Json, tmp_path: Path) -> None:
    """By policy it goes."""
    pod = run_pod(granted, "goes", owner)
    look(watch(client, tmp_path, settings.EVICT), lambda: "goes" not in names(granted))
    assert reasons(granted, pod) == {"NetworksMissing", "EvictedForNetworks"}
    assert figures.read(str(tmp_path), figures.EVICTED) == 1


def test_another_pod_of_that_name_stays(granted: KubeApi, client: Client, owner: Json) -> None:
    """The eviction is of one pod, not of a name."""
    run_pod(granted, "successor", owner)
    assert client.evict("default", "successor", "another", time.monotonic() + 30) == ""
    assert "successor" in names(granted)
    granted.remove_pod("successor")


def test_disruption_budget(granted: KubeApi, client: Client, owner: Json, tmp_path: Path) -> None:
    """A budget that allows none is respected, which is said; once it allows one, the pod goes."""
    budget: Json = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "none"}}
    budget["spec"] = {"minAvailable": 1, "selector": {"matchLabels": {"app": "x"}}}
    granted.call("POST", BUDGETS, budget)
    pod = run_pod(granted, "kept", owner)
    watching = watch(client, tmp_path, settings.EVICT)
    look(watching, lambda: len(reasons(granted, pod)) > 1)
    assert "kept" in names(granted)
    assert reasons(granted, pod) == {"NetworksMissing", "NotEvicted"}
    granted.call("DELETE", f"{BUDGETS}/none")
    look(watching, lambda: "kept" not in names(granted))


def test_eviction_needs_its_right(granted: KubeApi, client: Client, owner: Json) -> None:
    """Without `create pods/eviction`, which only the overlay grants, nobody is evicted."""
    pod = run_pod(granted, "forbidden", owner)

    def is_denied() -> bool:
        try:
            client.evict("default", "forbidden", pod["metadata"]["uid"], time.monotonic() + 30)
        except errors.Denied as error:
            return "pods/eviction" in error.message
        return False

    with without(granted, "multus-evict", "pods/eviction"):
        # The right may last for a moment: an eviction that succeeds is of a pod that is then made again.
        def is_denied_with_a_pod() -> bool:
            nonlocal pod
            if "forbidden" not in names(granted):
                pod = run_pod(granted, "forbidden", owner)
            return is_denied()

        eventually(is_denied_with_a_pod)
        assert "forbidden" in names(granted)
    granted.remove_pod("forbidden")


def test_status_is_written_again(granted: KubeApi, client: Client, owner: Json, tmp_path: Path) -> None:
    """A pod on record without a network-status gets it, and is not evicted."""
    pod = run_pod(granted, "silent", owner)
    conf = config.loads('{"cniVersion": "1.0.0", "name": "net", "type": "bridge"}', "it")
    entry = record.Entry(conf, "net", "eth0", (), {}, True, "/x")
    args = arguments.PodArgs("default", "silent", "sandbox", pod["metadata"]["uid"])
    cni_dir = str(tmp_path / "cni")
    records.RecordFiles(cni_dir, clock.SystemClock()).save("sandbox", record.Record((entry,), args))
    found = results.parse(b'{"cniVersion": "1.0.0", "ips": [{"address": "10.1.1.2/24"}]}', "1.0.0", "it")
    result_files.ResultFiles(cni_dir).save(CachedResult("net", "sandbox", "eth0", "/x", conf, (), {}, found))
    look(watch(client, tmp_path, settings.EVICT), lambda: selection.STATUS in granted.annotations_of("silent"))
    assert '"10.1.1.2"' in granted.annotations_of("silent")[selection.STATUS]
    assert "silent" in names(granted)
    assert reasons(granted, pod) == set()
    granted.remove_pod("silent")
