"""Pods and networks of one test, in a namespace of their own."""

from __future__ import annotations

import itertools
import json
import urllib.parse
from typing import TYPE_CHECKING, Any, NamedTuple

from support.node import images
from support.node.api import NETWORKS, PODS

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.node.cluster import Cluster

Json = dict[str, Any]

NETWORKS_KEY = "k8s.v1.cni.cncf.io/networks"
STATUS_KEY = "k8s.v1.cni.cncf.io/network-status"
DEFAULT_KEY = "v1.multus-cni.io/default-network"

#: Bridges and subnets are never used again by another test.
_NUMBERS = itertools.count(1)


def bridge(**keys: Any) -> Json:
    """A bridge network with a subnet that nobody else has; `keys` go into the configuration."""
    number = next(_NUMBERS)
    ipam = {"type": "host-local", "ranges": [[{"subnet": f"10.{50 + number // 250}.{number % 250}.0/24"}]]}
    return {"cniVersion": "1.0.0", "type": "bridge", "bridge": f"tb{number}", "ipam": ipam, **keys}


def subnet(config: Json) -> str:
    """The first three numbers of a `bridge`'s subnet, with the dot after them."""
    text: str = config["ipam"]["ranges"][0][0]["subnet"]
    return text.rpartition(".")[0] + "."


def container(name: str = "main", **keys: Any) -> Json:
    """A container that sleeps until it is told to end."""
    return {"name": name, "image": images.BUSYBOX, "imagePullPolicy": "Never", **keys}


class Pod(NamedTuple):
    """A pod of a test by its name; looked up whenever it is asked for something."""

    cluster: Cluster
    namespace: str
    name: str

    @property
    def path(self) -> str:
        """Its path in the API."""
        return f"{PODS.format(self.namespace)}/{self.name}"

    def get(self) -> Json:
        """The object."""
        return self.cluster.api.get(self.path)

    def delete(self, grace: int | None = None) -> None:
        """Delete it; see `gone`."""
        self.cluster.api.delete(self.path, grace)

    def gone(self) -> None:
        """Wait until it is."""
        self.cluster.wait(f"{self.name} to be gone", lambda: self.cluster.api.find(self.path) is None)

    def phase(self, wanted: str = "Running") -> Pod:
        """Wait until it is in a phase, its containers ready where that is Running."""
        self.cluster.wait(f"{self.name} to be {wanted}: {self.problems}", lambda: self._is(wanted))
        return self

    def _is(self, wanted: str) -> bool:
        status = self.get()["status"]
        ready = all(one["ready"] for one in status.get("containerStatuses", [{"ready": False}]))
        return status.get("phase") == wanted and (ready or wanted != "Running")

    @property
    def problems(self) -> list[str]:
        """What its warning events say."""
        return [event["message"] for event in self.events() if event["type"] == "Warning"]

    def events(self) -> list[Json]:
        """The events on it."""
        chosen = urllib.parse.quote(f"involvedObject.name={self.name}", safe="")
        found: list[Json] = self.cluster.api.get(f"/api/v1/namespaces/{self.namespace}/events?fieldSelector={chosen}")[
            "items"
        ]
        return found

    def event(self, wanted: Callable[[Json], bool]) -> Json:
        """Wait for an event that `wanted` accepts."""
        found: Json = self.cluster.wait(
            f"an event on {self.name}", lambda: next((event for event in self.events() if wanted(event)), None)
        )
        return found

    @property
    def status(self) -> list[Json]:
        """The network-status annotation."""
        found: list[Json] = json.loads(self.get()["metadata"]["annotations"][STATUS_KEY])
        return found

    def ip(self, *arguments: str) -> Any:
        """`ip -j` in its network namespace."""
        identifier = self.get()["status"]["containerStatuses"][0]["containerID"].removeprefix("containerd://")
        lines = self.cluster.machine.run(*self.cluster.ctr, "tasks", "ls").splitlines()
        pid = next(line.split()[1] for line in lines if line.startswith(identifier))
        printed = self.cluster.machine.run("nsenter", "-t", pid, "-n", "ip", "-j", *arguments)
        return json.loads(printed or "[]")

    def links(self) -> set[str]:
        """Its interfaces, without the loopback."""
        return {link["ifname"] for link in self.ip("link")} - {"lo"}

    def addresses(self, ifname: str) -> list[str]:
        """Addresses of an interface, without the link-local ones."""
        found = self.ip("addr", "show", "dev", ifname)[0]["addr_info"]
        return [one["local"] for one in found if one["scope"] != "link"]


class Namespace(NamedTuple):
    """A namespace that belongs to one test."""

    cluster: Cluster
    name: str

    def network(self, name: str, config: Json | None) -> None:
        """Create a NAD; None makes one without a configuration."""
        spec = {"spec": {"config": json.dumps(config)}} if config is not None else {}
        body = {
            "apiVersion": "k8s.cni.cncf.io/v1",
            "kind": "NetworkAttachmentDefinition",
            "metadata": {"name": name},
            **spec,
        }
        self.cluster.api.create(NETWORKS.format(self.name), body)

    def pod(self, name: str, networks: str | list[Json] = "", **keys: Any) -> Pod:
        """Create a pod and wait until it runs."""
        return self.start(name, networks, **keys).phase()

    def start(
        self,
        name: str,
        networks: str | list[Json] = "",
        annotations: dict[str, str] | None = None,
        **spec: Any,
    ) -> Pod:
        """Create a pod. `spec` are fields of its specification."""
        body = {"apiVersion": "v1", "kind": "Pod", **pod_template(networks, annotations, **spec)}
        body["metadata"]["name"] = name
        self.cluster.api.create(PODS.format(self.name), body)
        return Pod(self.cluster, self.name, name)

    def pods(self) -> list[Pod]:
        """The pods that are there."""
        return [Pod(self.cluster, self.name, item["metadata"]["name"]) for item in self.listed()]

    def listed(self) -> list[Json]:
        """The same as objects, all of one moment: a pod may be gone by the time it is asked for alone."""
        items: list[Json] = self.cluster.api.get(PODS.format(self.name))["items"]
        return items

    def empty(self) -> None:
        """Delete its pods and wait until they are gone; workloads first, so that nobody makes new ones."""
        for kind in ("deployments", "statefulsets"):
            self.cluster.api.request("DELETE", f"/apis/apps/v1/namespaces/{self.name}/{kind}")
        self.cluster.api.request("DELETE", PODS.format(self.name))
        self.cluster.wait("all pods to be gone", lambda: not self.listed())

    def uids(self) -> set[str]:
        """The UIDs of the pods that are there."""
        return {item["metadata"]["uid"] for item in self.listed()}


class Workload(NamedTuple):
    """A Deployment or StatefulSet of a test."""

    namespace: Namespace
    path: str

    @classmethod
    def create(cls, namespace: Namespace, kind: str, replicas: int, template: Json, **spec: Any) -> Workload:
        """Create one; `spec` are further fields of its specification."""
        path = f"/apis/apps/v1/namespaces/{namespace.name}/{kind.lower()}s"
        chosen = {"matchLabels": template["metadata"]["labels"]}
        body = {
            "apiVersion": "apps/v1",
            "kind": kind,
            "metadata": {"name": "work"},
            "spec": {"replicas": replicas, "selector": chosen, "template": template, **spec},
        }
        namespace.cluster.api.create(path, body)
        return cls(namespace, f"{path}/work")

    def scale(self, replicas: int) -> None:
        """Ask for that many pods; see `ready`."""
        self.namespace.cluster.api.patch(self.path, {"spec": {"replicas": replicas}})

    def roll(self, number: int) -> None:
        """Have every pod replaced by another."""
        mark = {"template": {"metadata": {"annotations": {"example.com/round": str(number)}}}}
        self.namespace.cluster.api.patch(self.path, {"spec": mark})

    def ready(self) -> None:
        """Wait until it has as many pods as it asks for, all of them ready and none beside them."""
        self.namespace.cluster.wait(f"{self.path} to be ready", self._is_ready, 600)

    def delete(self) -> None:
        """Delete it and wait until its pods are gone."""
        self.namespace.cluster.api.delete(self.path)
        self.namespace.cluster.wait("the pods to be gone", lambda: not self.namespace.pods(), 600)

    def _is_ready(self) -> bool:
        item = self.namespace.cluster.api.get(self.path)
        status, wanted = item["status"], item["spec"]["replicas"]
        seen = status.get("observedGeneration", 0) >= item["metadata"]["generation"]
        counts = {status.get(key, 0) for key in ("replicas", "updatedReplicas", "readyReplicas")}
        return bool(seen and counts == {wanted} and len(self.namespace.pods()) == wanted)


def pod_template(networks: str | list[Json] = "", annotations: dict[str, str] | None = None, **spec: Any) -> Json:
    """Metadata and specification of a pod, also as a template of a workload."""
    marks = dict(annotations or {})
    if networks:
        marks[NETWORKS_KEY] = networks if isinstance(networks, str) else json.dumps(networks)
    return {
        "metadata": {"annotations": marks, "labels": {"app": "test"}},
        "spec": {
            "containers": [container()],
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 5,
            **spec,
        },
    }
