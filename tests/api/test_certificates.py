"""A node's certificate from a real API server: requested by a kubelet's credentials, approved, used, renewed.

The approver and the certificate have exactly the rights that the manifests give them. Signing is the test's: the
controller manager's part is done with the key of the server's client CA.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from multus import errors
from multus.certificates import approver, naming, pem, rotation, signing
from multus.kubernetes import connect
from support import signer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.kubeapi import KubeApi

pytestmark = pytest.mark.api

DEPLOY = Path(__file__).parents[2] / "deploy"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
PLACES = {
    "ClusterRole": f"{RBAC}/clusterroles",
    "ClusterRoleBinding": f"{RBAC}/clusterrolebindings",
    "Role": f"{RBAC}/namespaces/{{}}/roles",
    "RoleBinding": f"{RBAC}/namespaces/{{}}/rolebindings",
}


@pytest.fixture(scope="module")
def granted(real_server: KubeApi) -> Iterator[KubeApi]:
    """The server with the rights of the manifests."""
    made = []
    for name in ("base/rbac.yaml", "cert-approver/rbac.yaml", "overlays/per-node-certificates/rbac.yaml"):
        for found in yaml.safe_load_all((DEPLOY / name).read_text()):
            place = PLACES[found["kind"]].format(found["metadata"].get("namespace", ""))
            real_server.call("POST", place, found)
            made.append(f"{place}/{found['metadata']['name']}")
    yield real_server
    for path in made:
        real_server.call("DELETE", path)


@pytest.fixture
def approving(granted: KubeApi, tmp_path: Path) -> Iterator[KubeApi]:
    """The approver and a signer at work."""
    stopped = threading.Event()
    client = connect.client(granted.write_kubeconfig(tmp_path, "approver"), {})
    assert client is not None
    threads = [
        threading.Thread(
            target=approver.Approver(client, connect.stream(client, approver.SOURCE, {})).run, args=(stopped,)
        ),
        threading.Thread(target=sign_approved, args=(granted, stopped)),
    ]
    for thread in threads:
        thread.start()
    yield granted
    stopped.set()
    for thread in threads:
        thread.join()
    client.close()


def sign_approved(server: KubeApi, stopped: threading.Event) -> None:
    """The controller manager's part."""
    while not stopped.wait(0.2):
        for csr in server.call("GET", signing.PATH)["items"]:
            approved = any(one["type"] == "Approved" for one in signing.conditions(csr))
            if approved and not csr["status"].get("certificate"):
                request = base64.b64decode(csr["spec"]["request"])
                made = signer.sign(server.authority, request, csr["spec"]["expirationSeconds"])
                csr["status"]["certificate"] = base64.b64encode(made).decode()
                server.call("PUT", f"{signing.PATH}/{csr['metadata']['name']}/status", csr)


def request(server: KubeApi, who: str, common_name: str = "", **changes: Any) -> Callable[[], dict[str, Any]]:
    """Ask for a certificate with `who`'s credentials; what looks at the request."""
    _, csr = pem.request(common_name or naming.common_name("n1"), naming.PREFIX)
    body = signing.render(f"test-{time.time_ns()}", csr, 3600)
    body["spec"].update(changes)
    made = server.call("POST", signing.PATH, body, who=who)
    return lambda: server.call("GET", f"{signing.PATH}/{made['metadata']['name']}")


def settled(look: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Its one condition, when there is one."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = signing.conditions(look())
        if found:
            (only,) = found
            return only
        time.sleep(0.1)
    raise AssertionError("nobody answered the request")


def test_first_certificate_and_its_successor(approving: KubeApi, tmp_path: Path) -> None:
    """A kubelet's credentials get the first; with it the daemon's requests are allowed; it gets the second itself."""
    now = [time.time()]
    place = rotation.wanted("n1", approving.write_kubeconfig(tmp_path, "node"), str(tmp_path / "certs"), "", 3600)
    keeper = rotation.Rotation(place, {}, clock=lambda: now[0])
    keeper.ensure(threading.Event())
    first = (tmp_path / "certs" / "multus-client-current.pem").read_bytes()
    approving.add_network("secured", '{"type": "bridge"}')
    client = connect.client(place.kubeconfig, {})
    assert client is not None
    assert client.network("default", "secured", time.monotonic() + 30)["metadata"]["name"] == "secured"
    with pytest.raises(errors.Denied):
        client.fetch("secrets", "/api/v1/secrets", time.monotonic() + 30)

    now[0] += 3600 * 0.95
    keeper.turn(time.monotonic() + 60)
    second = (tmp_path / "certs" / "multus-client-current.pem").read_bytes()
    assert second != first
    assert client.network("default", "secured", time.monotonic() + 30)["metadata"]["name"] == "secured"
    client.close()
    watched = connect.watching(place.kubeconfig, {}, node="n1")
    assert watched is not None
    watched.start()
    assert all(one.synced.wait(60) for one in watched.reflectors)
    watched.stop(time.monotonic() + 60)
    asked = {csr["spec"]["username"] for csr in approving.call("GET", signing.PATH)["items"]}
    assert asked >= {"system:node:n1", "system:multus:n1"}


def test_untrusted_certificate_is_replaced(approving: KubeApi, tmp_path: Path) -> None:
    """A certificate of another authority is refused by the server; the bootstrap credentials get another."""
    import trustme

    from multus.certificates.store import Store

    key, csr = pem.request(naming.common_name("n1"), naming.PREFIX)
    place = rotation.wanted("n1", approving.write_kubeconfig(tmp_path, "node"), str(tmp_path / "certs"), "", 3600)
    store = Store(place.directory)
    store.put(key + signer.sign(trustme.CA(), csr, 3600), time.time() - 60)
    stranger = store.read()
    rotation.Rotation(place, {}).ensure(threading.Event())
    assert store.read() != stranger
    client = connect.client(place.kubeconfig, {})
    assert client is not None
    assert client.fetch("version", "/version", time.monotonic() + 30)["major"] == "1"
    client.close()


def test_who_is_known_and_may_nothing(granted: KubeApi, tmp_path: Path) -> None:
    """Where not even the version may be read, a certificate is trusted all the same: 403 is no 401."""
    binding = f"{RBAC}/clusterrolebindings/system:public-info-viewer"
    discovery = f"{RBAC}/clusterrolebindings/system:discovery"
    kept = [granted.call("GET", path) for path in (binding, discovery)]
    client = connect.client(granted.write_kubeconfig(tmp_path, "node"), {})
    assert client is not None
    for found, path in zip(kept, (binding, discovery), strict=True):
        granted.call("DELETE", path)
        del found["metadata"]["resourceVersion"], found["metadata"]["uid"]
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                client.fetch("version", "/version", time.monotonic() + 30)
            except errors.Denied:
                break
            assert time.monotonic() < deadline, "the server still lets it read"
            time.sleep(0.1)
        client.introduce(time.monotonic() + 30)
    finally:
        for found in kept:
            granted.call("POST", f"{RBAC}/clusterrolebindings", found)
        client.close()


def test_denial_is_kept(approving: KubeApi) -> None:
    """A request for another node is denied by a condition that stays, with an event; the requester is told."""
    look = request(approving, "node", naming.common_name("n2"))
    found = settled(look)
    assert (found["type"], found["reason"]) == ("Denied", "CSRDenied")
    with pytest.raises(errors.Denied, match="common name"):
        signing.issued(look())
    uid = look()["metadata"]["uid"]
    deadline = time.monotonic() + 30
    while not approving.events_of(uid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert [(event["type"], event["reason"]) for event in approving.events_of(uid)] == [("Warning", "CSRDenied")]


def test_who_is_no_node_is_denied(approving: KubeApi) -> None:
    """The administrator's own groups are not a node's."""
    assert settled(request(approving, "admin"))["type"] == "Denied"


def test_kubeconfig_is_plain_json(approving: KubeApi, tmp_path: Path) -> None:
    """The one-shot plugin reads it without a YAML library; no bootstrap credentials are in it."""
    place = rotation.wanted("n1", approving.write_kubeconfig(tmp_path, "node"), str(tmp_path / "certs"), "", 3600)
    rotation.Rotation(place, {}).ensure(threading.Event())
    found = json.loads(Path(place.kubeconfig).read_bytes())
    assert found["users"][0]["user"].keys() == {"client-certificate", "client-key"}
