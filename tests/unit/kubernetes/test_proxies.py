"""Which proxy is used."""

from __future__ import annotations

import pytest

from multus.kubernetes import proxies
from multus.kubernetes.access import Endpoint

PROXY = {"HTTPS_PROXY": "http://proxy:3128"}


def chosen(host: str, environ: dict[str, str], port: int = 6443, proxy: str = "") -> str:
    """The proxy for a server at `host`."""
    return proxies.choose(Endpoint(host, port, "test", proxy=proxy), environ)


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy"])
def test_environment(name: str) -> None:
    """Both spellings count; a proxy without scheme is an http one."""
    assert chosen("10.0.0.1", {name: "proxy:3128"}) == "http://proxy:3128"


def test_plain_http_has_its_own_variable() -> None:
    """HTTP_PROXY is for servers without TLS."""
    endpoint = Endpoint("10.0.0.1", 80, "test", tls=False)
    assert proxies.choose(endpoint, {"HTTP_PROXY": "http://p", **PROXY}) == "http://p"


def test_kubeconfig_wins() -> None:
    """`proxy-url` counts whatever the environment says."""
    assert chosen("10.0.0.1", {**PROXY, "NO_PROXY": "*"}, proxy="http://own") == "http://own"


@pytest.mark.parametrize(
    ("host", "no_proxy"),
    [
        ("10.96.0.1", "10.96.0.0/12"),
        ("10.96.0.1", " other , 10.96.0.1 "),
        ("10.96.0.1", "10.96.0.1:6443"),
        ("fd00::1", "fd00::/8"),
        ("fd00::1", "[fd00::1]:6443"),
        ("fd00::1", "fd00::1"),
        ("api.example", "example"),
        ("api.example", ".example"),
        ("api.example", "*.example"),
        ("API.example.", "api.EXAMPLE"),
        ("api.example", "*"),
        ("localhost", ""),
        ("127.0.0.1", ""),
        ("::1", ""),
    ],
)
def test_no_proxy(host: str, no_proxy: str) -> None:
    """Addresses, networks, domains, with and without port; loopback never goes through a proxy."""
    assert chosen(host, {**PROXY, "NO_PROXY": no_proxy}) == ""


@pytest.mark.parametrize(
    ("host", "no_proxy"),
    [
        ("10.96.0.1", "10.97.0.0/16"),
        ("10.96.0.1", "10.96.0.1:443"),
        ("10.96.0.1", "0.1"),
        ("10.96.0.1", "junk/x,,"),
        ("example", ".example"),
        ("api.example", "10.0.0.0/8"),
        ("myexample", "example"),
    ],
)
def test_not_excluded(host: str, no_proxy: str) -> None:
    """What looks alike is not the same."""
    assert chosen(host, {**PROXY, "NO_PROXY": no_proxy}) == "http://proxy:3128"
