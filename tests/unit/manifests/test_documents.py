"""The objects of a manifest file."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from multus import errors
from multus.manifests import documents

NETWORK = """\
apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata:
  name: net-a   # a comment
  annotations: {"quoted": 'no', plain: no, number: 012, empty: ""}
spec:
  config: |
    {"type": "bridge"}
"""


def objects(text: str | bytes, name: str = "a.yaml") -> list[dict[str, Any]]:
    """The objects of a file of that name."""
    return documents.objects(text.encode() if isinstance(text, str) else text, name)


def test_yaml() -> None:
    """Maps, lists and strings; nothing is taken for a boolean or a number."""
    assert objects(NETWORK) == [
        {
            "apiVersion": "k8s.cni.cncf.io/v1",
            "kind": "NetworkAttachmentDefinition",
            "metadata": {
                "name": "net-a",
                "annotations": {"quoted": "no", "plain": "no", "number": "012", "empty": ""},
            },
            "spec": {"config": '{"type": "bridge"}\n'},
        }
    ]


@pytest.mark.parametrize("text", ["~", "", "null", "Null"])
def test_null(text: str) -> None:
    """Null when it is not quoted, a string when it is."""
    assert objects(f'plain: {text}\nquoted: "{text}"\n') == [{"plain": None, "quoted": text}]


def test_several_documents() -> None:
    """Documents in order; empty ones are nothing."""
    assert objects("---\na: b\n---\n---\n# only a comment\n---\nc: [d, {e: f}]\n...\n") == [
        {"a": "b"},
        {"c": ["d", {"e": "f"}]},
    ]


@pytest.mark.parametrize("kind", ["List", "PodList", "NetworkAttachmentDefinitionList"])
@pytest.mark.parametrize("encode", [json.dumps, yaml.safe_dump])
def test_lists(kind: str, encode: Any) -> None:
    """The items of a List stand for themselves."""
    assert objects(encode({"kind": kind, "items": [{"a": "b"}, None, {"c": "d"}]})) == [{"a": "b"}, {"c": "d"}]


def test_json_in_a_yaml_file() -> None:
    """JSON is YAML; numbers stay numbers then."""
    assert objects('{"a": 1}') == [{"a": 1}]


def test_flow_mapping() -> None:
    """What begins like JSON may be YAML."""
    assert objects("{a: b}") == [{"a": "b"}]


def test_json_file_is_only_json() -> None:
    """Its suffix promises that."""
    with pytest.raises(errors.InvalidConfig, match=r"^a\.json: not JSON"):
        objects("{a: b}", "a.json")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", r"not YAML: line \d: "),
        ("a: b\n c: d: e\n", r"not YAML: line 2: "),
        ("a: &x b\nc: *x\n", r"line 2: aliases"),
        ("a: b\na: c\n", r"line 2: key 'a' is there twice"),
        ("? [a]\n: b\n", r"line 1: a key that is not a string"),
        ("? {a: b}\n: b\n", r"line 1: a key that is not a string"),
        ("[" * 100, r"line 1: nested deeper than 64 levels"),
        ("- " * 5000, r"line 1: nested deeper than 64 levels"),
        ("a: \x00", r"not YAML"),
        ("\t- a", r"not YAML: line 1: "),
    ],
)
def test_what_is_refused(text: str, message: str) -> None:
    """The file and the line are named."""
    with pytest.raises(errors.InvalidConfig, match=rf"^a\.yaml: {message}"):
        objects(text)


@pytest.mark.parametrize("data", [b"\xff\xfe\xff", b"\xc3\x28", b'{"a": ' * 100_000, b"[" * 1_000_000, b"- " * 500_000])
def test_bytes_that_are_no_manifest(data: bytes) -> None:
    """No encoding and no depth makes it crash."""
    with pytest.raises(errors.InvalidConfig):
        objects(data)


def test_bomb() -> None:
    """A few lines that would be gigabytes."""
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    with pytest.raises(errors.InvalidConfig, match="aliases"):
        objects("\n".join(lines))


def test_without_the_fast_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyYAML may have been built without libyaml."""
    monkeypatch.delattr(yaml, "CSafeLoader")
    assert objects(NETWORK)[0]["metadata"]["name"] == "net-a"


VALUES = st.recursive(
    st.none() | st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "Z")), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc-/.", max_size=5), inner, max_size=4),
    max_leaves=10,
)


@given(st.dictionaries(st.text("abcdef", max_size=5), VALUES, max_size=4))
def test_same_as_the_safe_loader(value: dict[str, Any]) -> None:
    """What a full YAML loader makes of strings, lists and maps, this makes too."""
    assert objects(yaml.safe_dump(value, allow_unicode=True)) == [value]


@given(st.binary(max_size=60) | st.text("ab:-[]{}&*?|>!%@'\"#,\n \t", max_size=60).map(str.encode))
def test_any_bytes(data: bytes) -> None:
    """Whatever is in the file, only our errors come out."""
    try:
        documents.objects(data, "a.yaml")
    except errors.InvalidConfig:
        pass
