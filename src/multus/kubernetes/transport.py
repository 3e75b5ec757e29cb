"""The narrow interface over which the client speaks HTTP; nothing else in this package touches a connection.

Three implementations: `direct` (a minimal HTTP/1.1 over one socket, for processes that live for thirty milliseconds),
`shared` (several of those, for the threads of a process that stays) and `pooled` (urllib3, where a proxy is in
between).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from multus.kubernetes.access import Headers

#: No object of Kubernetes is larger than etcd's 1.5 MiB; whatever sends more is no API server.
BODY_LIMIT = 8 << 20


class Response(NamedTuple):
    """A complete response. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Transport(Protocol):
    """One endpoint, one identity's connection."""

    def request(self, method: str, path: str, headers: Headers, body: bytes | None, timeout: float) -> Response:
        """One exchange within `timeout` seconds, whatever the status. Raises errors.ClusterError on trouble with the
        connection, errors.Denied when the server's certificate is not trusted."""
        ...

    def close(self) -> None:
        """Drop the connections; the next request opens new ones."""
        ...


class Observe(Protocol):
    """Told of every exchange with the API server, for metrics; called from whichever thread made it."""

    def __call__(self, verb: str, resource: str, code: int, seconds: float) -> None:
        """`verb` as RBAC has it (``get``, ``patch``, ``create``, ``list``, ``watch``), `resource` with its subresource
        (``pods/status``), `code` the HTTP status, 0 when there was no answer; a watch counts until it has begun."""
        ...
