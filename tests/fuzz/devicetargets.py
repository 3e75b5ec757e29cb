"""What tells Multus of devices, fuzzed: the kubelet's answer, its checkpoint, claims and slices, description files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from multus import errors
from multus.devices import checkpoint, dra, holdings, podresources
from multus.networks import claims, deviceinfo
from support import kubelet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from multus.cni.rawjson import Json
    from multus.devices.holdings import Holding

    Case = dict[str, str]

VF = "vendor.example/vf"

_WEB = kubelet.Pod(
    "default", "web", (kubelet.Container("main", ((VF, ["0000:03:02.1", "a"]),)), kubelet.Container("b"))
)

#: As text; `bytes_of` turns it back.
MESSAGES = (kubelet.field(1, kubelet.pod_resources(_WEB)).decode("utf-8", "surrogateescape"),)

CHECKPOINTS = tuple(
    json.dumps(
        {
            "Data": {
                "PodDeviceEntries": [
                    {"PodUID": "uid-1", "ContainerName": "main", "ResourceName": VF, "DeviceIDs": ids, "AllocResp": ""}
                ],
                "RegisteredDevices": {VF: ["1"]},
            },
            "Checksum": 7,
        }
    )
    for ids in (["1", "2"], {"-1": ["1"], "0": ["2"]})
)

PODS = (
    json.dumps(
        {
            "metadata": {"name": "web"},
            "spec": {
                "nodeName": "node-1",
                "resourceClaims": [
                    {"name": "a", "resourceClaimName": "c"},
                    {"name": "b", "resourceClaimTemplateName": "t"},
                ],
            },
            "status": {
                "resourceClaimStatuses": [{"name": "b", "resourceClaimName": "web-b"}],
                "extendedResourceClaimStatus": {
                    "resourceClaimName": "x",
                    "requestMappings": [{"containerName": "main", "requestName": "r", "resourceName": VF}],
                },
            },
        }
    ),
)

CLAIMS = (
    json.dumps(
        {
            "status": {
                "allocation": {
                    "devices": {
                        "results": [
                            {"request": "r", "driver": "nic.example", "pool": "p", "device": "d", "shareID": "s"},
                            {
                                "request": "r/s",
                                "driver": "nic.example",
                                "pool": "p",
                                "device": "e",
                                "adminAccess": True,
                            },
                        ]
                    }
                }
            }
        }
    ),
)

_ATTRIBUTES = {"k8s.cni.cncf.io/deviceID": {"string": "1"}, "k8s.cni.cncf.io/resourceName": {"string": VF}}

SLICES = tuple(
    json.dumps(
        {
            "metadata": {"continue": ""},
            "items": [
                {
                    "spec": {
                        "driver": "nic.example",
                        "nodeName": "node-1",
                        "pool": {"name": "p", "generation": 2, "resourceSliceCount": 1},
                        "devices": [{"name": "d", **published}],
                    }
                }
            ],
        }
    )
    for published in ({"attributes": _ATTRIBUTES}, {"basic": {"attributes": _ATTRIBUTES}})
)

GROUPS = ('{"versions": [{"groupVersion": "resource.k8s.io/v1", "version": "v1"}]}',)

INFOS = tuple(
    json.dumps({"type": kind, "version": "1.1.0", kind: {"pci-address": "0000:03:02.1", "path": "/x"}, "more": [1.50]})
    for kind in deviceinfo.MEMBERS
)


def bytes_of(text: str) -> bytes:
    """What the text stands for; what stands for nothing is left out."""
    return text.encode("utf-8", "surrogateescape") if _has_bytes(text) else text.encode("utf-8", "ignore")


def _has_bytes(text: str) -> bool:
    return all(not 0xD800 <= ord(letter) <= 0xDFFF or 0xDC80 <= ord(letter) <= 0xDCFF for letter in text)


def _sound(found: Sequence[Holding]) -> None:
    """What is handed out is text."""
    for resource, ids in holdings.by_resource(found).items():
        assert isinstance(resource, str)
        assert all(isinstance(one, str) for one in ids)


def message(case: Case) -> None:
    """The kubelet's answer to Get and to List."""
    data = bytes_of(case["text"])
    for whose in (("", ""), ("default", "web")):
        try:
            _sound(podresources.decode(data, *whose))
        except errors.DecodeError:
            pass


def kept(case: Case) -> None:
    """The kubelet's checkpoint."""
    _sound(checkpoint.decode(bytes_of(case["text"]), "uid-1", "checkpoint"))


def claimed(case: Case) -> None:
    """A pod, its claims and the slices behind them, as an API server may answer; only the paths asked for are ours."""

    def fetch(what: str, path: str, deadline: float) -> Json:
        assert path.isascii()
        assert path.isprintable()
        assert ".." not in path.partition("?")[0]
        assert " " not in path
        if "resourceslices" in path:
            return _object(case["slices"])
        return _object(case["claim"] if "resourceclaims" in path else case["group"])

    found = claims.of_pod(_object(case["pod"]))
    if found is not None:
        _sound(dra.Claims(fetch).of(found, "default", 0.0))


def _object(text: str) -> Json:
    """What the API client lets through: an object."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise errors.ClusterError("the answer is no Kubernetes object") from error
    if not isinstance(value, dict):
        raise errors.ClusterError("the answer is no Kubernetes object")
    return value


def described(case: Case) -> None:
    """A description file; what is understood can be part of an annotation."""
    info = deviceinfo.parse(bytes_of(case["text"]), "file")
    assert info["type"].isprintable()
    name = deviceinfo.plugin_file(case["text"][:40], case["text"][-40:])
    assert "/" not in name
    assert "\0" not in name
