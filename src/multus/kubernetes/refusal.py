"""What an answer of the API server that is no success means, as an error of ours that says what to check."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from multus import errors

if TYPE_CHECKING:
    from multus.kubernetes.transport import Response

#: Statuses that a moment later may be different: too many requests, a server that restarts or has no leader.
TRANSIENT = frozenset({429, 500, 502, 503, 504})

#: A server's own words are quoted up to this many characters.
QUOTED = 400


def of(response: Response, verb: str, what: str, origin: str) -> errors.ClusterError:
    """The error for `response`; `verb` and `what` (``pods "ns/name"``) say what was asked, `origin` whose
    credentials were used. Its class says what to do: errors.Denied, errors.NotFound, else errors.ClusterError, whose
    code is 11 (try again later) only for a transient status."""
    status, said = response.status, _message(response)
    asked = f"{verb} {what}"
    if status == 401:
        return errors.Denied(f"{asked}: 401 Unauthorized: token or certificate expired or not accepted: check {origin}")
    if status == 403:
        return errors.Denied(f"{asked}: 403 Forbidden: RBAC does not allow it: {said}: check the role of {origin}")
    if status == 404:
        return _missing(response, what, said, origin)
    if status in TRANSIENT:
        return errors.ClusterError(f"{asked}: API server answered {status}: {said}")
    if 300 <= status < 400:
        said = f"a redirection, which no API server sends: check the server's address in {origin}"
    return errors.ClusterError(f"{asked}: API server answered {status}: {said}", code=errors.CniError.default_code)


def retry_after(response: Response) -> float | None:
    """The seconds that the server asks to wait; None when it doesn't (dates are not used by API servers)."""
    text = response.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() and len(text) < 6 else None


def _missing(response: Response, what: str, said: str, origin: str) -> errors.ClusterError:
    """Only a Status object with a 404 says that the object is missing. A bare one comes from something that does not
    know the path: no API server, or one without that resource. Taking it for a missing pod would let the pod start
    without its networks."""
    if _status(response).get("reason") == "NotFound":
        return errors.NotFound(said)
    if what.startswith("network-attachment-definitions"):
        return errors.NotFound(f"{what}: API server knows no such resource: is the CustomResourceDefinition installed?")
    return errors.ClusterError(
        f"{what}: 404 without a Kubernetes Status: check the server's address in {origin}",
        code=errors.CniError.default_code,
    )


def _message(response: Response) -> str:
    message = _status(response).get("message")
    text = message if isinstance(message, str) and message else response.body[:QUOTED].decode("utf-8", "replace")
    return " ".join(text.split())[:QUOTED] or "no reason given"


def _status(response: Response) -> dict[str, object]:
    try:
        value = json.loads(response.body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) and value.get("kind") == "Status" else {}
