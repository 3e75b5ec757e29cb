"""The images of a release, in `dist`: `make images`.

    multus-cni-VERSION.oci.tar                 an OCI archive: an index of all architectures
    multus-cni-VERSION-certificates.oci.tar    the same with what per-node certificates need: amd64 and arm64

    .venv/bin/python scripts/images.py [--only ARCHITECTURE] [--push REGISTRY] [DIRECTORY]

An archive's image is called as the manifests call it: `ctr -n k8s.io images import` on a node is enough. --push sends
both lists to REGISTRY/multus-cni as well. buildah makes them, with a storage of its own in build/images. Nothing is
executed of what goes into them, so that each architecture can be made on any.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

import debian
import debian_base
import dist
import image_context
import tarball
from multus import __version__

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / "build" / "images"
NAME = "multus-cni"


def main(arguments: list[str]) -> int:
    """Make them anew."""
    parser = argparse.ArgumentParser(description="Release images.")
    parser.add_argument("--only", choices=debian.ARCHITECTURES, help="this architecture alone")
    parser.add_argument("--push", metavar="REGISTRY", default="", help="where to")
    parser.add_argument("directory", nargs="?", type=Path, default=ROOT / "dist")
    given = parser.parse_args(arguments)
    if shutil.which("buildah") is None:
        sys.exit("images: needs buildah")
    given.directory.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(WORK, ignore_errors=True)
    when, architectures = dist.moment(), [given.only] if given.only else list(debian.ARCHITECTURES)
    for architecture in architectures:
        root = WORK / "base" / architecture
        debian_base.make(architecture, root)
        build("Containerfile.base", root, architecture, when, "--tag", base(architecture))
    for suffix in ("", "-certificates"):
        chosen = [one for one in architectures if not suffix or one in image_context.PLATFORMS]
        if chosen:
            image(f"{__version__}{suffix}", chosen, when, given.directory, given.push)
    shutil.rmtree(WORK)
    dist.checksums(given.directory)
    return 0


def base(architecture: str) -> str:
    """What the base is called until the images are made."""
    return f"localhost/multus-base:{architecture}"


def image(tag: str, architectures: list[str], when: int, target: Path, registry: str) -> None:
    """One list of images, into an archive and perhaps to a registry."""
    context = WORK / "context"
    options = ["--certificates"] if tag.endswith("-certificates") else []
    options += ["--only", architectures[0]] if len(architectures) == 1 else []
    image_context.main([*options, str(context)])
    name = f"localhost/{NAME}:{tag}"
    labels = {"title": NAME, "version": __version__, "licenses": "Apache-2.0"}
    told = [f"--label=org.opencontainers.image.{key}={value}" for key, value in labels.items()]
    buildah("manifest", "create", name)
    for architecture in architectures:
        arguments = ["--build-arg", f"BASE={base(architecture)}", "--manifest", name, *told]
        build("Containerfile", context, architecture, when, *arguments)
    layout = WORK / f"{tag}.oci"
    buildah("manifest", "push", "--all", name, f"oci:{layout}:docker.io/library/{NAME}:{tag}")
    members = [(member.partition("/")[2], path) for member, path in tarball.below(layout, "oci")]
    tarball.write(target / f"{NAME}-{tag}.oci.tar", members, when)
    if registry:
        buildah("manifest", "push", "--all", name, f"docker://{registry}/{NAME}:{tag}")


def build(file: str, context: Path, architecture: str, when: int, *arguments: str) -> None:
    """One image, all its files of one moment."""
    options = ["--platform", f"linux/{architecture}", "--timestamp", str(when), "--pull-never", *arguments]
    buildah("build", *options, "--file", str(ROOT / "images" / file), str(context))


def buildah(*arguments: str) -> None:
    """Quiet, unless it fails."""
    storage = ["--root", str(WORK / "storage"), "--runroot", str(WORK / "run"), "--storage-driver", "vfs"]
    done = subprocess.run(["buildah", *storage, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"images: buildah {arguments[0]} failed: {done.stderr}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
