"""Everything of a release but its images, in `dist`: `make dist`.

    multus_cni-VERSION-py3-none-any.whl, multus_cni-VERSION.tar.gz     the package
    multus-cni-VERSION-linux-ARCHITECTURE.tar.gz                       for hosts without Python
    multus-cni-VERSION-deploy.tar.gz, multus-daemonset*.yml            manifests
    multus-VERSION.tgz                                                 the Helm chart
    multus-cni-VERSION.sbom.json, SHA256SUMS

The same commit makes the same bytes: everything is of the moment of the commit, or of SOURCE_DATE_EPOCH.

    .venv/bin/python scripts/dist.py [--only ARCHITECTURE] [DIRECTORY]
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import debian
import host_archive
import image_context
import tarball
from multus import __version__

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / "build" / "dist"


def moment() -> int:
    """SOURCE_DATE_EPOCH, else when the last commit was made."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    return int(given or _run("git", "log", "-1", "--format=%ct"))


def main(arguments: list[str]) -> int:
    """Make everything anew."""
    parser = argparse.ArgumentParser(description="Release artefacts.")
    parser.add_argument("--only", choices=debian.ARCHITECTURES, help="no host archive but this architecture's")
    parser.add_argument("directory", nargs="?", type=Path, default=ROOT / "dist")
    given = parser.parse_args(arguments)
    target, when = given.directory.resolve(), moment()
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    packages(target, when)
    chart(target, when)
    manifests(target, when)
    context = WORK / "context"
    image_context.main([*(["--only", given.only] if given.only else []), str(context)])
    for architecture in [given.only] if given.only else debian.ARCHITECTURES:
        archive = target / f"multus-cni-{__version__}-linux-{architecture}.tar.gz"
        host_archive.make(architecture, context, WORK / architecture, archive, when)
    shutil.copy(context / "root" / image_context.HOME / "sbom.json", target / f"multus-cni-{__version__}.sbom.json")
    checksums(target)
    return 0


def packages(target: Path, when: int) -> None:
    """Wheel and source distribution, by the locked build backend."""
    uv = str(Path(sys.executable).parent / "uv")
    command = [uv, "build", "--quiet", "--no-build-isolation", "--python", sys.executable, "--out-dir", str(target)]
    subprocess.run(command, cwd=ROOT, env={**os.environ, "SOURCE_DATE_EPOCH": str(when)}, check=True)
    (target / ".gitignore").unlink(missing_ok=True)


def chart(target: Path, when: int) -> None:
    """As `helm package` does: everything below a directory of the chart's name, Chart.yaml first."""
    members = tarball.below(ROOT / "charts" / "multus", "multus")
    members.sort(key=lambda member: (member[0] != "multus/Chart.yaml", member[0]))
    tarball.write(target / f"multus-{__version__}.tgz", members, when)


def manifests(target: Path, when: int) -> None:
    """Those that are applied as one file, and the kustomize tree."""
    for path in sorted((ROOT / "deploy").glob("*.yml")):
        shutil.copyfile(path, target / path.name)
    name = f"multus-cni-{__version__}-deploy"
    tarball.write(target / f"{name}.tar.gz", tarball.below(ROOT / "deploy", f"{name}/deploy"), when)


def checksums(target: Path) -> None:
    """As `sha256sum --check` reads them."""
    paths = sorted(target.iterdir())
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in paths]
    (target / "SHA256SUMS").write_text("".join(lines))


def _run(*command: str) -> str:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
