"""Bodies of requests: whatever they hold, a request or an error of ours."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multus import errors
from multus.daemon import cnirequest

ENV = {
    "CNI_COMMAND": "ADD",
    "CNI_CONTAINERID": "one",
    "CNI_NETNS": "/run/netns/one",
    "CNI_ARGS": "K8S_POD_NAMESPACE=default;K8S_POD_NAME=web",
}

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=8,
)
ATTRIBUTES = st.dictionaries(st.sampled_from(["ips", "mac", "cni-args", "MAC", "other"]), JSON)
VARIABLES = st.sampled_from([*ENV, "CNI_IFNAME", "CNI_PATH", "SECRET"])
BODIES = st.fixed_dictionaries(
    {},
    optional={
        "env": JSON | st.dictionaries(VARIABLES, JSON | st.sampled_from([*ENV.values()])) | st.just(ENV),
        "config": JSON | st.just("e30="),
        "interfaceAttributes": JSON | ATTRIBUTES,
    },
)


def decode(**members: Any) -> cnirequest.CniRequest:
    return cnirequest.decode(json.dumps({"env": ENV, **members}).encode(), "/opt/cni/bin")


def test_decoded() -> None:
    """The variables, the configuration byte for byte, and what is asked of the interface."""
    text = b'{"cniVersion": "1.0.0",  "big": 12345678901234567890123}'
    asked = decode(
        config=base64.b64encode(text).decode(),
        interfaceAttributes={"ips": ["10.1.1.66/24"], "mac": "02:03:04:05:06:07", "cni-args": {"k": "v"}},
    )
    assert (asked.command, asked.config) == ("ADD", text)
    assert asked.environ == {**ENV, "CNI_IFNAME": "eth0", "CNI_PATH": "/opt/cni/bin"}
    assert (asked.asked.ips, asked.asked.mac) == (("10.1.1.66/24",), "02:03:04:05:06:07")
    assert asked.asked.cni_args == {"k": "v"}


@pytest.mark.parametrize("attributes", [None, {}, {"cni-args": None}, {"ips": None, "mac": ""}, {"unknown": 5}])
def test_nothing_asked(attributes: Any) -> None:
    """Absent, null and empty are the same; what is not known is ignored."""
    assert decode(interfaceAttributes=attributes).asked == decode().asked


def test_empty_interface() -> None:
    """An interface that is empty, but there, is not eth0: it is refused later, by name."""
    assert decode(env={**ENV, "CNI_IFNAME": ""}).environ["CNI_IFNAME"] == ""


def test_secrets() -> None:
    """What is not CNI_* is not kept."""
    assert "SECRET" not in decode(env={**ENV, "SECRET": "hunter2"}).environ


@given(BODIES)
def test_any_json(body: Any) -> None:
    """A request whose variables are text, or an error of ours."""
    try:
        asked = cnirequest.decode(json.dumps(body).encode(), "/opt/cni/bin")
    except errors.CniError:
        return
    assert {type(value) for value in asked.environ.values()} == {str}
    assert all(key.startswith("CNI_") for key in asked.environ)


@given(st.binary(max_size=200))
def test_any_bytes(body: bytes) -> None:
    """Bytes that are no request are an error of ours."""
    with pytest.raises(errors.CniError):
        cnirequest.decode(body, "/opt/cni/bin")
