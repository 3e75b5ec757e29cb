"""Connections kept in a pool, through proxies: urllib3.

Safe to use from many threads at once.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import urllib3

from multus import errors
from multus.kubernetes import sockets, tls
from multus.kubernetes.transport import BODY_LIMIT, Response

if TYPE_CHECKING:
    from multus.kubernetes.access import Endpoint, Headers, Identity

#: Connections kept open at most; more are opened when needed, and closed after use.
KEPT = 8


class PooledTransport:
    """A `transport.Transport` over urllib3. `proxy` is a URL, "" for none."""

    def __init__(self, endpoint: Endpoint, identity: Identity, proxy: str = "") -> None:
        self._endpoint = endpoint
        self._pool = manager(endpoint, identity, proxy)

    def request(self, method: str, path: str, headers: Headers, body: bytes | None, timeout: float) -> Response:
        """As `transport.Transport.request`."""
        deadline = time.monotonic() + timeout
        try:
            answer = self._pool.request(
                method,
                self._endpoint.url + path,
                body=body,
                headers=urllib3.HTTPHeaderDict(headers),
                timeout=urllib3.Timeout(total=max(timeout, 0.001)),
                retries=False,
                redirect=False,
                preload_content=False,
            )
            try:
                return Response(answer.status, lowered(answer), _body(answer, deadline))
            finally:
                answer.release_conn()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise failure(error, self._endpoint).within(f"API server {self._endpoint.url}") from error

    def close(self) -> None:
        """As `transport.Transport.close`."""
        self._pool.clear()


def manager(endpoint: Endpoint, identity: Identity, proxy: str) -> urllib3.PoolManager:
    """urllib3's pools with our TLS and our proxy. Raises errors.InvalidConfig for what can't be used."""
    options: dict[str, Any] = {"maxsize": KEPT, "socket_options": sockets.OPTIONS}
    if endpoint.tls:
        options["ssl_context"] = tls.context(endpoint, identity)
        options["cert_reqs"] = "CERT_NONE" if endpoint.insecure else "CERT_REQUIRED"
        options["server_hostname"] = endpoint.server_name or endpoint.host
    if endpoint.insecure:
        # Asked for in the kubeconfig; a warning with each request would help nobody.
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    if not proxy:
        return urllib3.PoolManager(**options)
    if not proxy.lower().startswith(("http://", "https://")):
        raise errors.InvalidConfig(f"{endpoint.origin}: proxy {_without_password(proxy)}: only http and https proxies")
    try:
        parsed = urllib3.util.parse_url(proxy)
        if parsed.auth:
            options["proxy_headers"] = urllib3.make_headers(proxy_basic_auth=parsed.auth)
        return urllib3.ProxyManager(proxy, **options)
    except urllib3.exceptions.HTTPError as error:
        raise errors.InvalidConfig(f"{endpoint.origin}: proxy {_without_password(proxy)} is not a URL") from error


def _body(answer: urllib3.BaseHTTPResponse, deadline: float) -> bytes:
    """The whole body, bounded in size and time: a server that drips bytes is cut off."""
    body = bytearray()
    for part in answer.stream(1 << 16):
        body += part
        if len(body) > BODY_LIMIT:
            answer.close()
            raise urllib3.exceptions.HTTPError(f"answered with more than {BODY_LIMIT} bytes")
        if time.monotonic() > deadline:
            answer.close()
            raise TimeoutError
    return bytes(body)


def lowered(answer: urllib3.BaseHTTPResponse) -> dict[str, str]:
    """The headers, names in lower case."""
    return {name.lower(): value for name, value in answer.headers.items()}


def failure(error: Exception, endpoint: Endpoint) -> errors.ClusterError:
    """The error in our terms: urllib3 wraps what really happened, several times over; the innermost says it best."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError):
            return tls.failure(seen, endpoint)
        seen = _inner(seen)
    if isinstance(error, urllib3.exceptions.TimeoutError):
        return errors.ClusterError("no answer in time")
    return errors.ClusterError(" ".join(str(error).split())[:300])


def _inner(error: BaseException) -> BaseException | None:
    for candidate in (*error.args, getattr(error, "reason", None), error.__cause__):
        if isinstance(candidate, BaseException) and candidate is not error:
            return candidate
    return None


def _without_password(proxy: str) -> str:
    scheme, _, rest = proxy.rpartition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"[:120]
