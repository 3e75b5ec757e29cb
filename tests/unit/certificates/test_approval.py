"""Which certificate requests are approved, and which denied."""

from __future__ import annotations

import base64
import functools
from typing import TYPE_CHECKING, Any, cast

import pytest

from multus import errors
from multus.certificates import approval, approver, naming, pem, signing
from multus.certificates.approval import Decision

if TYPE_CHECKING:
    from multus.kubernetes.client import Client
    from multus.kubernetes.reflector import Feed

DAY = 24 * 3600


@functools.cache
def encoded(common_name: str = "system:multus:n1", organization: str = "system:multus") -> str:
    return base64.b64encode(pem.request(common_name, organization)[1]).decode()


def csr(status: Any = None, **changes: Any) -> dict[str, Any]:
    """A request that is approved, with changes; a change to None takes the key away."""
    spec = {
        "signerName": naming.SIGNER,
        "username": "system:node:n1",
        "groups": ["system:nodes", "system:authenticated"],
        "usages": ["client auth", "digital signature"],
        "expirationSeconds": 3600,
        "request": encoded(),
        **changes,
    }
    return {"metadata": {"name": "r"}, "spec": {k: v for k, v in spec.items() if v is not None}, "status": status or {}}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"username": "system:multus:n1", "groups": ["system:multus", "system:authenticated"]},
        {"groups": []},
        {"expirationSeconds": 365 * DAY},
        {"username": "system:node:a.b-c.d", "request": encoded("system:multus:a.b-c.d")},
    ],
)
def test_approved(changes: dict[str, Any]) -> None:
    """A kubelet for its own node, and Multus on a node for itself."""
    assert approval.judge(csr(**changes)) == approval.Verdict(Decision.APPROVE)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"username": "system:serviceaccount:kube-system:multus"}, "requested by"),
        ({"username": "system:node:n1:n1"}, "requested by"),
        ({"username": "system:node:"}, "requested by"),
        ({"username": "system:node:N1"}, "requested by"),
        ({"username": "system:node:n1\n"}, "requested by"),
        ({"username": "system:node:-n"}, "requested by"),
        ({"username": None}, "requested by"),
        ({"username": "system:node:n2"}, "common name"),
        ({"usages": ["client auth"]}, "usages"),
        ({"usages": ["client auth", "digital signature", "server auth"]}, "usages"),
        ({"usages": ["client auth", "client auth", "digital signature"]}, "usages"),
        ({"usages": None}, "usages"),
        ({"groups": ["system:nodes", "system:masters"]}, "member of system:masters"),
        ({"request": encoded("system:multus")}, "common name"),
        ({"request": encoded("system:multus:n1:x")}, "common name"),
        ({"request": encoded("system:multusx")}, "common name"),
        ({"request": encoded(organization="system:masters")}, "organization"),
        ({"expirationSeconds": None}, "expirationSeconds"),
        ({"expirationSeconds": 365 * DAY + 1}, "expirationSeconds"),
        ({"expirationSeconds": True}, "expirationSeconds"),
        ({"expirationSeconds": 0}, "expirationSeconds"),
    ],
)
def test_denied(changes: dict[str, Any], why: str) -> None:
    """One thing that is wrong is enough, and the verdict says which."""
    verdict = approval.judge(csr(**changes))
    assert verdict.decision is Decision.DENY
    assert why in verdict.why


@pytest.mark.parametrize(
    "found",
    [
        csr(signerName="kubernetes.io/kubelet-serving"),
        csr(request=encoded("system:node:n1")),
        csr(request=encoded("multus")),
        csr(request="&"),
        csr(request=None),
        csr(request=base64.b64encode(b"no request").decode()),
        csr({"conditions": [{"type": "Approved", "status": "True"}]}),
        csr({"conditions": [{"type": "Denied", "status": "True"}]}),
        csr({"certificate": "eA=="}),
        {},
        {"spec": []},
    ],
)
def test_left_alone(found: dict[str, Any]) -> None:
    """What is not for Multus, can't be read, or has been answered."""
    assert approval.judge(found).decision is Decision.SKIP


def test_further_organizations_are_denied() -> None:
    """Groups are organizations: one beside ours would be another group."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    parts = [(NameOID.ORGANIZATION_NAME, "system:multus"), (NameOID.ORGANIZATION_NAME, "system:masters")]
    parts += [(NameOID.COMMON_NAME, "system:multus:n1")]
    name = x509.Name([x509.NameAttribute(*part) for part in parts])
    made = x509.CertificateSigningRequestBuilder().subject_name(name)
    data = made.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    verdict = approval.judge(csr(request=base64.b64encode(data).decode()))
    assert verdict.decision is Decision.DENY
    assert "organization" in verdict.why


def test_answer_keeps_what_is_there() -> None:
    """The condition joins those of others; everything else of the request is sent back as it came."""
    found = csr({"conditions": [{"type": "Other"}]})
    answer = approver.answered(found, "r", approval.Verdict(Decision.APPROVE))
    assert answer["spec"] == found["spec"]
    assert [one["type"] for one in answer["status"]["conditions"]] == ["Other", "Approved"]
    assert answer["status"]["conditions"][1]["reason"] == "AutoApproved"
    assert answer["status"]["conditions"][1]["message"] == 'Auto-approved CSR "r"'
    assert approval.judge(answer).decision is Decision.SKIP


def test_denial_says_why() -> None:
    """In the condition, and in a warning."""
    verdict = approval.Verdict(Decision.DENY, "because")
    (condition,) = signing.conditions(approver.answered(csr(), "r", verdict))
    assert (condition["type"], condition["reason"]) == ("Denied", "CSRDenied")
    assert "because" in condition["message"]
    event = approver.event(csr(), "r", verdict, 1)
    assert (event["type"], event["reason"]) == ("Warning", "CSRDenied")
    assert event["source"] == {"component": "cert-approver"}


class Refusing:
    """A client whose first updates meet a conflict."""

    def __init__(self, conflicts: int) -> None:
        self.conflicts = conflicts
        self.sent: list[tuple[str, str]] = []
        self.events: list[dict[str, Any]] = []

    def send(self, verb: str, what: str, path: str, body: dict[str, Any], deadline: float) -> dict[str, Any] | None:
        self.sent.append((verb, path))
        return None if len(self.sent) <= self.conflicts else body

    def fetch(self, what: str, path: str, deadline: float) -> dict[str, Any]:
        return csr()

    def create_event(self, namespace: str, event: dict[str, Any], deadline: float) -> None:
        self.events.append(event)


@pytest.mark.parametrize(("conflicts", "tries", "events"), [(0, 1, 1), (2, 3, 1), (99, approver.TRIES, 0)])
def test_conflicts(conflicts: int, tries: int, events: int) -> None:
    """A request that changed meanwhile is judged anew, five times at most; what is answered has an event."""
    client = Refusing(conflicts)
    one = approver.Approver(cast("Client", client), cast("Feed", None), sleep=lambda _: None)
    one.handle(csr())
    assert client.sent == [("update", f"{signing.PATH}/r/approval")] * tries
    assert len(client.events) == events


@pytest.mark.parametrize("name", ["../x", "", "a/b", "A"])
def test_names_never_change_the_path(name: str) -> None:
    """What can't be an object's name is not put into a path."""
    with pytest.raises(errors.NotFound):
        approver._path(name)
