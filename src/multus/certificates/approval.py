"""Which requests are approved: upstream's rules, as values. Who else asks for a certificate of Multus is denied."""

from __future__ import annotations

import base64
import binascii
import enum
from typing import TYPE_CHECKING, Any, NamedTuple

from multus import errors
from multus.certificates import naming, pem, signing

if TYPE_CHECKING:
    from multus.cni.rawjson import Json

#: The longest life, in seconds.
LONGEST = 365 * 24 * 3600

#: Who may ask: a kubelet's credentials (the first time), and a certificate that is to be renewed.
REQUESTERS = ("system:node", naming.PREFIX)
GROUPS = frozenset(("system:nodes", naming.PREFIX, "system:authenticated"))


class Decision(enum.Enum):
    """What is done about a request."""

    SKIP = "skip"
    APPROVE = "approve"
    DENY = "deny"


class Verdict(NamedTuple):
    """The decision, and why it is not an approval."""

    decision: Decision
    why: str = ""


def judge(csr: Json) -> Verdict:
    """The verdict about one CertificateSigningRequest."""
    spec = csr.get("spec")
    if not isinstance(spec, dict) or spec.get("signerName") != naming.SIGNER or _is_settled(csr):
        return Verdict(Decision.SKIP)
    try:
        subject = pem.subject(_request(spec))
    except errors.DecodeError as error:
        # Not a request of ours, as far as anybody can tell.
        return Verdict(Decision.SKIP, error.message)
    if not subject.common_name.startswith(naming.PREFIX):
        return Verdict(Decision.SKIP)
    why = _objection(spec, subject)
    return Verdict(Decision.DENY, why) if why else Verdict(Decision.APPROVE)


def _objection(spec: dict[str, Any], subject: pem.Subject) -> str:
    """What is wrong with a request for Multus; "" for nothing."""
    user = str(spec.get("username", ""))
    prefix, _, node = user.rpartition(":")
    usages, groups = _strings(spec, "usages"), _strings(spec, "groups")
    expires = spec.get("expirationSeconds")
    if prefix not in REQUESTERS or not naming.is_node(node):
        return f"requested by {user[:300]!r}, who is neither a node nor Multus on a node"
    if sorted(usages) != sorted(naming.USAGES):
        return f"usages are {', '.join(usages)[:200]}; they must be {', '.join(naming.USAGES)}"
    if not GROUPS.issuperset(groups):
        return f"requested by a member of {', '.join(sorted(set(groups) - GROUPS))[:300]}"
    if subject.common_name != f"{naming.PREFIX}:{node}":
        return f"common name {subject.common_name[:300]!r} is not that of the requesting node"
    if subject.organizations != (naming.PREFIX,):
        return f"organization is {', '.join(subject.organizations)[:200]!r}; it must be {naming.PREFIX}"
    if not isinstance(expires, int) or isinstance(expires, bool) or not 0 < expires <= LONGEST:
        return "expirationSeconds must be given, and be 365 days at most"
    return ""


def _is_settled(csr: Json) -> bool:
    status = csr.get("status")
    signed = isinstance(status, dict) and bool(status.get("certificate"))
    return signed or any(one.get("type") in ("Approved", "Denied") for one in signing.conditions(csr))


def _request(spec: dict[str, Any]) -> bytes:
    encoded = spec.get("request")
    try:
        return base64.b64decode(encoded, validate=True) if isinstance(encoded, str) else b""
    except (binascii.Error, ValueError) as error:
        raise errors.DecodeError("the request is not base64") from error


def _strings(spec: dict[str, Any], key: str) -> list[str]:
    value = spec.get(key)
    return [str(one) for one in value] if isinstance(value, list) else []
