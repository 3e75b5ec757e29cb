"""Delegates: configuration and request together."""

from __future__ import annotations

from typing import Any

import pytest

from multus import errors
from multus.cni import config
from multus.networks import delegates
from unit.networks import making


def test_static() -> None:
    """An item of `delegates` is called by its own name."""
    made = delegates.static({"name": "d", "type": "bridge"}, master=True)
    assert (made.name, made.master, made.selection, made.resource_name) == ("d", True, None, "")


@pytest.mark.parametrize(
    "raw", [{}, {"name": "d"}, {"type": "bridge"}, {"name": "d", "type": 5}, {"name": 5, "type": "x"}]
)
def test_not_static(raw: dict[str, Any]) -> None:
    """Type and name are required."""
    with pytest.raises(errors.InvalidConfig):
        delegates.static(raw, master=True)


def test_from_definition() -> None:
    """Called by namespace and name of the definition, whatever the configuration's own name."""
    found = config.from_object({"name": "own", "type": "bridge"}, "test")
    made = delegates.from_nad(making.nad(resource_name="vendor/nic"), found, making.element(mac="x"))
    assert made.name == "default/net-a"
    assert made.config.name == "own"
    assert made.resource_name == "vendor/nic"
    assert not made.master


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ({}, {"cni": {"a": 1, "b": {"c": 2}}}),
        ({"args": None}, {"cni": {"a": 1, "b": {"c": 2}}}),
        ({"args": {"other": 1}}, {"other": 1, "cni": {"a": 1, "b": {"c": 2}}}),
        ({"args": {"cni": {"a": 0, "z": 9}}}, {"cni": {"a": 1, "z": 9, "b": {"c": 2}}}),
        ({"args": {"cni": None}}, {"cni": {"a": 1, "b": {"c": 2}}}),
    ],
)
def test_cni_args(own: dict[str, Any], expected: dict[str, Any]) -> None:
    """Merged into args.cni of every plugin; the element wins; nothing else changes."""
    wish = {"a": 1, "b": {"c": 2}}
    single = making.delegate(raw={"type": "bridge", **own}, cni_args=wish)
    assert single.config.raw["args"] == expected
    listed = making.delegate(raw={"plugins": [{"type": "a", **own}, {"type": "b", "x": 1}]}, cni_args=wish)
    assert [plugin["args"]["cni"]["a"] for plugin in listed.config.raw["plugins"]] == [1, 1]
    assert listed.config.plugins[0]["args"] == expected
    assert listed.config.plugins[1]["x"] == 1


def test_definition_is_not_changed() -> None:
    """Two pods may use one definition."""
    found = config.from_object({"name": "n", "type": "bridge", "args": {"cni": {"a": 0}}}, "test")
    delegates.from_nad(making.nad(), found, making.element(cni_args={"a": 1}))
    assert found.raw["args"] == {"cni": {"a": 0}}


@pytest.mark.parametrize("args", ["text", 5, [], {"cni": "text"}, {"cni": []}])
def test_cni_args_that_do_not_fit(args: Any) -> None:
    """The network and the key are named (upstream panics)."""
    with pytest.raises(errors.InvalidConfig, match="network default/net-a: cni-args can't be merged"):
        making.delegate(raw={"type": "bridge", "args": args}, cni_args={"a": 1})
    assert making.delegate(raw={"type": "bridge", "args": args}).config.raw["args"] == args


@pytest.mark.parametrize("kind", sorted(delegates.OWN_TYPES))
def test_multus_itself(kind: str) -> None:
    """Anywhere in the chain."""
    delegates.refuse_self(making.delegate())
    for raw in ({"type": kind}, {"plugins": [{"type": "bridge"}, {"type": kind}]}):
        with pytest.raises(errors.SelfDelegation, match="Multus itself"):
            delegates.refuse_self(making.delegate(raw=raw))
