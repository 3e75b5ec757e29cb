"""What the cluster does over HTTPS, through either transport."""

from __future__ import annotations

import base64
import json
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from multus import errors
from multus.kubernetes import connect, incluster
from support.apiserver import ApiServer, Fault, failing
from support.proxy import ConnectProxy

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from multus.kubernetes.cluster import KubernetesCluster

    OpenCluster = Callable[..., KubernetesCluster]

pytestmark = pytest.mark.api

STATUS = "k8s.v1.cni.cncf.io/network-status"


def test_one_connection_for_a_whole_add(server: ApiServer, open_cluster: OpenCluster, soon: float) -> None:
    """Pod, network, status and event: four requests, one connection, one TLS handshake."""
    raw = server.add_pod("web", annotations={"keep": "me"})
    server.add_network("a", '{"type": "bridge"}', annotations={"k8s.v1.cni.cncf.io/resourceName": "x/y"})
    cluster = open_cluster(server)
    pod = cluster.pod("default", "web", "", soon)
    assert pod is not None
    assert cluster.network("default", "a", soon)[2:] == ('{"type": "bridge"}', "x/y")
    cluster.set_status(pod, "[1]", soon)
    cluster.event(pod, "Normal", "AddedInterface", "Add eth0")
    cluster.flush(soon)
    assert server.pods["default", "web"]["metadata"]["annotations"] == {"keep": "me", STATUS: "[1]"}
    assert server.events[0]["involvedObject"]["uid"] == raw["metadata"]["uid"]
    assert (len(server.requests), server.connections) == (4, 1)


def test_chunked_answers(server: ApiServer, open_cluster: OpenCluster, soon: float) -> None:
    """As Go's server sends what it can't measure first."""
    server.chunked = True
    server.add_pod("web", annotations={"x": "ä" * 100_000})
    cluster = open_cluster(server)
    for _ in range(2):
        pod = cluster.pod("default", "web", "", soon)
        assert pod is not None
        assert len(pod.annotations["x"]) == 100_000
    assert server.connections == 1


def test_large_annotation(server: ApiServer, open_cluster: OpenCluster, soon: float) -> None:
    """A status of many records of TLS."""
    server.add_pod("web")
    cluster = open_cluster(server)
    pod = cluster.pod("default", "web", "", soon)
    assert pod is not None
    cluster.set_status(pod, "x" * 200_000, soon)
    assert len(server.pods["default", "web"]["metadata"]["annotations"][STATUS]) == 200_000


def test_no_definition_of_the_resource(server: ApiServer, open_cluster: OpenCluster, soon: float) -> None:
    """Without the CRD the error says so."""
    server.has_crd = False
    with pytest.raises(errors.NotFound, match="CustomResourceDefinition"):
        open_cluster(server).network("default", "a", soon)


@pytest.mark.parametrize(
    "fault",
    [
        failing(500, "InternalError", "etcdserver: leader changed"),
        failing(503, "ServiceUnavailable"),
        failing(429, "TooManyRequests", retry_after="0"),
        Fault(act="reset"),
        Fault(act="close"),
        Fault(act="half"),
        Fault(status=200, body=b"<html>"),
    ],
    ids=["500", "503", "429", "reset", "close", "half", "garbage"],
)
def test_one_bad_answer(server: ApiServer, open_cluster: OpenCluster, soon: float, fault: Fault) -> None:
    """A failure that passes is not seen, whether or not the connection was in use before."""
    server.add_pod("web")
    cluster = open_cluster(server)
    for _ in range(2):
        server.script(fault)
        if fault.body == b"<html>":
            with pytest.raises(errors.ClusterError, match="no Kubernetes object"):
                cluster.pod("default", "web", "", soon)
        else:
            assert cluster.pod("default", "web", "", soon) is not None


def test_server_that_restarts(server: ApiServer, open_cluster: OpenCluster, soon: float) -> None:
    """Idle connections that were cut are replaced."""
    server.add_pod("web")
    cluster = open_cluster(server)
    assert cluster.pod("default", "web", "", soon) is not None
    server.drop_connections()
    assert cluster.pod("default", "web", "", soon) is not None
    assert server.connections == 2


def test_server_that_closes_without_a_word(server: ApiServer, open_cluster: OpenCluster, soon: float) -> None:
    """A keep-alive that was not kept costs a new connection, nothing else."""
    server.add_pod("web")
    cluster = open_cluster(server)
    server.script(Fault(act="then-close"))
    assert cluster.pod("default", "web", "", soon) is not None
    assert cluster.pod("default", "web", "", soon) is not None
    assert len(server.requests) == 2


def test_slow_server(server: ApiServer, open_cluster: OpenCluster) -> None:
    """The deadline holds; the error is one that the runtime tries again."""
    server.script(Fault(act="close", delay=1.5))
    with pytest.raises(errors.ClusterError, match="no answer in time") as caught:
        open_cluster(server).pod("default", "web", "", time.monotonic() + 0.3)
    assert caught.value.code == 11


def test_nobody_listens(open_cluster: OpenCluster) -> None:
    """A server that is away for good: tries end with the deadline, and the address is named."""
    with ApiServer() as server:
        cluster = open_cluster(server)
        url = server.url
    with pytest.raises(errors.ClusterError, match=f"API server {url}: Connection refused"):
        cluster.pod("default", "web", "", time.monotonic() + 1)


def test_forbidden(server: ApiServer, open_cluster: OpenCluster, soon: float) -> None:
    """Verb and resource are named."""
    server.add_pod("web")
    server.forbidden.add(("patch", "pods/status"))
    cluster = open_cluster(server)
    pod = cluster.pod("default", "web", "", soon)
    assert pod is not None
    with pytest.raises(errors.Denied, match=r'patch pods/status "default/web": 403 Forbidden: RBAC'):
        cluster.set_status(pod, "[]", soon)


def test_wrong_token(server: ApiServer, open_cluster: OpenCluster, soon: float, tmp_path: Path) -> None:
    """The kubeconfig to look at is named; the server was asked twice, not more."""
    with pytest.raises(errors.Denied, match=f"401 Unauthorized.*check kubeconfig {tmp_path}"):
        open_cluster(server, user={"token": "wrong"}).pod("default", "web", "", soon)
    assert len(server.requests) == 2


def test_kubeconfig_with_a_new_token(server: ApiServer, open_cluster: OpenCluster, soon: float, tmp_path: Path) -> None:
    """A token that expired is replaced by whoever writes the kubeconfig, and we notice."""
    server.add_pod("web")
    cluster = open_cluster(server)
    assert cluster.pod("default", "web", "", soon) is not None
    server.token = "token-2"
    server.write_kubeconfig(tmp_path)
    assert cluster.pod("default", "web", "", soon) is not None


def test_token_file_that_changes(server: ApiServer, open_cluster: OpenCluster, soon: float, tmp_path: Path) -> None:
    """The next request has the new token; no request is refused in between."""
    server.add_pod("web")
    file = tmp_path / "token"
    file.write_text(server.token)
    cluster = open_cluster(server, user={"tokenFile": "token"})
    assert cluster.pod("default", "web", "", soon) is not None
    server.token = "token-two"
    file.write_text(server.token)
    assert cluster.pod("default", "web", "", soon) is not None
    assert (len(server.requests), server.connections) == (2, 1)


@pytest.mark.parametrize("inline", [True, False])
def test_client_certificate(
    server: ApiServer, open_cluster: OpenCluster, soon: float, tmp_path: Path, inline: bool
) -> None:
    """Certificates in the kubeconfig and in files."""
    server.add_pod("web")
    certificate, key = server.client_certificate()
    if inline:
        user = {
            "client-certificate-data": base64.b64encode(certificate).decode(),
            "client-key-data": base64.b64encode(key).decode(),
        }
    else:
        (tmp_path / "me.crt").write_bytes(certificate)
        (tmp_path / "me.key").write_bytes(key)
        user = {"client-certificate": "me.crt", "client-key": "me.key"}
    assert open_cluster(server, user=user).pod("default", "web", "", soon) is not None
    assert "authorization" not in server.headers


def test_credential_plugin(server: ApiServer, open_cluster: OpenCluster, soon: float, tmp_path: Path) -> None:
    """A refused token makes the plugin run again."""
    server.add_pod("web")
    plugin = tmp_path / "plugin"
    version = "client.authentication.k8s.io/v1"
    answer = {"kind": "ExecCredential", "apiVersion": version, "status": {"token": "@"}}
    plugin.write_text(f"#!/bin/sh\nsed \"s/@/$(cat {tmp_path}/now)/\" <<'END'\n{json.dumps(answer)}\nEND\n")
    plugin.chmod(0o755)
    (tmp_path / "now").write_text("token-1")
    cluster = open_cluster(server, user={"exec": {"apiVersion": version, "command": "./plugin"}})
    assert cluster.pod("default", "web", "", soon) is not None
    server.token = "token-2"
    (tmp_path / "now").write_text("token-2")
    assert cluster.pod("default", "web", "", soon) is not None


def test_untrusted_server(server: ApiServer, open_cluster: OpenCluster, soon: float) -> None:
    """Another CA: refused at once, before the token is sent, and the error says what to look at."""
    other = base64.b64encode(ApiServer().ca).decode()
    with pytest.raises(errors.Denied, match=r"its certificate is not trusted .*check certificate-authority"):
        open_cluster(server, cluster={"certificate-authority-data": other}).pod("default", "web", "", soon)
    assert server.requests == []


def test_system_authorities_do_not_trust_it(server: ApiServer, open_cluster: OpenCluster, soon: float) -> None:
    """Without a CA the system's are asked."""
    with pytest.raises(errors.Denied, match="not trusted"):
        open_cluster(server, cluster={"certificate-authority-data": None}).pod("default", "web", "", soon)


def test_certificate_of_another_name(server: ApiServer, open_cluster: OpenCluster, soon: float) -> None:
    """The certificate must be the server's own."""
    with pytest.raises(errors.Denied, match="not trusted"):
        open_cluster(server, cluster={"tls-server-name": "other.example"}).pod("default", "web", "", soon)


def test_server_name(server: ApiServer, open_cluster: OpenCluster, soon: float) -> None:
    """`tls-server-name` is what the certificate is compared with."""
    server.add_pod("web")
    cluster = open_cluster(server, cluster={"tls-server-name": "api.example"})
    assert cluster.pod("default", "web", "", soon) is not None


def test_insecure(server: ApiServer, open_cluster: OpenCluster, soon: float) -> None:
    """Whoever asks for no verification gets none."""
    server.add_pod("web")
    settings = {"certificate-authority-data": None, "insecure-skip-tls-verify": True, "tls-server-name": "x.example"}
    assert open_cluster(server, cluster=settings).pod("default", "web", "", soon) is not None


def test_unreadable_authority(server: ApiServer, open_cluster: OpenCluster, soon: float, tmp_path: Path) -> None:
    """The file is named."""
    settings = {"certificate-authority-data": None, "certificate-authority": "none.crt"}
    with pytest.raises(errors.InvalidConfig, match=f"no CA certificate can be read from {tmp_path}/none.crt"):
        open_cluster(server, cluster=settings).pod("default", "web", "", soon)


def test_unusable_client_certificate(server: ApiServer, open_cluster: OpenCluster, soon: float) -> None:
    """What is no certificate is an error without its content."""
    junk = base64.b64encode(b"secret").decode()
    user = {"client-certificate-data": junk, "client-key-data": junk}
    with pytest.raises(errors.InvalidConfig, match="client certificate and key") as caught:
        open_cluster(server, user=user).pod("default", "web", "", soon)
    assert "secret" not in str(caught.value)


def test_ipv6(open_cluster: OpenCluster, soon: float) -> None:
    """An address in brackets."""
    with ApiServer("::1") as server:
        server.add_pod("web")
        assert open_cluster(server).pod("default", "web", "", soon) is not None
        assert server.headers["host"] == f"[::1]:{server.port}"


def test_host_name(server: ApiServer, open_cluster: OpenCluster, soon: float) -> None:
    """A name that has several addresses, of which one answers."""
    server.add_pod("web")
    cluster = open_cluster(server, cluster={"server": f"https://localhost:{server.port}"})
    assert cluster.pod("default", "web", "", soon) is not None


def test_plain_http(open_cluster: OpenCluster, soon: float) -> None:
    """As a local `kubectl proxy` offers it."""
    with ApiServer(tls=False) as server:
        server.add_pod("web")
        assert open_cluster(server).pod("default", "web", "", soon) is not None


def test_host_that_does_not_exist(server: ApiServer, open_cluster: OpenCluster) -> None:
    """The resolver's words are the error."""
    cluster = open_cluster(server, cluster={"server": "https://nowhere.invalid:6443"})
    with pytest.raises(
        errors.ClusterError, match=r"API server https://nowhere\.invalid:6443: .*(name|Name|resolution)"
    ):
        cluster.pod("default", "web", "", time.monotonic() + 1)


def test_proxy_of_the_kubeconfig(server: ApiServer, open_cluster: OpenCluster, soon: float) -> None:
    """All goes through the proxy, with its password, and the server's certificate is checked as ever."""
    server.add_pod("web")
    with ConnectProxy() as proxy:
        cluster = open_cluster(server, cluster={"proxy-url": f"http://me:pw@{proxy.address}"})
        assert cluster.pod("default", "web", "", soon) is not None
        assert cluster.pod("default", "web", "", soon) is not None
        cluster.close()
    assert proxy.targets == [f"127.0.0.1:{server.port}"]
    assert proxy.credentials == ["Basic bWU6cHc="]


def test_proxy_that_is_away(server: ApiServer, open_cluster: OpenCluster) -> None:
    """A transient error like any other."""
    cluster = open_cluster(server, cluster={"proxy-url": "http://127.0.0.1:1"})
    with pytest.raises(errors.ClusterError, match="refused"):
        cluster.pod("default", "web", "", time.monotonic() + 1)


def test_proxy_of_the_environment_spares_loopback(server: ApiServer, open_cluster: OpenCluster, soon: float) -> None:
    """As Go does."""
    server.add_pod("web")
    cluster = open_cluster(server, environ={"HTTPS_PROXY": "http://127.0.0.1:1"})
    assert cluster.pod("default", "web", "", soon) is not None


def test_in_cluster(
    server: ApiServer, long_running: bool, soon: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mounted service account; its token is renewed by the kubelet."""
    server.add_pod("web")
    monkeypatch.setattr(incluster.load, "__defaults__", (str(tmp_path),))
    (tmp_path / "ca.crt").write_bytes(server.ca)
    (tmp_path / "token").write_text("expired")
    environ = {"KUBERNETES_SERVICE_HOST": server.host, "KUBERNETES_SERVICE_PORT": str(server.port)}
    cluster = connect.cluster("", environ, long_running=long_running)
    assert cluster is not None
    with pytest.raises(errors.Denied, match=f"check the service account in {tmp_path}"):
        cluster.pod("default", "web", "", soon)
    (tmp_path / "token").write_text(server.token)
    assert cluster.pod("default", "web", "", soon) is not None
    cluster.close()


def test_prefix_of_the_server_url(server: ApiServer, open_cluster: OpenCluster, soon: float) -> None:
    """A server below a path; here nobody serves it, which must not look like a missing pod."""
    cluster = open_cluster(server, cluster={"server": f"{server.url}/k8s/clusters/c-1/"})
    with pytest.raises(errors.ClusterError, match="404 without a Kubernetes Status"):
        cluster.pod("default", "web", "", soon)
    assert server.requests[0][1] == "/k8s/clusters/c-1/api/v1/namespaces/default/pods/web"


def test_events_from_a_child(server: ApiServer, open_cluster: OpenCluster, soon: float) -> None:
    """A process that has answered sends its events from a child, over the connection that is open already."""
    server.add_pod("web")
    cluster = open_cluster(server)
    pod = cluster.pod("default", "web", "", soon)
    assert pod is not None
    cluster.event(pod, "Normal", "AddedInterface", "Add eth0")
    child = os.fork()
    if child == 0:
        try:
            signal.alarm(30)
            cluster.flush(soon)
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert [event["reason"] for event in server.events] == ["AddedInterface"]
    assert server.connections == 1


def test_events_to_a_server_that_is_away(server: ApiServer, open_cluster: OpenCluster, soon: float) -> None:
    """They are given up at the deadline, without an error."""
    server.add_pod("web")
    cluster = open_cluster(server)
    pod = cluster.pod("default", "web", "", soon)
    assert pod is not None
    for _ in range(3):
        cluster.event(pod, "Normal", "R", "m")
    server.script(*[failing(503)] * 50)
    cluster.flush(time.monotonic() + 0.5)
    assert server.events == []


def test_repeated_event_is_one(server: ApiServer, open_cluster: OpenCluster, soon: float) -> None:
    """An answer that was lost does not double the event."""
    server.add_pod("web")
    cluster = open_cluster(server)
    pod = cluster.pod("default", "web", "", soon)
    assert pod is not None
    cluster.event(pod, "Normal", "R", "m")
    server.script(Fault(act="lost"))
    cluster.flush(soon)
    assert (len(server.events), len(server.requests)) == (1, 3)


def test_many_threads(server: ApiServer, tmp_path: Path, soon: float) -> None:
    """A process that stays asks from many threads at once; each gets its own answer."""
    for number in range(8):
        server.add_pod(f"web-{number}", uid=f"uid-{number}")
    cluster = connect.cluster(server.write_kubeconfig(tmp_path), {}, long_running=True)
    assert cluster is not None
    with ThreadPoolExecutor(8) as pool:
        names = [f"web-{number % 8}" for number in range(80)]
        pods = list(pool.map(lambda name: cluster.pod("default", name, "", soon), names))
    cluster.close()
    assert [pod.uid.removeprefix("uid-") for pod in pods if pod] == [name.removeprefix("web-") for name in names]
    assert server.connections <= 8


def test_many_threads_and_a_token_that_expires(server: ApiServer, tmp_path: Path, soon: float) -> None:
    """Whoever is refused first renews the credentials; nobody sees it."""
    server.add_pod("web")
    path = server.write_kubeconfig(tmp_path)
    cluster = connect.cluster(path, {}, long_running=True)
    assert cluster is not None
    server.token = "token-2"
    server.write_kubeconfig(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        pods = list(pool.map(lambda _: cluster.pod("default", "web", "", soon), range(40)))
    cluster.close()
    assert all(pods)
