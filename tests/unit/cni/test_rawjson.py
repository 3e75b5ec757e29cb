"""JSON that comes out as it went in."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multus import errors
from multus.cni import rawjson
from unit.cni import strategies


@pytest.mark.parametrize(
    "literal",
    [
        "0",
        "-0",
        "-0.0",
        "1.10",
        "1e400",
        "-1E-7",
        "9007199254740993",
        "1" * 400,
        "1" * 5000,
        "0.1" + "0" * 400,
        "1e+05",
    ],
)
def test_number_literals(literal: str) -> None:
    """A number is written with the very digits it was read with, however long."""
    text = f'{{"n":{literal},"list":[{literal}]}}'
    assert rawjson.dumps(rawjson.loads(text, "text")) == text


@strategies.MODEST
@given(strategies.LITERALS)
def test_any_number_literal(literal: str) -> None:
    """Every literal that JSON allows survives."""
    assert rawjson.dumps(rawjson.loads(literal, "text")) == literal


@strategies.MODEST
@given(strategies.VALUES)
def test_round_trip(value: Any) -> None:
    """What is written reads back equal, as ours and as the standard library's."""
    assert rawjson.loads(rawjson.encode(value), "text") == value
    assert json.loads(rawjson.dumps(value)) == value


@strategies.MODEST
@given(strategies.VALUES, st.integers(min_value=0, max_value=5))
def test_layout(value: Any, indent: int) -> None:
    """Indented text means the same, and reads as the standard library lays it out."""
    assert rawjson.dumps(value, indent=indent) == json.dumps(value, indent=indent)


def test_compact_layout() -> None:
    """Without indent nothing is spent on layout; keys keep their order."""
    assert rawjson.dumps({"b": [1, {}], "a": []}) == '{"b":[1,{}],"a":[]}'


def test_ascii() -> None:
    """The text is ASCII, with half of a surrogate pair as well."""
    assert rawjson.encode({"ü": "\ud800\n"}) == b'{"\\u00fc":"\\ud800\\n"}'


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"NaN", id="NaN"),
        pytest.param(b'{"a":Infinity}', id="Infinity"),
        pytest.param(b"-Infinity", id="minus Infinity"),
        pytest.param(b"\xef\xbb\xbf{}", id="byte order mark"),
        pytest.param("{}".encode("utf-16"), id="UTF-16"),
        pytest.param(b'"\xff"', id="bad UTF-8"),
        pytest.param(b'"\xed\xa0\x80"', id="surrogate in UTF-8"),
        pytest.param(b"{} {}", id="two values"),
        pytest.param(b"{}x", id="text after it"),
        pytest.param(b"01", id="leading zero"),
        pytest.param(b"1.", id="no digits after the point"),
        pytest.param(b"'a'", id="single quotes"),
        pytest.param(b'"\n"', id="line break in a string"),
        pytest.param(b'{"a":1,}', id="trailing comma"),
        pytest.param(b"\x00", id="NUL"),
    ],
)
def test_malformed(data: bytes) -> None:
    """Anything but JSON is refused with one line that names the text."""
    with pytest.raises(errors.DecodeError, match="the text is not valid JSON") as caught:
        rawjson.loads(data, "the text")
    assert "\n" not in caught.value.message


def test_place_of_an_error() -> None:
    """The message says where."""
    with pytest.raises(errors.DecodeError, match="line 2 column 3"):
        rawjson.loads('{"a":1,\n  b}', "the text")


@strategies.MODEST
@given(st.binary() | st.text())
def test_any_input(data: bytes | str) -> None:
    """Whatever comes in, only our error comes out."""
    try:
        rawjson.loads(data, "text")
    except errors.DecodeError:
        pass


@pytest.mark.parametrize("levels", [rawjson.MAX_DEPTH + 1, 3_000, 200_000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")], ids=["lists", "objects"])
def test_too_deep(levels: int, opening: str, closing: str) -> None:
    """Nesting without bound is refused, however deep."""
    with pytest.raises(errors.DecodeError, match="nested"):
        rawjson.loads(opening * levels + "1" + closing * levels, "text")


def test_unclosed_depth() -> None:
    """A flood of brackets that are never closed is refused too."""
    with pytest.raises(errors.DecodeError):
        rawjson.loads("[" * 1_000_000, "text")


def test_brackets_in_strings() -> None:
    """Only brackets that open something count."""
    text = json.dumps({"a": ["[[{" * 100, '\\"[' * 200], "b": "]"})
    assert rawjson.loads(text, "text") == json.loads(text)


@pytest.mark.parametrize("text", ['"' + '\\"' * 500_000 + "[" * 101, '"[' * 100_001 + "\\"])
def test_unclosed_strings(text: str) -> None:
    """Strings that never end are read once, not once for each of their quotes."""
    with pytest.raises(errors.DecodeError):
        rawjson.loads(text, "text")


def test_deep_enough() -> None:
    """The bound itself is allowed, and can be written again."""
    text = "[" * rawjson.MAX_DEPTH + "]" * rawjson.MAX_DEPTH
    assert rawjson.dumps(rawjson.loads(text, "text")) == text


def test_nothing_unreadable_is_written() -> None:
    """What could not be read back is not written: a record of it would be lost to DEL."""
    value = rawjson.loads("[" * rawjson.MAX_DEPTH + "]" * rawjson.MAX_DEPTH, "text")
    with pytest.raises(errors.InvalidConfig, match="nested"):
        rawjson.dumps({"result": value})


def test_keys_twice() -> None:
    """Of two members with one key the last counts."""
    assert rawjson.loads('{"a":1,"a":2}', "text") == {"a": 2}


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("null", "null"),
        ("true", "a boolean"),
        ('"a"', "a string"),
        ("[]", "a list"),
        ("1", "a number"),
        ("1.5", "a num"),
    ],
)
def test_object_wanted(text: str, kind: str) -> None:
    """Where an object is wanted the error says what was found."""
    with pytest.raises(errors.DecodeError, match=f"the text must be a JSON object, not {kind}"):
        rawjson.loads_object(text, "the text")


def test_accessors() -> None:
    """Members come out typed; absent and null are the same."""
    holder = rawjson.loads_object('{"s":"a","n":-0,"l":["a"],"o":[{"b":1}],"null":null}', "text")
    assert rawjson.text(holder, "s", "it") == "a"
    assert rawjson.whole(holder, "n", "it") == 0
    assert rawjson.strings(holder, "l", "it") == ("a",)
    assert rawjson.mappings(holder, "o", "it") == [{"b": 1}]
    for absent in ("null", "missing"):
        assert rawjson.text(holder, absent, "it") == ""
        assert rawjson.whole(holder, absent, "it") is None
        assert rawjson.strings(holder, absent, "it") == ()
        assert rawjson.mappings(holder, absent, "it") == []


@pytest.mark.parametrize(
    ("accessor", "text", "message"),
    [
        (rawjson.text, "1", "it: k must be a string, not a number"),
        (rawjson.whole, '"1"', "it: k must be a whole number, not a string"),
        (rawjson.whole, "1.5", "it: k must be a whole number, not a fraction"),
        (rawjson.whole, "true", "it: k must be a whole number, not a boolean"),
        (rawjson.whole, "1" * 5000, "it: k must be a whole number"),
        (rawjson.strings, '"a"', "it: k must be a list of strings"),
        (rawjson.strings, "[1]", "it: k must be a list of strings"),
        (rawjson.mappings, "{}", "it: k must be a list, not an object"),
        (rawjson.mappings, "[null]", "it: k must be an object, not null"),
    ],
)
def test_accessors_refuse(accessor: Any, text: str, message: str) -> None:
    """Another type is an error that names the text, the key and what was found."""
    with pytest.raises(errors.DecodeError, match=message):
        accessor(rawjson.loads_object(f'{{"k":{text}}}', "text"), "k", "it")
