"""From a new key to its certificate: a CertificateSigningRequest, and what becomes of it."""

from __future__ import annotations

import base64
import binascii
import os
import time
from typing import TYPE_CHECKING, Any

from multus import errors, log
from multus.certificates import naming, pem

if TYPE_CHECKING:
    from collections.abc import Callable

    from multus.cni.rawjson import Json
    from multus.kubernetes.client import Client

PATH = "/apis/certificates.k8s.io/v1/certificatesigningrequests"

#: Between two looks at a request, in seconds.
LOOK = 1.0


def obtain(
    client: Client, node: str, duration: float, deadline: float, *, sleep: Callable[[float], object] = time.sleep
) -> bytes:
    """A new key and the certificate for it, in one. Raises errors.Denied when the request is denied, errors.CniError
    when there is no certificate by `deadline` (`time.monotonic()`)."""
    key, csr = pem.request(naming.common_name(node), naming.PREFIX)
    name = f"multus-{node[:200].rstrip('.-')}-{os.urandom(5).hex()}"
    # The name is random and ours: a conflict means that a try before this one arrived after all.
    client.send("create", f'certificatesigningrequests "{name}"', PATH, render(name, csr, duration), deadline)
    log.verbose("certificate requested", request=name)
    while True:
        found = client.fetch(f'certificatesigningrequests "{name}"', f"{PATH}/{name}", deadline)
        certificate = issued(found)
        if certificate:
            pair = key + certificate
            pem.validity(pair)
            return pair
        if time.monotonic() + LOOK >= deadline:
            raise errors.ClusterError(f'certificate was not signed: request "{name}" is {_state(found)}')
        sleep(LOOK)


def render(name: str, csr: bytes, duration: float) -> Json:
    """The request object."""
    return {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"name": name},
        "spec": {
            "request": base64.b64encode(csr).decode("ascii"),
            "signerName": naming.SIGNER,
            "expirationSeconds": int(duration),
            "usages": list(naming.USAGES),
        },
    }


def issued(found: Json) -> bytes:
    """The certificate, b"" as long as there is none. Raises errors.Denied when there never will be one."""
    for condition in conditions(found):
        if condition.get("type") in ("Denied", "Failed") and condition.get("status", "True") == "True":
            said = str(condition.get("message") or condition.get("reason") or "no reason given")[:500]
            raise errors.Denied(f"certificate request {str(condition['type']).lower()}: {said}")
    status = found.get("status")
    encoded = status.get("certificate") if isinstance(status, dict) else None
    try:
        return base64.b64decode(encoded, validate=True) if isinstance(encoded, str) else b""
    except binascii.Error as error:
        raise errors.DecodeError("the certificate in the request's status is not base64") from error


def conditions(found: Json) -> list[dict[str, Any]]:
    """The conditions of a request."""
    status = found.get("status")
    given = status.get("conditions") if isinstance(status, dict) else None
    return [one for one in given or () if isinstance(one, dict)] if isinstance(given, list) else []


def _state(found: Json) -> str:
    return "approved, but no signer has signed it" if conditions(found) else "not approved (does cert-approver run?)"
