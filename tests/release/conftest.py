"""The artefacts of a release, made once for all tests, and only when they are asked for."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

import debian
import dist
import images
from multus import __version__
from support.node.images import architecture

#: What this machine can execute without help.
NATIVE = architecture()

BUSYBOX = Path("/bin/busybox")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """They take minutes: they are run when they are asked for, by `-m release`."""
    if "release" in config.option.markexpr:
        return
    left_out = [item for item in items if item.get_closest_marker("release")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`make dist`."""
    directory = tmp_path_factory.mktemp("dist")
    assert dist.main([str(directory)]) == 0
    return directory


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`make images`."""
    if shutil.which("buildah") is None or os.geteuid() != 0:
        pytest.skip("needs root and buildah (make dist-test)")
    directory = tmp_path_factory.mktemp("images")
    assert images.main([str(directory)]) == 0
    return directory


@pytest.fixture(scope="session")
def roots(made: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """For each architecture a root with the host archive in /opt/multus; this machine's has a shell as well."""
    found = {}
    for name in debian.ARCHITECTURES:
        root = tmp_path_factory.mktemp(f"root-{name}")
        archive = f"multus-cni-{__version__}-linux-{name}"
        (root / "opt").mkdir()
        subprocess.run(["tar", "-C", str(root / "opt"), "-xf", str(made / f"{archive}.tar.gz")], check=True)
        (root / "opt" / archive).rename(root / "opt/multus")
        found[name] = root
    (found[NATIVE] / "bin").mkdir()
    shutil.copy(BUSYBOX, found[NATIVE] / "bin/sh")
    return found
