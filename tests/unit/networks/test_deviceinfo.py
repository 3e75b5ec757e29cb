"""Device information files: what is understood, what is kept, and how they are named."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multus import errors
from multus.networks import deviceinfo
from unit.networks import making

PCI = {"type": "pci", "version": "1.1.0", "pci": {"pci-address": "0000:03:02.1", "x": 1}, "more": [1, 2.50]}


def test_everything_is_kept() -> None:
    """Members that nobody knows come out as they went in."""
    assert deviceinfo.parse(json.dumps(PCI).encode(), "file") == PCI


@pytest.mark.parametrize("kind", ["vdpa", "vhost-user", "memif", "of-tomorrow"])
def test_types(kind: str) -> None:
    """The specification's types, and one it doesn't have yet."""
    info = {"type": kind, "version": "1.1.0", kind: {"path": "/x"}}
    assert deviceinfo.parse(json.dumps(info).encode(), "file") == info


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not valid JSON"),
        (b"[]", "must be a JSON object"),
        (b"{}", "type is missing"),
        (b'{"type": 5}', "type must be a string"),
        (b'{"type": "a\\nb"}', "type is missing"),
        (b'{"type": "pci", "version": 1}', "version must be a string"),
        (b'{"type": "pci", "pci": []}', "pci must be an object"),
        (b'{"type": "pci", "x": "' + b"y" * deviceinfo.MAX_BYTES + b'"}', "larger than 16384 bytes"),
    ],
)
def test_bad_files(data: bytes, words: str) -> None:
    """Each says what is wrong and which file it is."""
    with pytest.raises(errors.InvalidConfig, match=f"(?s)some file.*{words}"):
        deviceinfo.parse(data, "some file")


def test_names() -> None:
    """As the specification and upstream have them: slashes become dashes."""
    assert deviceinfo.plugin_file("vendor.example/vf", "0000:03:02.1") == "vendor.example-vf-0000:03:02.1-device.json"
    assert deviceinfo.attachment_file("default/net-a", "c1", "net1") == "default-net-a-c1_net1"


@pytest.mark.parametrize(
    ("resource", "device"), [("", "1"), ("a", ""), ("a", "x" * 300), ("a\0", "1"), ("a", "\ud800")]
)
def test_names_that_no_file_has(resource: str, device: str) -> None:
    """Names that can't be are no names."""
    assert deviceinfo.plugin_file(resource, device) == ""


@making.THOROUGH
@given(resource=st.text(max_size=40), device=st.text(max_size=40))
def test_names_stay_in_their_directory(resource: str, device: str) -> None:
    """Whatever strangers call their devices, a file's name is one name."""
    name = deviceinfo.plugin_file(resource, device)
    assert "/" not in name
    assert "\0" not in name
    assert name not in (".", "..")


@making.THOROUGH
@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    """Nothing but errors.InvalidConfig is raised."""
    try:
        deviceinfo.parse(data, "file")
    except errors.InvalidConfig:
        pass
