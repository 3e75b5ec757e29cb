"""The server's URL of a kubeconfig."""

from __future__ import annotations

import pytest

from multus import errors
from multus.kubernetes import serverurl


@pytest.mark.parametrize(
    ("url", "parsed"),
    [
        ("https://10.0.0.1:6443", ("10.0.0.1", 6443, True, "")),
        ("https://api.example", ("api.example", 443, True, "")),
        ("http://api.example/", ("api.example", 80, False, "")),
        ("HTTPS://[fd00::1]:6443/k8s/clusters/c-1/", ("fd00::1", 6443, True, "/k8s/clusters/c-1")),
        ("https://[::1]", ("::1", 443, True, "")),
        ("localhost:8080", ("localhost", 8080, False, "")),
    ],
)
def test_parts(url: str, parsed: tuple[str, int, bool, str]) -> None:
    """Host without brackets, port with its default, TLS, prefix."""
    assert serverurl.parse(url, "x", default_tls=False) == parsed


def test_no_scheme_with_tls_settings() -> None:
    """A host alone is https where a CA is given, as in client-go."""
    assert serverurl.parse("api.example", "x", default_tls=True) == ("api.example", 443, True, "")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ftp://a",
        "https://",
        "https:///path",
        "https://a:0",
        "https://a:65536",
        "https://a:",
        "https://a:x",
        "https://a:0000000001",
        "https://fd00::1",
        "https://[fd00::1",
        "https://[abc]",
        "https://[::1]x",
        "https://user@host",
        "https://a/?q",
        "https://a b",
        "https://a\r\nX: y",
        "https://bücher.example",
    ],
)
def test_unusable(url: str) -> None:
    """What is no URL of an API server is refused by name."""
    with pytest.raises(errors.InvalidConfig, match=r"^here: "):
        serverurl.parse(url, "here", default_tls=False)
