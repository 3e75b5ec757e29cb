"""The manifests: what they grant, and that they are understood by what they start."""

from __future__ import annotations

import re
from typing import Any

import pytest

import render_deploy
from multus import __version__
from multus.daemon import settings as daemon
from multus.install import flags, settings, thin_entrypoint
from support.manifests import ROOT, containers, flat, one, pod

Json = dict[str, Any]

FILES = sorted(render_deploy.FILES)


def rules(objects: list[Json], kind: str = "ClusterRole") -> set[tuple[str, str, str]]:
    return {
        (group, resource, verb)
        for rule in one(objects, kind)["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def requested() -> set[tuple[str, str, str]]:
    """The verbs of the API client of pods and networks, as its source names them: `_Request("get", "pods", ...)`."""
    source = (ROOT / "src/multus/kubernetes/client.py").read_text()
    groups = {"network-attachment-definitions": "k8s.cni.cncf.io", "resource.k8s.io": ""}
    found = re.findall(r'_Request\(\s*"(\w+)",\s*("?[\w./]+"?)', source)
    names = {'"pods"': "pods", "NETWORK_RESOURCE": "network-attachment-definitions"}
    resources = [(verb, names.get(resource, resource.strip('"'))) for verb, resource in found]
    elsewhere = ("resource.k8s.io", "pods/eviction")
    return {(groups.get(name, ""), name, verb) for verb, name in resources if name not in elsewhere}


DRA = {("resource.k8s.io", "resourceclaims", "get"), ("resource.k8s.io", "resourceslices", "list")}


@pytest.mark.parametrize("name", FILES)
def test_no_right_that_the_code_does_not_use(name: str) -> None:
    """The role is what the API client asks for, and for the daemon what it watches; for `fetch`, claims, slices and the
    pods of a node."""
    wanted = requested() | DRA | {("", "pods", "list")}
    if name != "multus-daemonset-thin.yml":
        watched = (("k8s.cni.cncf.io", "network-attachment-definitions"), ("", "pods"))
        wanted |= {(group, resource, verb) for group, resource in watched for verb in ("list", "watch")}
    assert rules(flat(name)) == wanted


@pytest.mark.parametrize("name", FILES)
def test_own_daemonset_is_the_only_other_object(name: str) -> None:
    """Beyond that a pod may look at its own DaemonSet, by name, which is the one it is told of."""
    objects = flat(name)
    (rule,) = one(objects, "Role")["rules"]
    assert rule == {
        "apiGroups": ["apps"],
        "resources": ["daemonsets"],
        "resourceNames": ["kube-multus-ds"],
        "verbs": ["get"],
    }
    told = [env["value"] for found in containers(pod(objects)) for env in found.get("env", []) if "value" in env]
    assert told == ["kube-system/kube-multus-ds"]


@pytest.mark.parametrize("name", FILES)
def test_no_privilege(name: str) -> None:
    """No container is privileged, none sees the host's processes or its root, none propagates mounts; all but one have
    no capability at all, and that one has CAP_NET_ADMIN alone."""
    spec = pod(flat(name))
    assert not {"hostPID", "hostIPC"} & set(spec)
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for found in containers(spec):
        added = ["NET_ADMIN"] if found["command"][0] == "multus-daemon" else None
        context = found["securityContext"]
        assert context["capabilities"] == {"drop": ["ALL"], **({"add": added} if added else {})}
        assert (context["allowPrivilegeEscalation"], context["readOnlyRootFilesystem"]) == (False, True)
        assert "privileged" not in context
        assert not any("mountPropagation" in mount for mount in found["volumeMounts"])
    paths = {volume["hostPath"]["path"] for volume in spec["volumes"] if "hostPath" in volume}
    assert not paths & {"/", "/etc", "/var", "/var/lib", "/var/lib/kubelet", "/run", "/run/netns", "/opt"}


def test_what_the_daemon_may_write() -> None:
    """Its sockets, its records and device information; the node's configuration and executables it can't change."""
    (found,) = (one_ for one_ in pod(flat("multus-daemonset.yml"))["containers"] if one_["name"] == "kube-multus")
    writable = {mount["mountPath"] for mount in found["volumeMounts"] if not mount.get("readOnly")}
    assert writable == {"/run/multus", "/var/lib/cni/multus", "/run/k8s.cni.cncf.io"}


@pytest.mark.parametrize("name", FILES)
def test_survives_its_node(name: str) -> None:
    """Runs on every node, is not evicted for others, and each container has memory reserved and room above it."""
    spec = pod(flat(name))
    assert {"operator": "Exists", "effect": "NoSchedule"} in spec["tolerations"]
    assert spec["priorityClassName"] == "system-node-critical"
    for found in containers(spec):
        assert found["resources"]["requests"]["memory"]
        assert "cpu" not in found["resources"]["limits"]


@pytest.mark.parametrize("name", FILES)
def test_image_is_of_this_version(name: str) -> None:
    """All containers run one image, of the version in the source."""
    assert {found["image"] for found in containers(pod(flat(name)))} == {f"multus-cni:{__version__}"}


def test_configuration_is_understood() -> None:
    """Installer and daemon read it without a remark, and its paths are mounted where they need them."""
    objects = flat("multus-daemonset.yml")
    data = one(objects, "ConfigMap")["data"]["daemon-config.json"].encode()
    told, remarks = daemon.loads(data, "it")
    assert remarks == ()
    wanted = settings.loads(data, "it")
    mounts = {
        found["name"]: {mount["mountPath"] for mount in found["volumeMounts"]} for found in containers(pod(objects))
    }
    for name in ("kube-multus", "kube-multus-install"):
        assert {wanted.conf_dir, wanted.autoconf_dir, told.socket_dir, told.cni_dir} <= mounts[name]


def test_flags_are_understood() -> None:
    """The flags of thin's container, and its directories are mounted."""
    (found,) = pod(flat("multus-daemonset-thin.yml"))["containers"]
    given = flags.parse(found["args"], thin_entrypoint.DEFAULTS)
    told = thin_entrypoint.wanted(given)
    assert {told.conf_dir, told.cni_dir, given["cni-bin-dir"]} <= {m["mountPath"] for m in found["volumeMounts"]}


@pytest.mark.parametrize(
    ("config", "good"),
    [("", True), ("  ", True), ('{"type": "bridge"}', True), ("\n{}\n", True), ("bridge", False), ("[]", False)],
)
def test_definition_of_networks(config: str, good: bool) -> None:
    """Upstream's names; the rule for `config`, read as what it says."""
    definition = one(flat("multus-daemonset.yml"), "CustomResourceDefinition")
    assert definition["spec"]["names"]["shortNames"] == ["net-attach-def", "nad"]
    schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    (validation,) = schema["properties"]["spec"]["properties"]["config"]["x-kubernetes-validations"]
    python = re.sub(r"self\.trim\(\)\.(starts|ends)With", r"self.strip().\1with", validation["rule"])
    python = python.replace("self.trim()", "self.strip()").replace("||", "or").replace("&&", "and")
    assert eval(python, {"self": config}) is good  # noqa: S307 - our own rule, turned into Python
