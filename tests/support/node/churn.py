"""Pods that come and go while something happens to the node."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.node.pods import Workload, bridge, pod_template

if TYPE_CHECKING:
    from support.node.pods import Namespace

REPLICAS = 8

#: Of the kubelet's events: an ADD failed. A DEL waits for a daemon for ten seconds only, and is tried again.
FAILURE = "FailedCreatePodSandBox"


class Churn:
    """A deployment whose pods have two networks beside the default network."""

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace
        self._rolls = 0
        namespace.network("one", bridge())
        namespace.network("two", bridge())
        template = pod_template("one,two", terminationGracePeriodSeconds=0)
        self.work = Workload.create(namespace, "Deployment", REPLICAS, template)
        self.work.ready()

    def roll(self) -> None:
        """Have all pods replaced; returns when the first of them is."""
        self.work.roll(self._rolls)
        self._rolls += 1
        self._namespace.cluster.wait("a pod to be replaced", lambda: len(self._namespace.listed()) > REPLICAS)

    def settle(self) -> None:
        """Wait until all is calm. Then every pod has its three interfaces and a status that tells the truth."""
        self.work.ready()
        pods = self._namespace.pods()
        assert len(pods) == REPLICAS
        for pod in pods:
            assert pod.links() == {"eth0", "net1", "net2"}
            assert [one["ips"] for one in pod.status] == [pod.addresses(name) for name in ("eth0", "net1", "net2")]

    def failures(self) -> list[str]:
        """What the kubelet said about pods that could not be attached so far."""
        events = self._namespace.cluster.api.get(f"/api/v1/namespaces/{self._namespace.name}/events")["items"]
        return [event["message"] for event in events if event["reason"] == FAILURE]
