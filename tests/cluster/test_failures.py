"""Mistakes of authors, and pods that go away at the wrong moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.node import layout
from support.node.api import NETWORKS
from support.node.pods import bridge

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.node.cluster import Cluster
    from support.node.plugins import Plugin
    from support.node.pods import Namespace

pytestmark = pytest.mark.cluster

#: A chained plugin that does nothing until a file appears: it holds a pod's ADD for as long as a test needs.
SLOW = """\
#!/bin/sh
[ "$CNI_COMMAND" = VERSION ] && { echo '{"cniVersion":"1.0.0","supportedVersions":["0.4.0","1.0.0"]}'; exit 0; }
input=$(cat)
[ "$CNI_COMMAND" = ADD ] || exit 0
touch /run/slow-started
while [ ! -e /run/slow-go ]; do sleep 0.1; done
echo '{"cniVersion":"1.0.0"}'
"""


@pytest.fixture
def slow(cluster: Cluster) -> Iterator[Path]:
    """The slow plugin; the file that lets it go on. To be asked for before the namespace, so as to outlive its pods."""
    cluster.write(layout.BIN_DIR / "slow", SLOW, mode=0o755)
    yield cluster.machine.file("/run/slow-go")
    for name in ("slow-go", "slow-started"):
        cluster.machine.file(f"/run/{name}").unlink(missing_ok=True)


def test_unknown_network(namespace: Namespace) -> None:
    """A wrong name: the event names the network and its namespace; the pod runs once the network exists."""
    pod = namespace.start("pod", "missing")
    event = pod.event(lambda event: "missing" in event["message"] and event["reason"] == "NoNetworkFound")
    assert event["type"] == "Warning"
    assert namespace.name in event["message"]
    assert pod.get()["status"]["phase"] == "Pending"
    namespace.network("missing", bridge())
    assert pod.phase().links() == {"eth0", "net1"}


def test_malformed_annotation(namespace: Namespace) -> None:
    """An annotation that can't be read: the pod never runs without its networks, and an event says what is wrong."""
    pod = namespace.start("pod", '[{"name": "one"')
    pod.event(lambda event: event["type"] == "Warning" and "k8s.v1.cni.cncf.io/networks" in event["message"])
    assert pod.get()["status"]["phase"] == "Pending"


def test_failing_plugin(namespace: Namespace) -> None:
    """A plugin that fails: its message is in an event, and the networks before it are undone."""
    namespace.network("one", bridge())
    namespace.network("broken", {"cniVersion": "1.0.0", "type": "bridge", "ipam": {"type": "no-such-plugin"}})
    pod = namespace.start("pod", "one,broken")
    event = pod.event(lambda event: "no-such-plugin" in event["message"])
    assert f"{namespace.name}/broken" in event["message"]


def test_network_deleted_before_the_pod(namespace: Namespace) -> None:
    """The NAD is deleted while its pod runs: the pod can be deleted, and its lease is released."""
    namespace.network("one", bridge())
    pod = namespace.pod("pod", "one")
    namespace.cluster.api.delete(f"{NETWORKS.format(namespace.name)}/one")
    pod.delete()
    pod.gone()


def test_network_changed_before_the_pod(namespace: Namespace) -> None:
    """The NAD is another one when its pod is deleted: what was attached is what is detached."""
    namespace.network("one", bridge())
    pod = namespace.pod("pod", "one")
    namespace.cluster.api.delete(f"{NETWORKS.format(namespace.name)}/one")
    namespace.network("one", bridge())
    pod.delete()
    pod.gone()


def test_pod_deleted_during_add(slow: Path, namespace: Namespace) -> None:
    """A pod that is deleted while its networks are being attached leaves nothing."""
    namespace.network("slow", {"cniVersion": "1.0.0", "plugins": [bridge(), {"type": "slow"}]})
    pod = namespace.start("pod", "slow")
    started = slow.with_name("slow-started")
    namespace.cluster.wait("ADD to be under way", started.exists)
    pod.delete(grace=0)
    slow.touch()
    pod.gone()


def test_plugin_that_hangs(slow: Path, namespace: Namespace, plugin: Plugin) -> None:
    """A plugin that never ends is ended when the time of an ADD is over; the pod runs once the plugin works again."""
    namespace.network("slow", {"cniVersion": "1.0.0", "plugins": [bridge(), {"type": "slow"}]})
    with plugin.configured(namespace.cluster, addTimeout="10s", rollbackReserve="5s"):
        pod = namespace.start("pod", "slow")
        event = pod.event(lambda event: event["type"] == "Warning" and "slow" in event["message"])
        assert f"{namespace.name}/slow" in event["message"]
        slow.touch()
        assert pod.phase().links() == {"eth0", "net1"}
