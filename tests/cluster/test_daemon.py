"""The node daemon goes away and comes back; what it may do."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.node.churn import Churn
from support.node.plugins import Thick
from support.node.pods import bridge

if TYPE_CHECKING:
    from support.node.cluster import Cluster
    from support.node.pods import Namespace

pytestmark = [pytest.mark.cluster, pytest.mark.parametrize("plugin", ["thick"], indirect=True, scope="session")]

KILLS = 5

#: Of capabilities(7): what edits the routes of a pod.
CAP_NET_ADMIN = 12


def test_capabilities(cluster: Cluster) -> None:
    """The daemon has CAP_NET_ADMIN and no other capability, and can't get one."""
    status = Path(f"/proc/{cluster.pid(Thick.daemon)}/status").read_text()
    sets = {line.split()[0]: int(line.split()[1], 16) for line in status.splitlines() if line.startswith("Cap")}
    assert sets["CapEff:"] == sets["CapBnd:"] == 1 << CAP_NET_ADMIN


def test_killed_during_churn(namespace: Namespace) -> None:
    """The daemon is killed five times while all pods are being replaced: all come up, none leaks."""
    churn = Churn(namespace)
    for _ in range(KILLS):
        churn.roll()
        namespace.cluster.restart_program(Thick.daemon, signal.SIGKILL)
    churn.settle()


def test_pods_wait_for_it(namespace: Namespace) -> None:
    """Without the daemon no pod starts without its networks; the node stays Ready, and the pod runs when it is back."""
    cluster = namespace.cluster
    namespace.network("one", bridge())
    cluster.stop_program(Thick.daemon)
    pod = namespace.start("pod", "one")
    pod.event(lambda event: event["reason"] == "Scheduled")
    cluster.wait("the sandbox to be under way", lambda: list(cluster.machine.file("/run/netns").iterdir()))
    assert pod.get()["status"]["phase"] == "Pending"
    cluster.start_program(Thick.daemon)
    assert pod.phase().links() == {"eth0", "net1"}


def test_pod_deleted_without_it(namespace: Namespace) -> None:
    """A pod that is deleted while the daemon is away is detached when it is back."""
    cluster = namespace.cluster
    namespace.network("one", bridge())
    pod = namespace.pod("pod", "one")
    cluster.stop_program(Thick.daemon)
    pod.delete(grace=0)
    pod.gone()
    cluster.start_program(Thick.daemon)
