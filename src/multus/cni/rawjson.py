"""JSON that comes out as it went in.

A network configuration may hold keys that only its plugin understands, and numbers that a float can't hold. Upstream
rounds integers above 2^53; here every number keeps the very digits it was written with, and keys keep their order.
"""

from __future__ import annotations

import itertools
import json
import marshal
import re
from json.encoder import encode_basestring_ascii
from typing import TYPE_CHECKING, Any

from multus import errors

if TYPE_CHECKING:
    from collections.abc import Callable

Json = dict[str, Any]

#: Nesting deeper than this is nobody's configuration; it bounds our own recursion.
MAX_DEPTH = 100

#: A string, to its end or the text's.
_STRING = r'(?s:"[^"\\]*(?:\\.[^"\\]*)*"?)'

#: What a character does to the depth.
_STEPS = {"[": 1, "{": 1, "]": -1, "}": -1}

#: Integers of more digits are kept as text alone: Python converts long ones in quadratic time, or not at all.
_MAX_DIGITS = 300


class _Int(int):
    """The integer whose literal is not its plain decimal form: ``-0``."""

    literal: str


class _Float(float):
    """A number with a fraction or an exponent, or too long for an integer, and the text it was written as."""

    literal: str


def _parse_int(literal: str) -> int | float:
    if len(literal) > _MAX_DIGITS:
        return _parse_float(literal)
    if literal != "-0":
        return int(literal)
    number = _Int(literal)
    number.literal = literal
    return number


def _parse_float(literal: str) -> float:
    number = _Float(literal)
    number.literal = literal
    return number


def _refuse(literal: str) -> Any:
    raise ValueError(f"{literal} is not JSON")


#: Made once: a decoder costs as much to make as to use on a small text.
_DECODER = json.JSONDecoder(parse_int=_parse_int, parse_float=_parse_float, parse_constant=_refuse)
_SCAN: Callable[[str, int], tuple[Any, int]] = _DECODER.scan_once  # type: ignore[attr-defined]


def loads(data: bytes | str, what: str) -> Any:
    """The value in `data`; `what` names the text in errors. Of two members with one key the last counts, as in Go.
    Raises errors.DecodeError on anything but JSON: NaN, a byte order mark, bad UTF-8, text after the value,
    nesting beyond `MAX_DEPTH`."""
    try:
        source = data.decode("utf-8") if isinstance(data, bytes) else data
        depth = _depth(source) if source.count("[") + source.count("{") >= MAX_DEPTH else 0
        if depth > MAX_DEPTH:
            raise RecursionError
        value = _decoded(source)
    except RecursionError as error:
        raise errors.DecodeError(f"{what}: nested too deeply") from error
    except ValueError as error:
        raise errors.DecodeError(f"{what} is not valid JSON: {error}") from error
    if depth == MAX_DEPTH and _deeper_than(value, MAX_DEPTH):
        raise errors.DecodeError(f"{what}: nested more than {MAX_DEPTH} levels deep")
    return value


def _decoded(source: str) -> Any:
    """As the decoder's own `decode`, which spends more time on the blanks around a small text than within it."""
    text = source.strip(" \t\n\r")
    try:
        value, end = _SCAN(text, 0)
    except (ValueError, StopIteration):
        end = -1
    return value if end == len(text) else _DECODER.decode(source)  # which says what is wrong


def _depth(source: str) -> int:
    """How deep the text nests. The decoder recurses on the C stack, as deep as its own limit allows, and the daemon's
    threads have small stacks."""
    marks = re.findall(r"[][{}]", re.sub(_STRING, "", source))  # compiled when first needed, which is rarely
    return max(itertools.accumulate(map(_STEPS.__getitem__, marks)), default=0)


def loads_object(data: bytes | str, what: str) -> Json:
    """As `loads`; anything but an object is errors.DecodeError too."""
    value = loads(data, what)
    if not isinstance(value, dict):
        raise errors.DecodeError(f"{what} must be a JSON object, not {kind(value)}")
    return value


def kind(value: object) -> str:
    """What JSON calls the type of `value`, with its article."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    for known, name in ((str, "a string"), (dict, "an object"), (list, "a list")):
        if isinstance(value, known):
            return name
    return "a number"


def text(holder: Json, key: str, what: str) -> str:
    """The string ``holder[key]``, "" when absent or null. Raises errors.DecodeError naming `what` and `key`, as do the
    accessors below."""
    value = holder.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise errors.DecodeError(f"{what}: {key} must be a string, not {kind(value)}")
    return value


def whole(holder: Json, key: str, what: str) -> int | None:
    """The whole number ``holder[key]``, None when absent or null."""
    value = holder.get(key)
    if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
        wrong = kind(value) if not isinstance(value, float) else "a fraction"
        raise errors.DecodeError(f"{what}: {key} must be a whole number, not {wrong}")
    return value


def strings(holder: Json, key: str, what: str) -> tuple[str, ...]:
    """The list of strings ``holder[key]``, empty when absent or null."""
    value = holder.get(key)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(member, str) for member in value):
        raise errors.DecodeError(f"{what}: {key} must be a list of strings")
    return tuple(value)


def mapping(value: Any, what: str) -> Json:
    """`value`, which must be an object."""
    if not isinstance(value, dict):
        raise errors.DecodeError(f"{what} must be an object, not {kind(value)}")
    return value


def mappings(holder: Json, key: str, what: str) -> list[Json]:
    """The list of objects ``holder[key]``, empty when absent or null."""
    value = holder.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise errors.DecodeError(f"{what}: {key} must be a list, not {kind(value)}")
    return [mapping(member, f"{what}: {key}") for member in value]


def _deeper_than(value: object, levels: int) -> bool:
    members: list[object] = [value]
    for _ in range(levels):
        nested: list[object] = []
        for member in members:
            if isinstance(member, dict):
                nested.extend(member.values())
            elif isinstance(member, list):
                nested.extend(member)
        members = nested
        if not members:
            return False
    return bool(members)


#: Three times as quick as ours, but it knows nothing of literals.
_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False, check_circular=False)


def _is_plain(value: Any) -> bool:
    """Whether it holds no number whose literal matters. marshal refuses every type that is derived from another, and
    looks at the whole in no more time than one call of ours takes."""
    try:
        marshal.dumps(value)
    except ValueError:
        return False
    return True


def dumps(value: Any, indent: int | None = None) -> str:
    """The JSON text, ASCII only; numbers from `loads` digit for digit; `indent` spaces a level, laid out as Go does.

    What we write we must be able to read again: errors.InvalidConfig for what `loads` would find nested too deeply."""
    if indent is None and _is_plain(value):
        text = _ENCODER.encode(value)
        if text.count("[") + text.count("{") < MAX_DEPTH or not _deeper_than(value, MAX_DEPTH):
            return text
    if _deeper_than(value, MAX_DEPTH):
        raise errors.InvalidConfig(f"JSON nested more than {MAX_DEPTH} levels deep can't be passed on")
    parts: list[str] = []
    _write(value, parts, "\n" if indent is not None else "", " " * (indent or 0))
    return "".join(parts)


def encode(value: Any) -> bytes:
    """`dumps` as bytes."""
    return dumps(value).encode("ascii")


def _write(value: Any, parts: list[str], newline: str, step: str) -> None:
    if isinstance(value, str):
        parts.append(encode_basestring_ascii(value))
    elif isinstance(value, dict):
        _write_members(value, parts, newline, step)
    elif isinstance(value, (list, tuple)):
        _write_items(value, parts, newline, step)
    else:
        parts.append(_scalar(value))


def _scalar(value: Any) -> str:
    if isinstance(value, (_Int, _Float)):
        return value.literal
    return _ENCODER.encode(value)


def _write_members(value: Json, parts: list[str], newline: str, step: str) -> None:
    inner = newline + step if newline else ""
    colon = ": " if newline else ":"
    parts.append("{")
    separator = inner
    for key, member in value.items():
        parts.append(f"{separator}{encode_basestring_ascii(key)}{colon}")
        _write(member, parts, inner, step)
        separator = "," + inner
    parts.append(newline + "}" if value else "}")


def _write_items(value: Any, parts: list[str], newline: str, step: str) -> None:
    inner = newline + step if newline else ""
    parts.append("[")
    separator = inner
    for member in value:
        parts.append(separator)
        _write(member, parts, inner, step)
        separator = "," + inner
    parts.append(newline + "]" if value else "]")
