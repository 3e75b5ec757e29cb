"""A node's key and certificate on disk."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from multus import errors
from multus.certificates import config, store

if TYPE_CHECKING:
    from pathlib import Path

WHEN = 1_795_516_830.0  # 2026-11-24 10:40:30


def test_layout(tmp_path: Path) -> None:
    """Upstream's names: a dated file, 0600, and a link to it that is right in whichever place it is mounted."""
    kept = store.Store(str(tmp_path / "certs"))
    assert kept.read() is None
    kept.put(b"pair", WHEN)
    assert kept.read() == b"pair"
    assert sorted(os.listdir(tmp_path / "certs")) == ["multus-client-2026-11-24-10-40-30.pem", store.CURRENT]
    assert os.readlink(kept.current) == "multus-client-2026-11-24-10-40-30.pem"
    assert os.stat(kept.current).st_mode & 0o777 == 0o600
    assert os.stat(tmp_path / "certs").st_mode & 0o777 == 0o700


def test_old_keys_go(tmp_path: Path) -> None:
    """The one before stays; what others have in the directory stays too."""
    (tmp_path / "other.pem").touch()
    kept = store.Store(str(tmp_path))
    for number in range(4):
        kept.put(b"%d" % number, WHEN + number)
    assert kept.read() == b"3"
    assert sorted(os.listdir(tmp_path)) == [
        "multus-client-2026-11-24-10-40-32.pem",
        "multus-client-2026-11-24-10-40-33.pem",
        store.CURRENT,
        "other.pem",
    ]


def test_the_clock_went_back(tmp_path: Path) -> None:
    """The pair in use is never taken for an old one."""
    kept = store.Store(str(tmp_path))
    for number in (3, 2, 1):
        kept.put(b"%d" % number, WHEN + number)
        assert kept.read() == b"%d" % number


def test_leftovers_of_a_killed_writer_do_not_matter(tmp_path: Path) -> None:
    """Neither a file nor a link half-way, even under the same process id; a regular file becomes the link."""
    kept = store.Store(str(tmp_path))
    (tmp_path / f".multus-client-2026-11-24-10-40-30.pem.{os.getpid()}").write_bytes(b"half")
    (tmp_path / f".{store.CURRENT}.{os.getpid()}").symlink_to("nowhere")
    (tmp_path / store.CURRENT).write_bytes(b"a file")
    kept.put(b"pair", WHEN)
    assert kept.read() == b"pair"
    assert sorted(os.listdir(tmp_path)) == ["multus-client-2026-11-24-10-40-30.pem", store.CURRENT]


def test_what_can_not_be_written_is_an_error(tmp_path: Path) -> None:
    """It names the directory."""
    (tmp_path / "file").touch()
    with pytest.raises(errors.IoFailure, match="file/certs"):
        store.Store(str(tmp_path / "file" / "certs")).put(b"pair", WHEN)


@pytest.mark.parametrize("inline", [True, False])
def test_kubeconfig(tmp_path: Path, inline: bool) -> None:
    """The bootstrap's server and CA, also where that is a file; none of its credentials. JSON, 0600."""
    (tmp_path / "ca.crt").write_text("CA")
    ca = {"certificate-authority-data": "Q0E="} if inline else {"certificate-authority": "ca.crt"}
    bootstrap = {
        "clusters": [{"name": "c", "cluster": {"server": "https://h:1/p", "tls-server-name": "x", **ca}}],
        "users": [{"name": "u", "user": {"token": "secret"}}],
        "contexts": [{"name": "k", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "k",
    }
    (tmp_path / "bootstrap").write_text(json.dumps(bootstrap))
    content = config.render(str(tmp_path / "bootstrap"), "/certs/multus-client-current.pem")
    target = tmp_path / "made" / "kubeconfig"
    assert config.write(str(target), content)
    assert not config.write(str(target), content)
    assert os.stat(target).st_mode & 0o777 == 0o600
    assert json.loads(target.read_bytes()) == {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": "default-cluster",
                "cluster": {
                    "server": "https://h:1/p",
                    "certificate-authority-data": "Q0E=",
                    "tls-server-name": "x",
                },
            }
        ],
        "users": [
            {
                "name": "default-auth",
                "user": {
                    "client-certificate": "/certs/multus-client-current.pem",
                    "client-key": "/certs/multus-client-current.pem",
                },
            }
        ],
        "contexts": [
            {
                "name": "default-context",
                "context": {"cluster": "default-cluster", "user": "default-auth", "namespace": "default"},
            }
        ],
        "current-context": "default-context",
    }
