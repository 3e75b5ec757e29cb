"""Takes the server's URL of a kubeconfig apart, without `urllib.parse`, whose import takes five milliseconds."""

from __future__ import annotations

from multus import errors


def parse(url: str, what: str, default_tls: bool) -> tuple[str, int, bool, str]:
    """(host without brackets, port, whether TLS, path prefix without a slash at its end).

    ``host``, ``host:port`` and ``https://[::1]:6443/prefix/`` are fine; `default_tls` says what no
    scheme means. Raises errors.InvalidConfig, naming `what`."""
    if not url:
        raise errors.InvalidConfig(f"{what}: is not set")
    if not (url.isascii() and url.isprintable()) or any(mark in url for mark in " ?#@\\"):
        raise errors.InvalidConfig(f"{what}: {url[:80]!r} is not the URL of an API server")
    scheme, separator, rest = url.partition("://")
    if not separator:
        scheme, rest = "", url
    if scheme.lower() not in ("", "http", "https"):
        raise errors.InvalidConfig(f"{what}: {url[:80]!r} is neither http nor https")
    authority, _, path = rest.partition("/")
    host, port = _authority(authority, f"{what}: {url[:80]!r}")
    tls = scheme.lower() == "https" if scheme else default_tls
    return host, port or (443 if tls else 80), tls, "/" + path.strip("/") if path.strip("/") else ""


def _authority(text: str, what: str) -> tuple[str, int]:
    """Host and port (0 when there is none)."""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        digits, valid = rest[1:], bool(bracket) and rest[:1] in ("", ":") and ":" in host
    else:
        host, colon, digits = text.partition(":")
        valid = bool(digits) or not colon
        valid = (
            valid and bool(host) and (not digits or (digits.isdigit() and len(digits) < 6 and 0 < int(digits) < 65536))
        )
    if not valid:
        raise errors.InvalidConfig(f"{what} has no usable host and port")
    return host, int(digits or 0)
