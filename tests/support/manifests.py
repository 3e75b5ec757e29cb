"""What manifests say: those of deploy/, and what kustomize makes of its overlays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

import render_deploy

ROOT = Path(__file__).resolve().parents[2]
DEPLOY, CHART = ROOT / "deploy", ROOT / "charts" / "multus"

Json = dict[str, Any]

#: For tests that render.
needs_kubectl = pytest.mark.skipif(render_deploy.kubectl() is None, reason="needs kubectl")


def flat(name: str) -> list[Json]:
    """The objects of a file that is applied as it is."""
    return loads((DEPLOY / name).read_text())


def overlay(name: str) -> list[Json]:
    """The objects of an overlay."""
    return loads(render_deploy.render(name))


def loads(text: str) -> list[Json]:
    """The objects of a YAML text."""
    return [found for found in yaml.safe_load_all(text) if found]


def one(objects: list[Json], kind: str, name: str = "") -> Json:
    """The only object of a kind, or of that name."""
    (found,) = (obj for obj in objects if obj["kind"] == kind and name in ("", obj["metadata"]["name"]))
    return found


def pod(objects: list[Json], name: str = "kube-multus-ds") -> Json:
    """What a DaemonSet's pods are."""
    spec: Json = one(objects, "DaemonSet", name)["spec"]["template"]["spec"]
    return spec


def containers(spec: Json) -> list[Json]:
    """All of a pod."""
    return [*spec.get("initContainers", []), *spec["containers"]]


def paths(spec: Json) -> dict[str, str]:
    """What a pod mounts of its node: path by the volume's name."""
    return {volume["name"]: volume["hostPath"]["path"] for volume in spec["volumes"] if "hostPath" in volume}
