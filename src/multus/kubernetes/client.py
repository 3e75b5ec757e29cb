"""The requests Multus makes, retried within a deadline.

Names come from strangers (CNI_ARGS, annotations), so they are checked before they become part of a path.
"""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from multus import __version__, errors, log
from multus.kubernetes import refusal
from multus.kubernetes.session import Connections, Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from multus.cni.rawjson import Json
    from multus.kubernetes.access import Access, Endpoint, Identity
    from multus.kubernetes.transport import Observe, Response, Transport

#: A request is made this often at most; with the pauses below that takes up to six seconds of a server that is away.
TRIES = 6
FIRST_PAUSE = 0.2
LONGEST_PAUSE = 3.0

#: The longest that one try may take, in seconds.
REQUEST_TIMEOUT = 10.0

NETWORK_RESOURCE = "network-attachment-definitions"
NETWORKS = "/apis/k8s.cni.cncf.io/v1/namespaces/{}/network-attachment-definitions/{}"
PODS = "/api/v1/namespaces/{}/pods/{}"
EVENTS = "/api/v1/namespaces/{}/events"

_NAME = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-.")


def is_name(text: str) -> bool:
    """Whether an object can have this name at all (a DNS subdomain, looked at loosely): nothing that passes can
    change the path it is put into."""
    return 0 < len(text) <= 253 and text[0] not in "-." and text[-1] not in "-." and _NAME.issuperset(text)


class _Request(NamedTuple):
    """What is asked: in words (`verb` and `what`, for messages; `resource`, for metrics), and as HTTP. `accept` are
    the statuses that the caller understands beside a success."""

    verb: str
    resource: str
    what: str
    method: str
    path: str
    body: bytes | None = None
    accept: tuple[int, ...] = ()
    #: Of the body, where it is not what the method suggests.
    kind: str = ""


class _Again(Exception):
    """A failure that may pass, and the pause in seconds that the server asks for (None: it doesn't)."""

    def __init__(self, failure: errors.ClusterError, pause: float | None) -> None:
        super().__init__(str(failure))
        self.failure = failure
        self.pause = pause


class Client:
    """Talks to the API server that `load` describes, over what `connect` makes of that. `observe` is told each
    exchange. Safe to use from many threads at once where the transport is."""

    def __init__(
        self,
        load: Callable[[], Access],
        connect: Callable[[Endpoint, Identity], Transport],
        *,
        tries: int = TRIES,
        request_timeout: float = REQUEST_TIMEOUT,
        sleep: Callable[[float], None] = time.sleep,
        observe: Observe | None = None,
    ) -> None:
        """Raises what `load` raises."""
        self._tries = tries
        self._request_timeout = request_timeout
        self._sleep = sleep
        self._observe = observe
        #: Who we are to the server; watches share it.
        self.settings = Settings(load)
        self._connections = Connections(connect)

    def pod(self, namespace: str, name: str, deadline: float) -> Json:
        """GET the pod. Raises errors.NotFound, errors.Denied, errors.ClusterError."""
        what = _what("pods", namespace, name)
        return self._object(_Request("get", "pods", what, "GET", PODS.format(namespace, name)), deadline)

    def network(self, namespace: str, name: str, deadline: float) -> Json:
        """GET the NetworkAttachmentDefinition. Raises errors.NotFound, errors.Denied, errors.ClusterError."""
        what = _what(f"{NETWORK_RESOURCE}.k8s.cni.cncf.io", namespace, name)
        path = NETWORKS.format(namespace, name)
        return self._object(_Request("get", NETWORK_RESOURCE, what, "GET", path), deadline)

    def patch_pod_status(self, namespace: str, name: str, patch: Json, deadline: float) -> str:
        """Merge-patch `pods/status`. Returns "" when it was applied, else the server's reason for a conflict (409) or
        an invalid change (422). Raises errors.NotFound, errors.Denied, errors.ClusterError."""
        what = _what("pods/status", namespace, name)
        path = f"{PODS.format(namespace, name)}/status"
        request = _Request("patch", "pods/status", what, "PATCH", path, json.dumps(patch).encode(), accept=(409, 422))
        response = self._retried(request, deadline)
        return "" if response.status < 300 else self._refusal(response, request).message

    def patch_node_status(self, name: str, patch: Json, deadline: float) -> None:
        """Patch `nodes/status` strategically: a condition leaves those of other types alone. Raises errors.NotFound,
        errors.Denied, errors.ClusterError."""
        if not is_name(name):
            raise errors.NotFound(f"nodes {name[:260]!r}: not a name that a Kubernetes object can have")
        body, kind = json.dumps(patch).encode(), "application/strategic-merge-patch+json"
        path = f"/api/v1/nodes/{name}/status"
        request = _Request("patch", "nodes/status", f'nodes/status "{name}"', "PATCH", path, body, kind=kind)
        self._retried(request, deadline)

    def evict(self, namespace: str, name: str, uid: str, deadline: float) -> str:
        """Evict this very pod. Returns "" when it goes or is gone, else why not yet: a disruption budget (429), or what
        keeps the server from knowing one. Raises errors.Denied, errors.ClusterError."""
        what = _what("pods/eviction", namespace, name)
        path = f"{PODS.format(namespace, name)}/eviction"
        body: Json = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"namespace": namespace, "name": name}}
        body["deleteOptions"] = {"preconditions": {"uid": uid}}
        accept = (404, 409, 429, 500)
        request = _Request("create", "pods/eviction", what, "POST", path, json.dumps(body).encode(), accept)
        response = self._retried(request, deadline)
        is_gone = response.status < 300 or response.status in (404, 409)
        return "" if is_gone else self._refusal(response, request).message

    def fetch(self, what: str, path: str, deadline: float) -> Json:
        """GET any other object, at a `path` whose parts the caller has checked; `what` is what messages call it.
        Raises errors.NotFound, errors.Denied, errors.ClusterError."""
        request = _Request("get", "resource.k8s.io", what, "GET", path)
        return self._decoded(request, self._retried(request, deadline))

    def introduce(self, deadline: float) -> None:
        """Ask for what everybody may read. Raises errors.Denied when the server does not accept who we are, other
        errors.ClusterError when it can't be asked."""
        # Forbidden is an answer too: who is not accepted gets 401.
        what = "the server's version"
        self._retried(
            _Request(verb="get", resource="version", what=what, method="GET", path="/version", accept=(403,)), deadline
        )

    def send(self, verb: str, what: str, path: str, body: Json, deadline: float) -> Json | None:
        """POST (`verb` "create") or PUT ("update") any other object, at a `path` whose parts the caller has checked.
        None for a conflict (409). Raises errors.NotFound, errors.Denied, errors.ClusterError."""
        method = "POST" if verb == "create" else "PUT"
        request = _Request(verb, "other", what, method, path, json.dumps(body).encode(), accept=(409,))
        response = self._retried(request, deadline)
        return None if response.status == 409 else self._decoded(request, response)

    def create_event(self, namespace: str, event: Json, deadline: float) -> None:
        """POST an event; one that is there already was sent before. Raises errors.Denied, errors.ClusterError."""
        what = _what("events", namespace, str(event["metadata"]["name"]))
        path, body = EVENTS.format(namespace), json.dumps(event).encode()
        self._retried(_Request("create", "events", what, "POST", path, body, accept=(409,)), deadline)

    def close(self) -> None:
        """Drop the connections."""
        self._connections.close()

    def _object(self, request: _Request, deadline: float) -> Json:
        value = self._decoded(request, self._retried(request, deadline))
        if not isinstance(value.get("metadata"), dict):
            raise self._strange(request)
        return value

    def _decoded(self, request: _Request, response: Response) -> Json:
        try:
            value = json.loads(response.body)
        except (ValueError, RecursionError) as error:
            raise self._strange(request) from error
        if not isinstance(value, dict):
            raise self._strange(request)
        return value

    def _strange(self, request: _Request) -> errors.ClusterError:
        return errors.ClusterError(
            f"{request.verb} {request.what}: the answer is no Kubernetes object: check the server in"
            f" {self.settings.access.endpoint.origin}"
        )

    def _refusal(self, response: Response, request: _Request) -> errors.ClusterError:
        return refusal.of(response, request.verb, request.what, self.settings.access.endpoint.origin)

    def _retried(self, request: _Request, deadline: float) -> Response:
        """The first answer that is a success or accepted. Transient failures are tried again, after what the server
        asks for or a random pause that grows, as long as tries and time are left."""
        attempt = 1
        while True:
            try:
                return self._try(request, deadline)
            except _Again as again:
                pause = _jitter(attempt) if again.pause is None else again.pause
                if attempt >= self._tries or time.monotonic() + pause >= deadline:
                    raise again.failure from again.__cause__
                log.verbose("API request is tried again", error=again.failure, attempt=attempt, pause=f"{pause:.2f}s")
            self._sleep(pause)
            attempt += 1

    def _try(self, request: _Request, deadline: float) -> Response:
        """One try. Raises `_Again` where another is worth it."""
        try:
            response = self._authorized(request, deadline)
        except errors.Denied:
            raise
        except errors.ClusterError as error:
            raise _Again(error.within(f"{request.verb} {request.what}"), None) from error
        if response.status < 300 or response.status in request.accept:
            return response
        failure = self._refusal(response, request)
        if response.status in refusal.TRANSIENT:
            raise _Again(failure, refusal.retry_after(response))
        raise failure

    def _authorized(self, request: _Request, deadline: float) -> Response:
        return self.settings.authorized(lambda access: self._once(access, request, deadline))

    def _once(self, access: Access, request: _Request, deadline: float) -> Response:
        left = deadline - time.monotonic()
        if left <= 0:
            raise errors.ClusterError("no time left to ask the API server")
        identity = access.credentials.identity(deadline)
        transport = self._connections.to(access, identity)
        headers = (*_headers(request), *identity.headers)
        path = access.endpoint.prefix + request.path
        began = time.monotonic()
        status = 0
        try:
            response = transport.request(request.method, path, headers, request.body, min(left, self._request_timeout))
            status = response.status
            return response
        finally:
            if self._observe is not None:
                self._observe(request.verb, request.resource, status, time.monotonic() - began)


def _what(resource: str, namespace: str, name: str) -> str:
    """How messages call the object; also the gate that every name passes before it is part of a path."""
    if not is_name(namespace) or not is_name(name):
        raise errors.NotFound(
            f"{resource} {f'{namespace}/{name}'[:520]!r}: not a name that a Kubernetes object can have"
        )
    return f'{resource} "{namespace}/{name}"'


def _headers(request: _Request) -> tuple[tuple[str, str], ...]:
    common = (("User-Agent", f"multus/{__version__}"), ("Accept", "application/json"))
    if request.body is None:
        return common
    usual = "application/merge-patch+json" if request.method == "PATCH" else "application/json"
    kind = request.kind or usual
    return (*common, ("Content-Type", kind))


def _jitter(attempt: int) -> float:
    """A random part of a pause that doubles (all nodes lose the server at once and should not come back at once)."""
    longest: float = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (attempt - 1))
    return longest * int.from_bytes(os.urandom(4), "big") / 2**32


def metadata(raw: Json) -> dict[str, Any]:
    """The metadata of an object that `Client` returned."""
    value: dict[str, Any] = raw["metadata"]
    return value
