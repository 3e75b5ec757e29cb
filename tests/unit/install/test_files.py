"""What is put on the node besides the configuration: executables and a kubeconfig."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from multus import errors
from multus.install import binaries, files, kubeconfig
from multus.kubernetes import kubeconfig as reader

if TYPE_CHECKING:
    from pathlib import Path

ENVIRON = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}


def test_running_executable_is_replaced(tmp_path: Path) -> None:
    """An executable that runs is replaced; the process goes on with the old one."""
    target = tmp_path / "tool"
    shutil.copy("/bin/sleep", target)
    with subprocess.Popen([target, "60"]) as process:
        try:
            assert binaries.install("/bin/true", str(target)).changed
            assert subprocess.run([target], check=False).returncode == 0
            assert process.poll() is None
        finally:
            process.kill()
    assert os.listdir(tmp_path) == ["tool"]


def test_executable_that_is_there_already(tmp_path: Path) -> None:
    """The same content and mode are left alone; another mode is put right."""
    target = tmp_path / "true"
    assert binaries.install("/bin/true", str(target)).changed
    assert not binaries.install("/bin/true", str(target)).changed
    target.chmod(0o600)
    assert binaries.install("/bin/true", str(target)).changed
    assert os.access(target, os.X_OK)


def test_link_is_replaced_not_followed(tmp_path: Path) -> None:
    """A symbolic link of that name is replaced; what it led to stays."""
    (tmp_path / "victim").write_text("keep")
    (tmp_path / "tool").symlink_to("victim")
    binaries.install("/bin/true", str(tmp_path / "tool"))
    assert (tmp_path / "victim").read_text() == "keep"
    assert not (tmp_path / "tool").is_symlink()


def test_directory_for_executables_is_not_made(tmp_path: Path) -> None:
    """A wrong directory is an error that names it, rather than a directory that no runtime reads."""
    with pytest.raises(errors.IoFailure, match=r"no such directory: .*nowhere"):
        binaries.install("/bin/true", str(tmp_path / "nowhere" / "tool"))


def test_own_executables_under_other_names(tmp_path: Path) -> None:
    """Copies of ours are found by content."""
    shutil.copy("/bin/true", tmp_path / "renamed")
    shutil.copy("/bin/false", tmp_path / "other")
    assert binaries.same_as(str(tmp_path), ("/bin/true", "/nowhere")) == {"renamed"}


def test_failed_write_leaves_nothing(tmp_path: Path) -> None:
    """A target that can't be replaced is an error, and no temporary file stays."""
    (tmp_path / "dir").mkdir()
    (tmp_path / "dir" / "file").touch()
    with pytest.raises(errors.IoFailure, match="can't write"):
        files.write(str(tmp_path / "dir"), b"data")
    assert os.listdir(tmp_path) == ["dir"]


def test_sweep(tmp_path: Path) -> None:
    """What killed writers left is removed, and nothing else."""
    (tmp_path / f"{files.TEMPORARY}x.1-0").touch()
    (tmp_path / "10-a.conf").touch()
    files.sweep(str(tmp_path))
    assert os.listdir(tmp_path) == ["10-a.conf"]


@pytest.fixture
def account(tmp_path: Path) -> Path:
    """A service account as the kubelet mounts it."""
    directory = tmp_path / "account"
    directory.mkdir()
    (directory / "token").write_text("one\n")
    (directory / "ca.crt").write_text("CERT")
    return directory


def refresh(tmp_path: Path, account: Path, *, skip: bool = False) -> bool:
    return kubeconfig.refresh(str(tmp_path / "kc"), ENVIRON, skip_tls_verify=skip, account=str(account))


def test_kubeconfig_is_read_by_the_plugin(tmp_path: Path, account: Path) -> None:
    """Our own reader finds server and CA in it; only root can read it."""
    assert refresh(tmp_path, account)
    access = reader.load(str(tmp_path / "kc"))
    assert (access.endpoint.host, access.endpoint.port) == ("10.96.0.1", 443)
    assert access.endpoint.ca.data
    assert (tmp_path / "kc").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("file", ["token", "ca.crt"])
def test_kubeconfig_follows_the_account(tmp_path: Path, account: Path, file: str) -> None:
    """It is written again when token or CA changes, and only then."""
    refresh(tmp_path, account)
    assert not refresh(tmp_path, account)
    (account / file).write_text("two")
    assert refresh(tmp_path, account)
    assert refresh(tmp_path, account, skip=True)


def test_kubeconfig_that_somebody_changed(tmp_path: Path, account: Path) -> None:
    """Whoever changes or removes it, it is put back."""
    refresh(tmp_path, account)
    (tmp_path / "kc").write_text("{}")
    assert refresh(tmp_path, account)
    (tmp_path / "kc").unlink()
    assert refresh(tmp_path, account)


def test_kubeconfig_without_ca(tmp_path: Path, account: Path) -> None:
    """Blind trust is written out, without the CA."""
    refresh(tmp_path, account, skip=True)
    cluster = json.loads((tmp_path / "kc").read_text())["clusters"][0]["cluster"]
    assert cluster == {"server": "https://10.96.0.1:443", "insecure-skip-tls-verify": True}


def test_kubeconfig_without_token(tmp_path: Path, account: Path) -> None:
    """A half-mounted account is an error; the file stays as it was."""
    refresh(tmp_path, account)
    (account / "token").write_text("")
    with pytest.raises(errors.InvalidConfig, match="token"):
        refresh(tmp_path, account)
    assert b"one" in (tmp_path / "kc").read_bytes()


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        (ENVIRON, "https://10.96.0.1:443"),
        ({**ENVIRON, "KUBERNETES_SERVICE_HOST": "fd00::1"}, "https://[fd00::1]:443"),
        ({**ENVIRON, "KUBERNETES_SERVICE_HOST": "[fd00::1]"}, "https://[fd00::1]:443"),
        ({**ENVIRON, "KUBERNETES_SERVICE_PROTOCOL": "http"}, "http://10.96.0.1:443"),
    ],
)
def test_server(environ: dict[str, str], url: str) -> None:
    """Addresses of either family, and another protocol."""
    assert kubeconfig.server(environ) == url


def test_no_server() -> None:
    """Outside a pod it is said which variables are missing."""
    with pytest.raises(errors.InvalidConfig, match="KUBERNETES_SERVICE_HOST"):
        kubeconfig.server({})
