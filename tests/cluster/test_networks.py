"""Where a network's configuration comes from, and who may use it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.node.api import NETWORKS
from support.node.pods import Namespace, bridge, subnet

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.node.cluster import Cluster
    from support.node.plugins import Plugin

pytestmark = pytest.mark.cluster

CONF_DIR = Path("/etc/cni/multus/net.d")


@pytest.fixture
def elsewhere(cluster: Cluster) -> Iterator[Namespace]:
    """Another namespace, with networks but without pods."""
    made = Namespace(cluster, "elsewhere")
    cluster.api.create("/api/v1/namespaces", {"metadata": {"name": made.name}})
    yield made
    cluster.api.delete(f"/api/v1/namespaces/{made.name}")
    cluster.wait("the namespace to be gone", lambda: cluster.api.find(f"/api/v1/namespaces/{made.name}") is None)


def test_chain(namespace: Namespace) -> None:
    """A NAD with a chain of plugins: the second sees what the first made."""
    chain = [bridge(), {"type": "tuning", "mtu": 1300}]
    namespace.network("chain", {"cniVersion": "1.0.0", "name": "chain", "plugins": chain})
    pod = namespace.pod("pod", "chain")
    assert pod.ip("link", "show", "dev", "net1")[0]["mtu"] == 1300


def test_configuration_on_the_node(namespace: Namespace) -> None:
    """A NAD without configuration takes the one of its name from the node's confDir."""
    config = bridge()
    path = CONF_DIR / "20-local.conf"
    namespace.cluster.write(path, json.dumps({**config, "name": "local"}))
    namespace.network("local", None)
    pod = namespace.pod("pod", "local")
    assert pod.addresses("net1")[0].startswith(subnet(config))
    pod.delete()
    pod.gone()
    namespace.cluster.machine.file(path).unlink()


def test_default_networks(namespace: Namespace, plugin: Plugin) -> None:
    """`defaultNetworks`: each pod has them without asking, before the networks it asks for."""
    config = bridge()
    system = Namespace(namespace.cluster, "kube-system")
    system.network("everybody", config)
    namespace.network("own", bridge())
    with plugin.configured(namespace.cluster, defaultNetworks=["everybody"]):
        pod = namespace.pod("pod", "own")
        names = [(entry["interface"], entry["name"]) for entry in pod.status]
    assert names == [("eth0", "primary"), ("net1", "kube-system/everybody"), ("net2", f"{namespace.name}/own")]
    assert pod.addresses("net1")[0].startswith(subnet(config))
    namespace.cluster.api.delete(f"{NETWORKS.format('kube-system')}/everybody")


def test_other_namespace(namespace: Namespace, elsewhere: Namespace) -> None:
    """Without isolation a pod may use a network of another namespace."""
    elsewhere.network("shared", bridge())
    pod = namespace.pod("pod", f"{elsewhere.name}/shared")
    assert pod.links() == {"eth0", "net1"}


def test_isolation(namespace: Namespace, elsewhere: Namespace, plugin: Plugin) -> None:
    """With isolation it may not: the pod never runs, and an event tells why; its own networks it may use."""
    elsewhere.network("foreign", bridge())
    namespace.network("own", bridge())
    with plugin.configured(namespace.cluster, namespaceIsolation=True):
        assert namespace.pod("allowed", "own").links() == {"eth0", "net1"}
        refused = namespace.start("refused", f"{elsewhere.name}/foreign")
        event = refused.event(lambda event: "isolation" in event["message"])
        assert event["type"] == "Warning"
        assert elsewhere.name in event["message"]
        assert refused.get()["status"]["phase"] == "Pending"
        refused.delete()
        refused.gone()


def test_isolation_with_global_namespaces(namespace: Namespace, elsewhere: Namespace, plugin: Plugin) -> None:
    """With isolation, the networks of the global namespaces are everybody's."""
    elsewhere.network("shared", bridge())
    with plugin.configured(namespace.cluster, namespaceIsolation=True, globalNamespaces=elsewhere.name):
        assert namespace.pod("pod", f"{elsewhere.name}/shared").links() == {"eth0", "net1"}
