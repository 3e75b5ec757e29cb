"""The service account of the pod we run in, as the kubelet mounts it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multus import errors
from multus.kubernetes import credentials
from multus.kubernetes.access import Access, Endpoint, Identity, Pem

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Where each pod finds the credentials of its service account.
DIRECTORY = "/var/run/secrets/kubernetes.io/serviceaccount"

_HOST = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._:%")


def load(environ: Mapping[str, str], directory: str = DIRECTORY) -> Access:
    """Endpoint from the environment, token and CA from `directory`; the token is read again when it changes.

    Raises errors.InvalidConfig naming the variable that can't be used."""
    host = environ["KUBERNETES_SERVICE_HOST"].strip("[]")
    port = environ["KUBERNETES_SERVICE_PORT"]
    if not _HOST.issuperset(host) or not host:
        raise errors.InvalidConfig(f"KUBERNETES_SERVICE_HOST={host[:80]!r} is not the name or address of a host")
    if not (port.isascii() and port.isdigit() and len(port) < 6 and 0 < int(port) < 65536):
        raise errors.InvalidConfig(f"KUBERNETES_SERVICE_PORT={port[:40]!r} is not a port number")
    endpoint = Endpoint(host, int(port), f"the service account in {directory}", ca=Pem(file=f"{directory}/ca.crt"))
    return Access(endpoint, credentials.TokenFile(f"{directory}/token", Identity()))
