"""Input that makes upstream panic, and its kin: each a clear error, nothing attached, and DEL that succeeds."""

from __future__ import annotations

import json
from typing import Any

import pytest

from multus import errors
from multus.networks import netconf
from unit.engine import world
from unit.engine.world import CONTAINER, Node

TEXT_ARGS = {"cniVersion": "1.0.0", "name": "net-a", "type": "bridge"}
CNI_ARGS = [{"name": "net-a", "cni-args": {"a": 1}}]

CASES: list[Any] = [
    pytest.param("[null]", None, "element 1 must be an object, not null", id="null element"),
    pytest.param('["net-a"]', None, "element 1 must be an object, not a string", id="text element"),
    pytest.param('{"name": "net-a"}', None, "must be a list of objects, not an object", id="no list"),
    pytest.param('[{"name": "net-a"}', None, "is not valid JSON", id="broken"),
    pytest.param("[" * 5000, None, "nested too deeply", id="deep"),
    pytest.param("[{}]", None, "name is missing", id="no name"),
    pytest.param("a,,b", None, "element 2 is empty", id="empty item"),
    pytest.param('[{"name": "net-a", "ips": ["10.1.1.1/99"]}]', None, "failed to parse CIDR", id="address"),
    pytest.param('[{"name": "net-a", "interface": "../x"}]', None, "interface name contains", id="interface"),
    pytest.param('[{"name": "net-a", "default-route": ["nowhere"]}]', None, "failed to parse IP", id="gateway"),
    pytest.param("net-a", '{"name": "net-a", "plugins": []}', "plugins is empty", id="no plugins"),
    pytest.param("net-a", '{"name": "net-a", "plugins": [null]}', "plugin 0 must be an object", id="null plugin"),
    pytest.param("net-a", '{"name": "net-a", "plugins": ["x"]}', "plugin 0 must be an object", id="text plugin"),
    pytest.param("net-a", '{"name": "net-a", "plugins": {}}', "plugins must be a list", id="plugins object"),
    pytest.param("net-a", '{"name": "net-a"}', "'type' or 'plugins'", id="neither"),
    pytest.param("net-a", "null", "must be a JSON object, not null", id="null configuration"),
    pytest.param("net-a", '{"type": 5}', "type must be a string", id="type"),
    pytest.param("net-a", '{"type": "../../bin/sh"}', "invalid plugin name", id="path as type"),
    pytest.param("net-a", '{"type": "x", "capabilities": {"ips": "yes"}}', "capabilities must map", id="capability"),
    pytest.param("net-a", '{"type": "x", "name": "../x"}', "invalid characters in network name", id="network name"),
    pytest.param(CNI_ARGS, json.dumps({**TEXT_ARGS, "args": "text"}), "args of its configuration must be", id="args"),
    pytest.param(
        CNI_ARGS, json.dumps({**TEXT_ARGS, "args": {"cni": [1]}}), "cni of its configuration must be", id="args.cni"
    ),
    pytest.param(CNI_ARGS, '{"name": "n", "plugins": [5]}', "plugin 0 must be an object", id="number plugin"),
]


@pytest.mark.parametrize(("annotation", "config", "expected"), CASES)
def test_annotation_and_definition(annotation: Any, config: str | None, expected: str) -> None:
    """What a pod's or a network's author may write; the pod and what is wrong are named, code 7."""
    one = Node()
    one.pod(annotation)
    if config is not None:
        one.cluster.add_network("net-a", config)
    error = one.add_fails()
    assert error.code == 7
    assert expected in error.message
    assert "[default/web/uid-1]" in error.message
    assert config is None or "net-a" in error.message
    assert not one.plugins.calls
    one.run("DEL")
    assert one.is_clean()


@pytest.mark.parametrize("text", ["[]", "", '{"name": "a"}', "[null]", "a,b", '[{"name": "a"}, {"name": "b"}]', " "])
def test_default_network_annotation(text: str) -> None:
    """Not exactly one network."""
    one = Node()
    one.pod(annotations={"v1.multus-cni.io/default-network": text})
    error = one.add_fails()
    assert error.code == 7
    assert "v1.multus-cni.io/default-network" in error.message
    assert not one.plugins.calls
    one.run("DEL")
    assert one.is_clean()


@pytest.mark.parametrize("content", [b"[]", b"null", b"{}", b"[null]", b"[{}]", b"", b"\xff", b'[{"Bytes": "e30="}]'])
@pytest.mark.parametrize("verb", ["ADD", "DEL", "CHECK", "GC"])
def test_record(verb: str, content: bytes) -> None:
    """What a power cut or a stranger left of a record is set aside by every verb."""
    one = Node()
    one.pod()
    one.records.files[CONTAINER] = content
    conf = {"cni.dev/valid-attachments": [{"containerID": CONTAINER, "ifname": "eth0"}]}
    if verb == "CHECK":
        assert one.fails(verb).code == 3
    else:
        one.run(verb, conf=conf)
    assert one.records.damaged == {CONTAINER: content}


@pytest.mark.parametrize(
    "delegate",
    [
        {"name": "d", "type": "bridge", "capabilities": {"portMappings": "yes"}},
        {"name": "d", "type": "bridge", "capabilities": []},
        {"name": "d", "plugins": "none"},
        {"name": "d", "plugins": []},
        {"name": "d", "plugins": [None]},
        {"name": 5, "type": "bridge"},
        {"type": "bridge"},
        {},
    ],
)
def test_primary_configuration(delegate: dict[str, Any]) -> None:
    """What an administrator may write."""
    one = Node(default=delegate)
    one.pod()
    error = one.add_fails()
    assert error.code == 7
    assert not one.plugins.calls
    one.run("DEL")
    assert one.is_clean()


@pytest.mark.parametrize("delegates", [None, [], [None], ["x"], {}, 5])
def test_no_delegate(delegates: Any) -> None:
    """A configuration without a default network is refused when it is read."""
    with pytest.raises(errors.InvalidConfig):
        netconf.loads(json.dumps({"name": "multus", "delegates": delegates}).encode())


def test_many_networks() -> None:
    """More than anyone needs is an error, not a load on the node."""
    one = Node()
    one.pod(",".join(["net-a"] * 65))
    assert "65 networks are named" in one.add_fails().message
    one.pod(",".join(f"net-{number}" for number in range(1, 65)))
    for number in range(1, 65):
        one.nad(world.network(f"net-{number}", world.plugin("macvlan")))
    one.add()
    one.run("DEL")
    assert one.is_clean()
