"""The overlays: what each changes, and that the files of deploy/ are what they make."""

from __future__ import annotations

from typing import Any

import pytest

import render_deploy
from multus import __version__
from multus.daemon import settings as daemon
from multus.install import settings as installer
from support.manifests import DEPLOY, containers, flat, needs_kubectl, one, overlay, paths, pod

Json = dict[str, Any]

pytestmark = needs_kubectl

NET_D, OPT = "/etc/cni/net.d", "/opt/cni/bin"

#: Overlay -> the node's directories of configurations and of plugins.
PLATFORMS = {
    "thick": (NET_D, OPT),
    "thin": (NET_D, OPT),
    "crio": (NET_D, "/usr/libexec/cni"),
    "k3s": ("/var/lib/rancher/k3s/agent/etc/cni/net.d", "/var/lib/rancher/k3s/data/cni"),
    "microk8s": ("/var/snap/microk8s/current/args/cni-network", "/var/snap/microk8s/current/opt/cni/bin"),
    "rke2": (NET_D, OPT),
    "talos": (NET_D, OPT),
    "hot-plug": (NET_D, OPT),
    "selinux": (NET_D, OPT),
    "per-node-certificates": (NET_D, OPT),
    "evict": (NET_D, OPT),
}


def test_all_are_here() -> None:
    """No overlay without its line in this file."""
    assert {path.name for path in (DEPLOY / "overlays").iterdir()} == set(PLATFORMS)


@pytest.mark.parametrize("name", render_deploy.FILES)
def test_files_are_rendered_from_the_overlays(name: str) -> None:
    """scripts/render_deploy.py was not forgotten."""
    assert (DEPLOY / name).read_text() == render_deploy.render(render_deploy.FILES[name])


@pytest.mark.parametrize("name", PLATFORMS)
def test_directories(name: str) -> None:
    """Each platform's, and those containers find them where they look for them."""
    found = paths(pod(overlay(name)))
    assert (found["cni"], found["cnibin"]) == PLATFORMS[name]


@pytest.mark.parametrize("name", sorted(set(PLATFORMS) - {"thin", "per-node-certificates"}))
def test_nothing_else_differs(name: str) -> None:
    """The containers are the default's; hot plug alone has the agent, eviction its right, SELinux its label."""
    objects, plain = overlay(name), flat("multus-daemonset.yml")
    assert containers(pod(objects)) == containers(pod(plain))
    extra = {found["metadata"]["name"] for found in objects} - {found["metadata"]["name"] for found in plain}
    assert extra == {"hot-plug": {"kube-multus-agent"}, "evict": {"multus-evict"}}.get(name, set())
    labelled = pod(objects)["securityContext"].get("seLinuxOptions")
    assert labelled == ({"type": "spc_t"} if name == "selinux" else None)


def test_per_node_certificates() -> None:
    """The default with three more mounts in the daemon's container alone; every path that its key names is mounted."""
    objects = overlay("per-node-certificates")
    spec, plain = pod(objects), pod(flat("multus-daemonset.yml"))
    images = [
        found.pop("image")
        for found in [*containers(spec), *one(objects, "Deployment")["spec"]["template"]["spec"]["containers"]]
    ]
    assert set(images) == {f"multus-cni:{__version__}-certificates"}
    for found in containers(plain):
        del found["image"]
    assert spec["initContainers"] == plain["initContainers"]
    differing = {a["name"] for a, b in zip(spec["containers"], plain["containers"], strict=True) if a != b}
    assert differing == {"kube-multus"}
    found, before = spec["containers"][0], plain["containers"][0]
    assert found["securityContext"] == before["securityContext"]
    config = one(objects, "ConfigMap")["data"]["daemon-config.json"]
    told, remarks = daemon.loads(config.encode(), "config", "n1")
    assert remarks == ()
    wanted = told.node_certificate
    assert wanted.enabled
    mounts = {mount["mountPath"]: mount.get("readOnly", False) for mount in found["volumeMounts"]}
    assert (mounts[wanted.directory], mounts[wanted.bootstrap]) == (False, True)


def test_approver_has_no_privilege() -> None:
    """No root, no capability, no mount of the host."""
    objects = overlay("per-node-certificates")
    spec = one(objects, "Deployment")["spec"]["template"]["spec"]
    (found,) = spec["containers"]
    assert spec["securityContext"]["runAsNonRoot"]
    assert found["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert not found["securityContext"]["allowPrivilegeEscalation"]
    assert "volumes" not in spec


def test_eviction() -> None:
    """The default with one more right, and the key that uses it."""
    objects = overlay("evict")
    (rule,) = one(objects, "ClusterRole", "multus-evict")["rules"]
    assert rule == {"apiGroups": [""], "resources": ["pods/eviction"], "verbs": ["create"]}
    assert one(objects, "ClusterRoleBinding", "multus-evict")["subjects"][0]["name"] == "multus"
    evicting, plain = (
        installer.loads(one(found, "ConfigMap")["data"]["daemon-config.json"].encode(), "config")
        for found in (objects, flat("multus-daemonset.yml"))
    )
    assert evicting == plain._replace(slipped_pods=installer.EVICT)


def test_uninstallation() -> None:
    """What takes off what the default puts on: the same image, configuration and directories; only its init container,
    which runs plugins on the host, is privileged, and nothing of it can ask the API server."""
    spec, plain = pod(overlay("../uninstall"), "kube-multus-uninstall"), pod(flat("multus-daemonset.yml"))
    assert not spec["automountServiceAccountToken"]
    (work,), (done,) = spec["initContainers"], spec["containers"]
    assert {work["image"], done["image"]} == {plain["containers"][0]["image"]}
    assert work["securityContext"]["privileged"]
    assert done["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    volumes = {volume["name"]: volume for volume in plain["volumes"]}
    assert all(volume == volumes[volume["name"]] for volume in spec["volumes"])
    config = one(flat("multus-daemonset.yml"), "ConfigMap")["data"]["daemon-config.json"]
    told = installer.loads(config.encode(), "config")
    mounts = {mount["mountPath"] for mount in work["volumeMounts"]}
    assert {told.conf_dir, told.socket_dir, told.cni_dir} < mounts
