"""The one-shot plugin in a root that has no Python: a shell and nothing else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from multus import errors
from multus.install import bundle, main

BUSYBOX = Path("/bin/busybox")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Plugins as the image has them, of a module of this test's: one that tells what it is executed by."""
    made = tmp_path / "src"
    made.mkdir()
    for name in ("multus", "passthru"):
        with zipfile.ZipFile(made / name, "w") as zipped:
            zipped.writestr(
                "__main__.py",
                f"import ssl, sys, socket, json; print(json.dumps([{name!r}, sys.prefix, *sys.argv[1:]]))",
            )
        (made / name).chmod(0o755)
    return made


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with a shell."""
    made = tmp_path / "root"
    (made / "opt/cni/bin").mkdir(parents=True)
    (made / "bin").mkdir()
    shutil.copy(BUSYBOX, made / "bin/busybox")
    (made / "bin/sh").symlink_to("busybox")
    return made


@pytest.mark.netns
@pytest.mark.skipif(not BUSYBOX.exists(), reason="needs busybox-static")
def test_executed_without_python(source: Path, root: Path) -> None:
    """Both plugins are executed by the Python in the folder, with the flags that they are given."""
    folder = bundle.install(str(source), str(root / "opt/cni/bin"))
    assert not (root / "usr").exists()
    for name in ("multus", "passthru"):
        command = ["chroot", str(root), f"/opt/cni/bin/{name}", "--flag", "a b"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.stderr == ""
        assert json.loads(done.stdout) == [name, f"/opt/cni/bin/{folder}", "--flag", "a b"]


def test_the_same_again_changes_nothing(source: Path, root: Path) -> None:
    """A second installation of the same leaves every file alone."""
    target = root / "opt/cni/bin"
    folder = bundle.install(str(source), str(target))
    before = {path: path.stat().st_ino for path in target.rglob("*")}
    assert bundle.install(str(source), str(target)) == folder
    assert {path: path.stat().st_ino for path in target.rglob("*")} == before


def test_upgrade(source: Path, root: Path) -> None:
    """Another version is another folder; the one before it stays for plugins that run, older ones go."""
    target = root / "opt/cni/bin"
    folders = []
    for version in ("1", "2", "3"):
        (source / "multus").write_text(version)
        folders.append(bundle.install(str(source), str(target)))
    assert sorted(os.listdir(target)) == sorted(["multus", "passthru", *folders[1:]])
    assert folders[2] in (target / "multus").read_text()


def test_failure_leaves_nothing(source: Path, root: Path) -> None:
    """A folder that can't be written is an error; nothing half is left, and the plugin is the one that was there."""
    target = root / "opt/cni/bin"
    (target / "multus").write_text("before")
    (source / "passthru").unlink()
    with pytest.raises(errors.IoFailure):
        bundle.install(str(source), str(target))
    assert os.listdir(target) == ["multus"]


def test_only_for_the_one_shot_plugin(root: Path) -> None:
    """The daemon's shim needs no Python."""
    assert main.run(["--log-level", "panic", "binaries", "--with-python", "--dest-dir", str(root)]) == 1
