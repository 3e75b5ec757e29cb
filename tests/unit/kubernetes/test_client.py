"""The client's retries and checks, over a transport that plays back answers."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multus import errors
from multus.kubernetes import client
from multus.kubernetes.access import Access, Endpoint, Identity, Pem
from multus.kubernetes.transport import Response

if TYPE_CHECKING:
    from multus.kubernetes.access import Headers

POD = {"metadata": {"name": "web", "uid": "u"}}


class Playback:
    """A transport that gives `answers` in turn (an exception is raised) and keeps what it was asked."""

    def __init__(self, *answers: Response | Exception) -> None:
        self.answers = list(answers)
        self.requests: list[tuple[str, str, dict[str, str], bytes | None, float]] = []
        self.closed = 0

    def request(self, method: str, path: str, headers: Headers, body: bytes | None, timeout: float) -> Response:
        """The next answer."""
        self.requests.append((method, path, dict(headers), body, timeout))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        """Counted."""
        self.closed += 1


class Renewing:
    """Credentials that are another each time they are asked for, in turn."""

    def __init__(self, *identities: Identity) -> None:
        self.identities = list(identities)

    def identity(self, deadline: float) -> Identity:
        """The next one; the last stays."""
        return self.identities.pop(0) if len(self.identities) > 1 else self.identities[0]


class Setup:
    """A client, what it slept, how often it loaded its settings and which connections it opened."""

    def __init__(self, *answers: Response | Exception, prefix: str = "", identities: tuple[Identity, ...] = ()) -> None:
        self.transport = Playback(*answers)
        self.pauses: list[float] = []
        self.loads = 0
        self.connections: list[Identity] = []
        self._credentials = Renewing(*(identities or (Identity((("Authorization", "Bearer t"),)),)))
        self._endpoint = Endpoint("h", 1, "kubeconfig /k", prefix=prefix)
        self.client = client.Client(self._load, self._connect, sleep=self.pauses.append)

    def _load(self) -> Access:
        self.loads += 1
        return Access(self._endpoint, self._credentials)

    def _connect(self, endpoint: Endpoint, identity: Identity) -> Playback:
        self.connections.append(identity)
        return self.transport


def ok(body: Any = None) -> Response:
    """200 with this object."""
    return Response(200, {}, json.dumps(POD if body is None else body).encode())


def status(code: int, reason: str = "", message: str = "", **headers: str) -> Response:
    """A Status object."""
    body = {"kind": "Status", "reason": reason, "message": message}
    return Response(code, {name.replace("_", "-"): value for name, value in headers.items()}, json.dumps(body).encode())


def soon(seconds: float = 60.0) -> float:
    """A deadline."""
    return time.monotonic() + seconds


def test_get_pod() -> None:
    """One GET, with the identity's headers."""
    setup = Setup(ok(), prefix="/k8s/c-1")
    assert setup.client.pod("ns", "web", soon()) == POD
    method, path, headers, body, timeout = setup.transport.requests[0]
    assert (method, path, body) == ("GET", "/k8s/c-1/api/v1/namespaces/ns/pods/web", None)
    assert headers["Authorization"] == "Bearer t"
    assert headers["User-Agent"].startswith("multus/")
    assert timeout == client.REQUEST_TIMEOUT


def test_get_network() -> None:
    """The path of the custom resource."""
    setup = Setup(ok())
    setup.client.network("ns", "net.a", soon())
    path = setup.transport.requests[0][1]
    assert path == "/apis/k8s.cni.cncf.io/v1/namespaces/ns/network-attachment-definitions/net.a"


def test_patch_status() -> None:
    """One merge patch of the status subresource."""
    setup = Setup(ok())
    assert setup.client.patch_pod_status("ns", "web", {"metadata": {}}, soon()) == ""
    method, path, headers, body, _ = setup.transport.requests[0]
    assert (method, path, body) == ("PATCH", "/api/v1/namespaces/ns/pods/web/status", b'{"metadata": {}}')
    assert headers["Content-Type"] == "application/merge-patch+json"


@pytest.mark.parametrize("code", [409, 422])
def test_patch_conflict_is_returned(code: int) -> None:
    """Who asked decides what a conflict means."""
    setup = Setup(status(code, "Conflict", "uid is another"))
    assert "uid is another" in setup.client.patch_pod_status("ns", "web", {}, soon())


def test_event_that_exists_was_sent_before() -> None:
    """A repeated POST may find its own event."""
    setup = Setup(errors.ClusterError("reset"), status(409, "AlreadyExists"))
    setup.client.create_event("ns", {"metadata": {"name": "web.1"}}, soon())
    assert [request[1] for request in setup.transport.requests] == ["/api/v1/namespaces/ns/events"] * 2


@pytest.mark.parametrize(
    ("namespace", "name"),
    [
        ("ns", ""),
        ("", "a"),
        ("ns", ".."),
        ("ns", "a/b"),
        ("..", "a"),
        ("ns", "a?x=y"),
        ("ns", "a%2fb"),
        ("ns", "a b"),
        ("ns", "A"),
        ("ns", "a\r\nX: y"),
        ("ns", "ä"),
        ("ns", "\udcff"),
        ("ns", "a" * 254),
    ],
)
def test_names_never_alter_the_path(namespace: str, name: str) -> None:
    """What no object can be called is not found, and not asked for."""
    setup = Setup()
    with pytest.raises(errors.NotFound, match="not a name that a Kubernetes object can have"):
        setup.client.network(namespace, name, soon())
    assert setup.transport.requests == []


@given(st.text())
def test_any_name(name: str) -> None:
    """Whatever the name, the path has the same shape or there is no request at all."""
    setup = Setup(ok())
    try:
        setup.client.network("ns", name, soon())
    except errors.NotFound as error:
        str(error).encode("utf-8")
        assert setup.transport.requests == []
    else:
        assert setup.transport.requests[0][1].split("/")[7:] == [name]


@pytest.mark.parametrize("failure", [errors.ClusterError("reset"), status(500), status(503), status(429)])
def test_transient_failures_are_tried_again(failure: Response | Exception) -> None:
    """A lost connection, 5xx, 429: again, after a pause that is random within bounds that double."""
    setup = Setup(failure, failure, ok())
    setup.client.pod("ns", "web", soon())
    assert len(setup.pauses) == 2
    assert setup.pauses[0] <= client.FIRST_PAUSE
    assert setup.pauses[1] <= 2 * client.FIRST_PAUSE


def test_retry_after_is_obeyed() -> None:
    """The server knows better."""
    setup = Setup(status(429, retry_after="7"), ok())
    setup.client.pod("ns", "web", soon())
    assert setup.pauses == [7.0]


def test_retry_after_beyond_the_deadline() -> None:
    """Waiting longer than there is time is no use: the runtime is told at once."""
    setup = Setup(status(429, message="slow down", retry_after="100"))
    with pytest.raises(errors.ClusterError, match="answered 429: slow down"):
        setup.client.pod("ns", "web", soon())
    assert setup.pauses == []


def test_tries_are_bounded() -> None:
    """The last failure is the answer; it says what was asked."""
    setup = Setup(*[errors.ClusterError("refused")] * client.TRIES)
    with pytest.raises(errors.ClusterError, match=r'^get pods "ns/web": refused$') as caught:
        setup.client.pod("ns", "web", soon())
    assert caught.value.code == 11
    assert setup.transport.answers == []


def test_no_try_after_the_deadline() -> None:
    """A deadline that has passed is an error without a request."""
    setup = Setup()
    with pytest.raises(errors.ClusterError, match="no time left"):
        setup.client.pod("ns", "web", time.monotonic() - 1)
    assert setup.transport.requests == []


def test_timeout_of_a_try_ends_with_the_deadline() -> None:
    """The last try gets what is left."""
    setup = Setup(ok())
    setup.client.pod("ns", "web", soon(2))
    assert setup.transport.requests[0][4] <= 2


@pytest.mark.parametrize("failure", [status(403), status(404, "NotFound"), status(400), errors.Denied("no trust")])
def test_final_failures_are_not_tried_again(failure: Response | Exception) -> None:
    """What will not change is told at once."""
    setup = Setup(failure)
    with pytest.raises(errors.ClusterError):
        setup.client.pod("ns", "web", soon())
    assert setup.pauses == []


def test_unauthorized_reads_the_credentials_again() -> None:
    """401: settings anew, a new connection, once more."""
    setup = Setup(status(401), ok())
    setup.client.pod("ns", "web", soon())
    assert (setup.loads, len(setup.connections), setup.transport.closed) == (2, 2, 1)


def test_unauthorized_twice_is_denied() -> None:
    """Credentials that are still refused are not tried a third time."""
    setup = Setup(status(401), status(401))
    with pytest.raises(errors.Denied, match=r"401 Unauthorized.*check kubeconfig /k"):
        setup.client.pod("ns", "web", soon())


def test_one_connection_for_all_requests() -> None:
    """Another token is no other connection."""
    one, other = (Identity((("Authorization", f"Bearer {token}"),)) for token in "ab")
    setup = Setup(ok(), ok(), identities=(one, other))
    setup.client.pod("ns", "web", soon())
    setup.client.pod("ns", "web", soon())
    assert len(setup.connections) == 1
    assert setup.transport.requests[1][2]["Authorization"] == "Bearer b"


def test_new_certificate_is_a_new_connection() -> None:
    """The certificate belongs to the connection."""
    one, other = (Identity(certificate=Pem(data), key=Pem(data)) for data in (b"a", b"b"))
    setup = Setup(ok(), ok(), identities=(one, other))
    setup.client.pod("ns", "web", soon())
    setup.client.pod("ns", "web", soon())
    assert setup.connections == [one, other]
    assert setup.transport.closed == 1


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"metadata": 1}', b"[" * 100_000, b"\xff"])
def test_answer_that_is_no_object(body: bytes) -> None:
    """A proxy's login page is not a pod."""
    setup = Setup(Response(200, {}, body))
    with pytest.raises(errors.ClusterError, match="no Kubernetes object: check the server in kubeconfig /k"):
        setup.client.pod("ns", "web", soon())


def test_jitter_stays_within_its_bounds() -> None:
    """Never negative, never above the longest pause."""
    pauses = [client._jitter(attempt) for attempt in range(1, 20) for _ in range(20)]
    assert all(0 <= pause <= client.LONGEST_PAUSE for pause in pauses)
