"""`make images`: each architecture's image holds nothing of another's, and starts."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

import debian
import elf
import image_context
import images
from multus import __version__
from support.node.images import architecture

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.release

Json = dict[str, Any]

HOME = f"/{image_context.HOME}"

NATIVE = architecture()

#: Debian's qemu for the programs of an architecture.
QEMU = {"amd64": "x86_64", "arm64": "aarch64", "ppc64le": "ppc64le", "s390x": "s390x"}


class Archive:
    """An OCI archive, unpacked."""

    def __init__(self, file: Path, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(exist_ok=True)
        extract(file, directory)
        (only,) = json.loads((directory / "index.json").read_text())["manifests"]
        self.name = only["annotations"]["org.opencontainers.image.ref.name"]
        self.digests = {one["platform"]["architecture"]: one["digest"] for one in self._json(only)["manifests"]}

    def unpack(self, architecture: str, root: Path) -> Json:
        """The image's file system into `root`; its configuration."""
        manifest = self._json({"digest": self.digests[architecture]})
        for layer in manifest["layers"]:
            extract(self._blob(layer["digest"]), root)
        return self._json(manifest["config"])

    def _json(self, descriptor: Json) -> Json:
        found: Json = json.loads(self._blob(descriptor["digest"]).read_text())
        return found

    def _blob(self, digest: str) -> Path:
        return self._directory / "blobs" / digest.replace(":", "/")


@pytest.fixture(scope="module")
def plain(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Archive:
    return Archive(pictures / f"multus-cni-{__version__}.oci.tar", tmp_path_factory.mktemp("oci"))


@pytest.fixture(scope="module")
def certificates(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Archive:
    return Archive(pictures / f"multus-cni-{__version__}-certificates.oci.tar", tmp_path_factory.mktemp("oci"))


def test_names(plain: Archive, certificates: Archive) -> None:
    """Called as the manifests call it, of all architectures; with certificates those that have wheels."""
    assert plain.name == f"docker.io/library/multus-cni:{__version__}"
    assert certificates.name == plain.name + "-certificates"
    assert list(plain.digests) == list(debian.ARCHITECTURES)
    assert set(certificates.digests) == set(image_context.PLATFORMS)


def test_the_same_image(plain: Archive, tmp_path: Path) -> None:
    """A second build of this machine's architecture has the same digest."""
    assert images.main(["--only", NATIVE, str(tmp_path)]) == 0
    again = Archive(tmp_path / f"multus-cni-{__version__}.oci.tar", tmp_path / "oci")
    assert again.digests == {NATIVE: plain.digests[NATIVE]}


@pytest.mark.parametrize("name", debian.ARCHITECTURES)
def test_starts(plain: Archive, tmp_path: Path, name: str) -> None:
    """Every executable in it is of its architecture, and with qemu where need be the daemon, the installer, the shim
    and the one-shot plugin start."""
    config = plain.unpack(name, tmp_path)
    assert (config["architecture"], config["os"]) == (name, "linux")
    assert config["config"]["Entrypoint"] == [f"{HOME}/bin/multus-daemon"]
    assert config["config"]["Labels"]["org.opencontainers.image.version"] == __version__
    assert architectures(tmp_path) == {name}
    assert __version__ in run(tmp_path, name, ["/usr/bin/python3", "-IS", f"{HOME}/bin/multus-daemon", "-version"])
    assert __version__ in run(tmp_path, name, ["/usr/bin/python3", "-IS", f"{HOME}/bin/multus-install", "--version"])
    for plugin in ([f"{HOME}/bin/multus-shim"], ["/usr/bin/python3", "-IS", f"{HOME}/bin/multus"]):
        assert "1.1.0" in json.loads(run(tmp_path, name, plugin, CNI_COMMAND="VERSION"))["supportedVersions"]


@pytest.mark.parametrize("name", image_context.PLATFORMS)
def test_certificates(certificates: Archive, tmp_path: Path, name: str) -> None:
    """Of one architecture too, and makes a key and a request."""
    certificates.unpack(name, tmp_path)
    assert architectures(tmp_path) == {name}
    code = (
        f"import sys; sys.path.append('{HOME}/lib'); from multus.certificates import pem; print(pem.request('n', 'o'))"
    )
    assert "BEGIN CERTIFICATE REQUEST" in run(tmp_path, name, ["/usr/bin/python3", "-IS", "-c", code])


def test_of_upstream_s_manifests(plain: Archive, tmp_path: Path) -> None:
    """What these execute is where upstream's image has it."""
    plain.unpack(NATIVE, tmp_path)
    for name in image_context.AT_THE_ROOT:
        assert (tmp_path / str((tmp_path / name).readlink())[1:]).stat().st_mode & 0o111
    done = subprocess.run(
        ["chroot", str(tmp_path), "/thin_entrypoint", "-h"], capture_output=True, text=True, check=False
    )
    assert "--multus-conf-file" in done.stdout + done.stderr


def test_nothing_to_build_with(plain: Archive, tmp_path: Path) -> None:
    """No shell, no compiler, no package manager."""
    plain.unpack(NATIVE, tmp_path)
    assert [path.name for path in (tmp_path / "usr/bin").iterdir()] == ["python3"]


def extract(file: Path, directory: Path) -> None:
    subprocess.run(["tar", "-C", str(directory), "-xf", str(file)], check=True)


def architectures(root: Path) -> set[str]:
    """Those that executables and libraries in it are of."""
    paths = (path for path in root.rglob("*") if path.is_file() and not path.is_symlink())
    return {elf.parse(data).architecture for path in paths if elf.is_elf(data := path.read_bytes())}


def run(root: Path, architecture: str, command: list[str], **environ: str) -> str:
    """What a program of the image prints."""
    if architecture != NATIVE:
        emulator = shutil.which(f"qemu-{QEMU[architecture]}-static")
        if emulator is None:
            pytest.skip("needs qemu-user-static (make dist-test)")
        shutil.copy(emulator, root / "qemu")
        command = ["/qemu", *command]
    done = subprocess.run(
        ["chroot", str(root), *command],
        input="{}", env={"PATH": os.environ["PATH"], **environ}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
