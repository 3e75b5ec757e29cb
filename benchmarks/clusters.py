"""The API server behind the daemon: a real kube-apiserver where KUBE_ASSETS is set, else the one of the tests.

Both are processes of their own, both are asked over HTTPS, and both can tell how often they were asked for what.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "tests")]

from wire import Wire  # noqa: E402 - the path comes first

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

NODE = "bench-node"
NAMESPACE = "default"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
EVENTS = f"/api/v1/namespaces/{NAMESPACE}/events"
NETWORKS = f"/apis/k8s.cni.cncf.io/v1/namespaces/{NAMESPACE}/network-attachment-definitions"

#: How long a connection may be idle, in seconds, before it is made anew.
IDLE = 30.0

#: What Multus may ask for.
RESOURCES = ("pods", "network-attachment-definitions", "events")


class Cluster(Protocol):
    """What the benchmark arranges, and what it counts."""

    name: str
    kubeconfig: Path

    def add_pods(self, annotations: Mapping[str, dict[str, str]]) -> dict[str, str]:
        """Create pods of the node by name; their UIDs."""
        ...

    def add_networks(self, configs: Mapping[str, str]) -> None:
        """Create NADs."""
        ...

    def requests(self) -> Counter[str]:
        """How many requests were answered so far, by verb and resource."""
        ...

    def watches(self) -> Counter[str]:
        """How many watches are open, by resource; those of the server's own parts included."""
        ...

    def events(self) -> int:
        """How many events there are."""
        ...


@contextlib.contextmanager
def started(directory: Path) -> Iterator[Cluster]:
    """A cluster, until the end of the context."""
    assets = os.environ.get("KUBE_ASSETS", "")
    if assets:
        from support.kubeapi import KubeApi

        with KubeApi(assets) as api:
            yield RealCluster(Path(api.write_kubeconfig(directory)))
        return
    command = [sys.executable, str(HERE / "clusterserver.py"), str(directory)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        try:
            yield TestCluster(server, Path(told(server)))
        finally:
            assert server.stdin is not None
            server.stdin.close()


class RealCluster:
    """A kube-apiserver."""

    def __init__(self, kubeconfig: Path) -> None:
        self.name = "kube-apiserver"
        self.kubeconfig = kubeconfig
        self._open = Wire(kubeconfig)
        self._used = time.monotonic()

    @property
    def _wire(self) -> Wire:
        """The connection; the server closes one that has been idle for some time."""
        if time.monotonic() - self._used > IDLE:
            self._open.close()
            self._open = Wire(self.kubeconfig)
        self._used = time.monotonic()
        return self._open

    def add_pods(self, annotations: Mapping[str, dict[str, str]]) -> dict[str, str]:
        """As `Cluster.add_pods`."""
        spec = {
            "containers": [{"name": "main", "image": "example"}],
            "automountServiceAccountToken": False,
            "nodeName": NODE,
        }
        uids = {}
        for name, given in annotations.items():
            metadata = {"name": name, "annotations": given}
            made = self._wire.call(
                "POST", PODS, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
            )
            uids[name] = made["metadata"]["uid"]
        return uids

    def add_networks(self, configs: Mapping[str, str]) -> None:
        """As `Cluster.add_networks`, over a few connections."""
        names = list(configs)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda share: self._add_networks({name: configs[name] for name in share}), _shares(names, 4)))

    def _add_networks(self, configs: Mapping[str, str]) -> None:
        wire = Wire(self.kubeconfig)
        for name, config in configs.items():
            common = {"apiVersion": "k8s.cni.cncf.io/v1", "kind": "NetworkAttachmentDefinition"}
            wire.call("POST", NETWORKS, {**common, "metadata": {"name": name}, "spec": {"config": config}})
        wire.close()

    def requests(self) -> Counter[str]:
        """As `Cluster.requests`."""
        return self._metric("apiserver_request_total", lambda labels: f"{labels['verb']} {labels['resource']}")

    def watches(self) -> Counter[str]:
        """As `Cluster.watches`."""
        found = self._metric("apiserver_longrunning_requests", lambda labels: f"{labels['verb']} {labels['resource']}")
        return Counter({key.removeprefix("WATCH "): n for key, n in found.items() if key.startswith("WATCH ")})

    def events(self) -> int:
        """As `Cluster.events`."""
        found = self._wire.call("GET", f"{EVENTS}?limit=1")
        return len(found["items"]) + int(found["metadata"].get("remainingItemCount", 0))

    def _metric(self, name: str, key: Any) -> Counter[str]:
        text = self._wire.send(self._wire.request("GET", "/metrics")).decode()
        counted: Counter[str] = Counter()
        for labels_text, value in re.findall(rf"^{name}{{(.*)}} (\S+)$", text, re.MULTILINE):
            labels = dict(re.findall(r'(\w+)="([^"]*)"', labels_text))
            if labels["resource"] in RESOURCES:
                counted[key(labels)] += int(float(value))
        return counted


class TestCluster:
    """The API server of the tests, in a process of its own (clusterserver.py)."""

    def __init__(self, server: subprocess.Popen[str], kubeconfig: Path) -> None:
        self.name = "the tests' own (Python)"
        self.kubeconfig = kubeconfig
        self._server = server

    def add_pods(self, annotations: Mapping[str, dict[str, str]]) -> dict[str, str]:
        """As `Cluster.add_pods`."""
        uids: dict[str, str] = self._ask("pods", dict(annotations))
        return uids

    def add_networks(self, configs: Mapping[str, str]) -> None:
        """As `Cluster.add_networks`."""
        self._ask("networks", dict(configs))

    def requests(self) -> Counter[str]:
        """As `Cluster.requests`."""
        return Counter(self._ask("requests"))

    def watches(self) -> Counter[str]:
        """As `Cluster.watches`: those that were begun; none ends within a benchmark."""
        counted = self.requests()
        return Counter({resource: counted[f"WATCH {resource}"] for resource in RESOURCES})

    def events(self) -> int:
        """As `Cluster.events`."""
        return int(self._ask("events"))

    def _ask(self, what: str, given: Any = None) -> Any:
        assert self._server.stdin is not None
        self._server.stdin.write(json.dumps([what, given]) + "\n")
        self._server.stdin.flush()
        return told(self._server)


def told(server: subprocess.Popen[str]) -> Any:
    """The next line of the server's process."""
    assert server.stdout is not None
    line = server.stdout.readline()
    if not line:
        sys.exit("bench: the API server ended")
    return json.loads(line)


def _shares(names: list[str], count: int) -> list[list[str]]:
    return [names[number::count] for number in range(count)]
