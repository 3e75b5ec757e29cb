"""Watches the cluster's certificate requests and answers those for Multus: through the approval subresource, with an
event on the request."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from multus import errors, log
from multus.certificates import approval, naming, signing
from multus.certificates.approval import Decision
from multus.kubernetes import client as clients
from multus.kubernetes import events
from multus.kubernetes.backoff import Backoff
from multus.kubernetes.watchstream import Expired, Failed, Source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from multus.certificates.approval import Verdict
    from multus.cni.rawjson import Json
    from multus.kubernetes.client import Client
    from multus.kubernetes.reflector import Feed

COMPONENT = "cert-approver"
SOURCE = Source("certificatesigningrequests", signing.PATH, f"spec.signerName={naming.SIGNER}")

#: Events about objects without a namespace go there.
NAMESPACE = "default"

#: Tries of one request, each begun with what the server has of it; the next list brings up what is left.
TRIES = 5

#: One try may take so many seconds.
PATIENCE = 30.0


class Approver:
    """Judges what `feed` tells of, which is `SOURCE`, with `client`'s rights until it is told to end."""

    def __init__(self, client: Client, feed: Feed, *, sleep: Callable[[float], object] = time.sleep) -> None:
        self._client = client
        self._feed = feed
        self._sleep = sleep

    def run(self, stopped: threading.Event) -> None:
        """List, watch, and again, until `stopped`."""
        threading.Thread(target=self._cut, args=(stopped,), name="end", daemon=True).start()
        backoff = Backoff()
        while not stopped.is_set():
            asked = None
            try:
                for csr in self._requests():
                    backoff.reset()
                    self.handle(csr)
                continue
            except Expired:
                pass
            except Failed as failed:
                asked = failed.pause
                if not stopped.is_set():
                    log.warning("certificate requests can't be watched, trying again", error=failed)
            stopped.wait(backoff.next(asked))
        self._feed.close()

    def handle(self, csr: Json) -> None:
        """Answer one request, if it is one to be answered. What fails is logged."""
        name = str(csr.get("metadata", {}).get("name", ""))
        backoff = Backoff(0.2, 5.0)
        for attempt in range(TRIES):
            try:
                if attempt:
                    csr = self._client.fetch(_what(name), _path(name), time.monotonic() + PATIENCE)
                verdict = approval.judge(csr)
                if verdict.decision is Decision.SKIP or self._answer(csr, name, verdict):
                    return
                reason = "it has changed meanwhile"
            except errors.NotFound:
                return
            except errors.CniError as error:
                reason = error.message
            log.warning("certificate request not answered", request=name, error=reason, attempt=attempt + 1)
            self._sleep(backoff.next())

    def _answer(self, csr: Json, name: str, verdict: Verdict) -> bool:
        """Whether the server took it; it doesn't when somebody else has changed the request."""
        path = f"{_path(name)}/approval"
        deadline = time.monotonic() + PATIENCE
        if self._client.send("update", _what(name), path, answered(csr, name, verdict), deadline) is None:
            return False
        log.verbose("certificate request answered", request=name, decision=verdict.decision.value, why=verdict.why)
        try:
            self._client.create_event(NAMESPACE, event(csr, name, verdict, time.time_ns()), deadline)
        except errors.CniError as error:
            log.warning("event not sent", request=name, error=error)
        return True

    def _requests(self) -> Iterator[Json]:
        version = ""
        for page in self._feed.pages():
            version = page.version
            yield from page.items
        while True:
            for change in self._feed.changes(version):
                found = change.object.get("metadata", {}).get("resourceVersion")
                version = found if isinstance(found, str) and found else version
                if change.kind in ("ADDED", "MODIFIED"):
                    yield change.object

    def _cut(self, stopped: threading.Event) -> None:
        stopped.wait()
        self._feed.abort()


def answered(csr: Json, name: str, verdict: Verdict) -> Json:
    """The request with the verdict among its conditions."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    condition: dict[str, Any] = {
        "type": "Approved" if verdict.decision is Decision.APPROVE else "Denied",
        "status": "True",
        "reason": "AutoApproved" if verdict.decision is Decision.APPROVE else "CSRDenied",
        "message": _message(name, verdict),
        "lastUpdateTime": now,
        "lastTransitionTime": now,
    }
    status = csr.get("status")
    base = status if isinstance(status, dict) else {}
    return {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        **csr,
        "status": {**base, "conditions": [*signing.conditions(csr), condition]},
    }


def event(csr: Json, name: str, verdict: Verdict, time_ns: int) -> Json:
    """What `kubectl describe csr` shows of it."""
    approved = verdict.decision is Decision.APPROVE
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time_ns // 1_000_000_000))
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{name[:200]}.{time_ns:x}", "namespace": NAMESPACE},
        "involvedObject": {
            "apiVersion": "certificates.k8s.io/v1",
            "kind": "CertificateSigningRequest",
            "name": name,
            "uid": str(csr.get("metadata", {}).get("uid", "")),
        },
        "type": "Normal" if approved else "Warning",
        "reason": "CSRApproved" if approved else "CSRDenied",
        "message": _message(name, verdict)[: events.MESSAGE_LIMIT],
        "count": 1,
        "firstTimestamp": when,
        "lastTimestamp": when,
        "source": {"component": COMPONENT},
        "reportingComponent": COMPONENT,
        "reportingInstance": COMPONENT,
    }


def _message(name: str, verdict: Verdict) -> str:
    if verdict.decision is Decision.APPROVE:
        return f'Auto-approved CSR "{name}"'
    return f'Denied CSR "{name}": {verdict.why}'


def _what(name: str) -> str:
    return f'certificatesigningrequests "{name[:260]}"'


def _path(name: str) -> str:
    """Raises errors.NotFound for what can't be the name of an object."""
    if not clients.is_name(name):
        raise errors.NotFound(f"certificatesigningrequests {name[:260]!r}: not a name that an object can have")
    return f"{signing.PATH}/{name}"
