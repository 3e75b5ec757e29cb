"""Keys, requests and certificates; the one place that knows the library for them, imported when it is needed."""

from __future__ import annotations

import contextlib
import warnings
from typing import TYPE_CHECKING, NamedTuple

from multus import errors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cryptography import x509

#: What no certificate of ours is longer than; strangers' requests are.
LIMIT = 64 << 10


class Subject(NamedTuple):
    """Whom a request is for."""

    common_name: str
    organizations: tuple[str, ...]


class Validity(NamedTuple):
    """The life of a certificate, as Unix time."""

    begins: float
    ends: float


def check_library() -> None:
    """Raises errors.InvalidConfig when the library is not installed."""
    try:
        import cryptography  # noqa: F401
    except ImportError as error:
        raise errors.InvalidConfig(
            "per-node certificates need the Python package cryptography: install multus-cni[certificates]"
        ) from error


def request(common_name: str, organization: str) -> tuple[bytes, bytes]:
    """A new key (P-256) and a request for it, both PEM. Raises errors.InvalidConfig."""
    check_library()
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    try:
        with _long_names():
            common = x509.NameAttribute(NameOID.COMMON_NAME, common_name, _validate=False)
        name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization), common])
        made = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    except ValueError as error:
        raise errors.InvalidConfig(f"no certificate can be for {common_name!r}: {error}") from error
    form = serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    return key.private_bytes(*form), made.public_bytes(serialization.Encoding.PEM)


def subject(data: bytes) -> Subject:
    """Whom a stranger's request (PEM) is for. Raises errors.DecodeError."""
    check_library()
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    try:
        with _long_names():
            name = x509.load_pem_x509_csr(data[:LIMIT]).subject
        common = [_text(one) for one in name.get_attributes_for_oid(NameOID.COMMON_NAME)]
        organizations = [_text(one) for one in name.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
    except (ValueError, TypeError) as error:
        raise errors.DecodeError(f"the request can't be read: {error}") from error
    # Go's reader, and so the API server, takes the last one.
    return Subject(common[-1] if common else "", tuple(organizations))


def validity(data: bytes) -> Validity:
    """The life of the certificate in a file of key and certificate (PEM) that belong together.
    Raises errors.DecodeError."""
    check_library()
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    try:
        certificate = x509.load_pem_x509_certificates(data[:LIMIT])[0]
        key = serialization.load_pem_private_key(data[:LIMIT], None)
        same = key.public_key() == certificate.public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise errors.DecodeError(f"no usable key and certificate: {error}") from error
    if not same:
        raise errors.DecodeError("the certificate is not the key's")
    return Validity(certificate.not_valid_before_utc.timestamp(), certificate.not_valid_after_utc.timestamp())


@contextlib.contextmanager
def _long_names() -> Iterator[None]:
    """A node's name may be longer than X.520 has it; nobody in a cluster minds, but the library says so."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _text(attribute: x509.NameAttribute[str | bytes]) -> str:
    value = attribute.value
    return value if isinstance(value, str) else value.decode("utf-8", "replace")
