"""A certificate per node, as an operator installs it: the overlay, with the image that a release has for it."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from cryptography import x509

import images
import render_deploy
from multus import __version__
from multus.certificates import naming, pem, signing
from multus.certificates.store import CURRENT
from support import signer
from support.node import authority, layout, plugins
from support.node.cluster import Cluster
from support.node.images import architecture
from support.node.pods import Namespace, bridge

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.cluster

KUBELET_CONF = Path("/etc/kubernetes/kubelet.conf")
KUBELET_PKI = Path("/var/lib/kubelet/pki")
CERTIFICATES = Path("/var/lib/multus/certs")

KUBELET, NODE = f"system:node:{layout.NODE_NAME}", naming.common_name(layout.NODE_NAME)

Json = dict[str, Any]


@pytest.fixture(scope="module")
def cluster(assets: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A node whose kubelet's credentials are where kubeadm has them, and Multus of the overlay on it."""
    directory = tmp_path_factory.mktemp("images")
    assert images.main(["--only", architecture(), str(directory)]) == 0
    with Cluster(assets) as made:
        made.write(plugins.PRIMARY, json.dumps(plugins.PRIMARY_CONF))
        image = made.layout.conf / "multus.tar"
        image.write_bytes((directory / f"multus-cni-{__version__}-certificates.oci.tar").read_bytes())
        made.machine.run(*made.ctr, "images", "import", str(image))
        image.unlink()
        write_credentials(made)
        made.wait_for_node()
        kubectl = ["kubectl", f"--kubeconfig={made.layout.kubeconfig}"]
        made.machine.run(*kubectl, "apply", "-f", "-", stdin=render_deploy.render("per-node-certificates"))
        made.wait("Multus to be ready", lambda: is_ready(made))
        yield made


def write_credentials(cluster: Cluster) -> None:
    """As kubeadm does: the kubelet's kubeconfig names a file with key and certificate."""
    keys = cluster.layout.keys
    pair = KUBELET_PKI / "kubelet-client-current.pem"
    cluster.write(pair, (keys / "kubelet.crt").read_text() + (keys / "kubelet.key").read_text(), 0o600)
    document = json.loads(authority.kubeconfig(keys, "kubelet", cluster.machine.address))
    (there,) = (one["cluster"] for one in document["clusters"])
    del there["certificate-authority"]
    there["certificate-authority-data"] = base64.b64encode((keys / "ca.crt").read_bytes()).decode()
    document["users"][0]["user"] = {"client-certificate": str(pair), "client-key": str(pair)}
    cluster.write(KUBELET_CONF, json.dumps(document), 0o600)


def is_ready(cluster: Cluster) -> bool:
    found = cluster.api.get("/apis/apps/v1/namespaces/kube-system/daemonsets/kube-multus-ds")
    status = found["status"]
    current = status.get("observedGeneration") == found["metadata"]["generation"]
    conf = cluster.machine.file(plugins.MULTUS)
    return bool(current and status.get("numberReady") == 1 and conf.exists())


def requests(cluster: Cluster, who: str) -> list[Json]:
    """Those that were approved and signed, by who asked."""
    found: list[Json] = cluster.api.get(signing.PATH)["items"]
    approved = [one for one in found if any(c["type"] == "Approved" for c in one["status"].get("conditions", []))]
    return [one for one in approved if one["spec"]["username"] == who and one["status"].get("certificate")]


def current(cluster: Cluster) -> bytes:
    """Key and certificate in use."""
    return cluster.machine.file(CERTIFICATES / CURRENT).read_bytes()


@pytest.fixture
def namespace(cluster: Cluster, request: pytest.FixtureRequest) -> Namespace:
    made = Namespace(cluster, str(request.function.__name__).replace("_", "-"))
    cluster.api.create("/api/v1/namespaces", {"metadata": {"name": made.name}})
    account = f"/api/v1/namespaces/{made.name}/serviceaccounts/default"
    cluster.wait("the service account", lambda: cluster.api.answers(account))
    return made


def test_first_certificate(namespace: Namespace) -> None:
    """Asked for as the kubelet, approved, signed for its 24 hours; with it a pod has its two networks."""
    cluster = namespace.cluster
    (found,) = requests(cluster, KUBELET)
    pair = current(cluster)
    assert base64.b64decode(found["status"]["certificate"]) in pair
    (name,) = x509.load_pem_x509_certificates(pair)[0].subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    assert (name.value, found["spec"]["expirationSeconds"]) == (NODE, 24 * 3600)
    works(namespace)


def test_rotation(namespace: Namespace) -> None:
    """A certificate near its end is renewed with itself, not with the kubelet's credentials.

    Pods have their networks as before."""
    cluster = namespace.cluster
    before, asked = aged(cluster), len(requests(cluster, KUBELET))
    cluster.write_bytes(CERTIFICATES / str(cluster.machine.file(CERTIFICATES / CURRENT).readlink()), before, 0o600)
    pods = "/api/v1/namespaces/kube-system/pods"
    (pod,) = cluster.api.get(f"{pods}?labelSelector=name%3Dmultus")["items"]
    cluster.api.delete(f"{pods}/{pod['metadata']['name']}")
    (found,) = cluster.wait("the renewal", lambda: requests(cluster, NODE))
    cluster.wait(
        "the certificate to be in use", lambda: base64.b64decode(found["status"]["certificate"]) in current(cluster)
    )
    assert len(requests(cluster, KUBELET)) == asked
    cluster.wait("Multus to be ready", lambda: is_ready(cluster))
    works(namespace)


def aged(cluster: Cluster) -> bytes:
    """A pair of the cluster's own making, of whose twelve thousand seconds six hundred are left."""
    keys = cluster.layout.keys
    issuer = trustme.CA.from_pem((keys / "ca.crt").read_bytes(), (keys / "ca.key").read_bytes())
    key, request = pem.request(NODE, naming.PREFIX)
    return key + signer.sign(issuer, request, 12000, begins=time.time() - 11400)


def works(namespace: Namespace) -> None:
    namespace.network("one", bridge())
    namespace.network("two", bridge())
    pod = namespace.pod("pod", "one,two")
    assert pod.links() == {"eth0", "net1", "net2"}
    assert [entry["interface"] for entry in pod.status] == ["eth0", "net1", "net2"]
    pod.delete(grace=0)
    pod.gone()
