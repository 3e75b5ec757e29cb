"""Devices of DRA drivers: claims and slices of every version, read from an API server in memory."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from multus import errors
from multus.devices import dra, slices
from multus.devices.holdings import Holding
from multus.networks.claims import Mapping, PodClaims

if TYPE_CHECKING:
    from multus.cni.rawjson import Json

DRIVER = "nic.example"
VF = "vendor.example/vf"


class Server:
    """ResourceClaims and ResourceSlices in memory; `calls` are the paths that were read."""

    def __init__(self, version: str = "v1") -> None:
        self.versions = [version]
        self.claims: dict[str, Json] = {}
        self.slices: list[Json] = []
        self.calls: list[str] = []
        self.page = 1

    def claim(self, name: str, *results: Json, namespace: str = "default") -> None:
        """A claim with an allocation."""
        made = [{"request": "r", "driver": DRIVER, "pool": "node-1", **one} for one in results]
        self.claims[f"{namespace}/{name}"] = {"status": {"allocation": {"devices": {"results": made}}}}

    def slice(self, *devices: Json, node: str = "node-1", pool: str = "node-1", **spec: Any) -> None:
        """A slice; with no `node` one of devices in the network."""
        place = {"nodeName": node} if node else {"allNodes": True}
        whole = {"driver": DRIVER, "pool": {"name": pool, "generation": 1}, **place, "devices": list(devices), **spec}
        self.slices.append({"spec": whole})

    def fetch(self, what: str, path: str, deadline: float) -> Json:
        """A GET."""
        self.calls.append(path)
        url = urlsplit(path)
        if url.path == "/apis/resource.k8s.io":
            return {"kind": "APIGroup", "versions": [{"version": version} for version in self.versions]}
        root = f"/apis/resource.k8s.io/{self.versions[0]}"
        if url.path == f"{root}/resourceslices":
            return self._list({key: value[0] for key, value in parse_qs(url.query, keep_blank_values=True).items()})
        found = re.fullmatch(rf"{root}/namespaces/([^/]+)/resourceclaims/([^/]+)", url.path)
        assert found is not None
        try:
            return self.claims["/".join(found.groups())]
        except KeyError:
            raise errors.NotFound(f'resourceclaims.resource.k8s.io "{found[2]}" not found') from None

    def _list(self, query: dict[str, str]) -> Json:
        selected = dict(term.split("=") for term in query["fieldSelector"].split(","))
        assert set(selected) == {"spec.driver", "spec.nodeName"}
        found = [
            one
            for one in self.slices
            if one["spec"]["driver"] == selected["spec.driver"]
            and one["spec"].get("nodeName", "") == selected["spec.nodeName"]
        ]
        start = int(query.get("continue", "token=0").removeprefix("token="))
        rest = f"token={start + self.page}" if len(found) > start + self.page else ""
        return {"items": found[start : start + self.page], "metadata": {"continue": rest}}

    def held(self, *names: str, namespace: str = "default", **more: Any) -> list[Holding]:
        """What these claims of a pod hold."""
        return dra.Claims(self.fetch).of(PodClaims(names, node="node-1", **more), namespace, 0.0)


def device(name: str, device_id: str = "", resource: str = VF) -> Json:
    """A device as v1 and v1beta2 publish it; without an id it says nothing of the network."""
    pairs = [(slices.DEVICE_ID, device_id), (slices.RESOURCE_NAME, resource)]
    attributes: Json = {key: {"string": value} for key, value in pairs if value}
    return {"name": name, "attributes": {**attributes, "vendor.example/vlan": {"int": 5}}}


@pytest.fixture
def server() -> Server:
    """A server with two network devices on the node, and one that is none."""
    made = Server()
    made.slice(device("vf0", "0000:03:02.0"), device("vf1", "0000:03:02.1"))
    made.slice(device("gpu", "", ""))
    return made


@pytest.mark.parametrize("version", ["v1", "v1beta2", "v1beta1"])
def test_versions(version: str) -> None:
    """A claim's device by its attributes, in every version of the API; the oldest keeps them a level deeper."""
    server = Server(version)
    raw = device("vf0", "0000:03:02.0")
    server.slice({"name": "vf0", "basic": {"attributes": raw["attributes"]}} if version == "v1beta1" else raw)
    server.claim("c", {"device": "vf0"})
    assert server.held("c") == [Holding("claim c", VF, ("0000:03:02.0",))]
    assert server.calls[1] == f"/apis/resource.k8s.io/{version}/namespaces/default/resourceclaims/c"


def test_the_best_version(server: Server) -> None:
    """Of several the newest; it is asked for once."""
    server.versions = ["v1", "v1beta1", "v1beta2"]
    server.claim("c", {"device": "vf0"})
    claims = dra.Claims(server.fetch)
    for _ in range(2):
        claims.of(PodClaims(("c",), node="node-1"), "default", 0.0)
    assert server.calls.count("/apis/resource.k8s.io") == 1


@pytest.mark.parametrize("versions", [[], ["v1alpha3"]])
def test_no_version(server: Server, versions: list[str]) -> None:
    """A server without any version we know."""
    server.versions = versions
    with pytest.raises(errors.ClusterError, match=r"serves none of resource.k8s.io v1, v1beta2, v1beta1"):
        server.held("c")


def test_several_devices(server: Server) -> None:
    """Of one claim, over its requests and several slices of a pool; another resource is another entry."""
    server.slice(device("pf", "0000:04:00.0", "vendor.example/pf"))
    server.claim("c", {"device": "vf1"}, {"device": "pf"}, {"device": "vf0", "request": "s"})
    pf = Holding("claim c", "vendor.example/pf", ("0000:04:00.0",))
    assert server.held("c") == [Holding("claim c", VF, ("0000:03:02.1", "0000:03:02.0")), pf]


def test_several_claims(server: Server) -> None:
    """In their order; the slices of one driver are listed once, page by page."""
    server.claim("b", {"device": "vf1"})
    server.claim("a", {"device": "vf0"})
    found = server.held("b", "a")
    assert found == [Holding("claim b", VF, ("0000:03:02.1",)), Holding("claim a", VF, ("0000:03:02.0",))]
    assert len([path for path in server.calls if "resourceslices" in path]) == 2  # the pages of one list


def test_namespaces(server: Server) -> None:
    """A claim of the same name in another namespace is another claim."""
    server.claim("c", {"device": "vf0"})
    server.claim("c", {"device": "vf1"}, namespace="other")
    assert server.held("c", namespace="other") == [Holding("claim c", VF, ("0000:03:02.1",))]


def test_other_nodes(server: Server) -> None:
    """A device of that name on another node is another device."""
    server.slice(device("vf9", "0000:09:00.0"), node="node-2")
    server.claim("c", {"device": "vf9"})
    assert server.held("c") == []


def test_devices_in_the_network(server: Server) -> None:
    """Slices bound to no node are asked for where the node's don't have the device, and only then."""
    server.slice(device("port", "fabric-7"), node="", pool="fabric")
    server.claim("near", {"device": "vf0"})
    assert server.held("near")
    assert not [path for path in server.calls if path.endswith("nodeName%3D&limit=16")]
    server.claim("far", {"device": "port", "pool": "fabric"})
    assert server.held("far") == [Holding("claim far", VF, ("fabric-7",))]


@pytest.mark.parametrize("name", ["gpu", "missing"])
def test_no_network_device(server: Server, name: str) -> None:
    """A device without the attributes, or that isn't published, is passed over; good ones beside it are not."""
    server.claim("c", {"device": name}, {"device": "vf0"})
    assert server.held("c") == [Holding("claim c", VF, ("0000:03:02.0",))]


def test_half_an_identity(server: Server) -> None:
    """An id without a resource name, and the reverse, are no network device."""
    server.slice(device("x", "1", ""), device("y", "", VF))
    server.claim("c", {"device": "x"}, {"device": "y"})
    assert server.held("c") == []


def test_attributes_of_other_types(server: Server) -> None:
    """An attribute that is no text says nothing."""
    server.slice({"name": "x", "attributes": {slices.DEVICE_ID: {"int": 1}, slices.RESOURCE_NAME: {"string": VF}}})
    server.claim("c", {"device": "x"})
    assert server.held("c") == []


def test_a_pool_published_anew(server: Server) -> None:
    """Slices of an older generation don't count, whichever comes first."""
    for order in (1, -1):
        server.slices = []
        for generation, device_id in [(1, "old"), (2, "new")][::order]:
            one = device("vf0", device_id)
            gone = [device("gone", "gone")] if generation == 1 else []
            server.slice(one, *gone, pool="node-1")
            server.slices[-1]["spec"]["pool"]["generation"] = generation
        server.claim("c", {"device": "vf0"}, {"device": "gone"})
        assert server.held("c") == [Holding("claim c", VF, ("new",))]


def test_administrative_access(server: Server) -> None:
    """A device that the claim only looks at is not the pod's."""
    server.claim("c", {"device": "vf0", "adminAccess": True}, {"device": "vf1", "adminAccess": False})
    assert server.held("c") == [Holding("claim c", VF, ("0000:03:02.1",))]


def test_shares(server: Server) -> None:
    """Two shares of a device are two; the same result told twice is one."""
    server.claim("c", {"device": "vf0", "shareID": "a"}, {"device": "vf0", "shareID": "b"}, {"device": "vf1"})
    server.claims["default/c"]["status"]["allocation"]["devices"]["results"] *= 2
    assert server.held("c") == [Holding("claim c", VF, ("0000:03:02.0", "0000:03:02.0", "0000:03:02.1"))]


def test_missing_claim(server: Server) -> None:
    """The server's own words."""
    with pytest.raises(errors.NotFound, match='"c" not found'):
        server.held("c")


@pytest.mark.parametrize("claim", [{}, {"status": {}}, {"status": {"allocation": {"devices": {"results": []}}}}])
def test_not_allocated(server: Server, claim: Json) -> None:
    """A claim without devices: to be tried again, naming the claim."""
    server.claims["default/c"] = claim
    with pytest.raises(errors.TryAgainLater, match="resource claim default/c has no device allocation"):
        server.held("c")


@pytest.mark.parametrize("result", [{"driver": "a/../b"}, {"driver": None}, {"pool": 1}, {"pool": "a\nb"}, {}])
def test_strange_results(server: Server, result: Json) -> None:
    """What names no device is an error that names the claim; a driver becomes part of a path."""
    server.claim("c", result)
    with pytest.raises(errors.ClusterError, match="resource claim default/c: a device"):
        server.held("c")


def test_strange_slices(server: Server) -> None:
    """Slices that are none are passed over."""
    server.slices += [{"spec": {"driver": DRIVER, "nodeName": "node-1", "pool": pool}} for pool in (None, {"name": 1})]
    server.claim("c", {"device": "vf0"})
    assert len(server.held("c")) == 1


# ── extended resources ──────────────────────────────────────────────────────────────────────────────────────────


def test_extended(server: Server) -> None:
    """Each mapping's devices under its resource: two of one request, an alternative of another."""
    server.slice(device("pf", "0000:04:00.0", "vendor.example/pf"))
    server.claim(
        "x",
        {"device": "vf0", "request": "c0"},
        {"device": "vf1", "request": "c0"},
        {"device": "pf", "request": "c1/best"},
    )
    found = server.held(extended="x", mappings=(Mapping("c0", VF), Mapping("c1", "vendor.example/pf")))
    assert found == [
        Holding("claim x", VF, ("0000:03:02.0", "0000:03:02.1")),
        Holding("claim x", "vendor.example/pf", ("0000:04:00.0",)),
    ]


def test_both_kinds(server: Server) -> None:
    """The pod's own claims come first."""
    server.claim("own", {"device": "vf1"})
    server.claim("x", {"device": "vf0", "request": "c0"})
    found = server.held("own", extended="x", mappings=(Mapping("c0", VF),))
    assert found == [Holding("claim own", VF, ("0000:03:02.1",)), Holding("claim x", VF, ("0000:03:02.0",))]


def test_extended_request_is_missing(server: Server) -> None:
    """A mapping whose request has no device."""
    server.claim("x", {"device": "vf0", "request": "c0"})
    with pytest.raises(errors.InvalidConfig, match="request c1 not found in resource claim default/x"):
        server.held(extended="x", mappings=(Mapping("c1", VF),))


@pytest.mark.parametrize(("name", "has"), [("pf", "vendor.example/pf"), ("gpu", ""), ("missing", "")])
def test_extended_of_another_resource(server: Server, name: str, has: str) -> None:
    """A device that is not of the mapping's resource: the error names both."""
    server.slice(device("pf", "0000:04:00.0", "vendor.example/pf"))
    server.claim("x", {"device": name, "request": "c0"})
    with pytest.raises(errors.InvalidConfig, match=rf'{name} was given for resource {VF}, but its .*"{has}"$'):
        server.held(extended="x", mappings=(Mapping("c0", VF),))
