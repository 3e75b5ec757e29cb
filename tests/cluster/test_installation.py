"""From nothing to Multus and back, as an operator does it: the manifests are applied, and deleted again."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from multus import __version__
from support.node import following, layout, leftovers, machine, plugins, pythonimage
from support.node.api import NETWORKS, ApiError
from support.node.churn import Churn
from support.node.cluster import Cluster
from support.node.pods import Namespace, Pod, bridge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.cluster

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
CONF = layout.CONF_DIR / "00-multus.conf"
THIN_CONF = layout.CONF_DIR / "00-multus.conflist"
KINDS = ("initContainers", "containers")
DAEMONSET = "/apis/apps/v1/namespaces/kube-system/daemonsets/kube-multus-ds"

Json = dict[str, Any]


@pytest.fixture(scope="module")
def cluster(assets: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A node with its default network and the image, and nothing of Multus."""
    with Cluster(assets) as made:
        made.write(plugins.PRIMARY, json.dumps(plugins.PRIMARY_CONF))
        made.load_image(_image(tmp_path_factory.mktemp("image")))
        made.wait_for_node()
        yield made


def _image(directory: Path) -> bytes:
    """MULTUS_IMAGE names an archive of one that was built, else one is made of this machine's Python."""
    built = os.environ.get("MULTUS_IMAGE")
    return Path(built).read_bytes() if built else pythonimage.archive(directory, __version__)


def apply(cluster: Cluster, file: str, conf: Path = CONF) -> None:
    """The quick start."""
    manifest = (DEPLOY / file).read_text()
    kubectl = ["kubectl", f"--kubeconfig={cluster.layout.kubeconfig}"]
    cluster.machine.run(*kubectl, "apply", "-f", "-", stdin=manifest)
    networks = "/apis/k8s.cni.cncf.io/v1/network-attachment-definitions"
    cluster.wait("the definition of NADs", lambda: cluster.api.answers(networks))
    cluster.wait("Multus to be in place", lambda: is_ready(cluster) and cluster.machine.file(conf).exists())


def is_ready(cluster: Cluster) -> bool:
    status = cluster.api.get(DAEMONSET)["status"]
    current = status.get("observedGeneration") == cluster.api.get(DAEMONSET)["metadata"]["generation"]
    return bool(current and status.get("numberReady") == 1 and status.get("updatedNumberScheduled") == 1)


def daemon_pods(cluster: Cluster) -> list[Json]:
    found: list[Json] = cluster.api.get("/api/v1/namespaces/kube-system/pods?labelSelector=name%3Dmultus")["items"]
    return found


def daemon_pod(cluster: Cluster) -> Json:
    return daemon_pods(cluster)[0]


@pytest.fixture(scope="module")
def early(cluster: Cluster) -> Pod:
    """A pod that asks for a network before there is Multus, and runs without it."""
    cluster.api.create("/api/v1/namespaces", {"metadata": {"name": "early"}})
    account = "/api/v1/namespaces/early/serviceaccounts/default"
    cluster.wait("the service account", lambda: cluster.api.answers(account))
    return Namespace(cluster, "early").pod("pod", "one")


@pytest.fixture(scope="module")
def installed(cluster: Cluster, early: Pod) -> Cluster:
    """The quick start has been run, on a node that has a pod already."""
    apply(cluster, "multus-daemonset.yml")
    return cluster


@pytest.fixture
def namespace(installed: Cluster, request: pytest.FixtureRequest) -> Iterator[Namespace]:
    """A namespace of the test's own; afterwards the node has nothing of its pods."""
    before = set(leftovers.find(installed))
    made = Namespace(installed, re.sub("[^a-z]+", "-", request.node.name)[:50].strip("-"))
    installed.api.create("/api/v1/namespaces", {"metadata": {"name": made.name}})
    account = f"/api/v1/namespaces/{made.name}/serviceaccounts/default"
    installed.wait("the service account", lambda: installed.api.answers(account))
    yield made
    made.empty()
    installed.wait("nothing to be left", lambda: set(leftovers.find(installed)) <= before)


def test_quick_start(namespace: Namespace) -> None:
    """One `kubectl apply`, and a pod has its second network."""
    namespace.network("one", bridge())
    pod = namespace.pod("pod", "one")
    assert pod.links() == {"eth0", "net1"}
    assert [entry["interface"] for entry in pod.status] == ["eth0", "net1"]
    pod.delete(grace=0)
    pod.gone()


def test_capabilities(installed: Cluster, record_property: Callable[[str, object], None]) -> None:
    """The daemon has CAP_NET_ADMIN alone, the installer no capability."""
    capabilities, memory = {}, []
    for found in daemon_pod(installed)["status"]["containerStatuses"]:
        identifier = found["containerID"].removeprefix("containerd://")
        lines = installed.machine.run(*installed.ctr, "tasks", "ls").splitlines()
        pid = next(line.split()[1] for line in lines if line.startswith(identifier))
        lines = installed.machine.run("cat", f"/proc/{pid}/status").splitlines()
        fields = {line.partition(":")[0]: line.split()[1] for line in lines}
        capabilities[found["name"]] = int(fields["CapEff"], 16)
        memory.append(f"{found['name']}: {int(fields['VmRSS']) / 1024:.0f} MiB")
    record_property("note", ", ".join(memory))
    assert capabilities == {"kube-multus": 1 << 12, "kube-multus-install": 0}


def test_default_network_is_told(installed: Cluster) -> None:
    """Which default network was chosen and why is an event on the node."""
    events = "/api/v1/namespaces/default/events?fieldSelector=involvedObject.kind%3DNode"

    def chosen() -> list[Json]:
        return [one for one in installed.api.get(events)["items"] if one["reason"] == "DefaultNetworkChosen"]

    found = installed.wait("the event", chosen)
    assert plugins.PRIMARY.name in found[0]["message"]


@pytest.mark.parametrize(("config", "good"), [("", True), (' {"type": "x"} ', True), ("bridge", False), ("[]", False)])
def test_definition(namespace: Namespace, config: str, good: bool) -> None:
    """A NAD with a configuration that is plainly no JSON object is refused, an empty one is legal."""
    body = {
        "apiVersion": "k8s.cni.cncf.io/v1",
        "kind": "NetworkAttachmentDefinition",
        "metadata": {"name": "nad"},
        "spec": {"config": config},
    }
    path = NETWORKS.format(namespace.name)
    if good:
        namespace.cluster.api.create(path, body)
    else:
        with pytest.raises(ApiError, match="must be a JSON object, or empty"):
            namespace.cluster.api.create(path, body)


def test_slipped_through(installed: Cluster, early: Pod) -> None:
    """A pod that started without Multus and asks for a network is told so by an event."""
    found = early.event(lambda event: event["reason"] == "NetworksMissing")
    assert "delete it" in found["message"]
    early.delete(grace=0)
    early.gone()


def test_rival(namespace: Namespace) -> None:
    """A configuration that is taken away is back before the next pod starts; pods have their networks."""
    cluster = namespace.cluster
    before = cluster.machine.file(CONF).read_bytes()
    cluster.machine.run("mv", str(CONF), f"{CONF}.cilium_bak")
    cluster.wait("the configuration to be back", lambda: cluster.machine.file(CONF).exists(), 5)
    assert cluster.machine.file(CONF).read_bytes() == before
    cluster.machine.run("rm", f"{CONF}.cilium_bak")
    namespace.network("one", bridge())
    pod = namespace.pod("pod", "one")
    assert pod.links() == {"eth0", "net1"}
    pod.delete(grace=0)
    pod.gone()


def test_rival_that_goes_on(installed: Cluster) -> None:
    """A configuration that is taken away again and again is a condition of the node.

    Once it is left alone it is not, though the installer was started again meanwhile."""
    cluster = installed
    conf = cluster.machine.file(CONF)

    def is_on() -> bool:
        conf.unlink(missing_ok=True)
        return contested(cluster) == "True"

    cluster.wait("the condition", is_on)
    replace_pod(cluster)
    cluster.wait("the condition to end", lambda: contested(cluster) == "False")
    assert conf.exists()


def contested(cluster: Cluster) -> str:
    """The status of our condition, "" where the node has none."""
    [node] = cluster.api.get("/api/v1/nodes")["items"]
    found = {one["type"]: one["status"] for one in node["status"]["conditions"]}
    assert found["Ready"] == "True"
    return str(found.get("MultusConfigurationTakenAway", ""))


def replace_pod(cluster: Cluster) -> None:
    """The DaemonSet's pod is deleted, and another one is ready."""
    old = daemon_pod(cluster)["metadata"]
    cluster.api.delete(f"/api/v1/namespaces/kube-system/pods/{old['name']}")
    cluster.wait("the pod to be gone", lambda: old["uid"] not in {p["metadata"]["uid"] for p in daemon_pods(cluster)})
    cluster.wait("Multus to be in place", lambda: is_ready(cluster) and cluster.machine.file(CONF).exists())


def test_restart_keeps_the_configuration(namespace: Namespace) -> None:
    """While the DaemonSet's pod is replaced, the configuration stays; a pod that starts meanwhile has its networks."""
    cluster = namespace.cluster
    namespace.network("one", bridge())
    old = daemon_pod(cluster)["metadata"]
    cluster.api.delete(f"/api/v1/namespaces/kube-system/pods/{old['name']}")
    pod = namespace.start("pod", "one")
    assert cluster.machine.file(CONF).exists()
    cluster.wait("another pod of Multus", lambda: daemon_pod(cluster)["metadata"]["uid"] != old["uid"])
    assert cluster.machine.file(CONF).exists()
    assert pod.phase().links() == {"eth0", "net1"}
    pod.delete(grace=0)
    pod.gone()


def test_upgrade_and_rollback(namespace: Namespace, newer: str) -> None:
    """The next release and back, as an operator does it, while all pods are being replaced.

    Its image has another daemon and another shim. The configuration is there at every moment, every pod has its
    networks, and no ADD fails."""
    cluster = namespace.cluster
    churn = Churn(namespace)
    with present(cluster.machine.file(CONF)) as missing:
        for image in (newer, f"multus-cni:{__version__}"):
            churn.roll()
            use_image(cluster, image)
            while not is_ready(cluster):
                churn.roll()
            assert [one["image"] for one in containers(daemon_pod(cluster)["spec"])] == [image] * 3
    churn.settle()
    assert missing == []
    assert churn.failures() == []


@pytest.fixture
def newer(installed: Cluster, tmp_path: Path) -> str:
    """The image of the next release, on the node."""
    installed.load_image(following.image(tmp_path / "image"))
    return f"multus-cni:{following.VERSION}"


def use_image(cluster: Cluster, image: str) -> None:
    """Change the DaemonSet, all its containers; returns when the controller has seen it."""
    pod = cluster.api.get(DAEMONSET)["spec"]["template"]["spec"]
    names = {kind: [{"name": one["name"], "image": image} for one in pod[kind]] for kind in KINDS}
    body = {"spec": {"template": {"spec": names}}}
    changed = cluster.api.request("PATCH", DAEMONSET, body, "application/strategic-merge-patch+json")
    generation = changed["metadata"]["generation"]
    seen = lambda: cluster.api.get(DAEMONSET)["status"].get("observedGeneration", 0) >= generation  # noqa: E731
    cluster.wait("the change to be seen", seen)


def containers(pod: Json) -> list[Json]:
    return [one for kind in KINDS for one in pod[kind]]


@contextlib.contextmanager
def present(path: Path) -> Iterator[list[float]]:
    """Look at a file all the time; the list has every moment at which it was not there."""
    missing: list[float] = []
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(0.005):
            if not path.exists():
                missing.append(time.monotonic())

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield missing
    finally:
        ended.set()
        looking.join()


def test_reboot(namespace: Namespace) -> None:
    """After a power cut pods come back with their networks.

    The configuration is there before anything of Multus runs."""
    cluster = namespace.cluster
    namespace.network("one", bridge())
    pod = namespace.pod("pod", "one")
    before = pod.get()["status"]["containerStatuses"][0]["restartCount"]
    cluster.reboot()
    assert cluster.machine.file(CONF).exists()
    restarts = lambda: pod.get()["status"]["containerStatuses"][0]["restartCount"] > before  # noqa: E731
    cluster.wait("the pod to be started again", restarts)
    assert pod.phase().links() == {"eth0", "net1"}
    cluster.wait("Multus to be ready", lambda: is_ready(cluster))
    pod.delete(grace=0)
    pod.gone()


def test_uninstallation_is_refused(namespace: Namespace) -> None:
    """While a pod has further networks, `multus-install uninstall` names it and changes nothing."""
    cluster = namespace.cluster
    namespace.network("one", bridge())
    pod = namespace.pod("pod", "one")
    name = daemon_pod(cluster)["metadata"]["name"]
    command = ["multus-install", "uninstall", "--config", "/etc/multus/daemon-config.json"]
    with pytest.raises(machine.MachineError, match=f"{namespace.name}/pod .{namespace.name}/one."):
        cluster.kubectl("exec", "-n", "kube-system", name, "-c", "kube-multus-install", "--", *command)
    assert cluster.machine.file(CONF).exists()
    pod.delete(grace=0)
    pod.gone()


def test_uninstallation_detaches(namespace: Namespace) -> None:
    """`deploy/uninstall`: a running pod loses its further network and keeps eth0, the configuration goes.

    The pod's DEL finds the default network's own. Installed again, all is as before."""
    cluster = namespace.cluster
    before = set(of_networks(cluster))
    namespace.network("one", bridge())
    pod = namespace.pod("pod", "one")
    assert pod.links() == {"eth0", "net1"}
    kubectl = ["kubectl", f"--kubeconfig={cluster.layout.kubeconfig}"]
    manifest = subprocess.run(
        ["kubectl", "kustomize", DEPLOY / "uninstall"], capture_output=True, check=True, text=True
    )
    cluster.machine.run(*kubectl, "apply", "-f", "-", stdin=manifest.stdout)
    done = f"{DAEMONSET.rpartition('/')[0]}/kube-multus-uninstall"
    cluster.wait("the node to be done", lambda: cluster.api.get(done)["status"].get("numberReady") == 1)
    assert ours(cluster) == []
    assert pod.links() == {"eth0"}
    cluster.machine.run(*kubectl, "delete", "--wait=false", "-f", "-", stdin=manifest.stdout)
    pod.delete(grace=0)
    pod.gone()
    cluster.wait("its networks to be gone", lambda: set(of_networks(cluster)) <= before)
    replace_pod(cluster)
    assert not cluster.machine.file(Path("/var/lib/cni/multus/last-orders")).exists()
    again = namespace.pod("again", "one")
    assert again.links() == {"eth0", "net1"}
    again.delete(grace=0)
    again.gone()


def of_networks(cluster: Cluster) -> list[str]:
    """What there is of pods' networks. What is on record of them waits for the next installation, and what containerd
    keeps under the name of Multus' network nobody asks it to forget."""
    kinds = ("link ", "lease ", "network namespace ", "chain ")
    return [one for one in leftovers.find(cluster) if one.startswith(kinds)]


@pytest.mark.parametrize("mode", ["thick", "thin"])
def test_uninstall(namespace: Namespace, mode: str) -> None:
    """`kubectl delete`, and the node has its default network again.

    Nothing of ours is in its configuration, pods start and end. Then the other kind is installed, and it is the same
    with that."""
    cluster = namespace.cluster
    if mode == "thin":
        apply(cluster, "multus-daemonset-thin.yml", THIN_CONF)
        namespace.network("one", bridge())
        pod = namespace.pod("with", "one")
        assert pod.links() == {"eth0", "net1"}
        pod.delete(grace=0)
        pod.gone()
    kubectl = ["kubectl", f"--kubeconfig={cluster.layout.kubeconfig}"]
    manifest = (DEPLOY / f"multus-daemonset-{mode}.yml").read_text()
    cluster.machine.run(*kubectl, "delete", "--wait=false", "-f", "-", stdin=manifest)
    cluster.wait("the configuration to be gone", lambda: not ours(cluster))
    cluster.wait("Multus to be gone", lambda: cluster.api.find(DAEMONSET) is None and not daemon_pods(cluster))
    pod = namespace.pod("without")
    assert pod.links() == {"eth0"}
    pod.delete(grace=0)
    pod.gone()


def ours(cluster: Cluster) -> list[str]:
    """Configurations of ours."""
    return [path.name for path in cluster.machine.file(layout.CONF_DIR).iterdir() if path.name.startswith("00-multus")]
