"""The NetworkAttachmentDefinition's configuration."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multus import errors
from multus.cni import config
from multus.networks import nad
from multus.networks.nad import Nad
from unit.networks import making


def found(text: str, name: str = "net-a") -> Any:
    """What is in spec.config."""
    return nad.config_of(Nad("blue", name, text))


@pytest.mark.parametrize("text", ["", "  ", "\n"])
def test_empty(text: str) -> None:
    """Look in confDir."""
    assert found(text) is None


@pytest.mark.parametrize("raw", [{"type": "bridge"}, {"name": "", "type": "bridge"}, {"plugins": [{"type": "bridge"}]}])
def test_name(raw: dict[str, Any]) -> None:
    """A configuration without a name gets the definition's, in what the plugin reads too."""
    made = found(json.dumps(raw))
    assert made.name == "net-a"
    assert made.raw["name"] == "net-a"
    assert found(json.dumps({**raw, "name": "own"})).name == "own"


def test_kept_as_it_is() -> None:
    """Unknown keys and numbers."""
    text = '{"type":"x","big":12345678901234567890,"float":1.0,"deep":[{}]}'
    assert config.encode(found(text)).decode() == text[:-1] + ',"name":"net-a"}'


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "null",
        "[]",
        '{"type": 5}',
        "{}",
        '{"plugins": []}',
        '{"plugins": [null]}',
        '{"type": "a/b"}',
        "[" * 999,
    ],
)
def test_unusable(text: str) -> None:
    """Code 7, naming the definition."""
    with pytest.raises(errors.InvalidConfig, match="blue/net-a") as caught:
        found(text)
    assert caught.value.code == 7


def test_name_that_is_no_network_name() -> None:
    """A name that could leave a directory is refused."""
    with pytest.raises(errors.InvalidConfig):
        found('{"type": "bridge", "name": "../x"}')


@making.THOROUGH
@given(st.text(max_size=60) | making.objects(["type", "name", "plugins", "cniVersion", "args"]).map(json.dumps))
def test_anything(text: str) -> None:
    """No text raises anything else."""
    try:
        made = found(text)
    except errors.InvalidConfig:
        return
    assert made is None or made.name
