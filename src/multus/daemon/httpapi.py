"""The HTTP API on `<socketDir>/multus.sock`, as upstream's clients know it (docs/http-api.md).

`/cni` is what upstream's shim sends for each call of the runtime, `/delegate` attaches one network to a living sandbox
or detaches it, `/healthz` and `/readyz` are what they say. These requests bring no hands: the agent's carry them out,
or the daemon's own where it runs directly on the host.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

from multus import errors, log, serving
from multus.cni import environment, rawjson, results, versions
from multus.daemon import cnirequest, httpserver, httpwire, httpworkers, plugging
from multus.execproto import listener

if TYPE_CHECKING:
    from multus.cni.rawjson import Json
    from multus.cni.results import Result
    from multus.daemon.cnirequest import CniRequest
    from multus.daemon.hands import Hands
    from multus.daemon.httpwire import Request, Response
    from multus.daemon.owed import Owed

NAME = "multus.sock"

#: What is served, by which methods.
PATHS = {"/cni": ("POST",), "/delegate": ("POST",), "/healthz": ("GET", "POST"), "/readyz": ("GET", "POST")}
METRICS = "/metrics"

NO_HANDS = "nothing can run plugins on this host: connect multus-shim --agent, or set runDelegates"


class Services(Protocol):
    """What the API needs of the daemon."""

    @property
    def ready(self) -> bool:
        """Whether calls are taken; false from SIGTERM on."""
        ...

    @property
    def path(self) -> str:
        """CNI_PATH of a client that names none: the daemon's binDir."""
        ...

    def hands(self) -> Hands | None:
        """Who carries out a request that brings no hands."""
        ...

    def configuration(self, raw: Json) -> Json:
        """A request's configuration with the daemon's over it. Raises errors.CniError."""
        ...

    def host(self, hands: Hands, started: float) -> serving.Host:
        """The host of one request; `started` is when its client began to wait (monotonic seconds)."""
        ...


class Observer(Protocol):
    """Told of what happens, and asked for all of it: `multus.daemon.metrics.Metrics`."""

    def request_ended(self, handler: str, method: str, status: int) -> None:
        """An HTTP request was answered."""
        ...

    def call_ended(self, verb: str, status: int, seconds: float) -> None:
        """A CNI call was answered; `status` is the exit status the runtime would see."""
        ...

    def exposition(self) -> Response:
        """All metrics."""
        ...


class HttpApi:
    """A `httpworkers.Handler`."""

    def __init__(self, services: Services, owed: Owed, observer: Observer) -> None:
        self._services = services
        self._owed = owed
        self._observer = observer

    def quick(self, request: Request) -> Response | None:
        """As `httpworkers.Handler.quick`."""
        allowed = PATHS.get(request.path)
        if allowed is None:
            if request.path == METRICS and request.method == "GET":
                return None
            log.verbose("http: no such path", path=environment.shown(request.path))
            return self._counted(request, httpwire.Response(404))
        if request.method not in allowed:
            return self._counted(request, httpwire.Response(405, b"Method not allowed\n", httpwire.TEXT))
        if request.path == "/healthz":
            return self._counted(request, httpwire.Response(200))
        if request.path == "/readyz":
            return self._counted(request, httpwire.Response(200 if self._services.ready else 500))
        return None

    def aside(self, request: Request) -> bool:
        """As `httpworkers.Handler.aside`."""
        return request.path == METRICS

    def work(self, request: Request, started: float) -> Response:
        """As `httpworkers.Handler.work`."""
        if request.path == METRICS:
            return self._observer.exposition()
        begun = time.monotonic()
        command, container = "", ""
        try:
            asked = self._decode(request)
            command, container = asked.command, asked.environ.get("CNI_CONTAINERID", "")
            answer = self._serve(request.path, asked, started)
            response = httpwire.Response(200, answer, httpwire.JSON if answer else "")
        except errors.CniError as error:
            response = _refusal(error)
        except Exception as error:
            response = _refusal(errors.Internal(f"internal error: {error.__class__.__name__}: {error}"))
        seconds = time.monotonic() - begun
        self._observer.call_ended(command, 0 if response.status == 200 else 1, seconds)
        log.verbose(
            "answered",
            path=request.path,
            command=command,
            container=container,
            status=response.status,
            seconds=f"{seconds:.3f}",
        )
        return self._counted(request, response)

    def busy(self, request: Request) -> Response:
        """As `httpworkers.Handler.busy`."""
        return self._counted(request, _refusal(errors.TryAgainLater("too many requests wait already"), 503))

    def _counted(self, request: Request, response: Response) -> Response:
        handler = request.path if request.path in PATHS else "NotFound"
        self._observer.request_ended(handler, request.method, response.status)
        return response

    def _decode(self, request: Request) -> CniRequest:
        of_node = cnirequest.OF_NODE if request.path == "/cni" else plugging.OF_NODE
        return cnirequest.decode(request.body, self._services.path, of_node=of_node)

    def _serve(self, path: str, asked: CniRequest, started: float) -> bytes:
        hands = self._services.hands()
        if hands is None:
            return self._without_hands(path, asked)
        host = self._services.host(hands, started)
        if path == "/delegate":
            result = plugging.answer(asked, host)
        else:
            result = _of_plugin(asked, serving.answer(asked.environ, lambda: asked.config, host))
        # In the latest version whatever the configuration's: the client converts it.
        return rawjson.encode({"Result": results.as_version(result, versions.LATEST)}) if result is not None else b""

    def _without_hands(self, path: str, asked: CniRequest) -> bytes:
        """A pod's DEL is kept, as upstream's shim forgets that it failed; who asks `/delegate` asks again."""
        if asked.command == "STATUS":
            raise errors.Unavailable(NO_HANDS)
        if asked.command != "DEL" or path == "/delegate":
            raise errors.TryAgainLater(NO_HANDS)
        if not self._owed.keep(asked.environ, asked.config):
            return b""
        raise errors.TryAgainLater(f"{NO_HANDS}; this DEL is kept, and carried out as soon as something can")


def server(socket_dir: str, services: Services, owed: Owed, observer: Observer, limit: int) -> httpserver.HttpServer:
    """Serves the API on `<socket_dir>/multus.sock`, `limit` calls at once. Raises errors.IoFailure."""
    sock = listener.listen(socket_dir, NAME)
    return httpserver.HttpServer(sock, HttpApi(services, owed, observer), httpworkers.Limits(workers=limit))


def _refusal(error: errors.CniError, status: int = 400) -> Response:
    """As upstream answers an error that has a code."""
    if status == 400:
        log.error(str(error), code=error.code)
    return httpwire.Response(status, rawjson.encode(error.as_object("")), httpwire.JSON)


def _of_plugin(asked: CniRequest, done: serving.Answer) -> Result | None:
    """What the plugin would print: the result of ADD. Raises errors.CniError, what it would print as its error."""
    if done.status:
        raise _told(done.stdout)
    return results.parse(done.stdout, versions.LATEST, "result") if asked.command == "ADD" else None


def _told(stdout: bytes) -> errors.CniError:
    told = rawjson.loads_object(stdout, "error")
    code = rawjson.whole(told, "code", "error")
    return errors.CniError(
        rawjson.text(told, "msg", "error"), details=rawjson.text(told, "details", "error"), code=code
    )
