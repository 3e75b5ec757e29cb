"""`make dist`: what is in it works where it is meant to, and is the same whenever it is made."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import venv
from pathlib import Path
from typing import Any

import pytest
import yaml

import debian
import debian_base
import dist
import elf
from multus import __version__
from support.node.images import architecture

pytestmark = pytest.mark.release

Json = dict[str, Any]

NATIVE = architecture()

LOOPBACK = {"cniVersion": "1.0.0", "name": "lo", "type": "loopback"}
CONF = {"cniVersion": "1.0.0", "name": "multus", "type": "multus", "delegates": [LOOPBACK]}

#: A sandbox, ADD, and DEL where ADD left its record.
CALLS = """
conf=$(cat); export PATH
unshare --net sleep 600 & export CNI_NETNS=/proc/$!/ns/net
until test "$(readlink $CNI_NETNS)" != "$(readlink /proc/self/ns/net)"; do :; done
echo "$conf" | CNI_COMMAND=ADD chroot "$0" {plugin} && echo --- && test -e "$0/var/lib/cni/multus/c1" &&
    echo "$conf" | CNI_COMMAND=DEL chroot "$0" {plugin}
"""
SCRIPTS = {
    "thin": CALLS.format(plugin="/opt/multus/cni/multus"),
    "thick": 'chroot "$0" /opt/multus/bin/multus-daemon -config /etc/daemon.json >/dev/null 2>&1 & '
    + CALLS.format(plugin="/opt/multus/cni/multus-shim"),
}
VERSION = {"CNI_COMMAND": "VERSION"}


def run(command: list[str], conf: Json | None = None, **environ: str) -> str:
    done = subprocess.run(
        command,
        input=json.dumps(conf or {}),
        env={"PATH": os.environ["PATH"], **environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def digests(directory: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in directory.iterdir()}


def test_the_same_bytes(made: Path, tmp_path: Path) -> None:
    """A second run makes the same files, byte for byte."""
    assert dist.main(["--only", NATIVE, str(tmp_path)]) == 0
    first, second = digests(made), digests(tmp_path)
    others = {f"multus-cni-{__version__}-linux-{name}.tar.gz" for name in debian.ARCHITECTURES if name != NATIVE}
    assert set(first) - set(second) == others
    first.pop("SHA256SUMS")
    assert {name: digest for name, digest in first.items() if name not in others} == {
        name: digest for name, digest in second.items() if name != "SHA256SUMS"
    }


def test_checksums(made: Path) -> None:
    """Every file is in SHA256SUMS, with its digest."""
    lines = (made / "SHA256SUMS").read_text().splitlines()
    listed = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    found = digests(made)
    found.pop("SHA256SUMS")
    assert listed == found


@pytest.fixture(scope="module")
def environment(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh venv with the wheel and its locked dependencies."""
    directory = tmp_path_factory.mktemp("venv")
    venv.create(directory, symlinks=True)
    uv = str(Path(sys.executable).parent / "uv")
    locked = subprocess.run(
        [uv, "export", "--quiet", "--locked", "--no-emit-project", "--no-dev", "--no-hashes"],
        cwd=dist.ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    (directory / "locked.txt").write_text(locked.stdout)
    (wheel,) = made.glob("*.whl")
    install = [uv, "pip", "install", "--quiet", "--python", str(directory / "bin/python")]
    subprocess.run([*install, "--constraint", str(directory / "locked.txt"), str(wheel)], check=True)
    return directory / "bin"


def test_wheel(environment: Path) -> None:
    """The one-shot plugin, passthru, the daemon and the installer run from an installed wheel."""
    assert __version__ in run([str(environment / "multus"), "--version"])
    assert "1.1.0" in json.loads(run([str(environment / "multus")], CONF, **VERSION))["supportedVersions"]
    passthru = json.loads(run([str(environment / "multus-passthru")], CONF, **VERSION))
    assert "1.0.0" in passthru["supportedVersions"]
    assert __version__ in run([str(environment / "multus-daemon"), "-version"])
    assert __version__ in run([str(environment / "multus-install"), "--version"])
    assert "demo" in run([str(environment / "multusctl"), "--help"])


def test_source_distribution(made: Path) -> None:
    """What builds, tests and describes the project is in it."""
    with tarfile.open(made / f"multus_cni-{__version__}.tar.gz") as tar:
        names = {name.partition("/")[2] for name in tar.getnames()}
    tracked = subprocess.run(["git", "ls-files"], cwd=dist.ROOT, capture_output=True, text=True, check=True)
    assert set(tracked.stdout.split()) - names == set()


@pytest.mark.parametrize("name", debian.ARCHITECTURES)
def test_architecture(roots: dict[str, Path], name: str) -> None:
    """Every executable and library of an archive is of its architecture; the shim is static; none of its Python's
    libraries is missing."""
    found = {}
    for path in (path for path in roots[name].rglob("*") if path.is_file() and path.name != "sh"):
        data = path.read_bytes()
        if elf.is_elf(data):
            found[path.name] = elf.parse(data)
    assert {one.architecture for one in found.values()} == {name}
    assert (found["multus-shim"].needed, found["multus-shim"].interpreter) == ((), "")
    loader = os.path.basename(found["python3"].interpreter)
    assert {needed for one in found.values() for needed in one.needed} - {loader} <= set(found)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_host_without_python(roots: dict[str, Path]) -> None:
    """In a root with a shell and nothing else all executables of the archive run."""
    chroot = ["chroot", str(roots[NATIVE])]
    assert "1.1.0" in json.loads(run([*chroot, "/opt/multus/cni/multus"], CONF, **VERSION))["supportedVersions"]
    assert "1.1.0" in json.loads(run([*chroot, "/opt/multus/cni/multus-shim"], CONF, **VERSION))["supportedVersions"]
    assert "1.0.0" in json.loads(run([*chroot, "/opt/multus/cni/passthru"], CONF, **VERSION))["supportedVersions"]
    assert __version__ in run([*chroot, "/opt/multus/cni/multus", "--version"])
    assert __version__ in run([*chroot, "/opt/multus/bin/multus-daemon", "-version"])
    assert __version__ in run([*chroot, "/opt/multus/bin/multus-install", "--version"])


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.parametrize("kind", ["thin", "thick"])
def test_attachment_without_python(roots: dict[str, Path], kind: str) -> None:
    """The one-shot plugin, and the shim with the daemon, attach and detach a real plugin's network there."""
    root = roots[NATIVE]
    put_plugin(root, Path("/usr/lib/cni/loopback"))
    environ = {"CNI_CONTAINERID": "c1", "CNI_IFNAME": "eth0", "CNI_PATH": "/opt/cni/bin"}
    # Mounts and processes that end with the command.
    script = f'mount -t proc proc /proc; mount -t proc proc "$0/proc"; {SCRIPTS[kind]}'
    within = ["unshare", "--mount", "--pid", "--fork", "sh", "-c", script]
    added, _ = run([*within, str(root)], CONF, **environ).split("---\n")
    assert [one["name"] for one in json.loads(added)["interfaces"]] == ["lo"]
    assert not list((root / "var/lib/cni/multus").glob("c1"))


def put_plugin(root: Path, plugin: Path) -> None:
    """A plugin and the libraries that it is linked against."""
    for name in ("proc", "etc", "run/multus", "run/k8s.cni.cncf.io", "var/lib/cni/multus", "etc/pods"):
        (root / name).mkdir(parents=True, exist_ok=True)
    (root / "etc/daemon.json").write_text(json.dumps({"manifestsDir": "/etc/pods", "logToStderr": True}))
    (root / "opt/cni/bin").mkdir(parents=True, exist_ok=True)
    shutil.copy(plugin, root / "opt/cni/bin")
    linked = subprocess.run(["ldd", str(plugin)], capture_output=True, text=True, check=True).stdout.split()
    for library in (word for word in linked if word.startswith("/")):
        target = root / library[1:]
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, target)


def test_bill_of_materials(roots: dict[str, Path]) -> None:
    """Each locked Debian package and each dependency is in the archive's bill; its licences are there."""
    for name, root in roots.items():
        bill = json.loads((root / "opt/multus/sbom.json").read_text())
        listed = {(one["name"], one["version"]) for one in bill["components"]}
        packages = {(one.name, one.version) for one in debian_base.read(debian.fetch(name), name).packages}
        assert packages <= listed
        licenses = {path.name for path in (root / "opt/multus/licenses").iterdir()}
        assert {"LICENSE", "libssl3", "libc6", "urllib3"} <= licenses
        assert {one[0].lower().replace("-", "_") for one in listed - packages} <= {
            one.replace("-", "_") for one in licenses
        }


def test_manifests(made: Path) -> None:
    """The quick start's manifest as it is in the source, and a kustomize tree whose every file is there."""
    for path in (dist.ROOT / "deploy").glob("*.yml"):
        assert (made / path.name).read_bytes() == path.read_bytes()
    with tarfile.open(made / f"multus-cni-{__version__}-deploy.tar.gz") as tar:
        names = {name.partition("/")[2] for name in tar.getnames()}
    assert names == {str(path.relative_to(dist.ROOT)) for path in (dist.ROOT / "deploy").rglob("*") if path.is_file()}


def test_chart(made: Path) -> None:
    """Laid out as Helm's packages are."""
    with tarfile.open(made / f"multus-{__version__}.tgz") as tar:
        names = tar.getnames()
        content = tar.extractfile(names[0])
        assert content is not None
        described = yaml.safe_load(content)
    assert names[0] == "multus/Chart.yaml"
    assert (described["name"], described["version"]) == ("multus", __version__)
    assert {"multus/values.yaml", "multus/values.schema.json", "multus/templates/daemonset.yaml"} <= set(names)
