"""Device information files on disk: copied, read, removed; nothing but regular files of that directory."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from multus import errors
from multus.devices import infofiles

if TYPE_CHECKING:
    from pathlib import Path

PCI = {"type": "pci", "version": "1.1.0", "pci": {"pci-address": "0000:03:02.1"}, "vendor.example/more": [1, 2]}
NAME = "default-net-a-c1_net1"


@pytest.fixture
def files(tmp_path: Path) -> infofiles.InfoFiles:
    """The files of an empty directory."""
    return infofiles.InfoFiles(str(tmp_path))


def published(tmp_path: Path, data: bytes | None = None) -> None:
    """What a device plugin wrote of one device."""
    (tmp_path / "dp").mkdir(exist_ok=True)
    text = json.dumps(PCI).encode() if data is None else data
    (tmp_path / "dp" / "v.example-vf-0000:03:02.1-device.json").write_bytes(text)


def own(tmp_path: Path, data: bytes) -> Path:
    """An attachment's file."""
    (tmp_path / "cni").mkdir(exist_ok=True)
    path = tmp_path / "cni" / NAME
    path.write_bytes(data)
    return path


def test_life(files: infofiles.InfoFiles, tmp_path: Path) -> None:
    """Copied byte by byte for everybody to read, read back whole, removed; the device plugin's stays."""
    published(tmp_path)
    files.share("v.example/vf", "0000:03:02.1", NAME)
    path = tmp_path / "cni" / NAME
    assert path.read_bytes() == json.dumps(PCI).encode()
    assert path.stat().st_mode & 0o7777 == 0o444
    assert files.load(NAME) == PCI
    files.remove(NAME)
    assert os.listdir(tmp_path / "cni") == []
    assert len(os.listdir(tmp_path / "dp")) == 1


def test_nothing_published(files: infofiles.InfoFiles, tmp_path: Path) -> None:
    """No device plugin, no file of this device: no file of the attachment, and no directory for it."""
    files.share("v.example/vf", "1", NAME)
    published(tmp_path)
    files.share("v.example/vf", "2", NAME)
    assert os.listdir(tmp_path) == ["dp"]
    assert files.load(NAME) is None
    files.remove(NAME)


def test_what_was_there_is_replaced(files: infofiles.InfoFiles, tmp_path: Path) -> None:
    """A file that an earlier attempt left."""
    own(tmp_path, b"old")
    published(tmp_path)
    files.share("v.example/vf", "0000:03:02.1", NAME)
    assert files.load(NAME) == PCI


def test_of_a_plugins_making(files: infofiles.InfoFiles, tmp_path: Path) -> None:
    """A CNI plugin may write its own."""
    own(tmp_path, b'{"type": "vhost-user", "version": "1.1.0", "vhost-user": {"mode": "client", "path": "/x"}}')
    found = files.load(NAME)
    assert found is not None
    assert found["type"] == "vhost-user"


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"x" * 20000])
def test_bad_files(files: infofiles.InfoFiles, tmp_path: Path, data: bytes) -> None:
    """Neither copied nor read; the error names the file."""
    published(tmp_path, data)
    with pytest.raises(errors.InvalidConfig, match=r"v.example-vf-0000:03:02.1-device.json"):
        files.share("v.example/vf", "0000:03:02.1", NAME)
    own(tmp_path, data)
    with pytest.raises(errors.InvalidConfig, match=NAME):
        files.load(NAME)


def test_links_are_not_followed(files: infofiles.InfoFiles, tmp_path: Path) -> None:
    """A link to somebody's secret is no description of a device; removing it removes the link alone."""
    secret = tmp_path / "secret"
    secret.write_text(json.dumps(PCI))
    own(tmp_path, b"").unlink()
    (tmp_path / "cni" / NAME).symlink_to(secret)
    with pytest.raises(errors.IoFailure, match="not read"):
        files.load(NAME)
    files.remove(NAME)
    assert secret.exists()


def test_other_files(files: infofiles.InfoFiles, tmp_path: Path) -> None:
    """A pipe would block its reader for ever, a directory is no file."""
    (tmp_path / "cni").mkdir()
    os.mkfifo(tmp_path / "cni" / NAME)
    with pytest.raises(errors.IoFailure, match="not a regular file"):
        files.load(NAME)
    os.unlink(tmp_path / "cni" / NAME)
    (tmp_path / "cni" / NAME).mkdir()
    with pytest.raises(errors.IoFailure, match="not a regular file"):
        files.load(NAME)
    with pytest.raises(errors.IoFailure, match="not removed"):
        files.remove(NAME)


def test_a_directory_that_can_not_be(tmp_path: Path) -> None:
    """Something else has its name."""
    published(tmp_path)
    (tmp_path / "cni").write_text("")
    with pytest.raises(errors.IoFailure, match="not written"):
        infofiles.InfoFiles(str(tmp_path)).share("v.example/vf", "0000:03:02.1", NAME)


def test_a_write_that_fails_leaves_nothing(files: infofiles.InfoFiles, tmp_path: Path) -> None:
    """A directory in the way: no half-made file stays behind."""
    published(tmp_path)
    (tmp_path / "cni" / NAME).mkdir(parents=True)
    with pytest.raises(errors.IoFailure, match="not written"):
        files.share("v.example/vf", "0000:03:02.1", NAME)
    assert os.listdir(tmp_path / "cni") == [NAME]


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "a\0"])
def test_names(files: infofiles.InfoFiles, name: str) -> None:
    """Nothing but a name of that directory is taken."""
    for act in (files.load, files.remove):
        with pytest.raises(errors.Internal, match="not a name"):
            act(name)
