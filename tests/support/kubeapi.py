"""A real kube-apiserver with its etcd on loopback, from the binaries in the directory KUBE_ASSETS.

Only the API: no scheduler, no kubelet, no controllers. Pods stay Pending and nobody touches them.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trustme
import urllib3
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

if TYPE_CHECKING:
    from types import TracebackType

Json = dict[str, Any]

#: How long a cold start may take, in seconds; seen: 10 to 20 on two cores.
PATIENCE = 120

NETWORKS = "/apis/k8s.cni.cncf.io/v1/namespaces/{}/network-attachment-definitions"
DEFINITION: Json = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "network-attachment-definitions.k8s.cni.cncf.io"},
    "spec": {
        "group": "k8s.cni.cncf.io",
        "scope": "Namespaced",
        "names": {
            "plural": "network-attachment-definitions",
            "singular": "network-attachment-definition",
            "kind": "NetworkAttachmentDefinition",
        },
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {"spec": {"type": "object", "properties": {"config": {"type": "string"}}}},
                    }
                },
            }
        ],
    },
}


#: Who -> token, user and groups.
USERS = {
    "admin": ("token-1", "admin", "system:masters"),
    "node": ("token-2", "system:node:n1", "system:nodes"),
    "multus": ("token-4", "system:serviceaccount:kube-system:multus", "system:serviceaccounts"),
    "approver": ("token-3", "system:serviceaccount:kube-system:multus-cert-approver", "system:serviceaccounts"),
}


class KubeApi:
    """The same things to arrange and to look at as `apiserver.ApiServer` has, of the real server."""

    token = USERS["admin"][0]

    def __init__(self, assets: str) -> None:
        self._assets = Path(assets)
        self._directory = Path(tempfile.mkdtemp(prefix="kube-api-"))
        self._processes: list[subprocess.Popen[bytes]] = []
        #: Of the server's certificate, and of clients'.
        self.authority = trustme.CA()
        self._port = _free_port()
        self._pool = urllib3.PoolManager(ca_certs=str(self._directory / "ca.crt"))

    def __enter__(self) -> KubeApi:
        try:
            self._write_keys()
            self._start()
            self._wait("/readyz")
            self._call("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", DEFINITION)
            self._wait(NETWORKS.format("default"))
            self._wait("/api/v1/namespaces/default")
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    # ── what tests arrange and look at ──────────────────────────────────────────────────────────────────────────────

    def add_pod(
        self, name: str, namespace: str = "default", annotations: dict[str, str] | None = None, node: str = ""
    ) -> Json:
        """Create a pod; one of that name is replaced by another."""
        pods = f"/api/v1/namespaces/{namespace}/pods"
        if self._request("GET", f"{pods}/{name}").status == 200:
            self.remove_pod(name, namespace)
        metadata = {"name": name, "annotations": annotations or {}}
        spec: Json = {"containers": [{"name": "main", "image": "example"}], "automountServiceAccountToken": False}
        if node:
            spec["nodeName"] = node
        return self._call("POST", pods, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})

    def add_network(
        self, name: str, config: str | None, namespace: str = "default", annotations: dict[str, str] | None = None
    ) -> Json:
        """Create a NAD; one of that name is replaced by another."""
        networks = NETWORKS.format(namespace)
        if self._request("GET", f"{networks}/{name}").status == 200:
            self._call("DELETE", f"{networks}/{name}")
        body: Json = {
            "apiVersion": "k8s.cni.cncf.io/v1",
            "kind": "NetworkAttachmentDefinition",
            "metadata": {"name": name, "annotations": annotations or {}},
        }
        if config is not None:
            body["spec"] = {"config": config}
        return self._call("POST", networks, body)

    def call(self, method: str, path: str, body: Json | None = None, who: str = "admin") -> Json:
        """Any request that should succeed, as the cluster's administrator or another of `USERS`; its answer."""
        return self._call(method, path, body, who)

    def remove_pod(self, name: str, namespace: str = "default") -> None:
        """Delete a pod at once."""
        self._call("DELETE", f"/api/v1/namespaces/{namespace}/pods/{name}", {"gracePeriodSeconds": 0})

    def annotate(self, name: str, annotations: dict[str, str], namespace: str = "default") -> None:
        """Add annotations to a pod."""
        self._patch(f"/api/v1/namespaces/{namespace}/pods/{name}", {"metadata": {"annotations": annotations}})

    def remove_network(self, name: str, namespace: str = "default") -> None:
        """Delete a NAD."""
        self._call("DELETE", f"{NETWORKS.format(namespace)}/{name}")

    def annotations_of(self, name: str, namespace: str = "default") -> dict[str, str]:
        """The annotations a pod has now."""
        pod = self._call("GET", f"/api/v1/namespaces/{namespace}/pods/{name}")
        found: dict[str, str] = pod["metadata"].get("annotations", {})
        return found

    def events_of(self, uid: str) -> list[Json]:
        """The events on one pod."""
        found = self._call("GET", f"/api/v1/events?fieldSelector=involvedObject.uid%3D{uid}")
        items: list[Json] = found["items"]
        return sorted(items, key=lambda item: str(item["metadata"]["name"]))

    def write_kubeconfig(self, directory: Path, who: str = "admin") -> str:
        """A kubeconfig with the token of one of `USERS`; returns its path."""
        cluster = {
            "server": f"https://127.0.0.1:{self._port}",
            "certificate-authority": str(self._directory / "ca.crt"),
        }
        config = {
            "clusters": [{"name": "real", "cluster": cluster}],
            "users": [{"name": "admin", "user": {"token": USERS[who][0]}}],
            "contexts": [{"name": "here", "context": {"cluster": "real", "user": "admin"}}],
            "current-context": "here",
        }
        path = directory / f"{who}.kubeconfig"
        path.write_text(json.dumps(config))
        return str(path)

    # ── processes ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _write_keys(self) -> None:
        self.authority.cert_pem.write_to_path(str(self._directory / "ca.crt"))
        issued = self.authority.issue_cert("127.0.0.1", "localhost")
        issued.private_key_and_cert_chain_pem.write_to_path(str(self._directory / "server.pem"))
        key = ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
        (self._directory / "accounts.key").write_bytes(key)
        lines = (f'{token},{user},{who},"{group}"\n' for who, (token, user, group) in USERS.items())
        (self._directory / "tokens.csv").write_text("".join(lines))

    def _start(self) -> None:
        store, peer = (f"http://127.0.0.1:{_free_port()}" for _ in range(2))
        directory = self._directory
        self._run(
            "etcd",
            f"--data-dir={directory}/etcd",
            f"--listen-client-urls={store}",
            f"--advertise-client-urls={store}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
        )
        self._run(
            "kube-apiserver",
            f"--etcd-servers={store}",
            "--bind-address=127.0.0.1",
            f"--secure-port={self._port}",
            f"--cert-dir={directory}",
            f"--tls-cert-file={directory}/server.pem",
            f"--tls-private-key-file={directory}/server.pem",
            f"--token-auth-file={directory}/tokens.csv",
            f"--client-ca-file={directory}/ca.crt",
            "--authorization-mode=Node,RBAC",
            "--allow-privileged=true",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={directory}/accounts.key",
            f"--service-account-signing-key-file={directory}/accounts.key",
            "--disable-admission-plugins=ServiceAccount",
        )

    def _run(self, program: str, *arguments: str) -> None:
        with open(self._directory / f"{program}.log", "wb") as log:
            command = [str(self._assets / program), *arguments]
            self._processes.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log))

    def _stop(self) -> None:
        self._pool.clear()
        for process in reversed(self._processes):
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self._directory, ignore_errors=True)

    def _wait(self, path: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            for process in self._processes:
                if process.poll() is not None:
                    raise AssertionError(f"{process.args!r} ended: {self._last_lines()}")
            try:
                if self._request("GET", path).status == 200:
                    return
            except urllib3.exceptions.HTTPError:
                pass
            time.sleep(0.2)
        raise AssertionError(f"{path} does not become ready: {self._last_lines()}")

    def _last_lines(self) -> str:
        return "\n".join(path.read_text("utf-8", "replace")[-2000:] for path in self._directory.glob("*.log"))

    def _request(
        self, method: str, path: str, body: Json | None = None, who: str = "admin"
    ) -> urllib3.BaseHTTPResponse:
        headers = {"Authorization": f"Bearer {USERS[who][0]}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body)
        url = f"https://127.0.0.1:{self._port}{path}"
        return self._pool.request(method, url, body=data, headers=headers, retries=False, timeout=30)

    def _patch(self, path: str, patch: Json) -> None:
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/merge-patch+json"}
        url = f"https://127.0.0.1:{self._port}{path}"
        answer = self._pool.request("PATCH", url, body=json.dumps(patch), headers=headers, retries=False, timeout=30)
        assert answer.status < 300, f"PATCH {path}: {answer.status} {answer.data[:500]!r}"

    def _call(self, method: str, path: str, body: Json | None = None, who: str = "admin") -> Json:
        answer = self._request(method, path, body, who)
        assert answer.status < 300, f"{method} {path}: {answer.status} {answer.data[:500]!r}"
        value: Json = json.loads(answer.data)
        return value


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
