"""The tests' own way to the API server: plain JSON requests with the administrator's certificate."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, TypeVar

import urllib3

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Json = dict[str, Any]
T = TypeVar("T")

#: How long anything may take to come true, in seconds: several times the slowest seen with both cores busy.
PATIENCE = 180

PODS = "/api/v1/namespaces/{}/pods"
NETWORKS = "/apis/k8s.cni.cncf.io/v1/namespaces/{}/network-attachment-definitions"


class ApiError(Exception):
    """The API server refused; `status` is the HTTP status."""

    def __init__(self, method: str, path: str, status: int, data: bytes) -> None:
        super().__init__(f"{method} {path}: {status} {data[:600].decode(errors='replace')}")
        self.status = status


class Timeout(Exception):
    """What was waited for did not come true."""


class Api:
    """Requests to one API server."""

    def __init__(self, server: str, keys: Path) -> None:
        self._server = server
        self._pool = urllib3.PoolManager(
            ca_certs=str(keys / "ca.crt"),
            cert_file=str(keys / "admin.crt"),
            key_file=str(keys / "admin.key"),
            maxsize=8,
        )

    def close(self) -> None:
        """Close the connections."""
        self._pool.clear()

    def request(self, method: str, path: str, body: Json | None = None, kind: str = "application/json") -> Json:
        """One request. Raises ApiError, and urllib3's errors when nobody answers."""
        answer = self._pool.request(
            method,
            self._server + path,
            body=None if body is None else json.dumps(body),
            headers={"Content-Type": kind},
            retries=False,
            timeout=30,
        )
        if answer.status >= 300:
            raise ApiError(method, path, answer.status, answer.data)
        value: Json = json.loads(answer.data) if answer.data.startswith(b"{") else {"text": answer.data.decode()}
        return value

    def get(self, path: str) -> Json:
        """The object, or the list, at a path."""
        return self.request("GET", path)

    def find(self, path: str) -> Json | None:
        """The object at a path, or None."""
        try:
            return self.get(path)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def create(self, path: str, body: Json) -> Json:
        """Create an object in a collection."""
        return self.request("POST", path, body)

    def patch(self, path: str, body: Json) -> Json:
        """Merge into an object."""
        return self.request("PATCH", path, body, "application/merge-patch+json")

    def delete(self, path: str, grace: int | None = None) -> None:
        """Delete an object, which may be gone already."""
        body = None if grace is None else {"gracePeriodSeconds": grace}
        try:
            self.request("DELETE", path, body)
        except ApiError as error:
            if error.status != 404:
                raise

    def answers(self, path: str) -> bool:
        """Whether a GET succeeds now."""
        try:
            self.get(path)
        except (ApiError, urllib3.exceptions.HTTPError):
            return False
        return True


def eventually(look: Callable[[], T | None], what: str, patience: float = PATIENCE) -> T:
    """What `look` finds, as soon as it finds something; raises Timeout with `what`."""
    deadline = time.monotonic() + patience
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise Timeout(f"waited {patience:.0f} s in vain: {what}")
        time.sleep(0.1)
