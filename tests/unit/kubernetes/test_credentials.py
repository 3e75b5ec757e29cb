"""Tokens in files, and the service account of a pod."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from multus import errors
from multus.kubernetes import credentials, incluster
from multus.kubernetes.access import Identity, Pem

if TYPE_CHECKING:
    from pathlib import Path

ENVIRON = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}


def bearer(identity: Identity) -> str:
    """The Authorization header."""
    return dict(identity.headers)["Authorization"]


def test_changed_file_is_read_again(tmp_path: Path) -> None:
    """A token that was replaced counts from the next request on."""
    path = tmp_path / "token"
    path.write_text("one\n")
    source = credentials.TokenFile(str(path), Identity())
    assert bearer(source.identity(0.0)) == "Bearer one"
    replacement = tmp_path / "next"
    replacement.write_text("two\n")
    os.replace(replacement, path)
    assert bearer(source.identity(0.0)) == "Bearer two"


def test_unchanged_file_gives_the_same_identity(tmp_path: Path) -> None:
    """One `stat` is all it costs."""
    path = tmp_path / "token"
    path.write_text("one")
    source = credentials.TokenFile(str(path), Identity())
    assert source.identity(0.0) is source.identity(0.0)


@pytest.mark.parametrize("content", [None, "", " \n"])
def test_file_without_token(tmp_path: Path, content: str | None) -> None:
    """Missing or empty: an error that names the file."""
    path = tmp_path / "token"
    if content is not None:
        path.write_text(content)
    with pytest.raises(errors.IoFailure, match=f"token file {path}"):
        credentials.TokenFile(str(path), Identity()).identity(0.0)


def test_token_replaces_other_authorization() -> None:
    """One Authorization header at a time; certificates stay."""
    before = Identity((("Authorization", "Basic x"), ("Impersonate-User", "u")), Pem(file="c"), Pem(file="k"))
    after = credentials.with_token(before, "t")
    assert after == Identity((("Impersonate-User", "u"), ("Authorization", "Bearer t")), Pem(file="c"), Pem(file="k"))


def test_service_account(tmp_path: Path) -> None:
    """Address from the environment, token and CA from the mounted directory."""
    (tmp_path / "token").write_text("sa-token")
    access = incluster.load(ENVIRON, str(tmp_path))
    assert (access.endpoint.url, access.endpoint.ca.file) == ("https://10.96.0.1:443", f"{tmp_path}/ca.crt")
    assert bearer(access.credentials.identity(0.0)) == "Bearer sa-token"


@pytest.mark.parametrize("host", ["fd00::1", "[fd00::1]"])
def test_service_account_over_ipv6(host: str) -> None:
    """IPv6, with and without brackets."""
    access = incluster.load({**ENVIRON, "KUBERNETES_SERVICE_HOST": host})
    assert (access.endpoint.host, access.endpoint.url) == ("fd00::1", "https://[fd00::1]:443")


@pytest.mark.parametrize(
    ("name", "value"),
    [("PORT", "https"), ("PORT", "0"), ("PORT", "70000"), ("HOST", "a b"), ("HOST", "a/b"), ("HOST", "ä")],
)
def test_unusable_service_address(name: str, value: str) -> None:
    """What can't be a host or port is refused by the variable's name."""
    with pytest.raises(errors.InvalidConfig, match=f"KUBERNETES_SERVICE_{name}"):
        incluster.load({**ENVIRON, f"KUBERNETES_SERVICE_{name}": value})
