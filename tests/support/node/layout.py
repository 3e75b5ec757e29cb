"""Where things are: in a node's directory on this machine, and inside the node."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

#: As a real node has them; what is written there ends up in the node's own layer.
CONF_DIR = Path("/etc/cni/net.d")
BIN_DIR = Path("/opt/cni/bin")
NETNS_DIR = Path("/run/netns")
MANIFESTS_DIR = Path("/etc/kubernetes/manifests")
CONTAINERD_SOCKET = Path("/run/containerd/containerd.sock")

NODE_NAME = "node1"
SERVICE_RANGE = "10.96.0.0/16"
#: The first address of the range, where pods look for the API server.
SERVICE_ADDRESS = "10.96.0.1"
API_PORT = 6443


class Layout(NamedTuple):
    """The paths of one node in its directory; they are the same seen from inside."""

    directory: Path

    @property
    def keys(self) -> Path:
        """Certificates and keys."""
        return self.directory / "keys"

    @property
    def conf(self) -> Path:
        """What the node's programs read at their start."""
        return self.directory / "conf"

    @property
    def logs(self) -> Path:
        """One file for each program."""
        return self.directory / "logs"

    @property
    def disk(self) -> Path:
        """What outlives a reboot of the node."""
        return self.directory / "disk"

    @property
    def etcd(self) -> Path:
        """The database of the cluster."""
        return self.disk / "etcd"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.directory / "kubeconfig"

    @property
    def state(self) -> Path:
        """What another process needs to know to use or remove the node."""
        return self.directory / "node.json"

    def make(self) -> None:
        """Make the folders."""
        for path in (self.keys, self.conf, self.logs, self.disk):
            path.mkdir(parents=True, exist_ok=True)
