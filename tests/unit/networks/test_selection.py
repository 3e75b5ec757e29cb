"""The network selection annotations."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from multus import errors
from multus.networks import selection

if TYPE_CHECKING:
    from multus.networks.selection import Selection

MAC = "02:23:45:67:89:01"
GUID = "24:8a:07:03:00:8d:ae:2f"


def one(**keys: Any) -> Selection:
    """The element of an annotation that has this one."""
    (found,) = selection.parse(json.dumps([{"name": "net-a", **keys}]), "default")
    return found


def refused(text: str) -> str:
    """The message that refuses an annotation."""
    with pytest.raises(errors.AnnotationError) as caught:
        selection.parse(text, "default")
    assert caught.value.code == 7
    assert caught.value.message.isprintable()
    assert caught.value.message.startswith("annotation k8s.v1.cni.cncf.io/networks: ")
    return caught.value.message


# ── the short form ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("net1", [("default", "net1", "")]),
        ("default/net1", [("default", "net1", "")]),
        ("other/net1", [("other", "net1", "")]),
        ("net1@my_interface", [("default", "net1", "my_interface")]),
        ("other/net1@my_interface", [("other", "net1", "my_interface")]),
        ("net1@", [("default", "net1", "")]),
        (" net1 , other / net2 @ data0 ", [("default", "net1", ""), ("other", "net2", "data0")]),
        ("net1,net2,net1", [("default", "net1", ""), ("default", "net2", ""), ("default", "net1", "")]),
        ("net1@" + "x" * 15, [("default", "net1", "x" * 15)]),
        ("", []),
        (" \n", []),
    ],
)
def test_short_form(text: str, expected: list[tuple[str, str, str]]) -> None:
    """Namespace, name and interface of each item, in order, blanks trimmed."""
    found = selection.parse(text, "default")
    assert [(element.namespace, element.name, element.interface) for element in found] == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a/b/c", "parsePodNetworkObjectName: Invalid network object (failed at '/')"),
        ("a@b/c/d", "(failed at '/')"),
        ("a@b@c", "parsePodNetworkObjectName: Invalid network object (failed at '@')"),
        ("net1 net2", "Failed to parse: one or more items did not match comma-delimited format"),
        ("Net1", "Failed to parse: one or more items"),
        ("net_1", "Failed to parse: one or more items"),
        ("net.1", "Failed to parse: one or more items"),
        ("-net", "Failed to parse: one or more items"),
        ("a b/net", "Failed to parse: one or more items"),
        ("/net", "Failed to parse: one or more items"),
        ("net@my interface", "Failed to parse interface name"),
        ("net@" + "x" * 16, "Failed to parse interface name"),
        ("net@..", "Failed to parse interface name"),
        ("net@a:b", "Failed to parse interface name"),
        ("../../etc/passwd", "(failed at '/')"),
        ("../x", "Failed to parse: one or more items"),
        ("net\0", "Failed to parse: one or more items"),
    ],
)
def test_short_form_refused(text: str, why: str) -> None:
    """An item that is none, in upstream's words, with its number."""
    message = refused(f"good,{text}")
    assert why in message
    assert "element 2" in message


@pytest.mark.parametrize(("text", "number"), [("a,,b", 2), ("a,", 2), (",", 1)])
def test_short_form_empty_item(text: str, number: int) -> None:
    """A comma too many is reported at once, not as a network without a name."""
    assert f"element {number} is empty" in refused(text)


# ── the JSON form ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("keys", "field", "value"),
    [
        ({}, "namespace", "default"),
        ({"namespace": "other"}, "namespace", "other"),
        ({"namespace": ""}, "namespace", "default"),
        ({"name": "net.a-1"}, "name", "net.a-1"),
        ({"ips": ["10.1.1.1", "fd00::1/64"]}, "ips", ("10.1.1.1", "fd00::1/64")),
        ({"ips": []}, "ips", ()),
        ({"mac": MAC.upper()}, "mac", MAC.upper()),
        ({"mac": "0223.4567.8901"}, "mac", "0223.4567.8901"),
        ({"infiniband-guid": GUID}, "infiniband_guid", GUID),
        ({"interface": "data0"}, "interface", "data0"),
        ({"interfaceRequest": "data0"}, "interface", "data0"),
        ({"interfaceRequest": "old0", "interface": "new0"}, "interface", "new0"),
        ({"interface": "", "interfaceRequest": "old0"}, "interface", "old0"),
        ({"Interface": "data0"}, "interface", "data0"),
        ({"cni-args": {"a": [1, {"b": 2}]}}, "cni_args", {"a": [1, {"b": 2}]}),
        ({"cni-args": {}}, "cni_args", {}),
        ({"default-route": ["10.1.1.1", "fd00::1"]}, "default_route", ("10.1.1.1", "fd00::1")),
        ({"default-route": []}, "default_route", ()),
        ({"default-route": [""]}, "default_route", ()),
        ({}, "default_route", None),
        ({"deviceID": "0000:03:02.1"}, "device_id", "0000:03:02.1"),
        ({"ipam-claim-reference": "claim"}, "ipam_claim_reference", "claim"),
        ({"com.example.key": [1], "unknown": {}}, "interface", ""),
    ],
)
def test_json_keys(keys: dict[str, Any], field: str, value: object) -> None:
    """Every key, in upstream's spellings; unknown ones are ignored."""
    assert getattr(one(**keys), field) == value


def test_json_null() -> None:
    """Null is the same as absent, for every key."""
    keys = ("namespace", "ips", "mac", "infiniband-guid", "interface", "portMappings", "bandwidth", "cni-args")
    assert one(**dict.fromkeys((*keys, "default-route", "deviceID", "ipam-claim-reference"))) == one()


def test_json_list() -> None:
    """Elements keep their order; an empty list means none."""
    assert [element.name for element in selection.parse('[{"name": "b"}, {"name": "a"}]', "x")] == ["b", "a"]
    assert selection.parse("[]", "x") == ()


def test_port_mappings() -> None:
    """Ports, protocol (tcp by default, kept as written) and address; keys we don't know are dropped."""
    asked = [
        {"hostPort": 8080, "containerPort": 80},
        {"hostPort": 1, "containerPort": 65535, "protocol": "UDP", "hostIP": "10.0.0.1", "x": 1},
        {"hostPort": 2, "containerPort": 2, "protocol": "", "hostIP": ""},
    ]
    assert list(one(portMappings=asked).port_mappings) == [
        {"hostPort": 8080, "containerPort": 80, "protocol": "tcp"},
        {"hostPort": 1, "containerPort": 65535, "protocol": "UDP", "hostIP": "10.0.0.1"},
        {"hostPort": 2, "containerPort": 2, "protocol": "tcp"},
    ]


def test_bandwidth() -> None:
    """Absent members are 0."""
    found = one(bandwidth={"ingressRate": 2048, "ingressBurst": 300}).bandwidth
    assert found == {"ingressRate": 2048, "ingressBurst": 300, "egressRate": 0, "egressBurst": 0}


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ({"name": None}, "name is missing"),
        ({"name": ""}, "name is missing"),
        ({"name": 5}, "name must be a string, not a number"),
        ({"name": "../x"}, "name is not"),
        ({"name": "a/b"}, "name is not"),
        ({"name": "x" * 254}, "name is not"),
        ({"namespace": "a.b"}, 'namespace "a.b" is not'),
        ({"namespace": "x" * 64}, "is not a namespace"),
        ({"namespace": ["a"]}, "namespace must be a string, not a list"),
        ({"ips": "10.1.1.1"}, "ips must be a list of strings, not a string"),
        ({"ips": ["10.1.1.1", 5]}, "ips: item 2 must be a string, not a number"),
        ({"ips": [None]}, "ips: item 1 must be a string, not null"),
        ({"ips": ["10.1.1.1", "10.1.1.300"]}, 'ips: failed to parse IP address "10.1.1.300"'),
        ({"ips": ["10.1.1.1/40"]}, 'ips: failed to parse CIDR "10.1.1.1/40"'),
        ({"ips": ["fe80::1%a;K8S_POD_NAME=x"]}, "ips: failed to parse IP address"),
        ({"mac": "02:23:45"}, 'failed to mac: "02:23:45"'),
        ({"mac": MAC + ";x=y"}, "failed to mac"),
        ({"mac": 5}, "mac must be a string, not a number"),
        ({"infiniband-guid": "x"}, "failed to validate infiniband GUID"),
        ({"interface": "a b"}, "interface: parsePodNetworkObjectName: Failed to parse interface name"),
        ({"interface": "x" * 16}, "Failed to parse interface name"),
        ({"interface": "é" * 8}, "Failed to parse interface name"),
        ({"interfaceRequest": "a/b"}, "interfaceRequest: parsePodNetworkObjectName"),
        ({"interface": {}}, "interface must be a string, not an object"),
        ({"portMappings": {}}, "portMappings must be a list of objects, not an object"),
        ({"portMappings": [5]}, "portMappings: item 1 must be an object, not a number"),
        ({"portMappings": [{"hostPort": 1}]}, "item 1: containerPort is missing"),
        ({"portMappings": [{"hostPort": 0, "containerPort": 1}]}, "hostPort must be between 1 and 65535"),
        ({"portMappings": [{"hostPort": 65536, "containerPort": 1}]}, "hostPort must be between 1 and 65535"),
        ({"portMappings": [{"hostPort": "80", "containerPort": 1}]}, "hostPort must be a whole number, not a string"),
        ({"portMappings": [{"hostPort": 80.5, "containerPort": 1}]}, "hostPort must be a whole number, not a fraction"),
        ({"portMappings": [{"hostPort": True, "containerPort": 1}]}, "hostPort must be a whole number, not a boolean"),
        ({"portMappings": [{"hostPort": 1, "containerPort": 1, "protocol": "x"}]}, "protocol must be one of TCP"),
        ({"portMappings": [{"hostPort": 1, "containerPort": 1, "hostIP": "10.0.0.0/8"}]}, "hostIP"),
        ({"portMappings": [{"hostPort": 1, "containerPort": 1, "hostIP": 5}]}, "hostIP must be a string"),
        ({"bandwidth": [1]}, "bandwidth must be an object, not a list"),
        ({"bandwidth": {"ingressRate": -1}}, "ingressRate must be between 0"),
        ({"bandwidth": {"ingressRate": 1 << 63}}, "ingressRate must be between 0"),
        ({"bandwidth": {"egressRate": ""}}, "egressRate must be a whole number, not a string"),
        ({"bandwidth": {"egressRate": False}}, "egressRate must be a whole number, not a boolean"),
        ({"bandwidth": {"ingressBurst": 5}}, "ingressBurst needs ingressRate"),
        ({"bandwidth": {"ingressRate": 1, "egressBurst": 5}}, "egressBurst needs egressRate"),
        ({"cni-args": "a=b"}, "cni-args must be an object, not a string"),
        ({"default-route": "10.1.1.1"}, "default-route must be a list of strings, not a string"),
        ({"default-route": ["x"]}, "default-route: failed to parse IP address"),
        ({"default-route": ["10.1.1.1/24"]}, "default-route: "),
        ({"default-route": ["0.0.0.0"]}, "default-route: 0.0.0.0 can't be a gateway"),
        ({"default-route": ["fe80::1%eth0"]}, "default-route: failed to parse IP address"),
        ({"deviceID": "a\nb"}, "deviceID: "),
        ({"deviceID": 5}, "deviceID must be a string"),
        ({"ips": ["10.1.1.1"], "ipam-claim-reference": "c"}, "ips and ipam-claim-reference exclude each other"),
    ],
)
def test_json_refused(keys: dict[str, Any], why: str) -> None:
    """A value that can't be: element, key and what was found are named."""
    message = refused(json.dumps([{"name": "good"}, {"name": "bad", **keys}]))
    assert "element 2" in message
    assert why in message


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[null]", "element 1 must be an object, not null"),
        ("[[]]", "element 1 must be an object, not a list"),
        ('["net1"]', "element 1 must be an object, not a string"),
        ('{"name": "net1"}', "must be a list of objects, not an object"),
        ('"net1"', "must be a list of objects, not a string"),
        ("[", "JSON format"),
        ('[{"name": "a"}] x', "JSON format"),
        ('[{"name": NaN}]', "JSON format"),
        ('[{"name": "a", "portMappings": [{"hostPort": 1e9999, "containerPort": 1}]}]', "not a fraction"),
        ("[" * 100_000, "JSON format"),
        ('[{"cni-args":' + "[" * 200 + "]" * 200 + "}]", "nested"),
    ],
)
def test_json_not_elements(text: str, why: str) -> None:
    """Text that is no list of objects, nested text and the inputs that crash upstream."""
    assert why in refused(text)


def test_too_long() -> None:
    """Kubernetes itself allows 256 KiB, counted in bytes."""
    assert "longer than" in refused("x" * (256 * 1024 + 1))
    assert "longer than" in refused("é" * (128 * 1024 + 1))


@pytest.mark.parametrize("text", [",".join(["a"] * 65), json.dumps([{"name": "a"}] * 65)])
def test_too_many(text: str) -> None:
    """More than 64 networks are refused."""
    assert "65 networks are named, at most 64" in refused(text)


def test_messages_are_bounded() -> None:
    """What is quoted of a stranger's text is short."""
    assert len(refused("x" * 10_000 + " ")) < 600


# ── the default-network annotation ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "namespace", "name"),
    [("net", "kube-system", "net"), ("other/net", "other", "net"), ('[{"name": "net"}]', "kube-system", "net")],
)
def test_default_network(text: str, namespace: str, name: str) -> None:
    """Exactly one element, in both forms."""
    found = selection.parse_default(text, "kube-system")
    assert (found.namespace, found.name) == (namespace, name)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", 'pod annotation does not have "network" as key'),
        ("[]", 'pod annotation does not have "network" as key'),
        ("a,b", "more than one default network is specified"),
        ("[null]", "element 1 must be an object"),
        ("a b", "Failed to parse"),
    ],
)
def test_default_network_refused(text: str, why: str) -> None:
    """None, several, or none that can be read."""
    with pytest.raises(errors.AnnotationError) as caught:
        selection.parse_default(text, "kube-system")
    assert caught.value.message.startswith("annotation v1.multus-cni.io/default-network: ")
    assert why in caught.value.message
