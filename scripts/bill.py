"""Bills of materials, as CycloneDX has them."""

from __future__ import annotations

import importlib.metadata
import json
from typing import TYPE_CHECKING

import debian

if TYPE_CHECKING:
    from collections.abc import Iterable

Component = dict[str, str]


def render(components: list[Component]) -> str:
    """The document of an artefact of this project."""
    version = importlib.metadata.version("multus-cni")
    subject = {"component": {"type": "application", "name": "multus-cni", "version": version}}
    document = {"bomFormat": "CycloneDX", "specVersion": "1.5", "metadata": subject, "components": components}
    return json.dumps(document, indent=2) + "\n"


def of_python(distributions: Iterable[importlib.metadata.Distribution]) -> list[Component]:
    """Of packages from PyPI."""
    named = ((one.metadata["Name"], one.version) for one in distributions)
    return [_library(name, version, f"pkg:pypi/{name.lower()}@{version}") for name, version in named]


def of_debian(packages: Iterable[debian.Package]) -> list[Component]:
    """Of packages from Debian."""
    return [
        _library(
            one.name,
            one.version,
            f"pkg:deb/debian/{one.name}@{one.version}?arch={debian.ARCHITECTURES[one.architecture]}",
        )
        for one in packages
    ]


def _library(name: str, version: str, purl: str) -> Component:
    return {"type": "library", "name": name, "version": version, "purl": purl}
