"""Which proxy leads to the API server: the kubeconfig's `proxy-url`, else HTTPS_PROXY and NO_PROXY as Go reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from multus.kubernetes.access import Endpoint


def choose(endpoint: Endpoint, environ: Mapping[str, str]) -> str:
    """The proxy's URL; "" to connect directly. A `proxy-url` counts whatever NO_PROXY says, as in client-go."""
    if endpoint.proxy:
        return endpoint.proxy
    proxy = _variable(environ, "HTTPS_PROXY" if endpoint.tls else "HTTP_PROXY")
    if not proxy or _excluded(endpoint, _variable(environ, "NO_PROXY")):
        return ""
    return proxy if "://" in proxy else f"http://{proxy}"


def _variable(environ: Mapping[str, str], name: str) -> str:
    return environ.get(name) or environ.get(name.lower()) or ""


def _excluded(endpoint: Endpoint, no_proxy: str) -> bool:
    host = endpoint.host.lower().rstrip(".")
    return _is_loopback(host) or any(
        _matches(item.strip().lower(), host, endpoint.port) for item in no_proxy.split(",") if item.strip()
    )


def _matches(item: str, host: str, port: int) -> bool:
    """One item of NO_PROXY: ``*``, an address, a CIDR, ``domain`` or ``.domain``, each but the CIDR with ``:port``."""
    if item == "*":
        return True
    if "/" in item:
        return _in_network(host, item)
    name, wanted = _split_port(item)
    if wanted and wanted != str(port):
        return False
    if name.startswith("*."):
        name = name[1:]
    if name.startswith("."):
        return host.endswith(name)
    return host == name or (not _is_address(host) and host.endswith(f".{name}"))


def _split_port(item: str) -> tuple[str, str]:
    if item.startswith("["):
        name, _, port = item[1:].partition("]")
        return name, port.removeprefix(":")
    if item.count(":") == 1:
        name, _, port = item.partition(":")
        return name, port
    return item, ""


def _is_loopback(host: str) -> bool:
    import ipaddress

    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


def _is_address(host: str) -> bool:
    import ipaddress

    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _in_network(host: str, network: str) -> bool:
    import ipaddress

    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False
