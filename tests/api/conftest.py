"""The server, and a client over each transport."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import pytest

from multus.kubernetes import connect
from support.apiserver import ApiServer
from support.kubeapi import KubeApi

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from multus.kubernetes.cluster import KubernetesCluster


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A real API server is for those who bring one (KUBE_ASSETS), and for `make cluster-test`, which does."""
    if os.environ.get("KUBE_ASSETS"):
        return
    left_out = [item for item in items if wants_real_server(item)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def wants_real_server(item: pytest.Item) -> bool:
    """Whether the test asks for kube-apiserver, by its parameter or by the fixture."""
    callspec = getattr(item, "callspec", None)
    named = callspec is not None and "real" in callspec.params.values()
    return named or "real_server" in getattr(item, "fixturenames", ())


@pytest.fixture
def server() -> Iterator[ApiServer]:
    """The tests' own API server over TLS."""
    with ApiServer() as running:
        yield running


@pytest.fixture(scope="session")
def real_server() -> Iterator[KubeApi]:
    """kube-apiserver and etcd, where there are binaries of them."""
    assets = os.environ.get("KUBE_ASSETS", "")
    for program in ("kube-apiserver", "etcd"):
        if not assets or not os.access(os.path.join(assets, program), os.X_OK):
            pytest.skip(f"KUBE_ASSETS names no directory with {program}")
    with KubeApi(assets) as running:
        yield running


@pytest.fixture(params=["own", "real"])
def backend(request: pytest.FixtureRequest) -> ApiServer | KubeApi:
    """Each test that uses it runs against both servers."""
    found: ApiServer | KubeApi = request.getfixturevalue("server" if request.param == "own" else "real_server")
    return found


@pytest.fixture(params=["direct", "pooled"])
def long_running(request: pytest.FixtureRequest) -> bool:
    """Each test that uses it runs over both transports."""
    return bool(request.param == "pooled")


@pytest.fixture
def opened() -> Iterator[list[KubernetesCluster]]:
    """Clusters to close after the test."""
    clusters: list[KubernetesCluster] = []
    yield clusters
    for cluster in clusters:
        cluster.close()


@pytest.fixture
def open_cluster(
    tmp_path: Path, long_running: bool, opened: list[KubernetesCluster]
) -> Callable[..., KubernetesCluster]:
    """Makes a cluster for a server; keyword arguments are those of `ApiServer.write_kubeconfig`, and `environ`."""

    def make(server: ApiServer | KubeApi, environ: dict[str, str] | None = None, **settings: Any) -> KubernetesCluster:
        path = server.write_kubeconfig(tmp_path, **settings)
        cluster = connect.cluster(path, environ or {}, long_running=long_running)
        assert cluster is not None
        opened.append(cluster)
        return cluster

    return make


@pytest.fixture
def soon() -> float:
    """A deadline that no test reaches."""
    return time.monotonic() + 60
