"""What the API server's refusals mean."""

from __future__ import annotations

import json
from typing import Any

import pytest

from multus import errors
from multus.kubernetes import refusal
from multus.kubernetes.transport import Response

POD = 'pods "ns/web"'


def answer(status: int, body: Any = None, headers: dict[str, str] | None = None) -> Response:
    """A response; a dictionary as body becomes a Status object."""
    data = json.dumps({"kind": "Status", **body}).encode() if isinstance(body, dict) else body or b""
    return Response(status, headers or {}, data)


def error(response: Response, what: str = POD) -> errors.ClusterError:
    """The error it becomes."""
    return refusal.of(response, "get", what, "kubeconfig /k")


def test_unauthorized() -> None:
    """401 says which file to look at."""
    found = error(answer(401))
    assert isinstance(found, errors.Denied)
    assert found.message.startswith('get pods "ns/web": 401 Unauthorized: token')
    assert found.message.endswith("check kubeconfig /k")


def test_forbidden() -> None:
    """403 names verb and resource and quotes the server."""
    found = error(answer(403, {"message": 'User "x" cannot get resource'}))
    assert isinstance(found, errors.Denied)
    assert 'get pods "ns/web": 403 Forbidden' in found.message
    assert 'User "x" cannot get resource' in found.message


def test_not_found() -> None:
    """A Status with reason NotFound says that the object is missing."""
    found = error(answer(404, {"reason": "NotFound", "message": 'pods "web" not found'}))
    assert (type(found), found.message) == (errors.NotFound, 'pods "web" not found')


@pytest.mark.parametrize("body", [b"404 page not found", b"", {"reason": "Other"}, b"[" * 100_000])
def test_bare_404_is_not_a_missing_pod(body: Any) -> None:
    """A wrong address must not make pods look deleted."""
    found = error(answer(404, body))
    assert type(found) is errors.ClusterError
    assert "check the server's address in kubeconfig /k" in found.message


def test_bare_404_for_a_definition() -> None:
    """There it means that the resource itself is unknown."""
    found = error(answer(404, b"404 page not found"), "network-attachment-definitions.k8s.cni.cncf.io ns/a")
    assert isinstance(found, errors.NotFound)
    assert "CustomResourceDefinition" in found.message


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_transient(status: int) -> None:
    """The runtime should try again."""
    found = error(answer(status, {"message": "etcdserver: leader changed"}))
    assert (type(found), found.code) == (errors.ClusterError, 11)
    assert f"answered {status}: etcdserver: leader changed" in found.message


@pytest.mark.parametrize("status", [400, 405, 409, 413, 415, 422])
def test_final(status: int) -> None:
    """Trying the same again would be no use."""
    found = error(answer(status, {"message": "no"}))
    assert (type(found), found.code) == (errors.ClusterError, 999)


def test_redirection() -> None:
    """Some login page, not an API server."""
    assert "a redirection" in error(answer(302)).message


def test_quotes_are_one_short_line() -> None:
    """Whatever a server says, the message stays one line of bounded length."""
    found = error(answer(500, b"<html>\n\xff" + b"x" * 5000))
    assert "\n" not in found.message
    assert len(found.message) < 500


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("3", 3.0),
        ("0", 0.0),
        ("", None),
        ("-1", None),
        ("1.5", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", None),
        ("9" * 9, None),
    ],
)
def test_retry_after(text: str, seconds: float | None) -> None:
    """Whole seconds count; anything else doesn't."""
    assert refusal.retry_after(answer(429, headers={"retry-after": text})) == seconds
