"""The plugin under test, as an operator would put it on the node; a scenario does not know which one it is."""

from __future__ import annotations

import contextlib
import functools
import json
import shutil
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import yaml

import make_launchers
from support.node import authority, layout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.node.cluster import Cluster

Json = dict[str, Any]

PRIMARY = layout.CONF_DIR / "10-primary.conflist"
MULTUS = layout.CONF_DIR / "00-multus.conf"
DAEMON_CONF = layout.CONF_DIR / "multus.d" / "daemon-config.json"
KUBECONFIG = layout.CONF_DIR / "multus.d" / "multus.kubeconfig"

#: The cluster's default network. Its bridge does not count as left over.
PRIMARY_CONF: Json = {
    "cniVersion": "1.1.0",
    "name": "primary",
    "plugins": [
        {
            "type": "bridge",
            "bridge": "cni0",
            "isGateway": True,
            "ipMasq": True,
            "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": "10.244.0.0/16"}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        },
        {"type": "portmap", "capabilities": {"portMappings": True}, "snat": True},
    ],
}

LOG = "/var/log/multus.log"

ROOT = Path(__file__).resolve().parents[3]
SOURCE = ROOT / "src" / "multus"
DEPLOY = ROOT / "deploy"

RBAC = "/apis/rbac.authorization.k8s.io/v1"
USER = f"multus:{layout.NODE_NAME}"
DAEMON = Path("/opt/multus-daemon")

#: Of the runtime's configuration, whichever plugin it names.
COMMON: Json = {
    "cniVersion": "1.1.0",
    "name": "multus-cni-network",
    "clusterNetwork": str(PRIMARY),
    "capabilities": {"portMappings": True},
}


class Release(NamedTuple):
    """What an upgrade replaces: the package, by its folder on the node, and the shim, by its path on this machine."""

    package: Path
    shim: Path


#: That of the checkout.
PRESENT = Release(Path("/opt/multus"), ROOT / ".venv/bin/multus-shim")


class Plugin(Protocol):
    """What a scenario may ask of the plugin under test."""

    @property
    def name(self) -> str:
        """As the report calls it."""
        ...

    def install(self, cluster: Cluster) -> None:
        """Put it on a node that has its default network; returns when new pods get it."""
        ...

    def configured(self, cluster: Cluster, **keys: Any) -> contextlib.AbstractContextManager[None]:
        """For the time of a `with`: these keys of its configuration are set."""
        ...

    def steps(self, release: Release) -> list[Callable[[Cluster], None]]:
        """What puts another release in the place of the one that is in use, in the order of the manifests."""
        ...

    def log(self, cluster: Cluster) -> str:
        """What it has logged so far."""
        ...

    def usage(self, cluster: Cluster) -> str:
        """What it takes of the node's memory now, in words; "" when it has no process that stays."""
        ...


class Thin:
    """`multus`, executed by containerd."""

    name = "thin"

    def install(self, cluster: Cluster) -> None:
        """The executable, a kubeconfig of its own, its configuration before that of the default network."""
        permit(cluster, "thin/rbac.yaml")
        install_package(cluster, PRESENT)
        self._put_executable(PRESENT, cluster)
        cluster.write(KUBECONFIG, authority.kubeconfig(cluster.layout.keys, "multus", cluster.machine.address))
        self._configure(cluster, {})

    @contextlib.contextmanager
    def configured(self, cluster: Cluster, **keys: Any) -> Iterator[None]:
        """Write the configuration with these keys, and without them at the end."""
        self._configure(cluster, keys)
        try:
            yield
        finally:
            self._configure(cluster, {})

    def steps(self, release: Release) -> list[Callable[[Cluster], None]]:
        """The executable names the folder that it imports from."""
        return [functools.partial(self._put_executable, release)]

    def log(self, cluster: Cluster) -> str:
        """Its log file."""
        return cluster.machine.file(LOG).read_text()

    def usage(self, cluster: Cluster) -> str:
        """Nothing runs between calls."""
        return ""

    def _put_executable(self, release: Release, cluster: Cluster) -> None:
        write_launcher(cluster, layout.BIN_DIR / "multus", release, "multus.thin")

    def _configure(self, cluster: Cluster, keys: Json) -> None:
        """Nothing tells when containerd has taken up a changed file; a restart does it for sure, and harms no pod."""
        conf = {
            **COMMON,
            "type": "multus",
            "kubeconfig": str(KUBECONFIG),
            "logFile": LOG,
            "logLevel": "verbose",
            "logToStderr": False,
            **keys,
        }
        cluster.write(MULTUS, json.dumps(conf))
        cluster.restart_containerd()


class Thick:
    """`multus-shim`, executed by containerd, and `multus-daemon` beside it, with the one capability it needs."""

    name = "thick"
    daemon = "multus-daemon"

    def install(self, cluster: Cluster) -> None:
        """The daemon first: once the runtime's configuration names the shim, pods wait for it."""
        permit(cluster, "base/rbac.yaml")
        install_package(cluster, PRESENT)
        write_launcher(cluster, DAEMON, PRESENT, "multus.daemon.main")
        cluster.write(KUBECONFIG, authority.kubeconfig(cluster.layout.keys, "multus", cluster.machine.address))
        self._write(cluster, {})
        kept = "-all,+net_admin"
        argv = ["setpriv", f"--bounding-set={kept}", f"--inh-caps={kept}", "--no-new-privs", str(DAEMON)]
        cluster.enable(self.daemon, [*argv, "-config", str(DAEMON_CONF)])
        self._put_shim(PRESENT, cluster)
        cluster.write(MULTUS, json.dumps({**COMMON, "type": "multus-shim"}))
        cluster.restart_containerd()

    @contextlib.contextmanager
    def configured(self, cluster: Cluster, **keys: Any) -> Iterator[None]:
        """The daemon's own configuration holds for every pod; it is read at its start."""
        self._write(cluster, keys)
        cluster.restart_program(self.daemon)
        try:
            yield
        finally:
            self._write(cluster, {})
            cluster.restart_program(self.daemon)

    def steps(self, release: Release) -> list[Callable[[Cluster], None]]:
        """The shim while the daemon before still runs, then the daemon."""
        return [functools.partial(self._put_shim, release), functools.partial(self._put_daemon, release)]

    def log(self, cluster: Cluster) -> str:
        """What the daemon has printed."""
        return cluster.log(self.daemon)

    def usage(self, cluster: Cluster) -> str:
        """The daemon's resident memory."""
        status = Path(f"/proc/{cluster.pid(self.daemon)}/status").read_text()
        resident = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))
        return f"daemon: {resident / 1024:.0f} MiB"

    def _put_shim(self, release: Release, cluster: Cluster) -> None:
        cluster.write_bytes(layout.BIN_DIR / "multus-shim", release.shim.read_bytes(), mode=0o755)

    def _put_daemon(self, release: Release, cluster: Cluster) -> None:
        write_launcher(cluster, DAEMON, release, "multus.daemon.main")
        cluster.restart_program(self.daemon)

    def _write(self, cluster: Cluster, keys: Json) -> None:
        conf = {
            "kubeconfig": str(KUBECONFIG),
            "nodeName": layout.NODE_NAME,
            "logLevel": "verbose",
            "logToStderr": True,
            **keys,
        }
        cluster.write(DAEMON_CONF, json.dumps(conf))


def install_package(cluster: Cluster, release: Release) -> Path:
    """Copy the package onto the node: what is edited here while tests run is none of theirs. Returns the copy."""
    target = cluster.machine.file(release.package) / "multus"
    shutil.copytree(SOURCE, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    return target


def write_launcher(cluster: Cluster, path: Path, release: Release, module: str) -> None:
    """Write an executable that calls `module.main` of that copy, as `make setup` writes those of the checkout."""
    search = [str(release.package), sysconfig.get_path("purelib")]
    cluster.write(path, make_launchers.launcher(make_launchers.base_interpreter(), search, module), mode=0o755)


def prepare(cluster: Cluster) -> None:
    """What a cluster has before Multus comes: a default network. And the definition of NADs, which comes with it."""
    cluster.write(PRIMARY, json.dumps(PRIMARY_CONF))
    [definition] = manifests("crd/network-attachment-definitions.yaml", "CustomResourceDefinition")
    cluster.api.create("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition)
    networks = "/apis/k8s.cni.cncf.io/v1/network-attachment-definitions"
    cluster.wait("the definition of NADs", lambda: cluster.api.answers(networks))


def permit(cluster: Cluster, path: str) -> None:
    """Give the node's Multus the permissions of a manifest, and no other: there they are a service account's."""
    [role] = manifests(path, "ClusterRole")
    name = role["metadata"]["name"]
    cluster.api.create(f"{RBAC}/clusterroles", role)
    group = "rbac.authorization.k8s.io"
    binding = {
        "apiVersion": role["apiVersion"],
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"kind": "ClusterRole", "name": name, "apiGroup": group},
        "subjects": [{"kind": "User", "name": USER, "apiGroup": group}],
    }
    cluster.api.create(f"{RBAC}/clusterrolebindings", binding)


def manifests(path: str, kind: str) -> list[Json]:
    """The objects of one kind in a file of `deploy`."""
    documents: list[Json] = list(yaml.safe_load_all((DEPLOY / path).read_text()))
    return [document for document in documents if document["kind"] == kind]
