"""The node's plugin executed as a container runtime executes it, for the verbs that containerd never uses.

What a runtime knows is taken from the runtime's own files (libcni's cached results) and from its own list.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from support.node import layout, plugins
from support.node.cluster import succeeds

if TYPE_CHECKING:
    from support.node.cluster import Cluster
    from support.node.pods import Pod

Json = dict[str, Any]

#: Where libcni keeps what containerd had it attach.
RESULTS = "/var/lib/cni/results"

#: Of containerd's containers, those that hold a pod's network namespace.
SANDBOXES = 'labels."io.cri-containerd.kind"==sandbox'


def attachments(cluster: Cluster) -> dict[str, Json]:
    """What the runtime has attached by the plugin under test, by sandbox."""
    found = [json.loads(path.read_text()) for path in cluster.machine.file(RESULTS).iterdir()]
    return {one["containerId"]: one for one in found if one["networkName"] == plugins.COMMON["name"]}


def sandbox(pod: Pod) -> str:
    """The sandbox of a pod, by the runtime's knowledge; "" when it has none."""
    uid = pod.get()["metadata"]["uid"]
    found = attachments(pod.cluster).items()
    return next((name for name, one in found if ["K8S_POD_UID", uid] in one["cniArgs"]), "")


def check(pod: Pod) -> None:
    """CHECK of a pod, with what ADD was given. Raises MachineError with the plugin's message."""
    name = sandbox(pod)
    known = attachments(pod.cluster)[name]
    variables = {
        "CNI_CONTAINERID": name,
        "CNI_IFNAME": known["ifName"],
        "CNI_NETNS": known["netns"],
        "CNI_ARGS": ";".join(f"{key}={value}" for key, value in known["cniArgs"]),
    }
    _execute(pod.cluster, "CHECK", {"prevResult": known["result"]}, variables)


def collect(cluster: Cluster) -> None:
    """GC with the sandboxes that the runtime says it has. Raises MachineError with the plugin's message."""
    listed = cluster.machine.run(*cluster.ctr, "containers", "ls", "-q", SANDBOXES).split()
    valid = [{"containerID": name, "ifname": "eth0"} for name in listed]
    _execute(cluster, "GC", {"cni.dev/valid-attachments": valid}, {})


def lose(pod: Pod) -> None:
    """Have containerd lose a pod behind its back: all it knows of it is gone, but for the network namespace."""
    cluster, name = pod.cluster, sandbox(pod)
    own = f'labels."io.kubernetes.pod.uid"=={pod.get()["metadata"]["uid"]}'
    for container in cluster.machine.run(*cluster.ctr, "containers", "ls", "-q", own).split():
        cluster.machine.run(*cluster.ctr, "tasks", "kill", "-s", "KILL", container)
        remove = [*cluster.ctr, "containers", "delete", container]
        cluster.wait("a container to be removed", lambda argv=remove: succeeds(cluster.machine, argv))
    cluster.machine.run(*cluster.ctr, "sandboxes", "remove", name)
    for path in cluster.machine.file(RESULTS).glob(f"*{name}*"):
        path.unlink()
    cluster.restart_containerd()


def _execute(cluster: Cluster, verb: str, more: Json, variables: dict[str, str]) -> None:
    conf = json.loads(cluster.machine.file(plugins.MULTUS).read_text())
    environment = {"CNI_COMMAND": verb, "CNI_PATH": str(layout.BIN_DIR), **variables}
    argv = ["env", *(f"{key}={value}" for key, value in environment.items()), str(layout.BIN_DIR / conf["type"])]
    cluster.machine.run(*argv, stdin=json.dumps({**conf, **more}))
