"""The TLS context of a connection to the API server, and what its failures mean."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from multus import errors

if TYPE_CHECKING:
    import ssl

    from multus.kubernetes.access import Endpoint, Identity, Pem


def context(endpoint: Endpoint, identity: Identity) -> ssl.SSLContext:
    """A context for one endpoint: TLS 1.2 or later, the endpoint's CA (else the system's), the client certificate.

    Like Go, it trusts an intermediate certificate that is given as CA. Raises errors.InvalidConfig naming the field."""
    import ssl

    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if endpoint.insecure:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    else:
        _trust(made, endpoint)
    if identity.certificate.given:
        _present(made, endpoint, identity)
    return made


def failure(error: OSError, endpoint: Endpoint) -> errors.ClusterError:
    """What went wrong on the way to the API server, in our terms: errors.Denied where trying again is no use."""
    import ssl

    if isinstance(error, ssl.SSLCertVerificationError):
        return errors.Denied(
            f"its certificate is not trusted ({error.verify_message}): check certificate-authority, tls-server-name and"
            f" the server's address in {endpoint.origin}"
        )
    if isinstance(error, TimeoutError):
        return errors.ClusterError("no answer in time")
    return errors.ClusterError(error.strerror or str(error) or error.__class__.__name__)


def _trust(made: ssl.SSLContext, endpoint: Endpoint) -> None:
    try:
        if endpoint.ca.data:
            # Comments between certificates may be in any encoding; the certificates are ASCII.
            made.load_verify_locations(cadata=endpoint.ca.data.decode("ascii", "ignore"))
        elif endpoint.ca.file:
            made.load_verify_locations(cafile=endpoint.ca.file)
        else:
            made.load_default_certs()
    except (OSError, ValueError) as error:
        where = endpoint.ca.file or "certificate-authority-data"
        raise errors.InvalidConfig(f"{endpoint.origin}: no CA certificate can be read from {where}: {error}") from error


def _present(made: ssl.SSLContext, endpoint: Endpoint, identity: Identity) -> None:
    opened: list[int] = []
    try:
        certificate = _path(identity.certificate, opened)
        key = _path(identity.key, opened)
        # Without a callback an encrypted key would be asked for on the terminal.
        made.load_cert_chain(certificate, key, password=lambda: b"")
    except (OSError, ValueError) as error:
        names = f"{identity.certificate.file or 'certificate data'}, {identity.key.file or 'key data'}"
        raise errors.InvalidConfig(f"{endpoint.origin}: client certificate and key ({names}): {error}") from error
    finally:
        for descriptor in opened:
            os.close(descriptor)


def _path(pem: Pem, opened: list[int]) -> str:
    """A file name for it; the standard library takes no bytes here, and a secret belongs in no file on disk."""
    if not pem.data:
        return pem.file
    descriptor = os.memfd_create("pem", os.MFD_CLOEXEC)
    opened.append(descriptor)
    os.write(descriptor, pem.data)
    return f"/proc/self/fd/{descriptor}"
