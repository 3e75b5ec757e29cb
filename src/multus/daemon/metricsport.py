"""`metricsPort`: the metrics and nothing else, for whoever can reach the port."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Protocol

from multus import errors
from multus.daemon import httpserver, httpwire, httpworkers

if TYPE_CHECKING:
    from multus.daemon.httpwire import Request, Response

PATH = "/metrics"

#: Strangers may connect; a scrape takes milliseconds and no body.
LIMITS = httpworkers.Limits(workers=2, waiting=16, open_limit=32, body=0)


class Source(Protocol):
    """What is shown: `multus.daemon.metrics.Metrics`."""

    def exposition(self) -> Response:
        """All metrics."""
        ...


class MetricsPort:
    """A `httpworkers.Handler`."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def quick(self, request: Request) -> Response | None:
        """As `httpworkers.Handler.quick`."""
        if request.path != PATH:
            return httpwire.Response(404)
        if request.method != "GET":
            return httpwire.Response(405, b"Method not allowed\n", httpwire.TEXT)
        return None

    def aside(self, request: Request) -> bool:
        """As `httpworkers.Handler.aside`: there is nothing else here."""
        return False

    def work(self, request: Request, started: float) -> Response:
        """As `httpworkers.Handler.work`."""
        return self._source.exposition()

    def busy(self, request: Request) -> Response:
        """As `httpworkers.Handler.busy`."""
        return httpwire.Response(503)


def server(port: int, source: Source) -> httpserver.HttpServer:
    """Serves `source` on all addresses, both families where there are two. A predecessor of the same user that still
    ends may hold the port too. Raises errors.IoFailure."""
    try:
        if socket.has_dualstack_ipv6():
            family = socket.AF_INET6
            sock = socket.create_server(("", port), family=family, dualstack_ipv6=True, reuse_port=True)
        else:
            sock = socket.create_server(("", port), reuse_port=True)
    except OSError as error:
        raise errors.IoFailure(f"metricsPort {port}: {error.strerror or error}") from error
    return httpserver.HttpServer(sock, MetricsPort(source), LIMITS)
