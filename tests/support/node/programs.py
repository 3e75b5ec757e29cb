"""The programs of the node and of its control plane: command lines and configuration files."""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING, Any, NamedTuple

from support.node import authority, images, layout

if TYPE_CHECKING:
    from pathlib import Path

    from support.node.layout import Layout


class Context(NamedTuple):
    """What the command lines depend on."""

    layout: Layout
    assets: Path
    address: str

    def asset(self, name: str) -> str:
        """The path of an executable."""
        return str(self.assets / name)


def write_files(context: Context) -> None:
    """Write the files that the programs read."""
    keys, conf = context.layout.keys, context.layout.conf
    for client in ("kubelet", "controllers", "scheduler", "multus"):
        (conf / f"{client}.kubeconfig").write_text(authority.kubeconfig(keys, client, "127.0.0.1"))
    context.layout.kubeconfig.write_text(authority.kubeconfig(keys, "admin", context.address))
    (conf / "kubelet.json").write_text(json.dumps(_kubelet_configuration(keys), indent=1))
    (conf / "containerd.toml").write_text(_containerd_configuration(context))


def command(name: str, context: Context) -> list[str]:
    """The command line of one of `ORDER`."""
    return {
        "etcd": _etcd,
        "kube-apiserver": _apiserver,
        "kube-controller-manager": _controllers,
        "kube-scheduler": _scheduler,
        "containerd": _containerd,
        "kubelet": _kubelet,
    }[name](context)


#: In which order they are started.
ORDER = ("etcd", "containerd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet")


def _etcd(context: Context) -> list[str]:
    return [
        context.asset("etcd"),
        f"--data-dir={context.layout.etcd}",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def _apiserver(context: Context) -> list[str]:
    keys = context.layout.keys
    return [
        context.asset("kube-apiserver"),
        "--etcd-servers=http://127.0.0.1:2379",
        "--bind-address=0.0.0.0",
        f"--advertise-address={context.address}",
        f"--secure-port={layout.API_PORT}",
        f"--client-ca-file={keys}/ca.crt",
        f"--tls-cert-file={keys}/server.crt",
        f"--tls-private-key-file={keys}/server.key",
        f"--kubelet-certificate-authority={keys}/ca.crt",
        f"--kubelet-client-certificate={keys}/admin.crt",
        f"--kubelet-client-key={keys}/admin.key",
        "--kubelet-preferred-address-types=InternalIP",
        "--authorization-mode=Node,RBAC",
        "--allow-privileged=true",
        f"--service-cluster-ip-range={layout.SERVICE_RANGE}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={keys}/accounts.key",
        f"--service-account-signing-key-file={keys}/accounts.key",
    ]


def _controllers(context: Context) -> list[str]:
    keys = context.layout.keys
    return [
        context.asset("kube-controller-manager"),
        f"--kubeconfig={context.layout.conf}/controllers.kubeconfig",
        "--leader-elect=false",
        f"--root-ca-file={keys}/ca.crt",
        f"--service-account-private-key-file={keys}/accounts.key",
        f"--cluster-signing-cert-file={keys}/ca.crt",
        f"--cluster-signing-key-file={keys}/ca.key",
        "--use-service-account-credentials=true",
        "--bind-address=127.0.0.1",
    ]


def _scheduler(context: Context) -> list[str]:
    return [
        context.asset("kube-scheduler"),
        f"--kubeconfig={context.layout.conf}/scheduler.kubeconfig",
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
    ]


def _containerd(context: Context) -> list[str]:
    return [context.asset("containerd"), f"--config={context.layout.conf}/containerd.toml"]


def _kubelet(context: Context) -> list[str]:
    return [
        context.asset("kubelet"),
        f"--config={context.layout.conf}/kubelet.json",
        f"--kubeconfig={context.layout.conf}/kubelet.kubeconfig",
        f"--hostname-override={layout.NODE_NAME}",
        f"--node-ip={context.address}",
    ]


def _kubelet_configuration(keys: Path) -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(keys / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(keys / "server.crt"),
        "tlsPrivateKeyFile": str(keys / "server.key"),
        "containerRuntimeEndpoint": f"unix://{layout.CONTAINERD_SOCKET}",
        "staticPodPath": str(layout.MANIFESTS_DIR),
        "failCgroupV1": False,
        "failSwapOn": False,
        "cgroupDriver": "cgroupfs",
        "cgroupsPerQOS": False,
        "enforceNodeAllocatable": [],
        "localStorageCapacityIsolation": False,
        "resolvConf": "",
        "clusterDNS": ["10.96.0.10"],
        "clusterDomain": "cluster.local",
        "evictionHard": {"memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "maxPods": 200,
        # A test sees the effect of what it does at once, not when the next minute is full.
        "syncFrequency": "5s",
        "fileCheckFrequency": "2s",
        "registryPullQPS": 0,
        "eventRecordQPS": 0,
        "kubeAPIQPS": 200,
        "kubeAPIBurst": 400,
    }


def containerd_version(executable: str) -> tuple[int, int]:
    """Major and minor version of a containerd."""
    printed = subprocess.run([executable, "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"\bv?(\d+)\.(\d+)\.\d+", printed)
    assert found is not None, printed
    return int(found[1]), int(found[2])


def _containerd_configuration(context: Context) -> str:
    """The file's version 3 is that of 2.0 and later; Debian's containerd wants version 2.

    Without CAP_SYS_RESOURCE no container can have a lower OOM score than its parent.
    """
    common = f"""\
root = "/var/lib/containerd"
state = "/run/containerd"
[grpc]
  address = "{layout.CONTAINERD_SOCKET}"
"""
    if containerd_version(context.asset("containerd"))[0] < 2:
        return f"""\
version = 2
{common}
[plugins."io.containerd.grpc.v1.cri"]
  restrict_oom_score_adj = true
  sandbox_image = "{images.PAUSE}"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{layout.BIN_DIR}"
    conf_dir = "{layout.CONF_DIR}"
"""
    return f"""\
version = 3
{common}
[plugins."io.containerd.cri.v1.images"]
  snapshotter = "overlayfs"
  [plugins."io.containerd.cri.v1.images".pinned_images]
    sandbox = "{images.PAUSE}"
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = ["{layout.BIN_DIR}"]
    conf_dir = "{layout.CONF_DIR}"
"""
