"""The resource claims that a pod's object names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import given

from multus.networks import claims
from multus.networks.claims import Mapping, PodClaims
from unit.networks import making

if TYPE_CHECKING:
    from multus.cni.rawjson import Json


def pod(**members: Any) -> Json:
    """A pod with these members."""
    return {"metadata": {"name": "web"}, **members}


def test_none() -> None:
    """A pod without claims, whatever its node."""
    assert claims.of_pod(pod()) is None
    assert claims.of_pod(pod(spec={"nodeName": "n1", "resourceClaims": []}, status={})) is None


def test_named_and_made_from_a_template() -> None:
    """In the order of the spec: one named there, one that only the status names, one that needs none."""
    spec = {
        "nodeName": "node-1",
        "resourceClaims": [
            {"name": "made", "resourceClaimTemplateName": "t"},
            {"name": "own", "resourceClaimName": "shared"},
            {"name": "unneeded", "resourceClaimTemplateName": "t"},
        ],
    }
    statuses = [{"name": "unneeded"}, {"name": "later", "resourceClaimName": "later-x"}]
    status = {"resourceClaimStatuses": [*statuses, {"name": "made", "resourceClaimName": "web-made-x7"}]}
    found = claims.of_pod(pod(spec=spec, status=status))
    assert found == PodClaims(("web-made-x7", "shared", "later-x"), node="node-1")


def test_one_claim_twice() -> None:
    """Two names in the pod for one claim are one claim."""
    both = [{"name": "a", "resourceClaimName": "c"}, {"name": "b", "resourceClaimName": "c"}]
    assert claims.of_pod(pod(spec={"resourceClaims": both})) == PodClaims(("c",))


def test_extended() -> None:
    """The claim behind extended resources and its requests."""
    mappings = [{"containerName": "main", "requestName": "r0", "resourceName": "v/vf"}, {"requestName": "r1"}]
    status = {"extendedResourceClaimStatus": {"resourceClaimName": "web-ext", "requestMappings": mappings}}
    assert claims.of_pod(pod(status=status)) == PodClaims((), "web-ext", (Mapping("r0", "v/vf"),))


def test_names_that_no_object_has() -> None:
    """What would change a request's path is no name."""
    spec = {"resourceClaims": [{"name": "a", "resourceClaimName": "../../secrets"}, {"name": "b"}]}
    assert claims.of_pod(pod(spec=spec)) is None


KEYS = ["name", "resourceClaimName", "resourceClaims", "resourceClaimStatuses", "requestMappings", "spec", "status"]


@making.THOROUGH
@given(making.objects([*KEYS, "extendedResourceClaimStatus", "nodeName", "requestName"], size=20))
def test_any_pod(raw: Json) -> None:
    """Whatever the object holds, nothing is raised."""
    claims.of_pod(raw)
