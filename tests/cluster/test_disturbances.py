"""Everything around the plugin is stopped and started while pods come and go."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from support.node import leftovers, verbs
from support.node.churn import Churn
from support.node.pods import bridge, container

if TYPE_CHECKING:
    from support.node.pods import Namespace

pytestmark = pytest.mark.cluster


def test_kubelet_restart(namespace: Namespace) -> None:
    """The kubelet is killed and started again: running pods keep their interfaces, later ones get theirs."""
    namespace.network("one", bridge())
    pod = namespace.pod("before", "one")
    before = (pod.addresses("eth0"), pod.addresses("net1"))
    namespace.cluster.restart_program("kubelet", signal.SIGKILL)
    assert namespace.pod("after", "one").links() == {"eth0", "net1"}
    assert (pod.addresses("eth0"), pod.addresses("net1")) == before
    assert pod.get()["status"]["containerStatuses"][0]["restartCount"] == 0


def test_containerd_restart(namespace: Namespace) -> None:
    """containerd is killed and started again: running pods keep their interfaces and can be deleted."""
    namespace.network("one", bridge())
    pod = namespace.pod("before", "one")
    before = (pod.addresses("eth0"), pod.addresses("net1"))
    namespace.cluster.restart_containerd(signal.SIGKILL)
    assert namespace.pod("after", "one").links() == {"eth0", "net1"}
    assert (pod.addresses("eth0"), pod.addresses("net1")) == before


def test_containerd_killed_during_churn(namespace: Namespace) -> None:
    """containerd is killed three times while all pods are being replaced: all come up, none leaks."""
    churn = Churn(namespace)
    for _ in range(3):
        churn.roll()
        namespace.cluster.restart_containerd(signal.SIGKILL)
    churn.settle()
    churn.work.delete()
    # A sandbox whose ADD has just ended is lost with containerd's memory; nothing but GC can release it.
    verbs.collect(namespace.cluster)
    namespace.cluster.wait(
        "only what containerd forgot", lambda: leftovers.only_forgotten_namespaces(namespace.cluster)
    )


def test_api_server_stopped_during_churn(namespace: Namespace) -> None:
    """The API server is killed and started again while all pods are being replaced: all come up, none leaks."""
    churn = Churn(namespace)
    for _ in range(2):
        churn.roll()
        namespace.cluster.stop_program("kube-apiserver", signal.SIGKILL)
        namespace.cluster.start_api_server()
    churn.settle()


def test_pod_deleted_without_api_server(namespace: Namespace) -> None:
    """A sandbox is torn down while the API server is away: nothing of DEL needs it."""
    namespace.network("one", bridge())
    deaf = container(command=["/bin/sh", "-c", "trap '' TERM; while :; do sleep 1; done"])
    pod = namespace.pod("pod", "one", containers=[deaf], terminationGracePeriodSeconds=5)
    uid = pod.get()["metadata"]["uid"]
    pod.delete()
    pod.event(lambda event: event["reason"] == "Killing")
    namespace.cluster.stop_program("kube-apiserver", signal.SIGKILL)
    records = namespace.cluster.machine.file("/var/lib/cni/multus")
    namespace.cluster.wait("the record to be removed", lambda: not any(path.is_file() for path in records.iterdir()))
    namespace.cluster.start_api_server()
    namespace.cluster.wait("the pod to be gone", lambda: uid not in namespace.uids())


def test_reboot(namespace: Namespace) -> None:
    """The node loses its power: what was on its disk brings every pod back with its networks, and none leaks."""
    churn = Churn(namespace)
    namespace.cluster.reboot()
    namespace.cluster.wait_for_node()
    namespace.cluster.wait("containers to be started again", lambda: _restarted(namespace))
    churn.settle()


def _restarted(namespace: Namespace) -> bool:
    states = [pod["status"].get("containerStatuses", []) for pod in namespace.listed()]
    return bool(states) and all(state and state[0]["restartCount"] > 0 for state in states)
