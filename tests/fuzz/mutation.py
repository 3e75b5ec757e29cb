"""Hostile text, made from valid text: at the level of bytes, of tokens, and of the JSON tree."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random

#: Values that have broken something somewhere.
VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1.5,
    2**53 + 1,
    2**64,
    10**400,
    [],
    {},
    [None],
    [[]],
    {"": ""},
    "",
    "\0",
    "\ud800",
    "a\nb",
    "\u202e",
    "../../etc/passwd",
    "/",
    "a;K8S_POD_NAME=other",
    "a=b",
    "10.1.1.1",
    "10.1.1.1/24",
    "0.0.0.0",
    "::/0",
    "fe80::1%eth0;x=y",
    "::ffff:10.1.1.1",
    "02:23:45:67:89:01",
    "net%d",
    "lo",
    "eth0",
    "1.1.0",
    "0.2.0",
    "9.9.9",
    "multus",
    "x" * 300,
)

TOKENS = (
    *(json.dumps(value) for value in VALUES),
    "1" + "0" * 5000,
    "-0",
    "1e999",
    "NaN",
    "-Infinity",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    '"',
    "\\u0000",
    "[" * 200,
    '{"a":' * 200,
    "\ufeff",
    "/",
    "@",
    ";",
    "=",
)

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\w.+-]+|\s+|.', re.DOTALL)


def mutate(text: str, random: random.Random) -> str:
    """`text`, changed in one to four places at one of the levels; sometimes not at all."""
    level = random.choice((_as_it_is, _bytes, _tokens, _tokens, _tree, _tree, _tree))
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        text = level(text, random)
    return text


def _as_it_is(text: str, random: random.Random) -> str:
    return text


def _bytes(text: str, random: random.Random) -> str:
    """What no decoder accepts becomes lone surrogates: text that can't be encoded."""
    data = bytearray(text.encode("utf-8", "surrogatepass"))
    at = random.randrange(len(data) + 1)
    kind = random.randrange(5)
    if kind == 0 and at < len(data):
        data[at] ^= 1 << random.randrange(8)
    elif kind == 1:
        data[at:at] = random.randbytes(random.randrange(1, 5))
    elif kind == 2:
        del data[at : at + random.randrange(1, 9)]
    elif kind == 3:
        data[at:at] = data[at : at + random.randrange(1, 40)] * random.choice((1, 2, 50))
    else:
        del data[at:]
    return bytes(data).decode("utf-8", "surrogateescape")


def _tokens(text: str, random: random.Random) -> str:
    tokens = _TOKEN.findall(text)
    at = random.randrange(len(tokens) + 1)
    kind = random.randrange(4)
    if kind == 0:
        tokens[at : at + 1] = [random.choice(TOKENS)]
    elif kind == 1:
        tokens[at:at] = [random.choice(TOKENS)]
    elif kind == 2 and tokens:
        tokens[at : at + 1] = [random.choice(tokens)]
    else:
        del tokens[at : at + random.randrange(1, 4)]
    return "".join(tokens)


def _tree(text: str, random: random.Random) -> str:
    try:
        tree = json.loads(text)
    except (ValueError, RecursionError):
        return _tokens(text, random)
    holders = list(_holders(tree))
    if not holders:
        return _dumps(random.choice(VALUES))
    _edit(random.choice(holders), tree, random)
    return _dumps(tree)


def _holders(value: Any) -> list[Any]:
    """Every object and list of the tree that has members."""
    found = []
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, (dict, list)) and one:
            found.append(one)
            waiting.extend(one.values() if isinstance(one, dict) else one)
    return found


def _edit(holder: Any, tree: Any, random: random.Random) -> None:
    keys: list[Any] = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
    key = random.choice(keys)
    kind = random.randrange(7)
    if kind == 0:
        del holder[key]
    elif kind == 1:
        holder[key] = json.loads(json.dumps(random.choice(_holders(tree))))
    elif kind == 2 and isinstance(holder, dict):
        holder[random.choice((key.upper(), key + " ", random.choice(keys)))] = holder[key]
    elif kind == 3 and isinstance(holder, list):
        holder.extend(holder[:] * random.choice((1, 2, 70 if len(holder) < 5 else 1)))
    elif kind == 4 and isinstance(holder[key], str):
        holder[key] = _bytes(holder[key], random)
    elif kind == 5:
        for _ in range(random.choice((1, 3, 60, 101))):
            holder[key] = random.choice(([holder[key]], {"a": holder[key]}))
    else:
        holder[key] = random.choice(VALUES)


def _dumps(tree: Any) -> str:
    return json.dumps(tree, ensure_ascii=False)
