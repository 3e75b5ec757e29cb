"""The Helm chart: the same objects as the manifests, and what its values change."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import fastjsonschema
import pytest
import yaml

import kube_assets
from multus import __version__
from support import chart, manifests
from support.manifests import CHART, containers, needs_kubectl, one, overlay, paths, pod

if TYPE_CHECKING:
    from pathlib import Path

Json = dict[str, Any]

CERTIFICATES: Json = {
    "enabled": True,
    "bootstrapKubeconfig": "/etc/kubernetes/kubelet.conf",
    "certDir": "/var/lib/multus/certs",
    "certDuration": "24h",
}

#: Overlay -> the values that say the same.
VALUES: dict[str, Json] = {
    "thick": {},
    "thin": {"mode": "thin"},
    "crio": {"paths": {"bin": "/usr/libexec/cni"}},
    "k3s": {
        "paths": {"conf": "/var/lib/rancher/k3s/agent/etc/cni/net.d", "bin": "/var/lib/rancher/k3s/data/cni"},
    },
    "microk8s": {
        "paths": {
            "conf": "/var/snap/microk8s/current/args/cni-network",
            "bin": "/var/snap/microk8s/current/opt/cni/bin",
        },
    },
    "hot-plug": {"agent": {"enabled": True}},
    "evict": {"config": {"slippedPods": "evict"}},
    "selinux": {"seLinuxOptions": {"type": "spc_t"}},
    "per-node-certificates": {"config": {"perNodeCertificate": CERTIFICATES}},
}

HELM = shutil.which("helm") or shutil.which("helm", path=str(kube_assets.folder()))

valid = fastjsonschema.compile(json.loads((CHART / "values.schema.json").read_text()))


def values(over: Json) -> Json:
    """As Helm has them when it looks at the schema."""
    found: Json = chart.merged(yaml.safe_load((CHART / "values.yaml").read_text()), over)
    return found


@needs_kubectl
@pytest.mark.parametrize("name", VALUES)
def test_the_same_as_the_overlay(name: str) -> None:
    """With its default values the chart installs what the manifests do, with others what an overlay does."""
    valid(values(VALUES[name]))
    made = {key(found): found for found in chart.objects(CHART, VALUES[name], "kube-system")}
    applied = {key(found): found for found in overlay(name)}
    assert set(made) == set(applied)
    for which, found in applied.items():
        assert normal(made[which]) == normal(found), which


@pytest.mark.skipif(HELM is None, reason="needs helm: make cluster-assets")
@pytest.mark.parametrize("name", VALUES)
def test_helm_makes_the_same(name: str, tmp_path: Path) -> None:
    """The tests' own rendering is Helm's."""
    (tmp_path / "values.yaml").write_text(json.dumps(VALUES[name]))
    assert HELM is not None
    command = [HELM, "template", "multus", str(CHART), "--include-crds", "--namespace=kube-system"]
    options = ["--kube-version=1.30.0", f"--values={tmp_path / 'values.yaml'}"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=True)
    made = {key(found): normal(found) for found in manifests.loads(done.stdout)}
    assert made == {key(found): normal(found) for found in chart.objects(CHART, VALUES[name], "kube-system")}


def key(found: Json) -> tuple[str, str]:
    return found["kind"], found["metadata"]["name"]


def normal(found: Json) -> Json:
    """Without what says nothing; JSON in a ConfigMap as what it means."""
    found = json.loads(json.dumps(found))
    if found["kind"] in ("DaemonSet", "Deployment"):
        spec = found["spec"]["template"]["spec"]
        for name in ("nodeSelector", "imagePullSecrets"):
            assert not spec.pop(name, None)
        # kustomize puts what it patches first.
        for holder, name in [(spec, "volumes"), *((one_, "volumeMounts") for one_ in containers(spec))]:
            holder[name] = sorted(holder.get(name, []), key=lambda entry: str(entry["name"]))
    if found["kind"] == "ConfigMap":
        found["data"] = {name: json.loads(text) for name, text in found["data"].items()}
    return found


#: Key -> its value, the path that is mounted for it, who mounts it, and who may write there.
NAMED = {
    "logFile": ("/var/log/multus/daemon.log", "/var/log/multus", {"kube-multus"}, {"kube-multus"}),
    "readinessindicatorfile": ("/run/other/ready", "/run/other", {"kube-multus", "kube-multus-install"}, set()),
    "kubeconfig": ("/etc/multus-api/kubeconfig", "/etc/multus-api", {"kube-multus"}, set()),
    "manifestsDir": ("/etc/multus-manifests", "/etc/multus-manifests", {"kube-multus"}, set()),
    "confDir": ("/etc/networks.d", "/etc/networks.d", {"kube-multus"}, set()),
    "cniDir": ("/var/lib/multus", "/var/lib/multus", {"kube-multus", "kube-multus-install"}, {"kube-multus"}),
    "deviceInfoDir": ("/run/devinfo", "/run/devinfo", {"kube-multus"}, {"kube-multus"}),
    "podResourcesSocket": ("/run/kubelet/pods.sock", "/run/kubelet", {"kube-multus"}, set()),
    "deviceCheckpoint": ("/var/lib/kubelet/dp/checkpoint", "/var/lib/kubelet/dp", {"kube-multus"}, set()),
    "multusAutoconfigDir": ("/etc/primary.d", "/etc/primary.d", {"kube-multus", "kube-multus-install"}, set()),
    "multusConfigFile": ("/etc/own/00-multus.conf", "/etc/own", {"kube-multus-install"}, set()),
}


@pytest.mark.parametrize("name", NAMED)
def test_mounts_what_its_configuration_names(name: str) -> None:
    """A path that a key names is mounted where it is on the node, for those that need it, and only then."""
    value, path, users, writers = NAMED[name]
    over = {"config": {name: value}}
    valid(values(over))
    spec, plain = pod(chart.objects(CHART, over, "kube-system")), pod(chart.objects(CHART, {}, "kube-system"))
    assert set(paths(spec).values()) - set(paths(plain).values()) == {path}
    mounts = {
        found["name"]: mount
        for found in containers(spec)
        for mount in found["volumeMounts"]
        if mount["mountPath"] == path
    }
    assert set(mounts) == users
    assert {container for container, mount in mounts.items() if not mount.get("readOnly")} == writers


def test_no_mount_that_nothing_names() -> None:
    """Every volume is mounted by a container, whatever is named."""
    everything = {"config": {name: found[0] for name, found in NAMED.items()} | {"perNodeCertificate": CERTIFICATES}}
    for over in ({}, everything):
        spec = pod(chart.objects(CHART, over, "kube-system"))
        used = {mount["name"] for found in containers(spec) for mount in found["volumeMounts"]}
        assert used == {volume["name"] for volume in spec["volumes"]}


def test_certificates_of_another_distribution() -> None:
    """The kubelet's credentials from where it has them; an approver of one's own; the namespace of the release."""
    told = {**CERTIFICATES, "bootstrapKubeconfig": "/var/lib/kubelet/kubeconfig"}
    over = {
        "config": {"perNodeCertificate": told},
        "paths": {"kubeletPki": "/var/lib/kubelet/secrets"},
        "certApprover": {"enabled": False},
    }
    valid(values(over))
    objects = chart.objects(CHART, over, "nets")
    assert {"/var/lib/kubelet/kubeconfig", "/var/lib/kubelet/secrets"} <= set(paths(pod(objects)).values())
    assert not [found for found in objects if found["kind"] == "Deployment"]
    assert one(objects, "ClusterRoleBinding", "multus-nodes")["subjects"][0]["name"] == "system:multus"
    (account,) = one(
        chart.objects(CHART, VALUES["per-node-certificates"], "nets"), "RoleBinding", "multus-cert-approver"
    )["subjects"]
    assert account["namespace"] == "nets"


@pytest.mark.parametrize(
    "over",
    [
        {"mode": "thick", "unknown": 1},
        {"paths": {"kubeletPki": "relative"}},
        {"config": {"logFile": "relative"}},
        {"config": {"perNodeCertificate": {"enabled": True}}},
        {"config": {"perNodeCertificate": {**CERTIFICATES, "certDuration": "a day"}}},
        {"config": {"perNodeCertificate": {**CERTIFICATES, "certdir": "/x"}}},
        {"mode": "thin", "config": {"perNodeCertificate": CERTIFICATES}},
        {"certApprover": {"replicas": 2}},
    ],
)
def test_schema_refuses(over: Json) -> None:
    """Values that can't work."""
    with pytest.raises(fastjsonschema.JsonSchemaException):
        valid(values(over))


def test_chart_of_another_platform() -> None:
    """Paths, image, agent and namespace of the values are in what it installs."""
    values = {
        "paths": {"conf": "/c", "bin": "/b"},
        "image": {"repository": "r/m", "tag": "t"},
        "agent": {"enabled": True},
        "seLinuxOptions": {"type": "spc_t"},
    }
    objects = chart.objects(CHART, values, "nets")
    spec = pod(objects)
    assert {found["image"] for found in containers(spec)} == {"r/m:t"}
    assert {v["hostPath"]["path"] for v in spec["volumes"] if v["name"] in ("cni", "cnibin")} == {"/c", "/b"}
    assert spec["securityContext"]["seLinuxOptions"] == {"type": "spc_t"}
    assert pod(objects, "kube-multus-agent")["containers"][0]["command"][-1] == "/b"
    assert {found["metadata"].get("namespace", "nets") for found in objects} == {"nets"}


def test_schema_knows_the_values() -> None:
    """Every value is in the schema, and no other may be given."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert not schema["additionalProperties"]
    assert set(values) <= set(schema["properties"])
    for name, found in values.items():
        members = schema["properties"][name].get("properties")
        if isinstance(found, dict) and members is not None:
            assert set(found) <= set(members), name


def test_version_of_the_chart() -> None:
    """The chart's version is the source's."""
    found = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert (found["version"], found["appVersion"]) == (__version__, __version__)
