"""Members of JSON objects: keys as Go's decoder finds them (exactly, else without regard to case), and their values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from multus.cni import rawjson

if TYPE_CHECKING:
    from collections.abc import Iterable

    from multus.cni.rawjson import Json


def known(raw: Json, keys: Iterable[str]) -> Json:
    """The members of `raw` whose key is one of `keys`, under that key and in the order of `keys`. Null is the same as
    absent; a key spelled exactly wins over one that differs in case; everything else is left out."""
    exact = {key: raw[key] for key in keys if raw.get(key) is not None}
    spelled = {key for key in keys if key in raw}
    if len(spelled) == len(raw):
        return exact
    folded = {key.lower(): key for key in keys}
    for given, value in raw.items():
        key = folded.get(given.lower(), "")
        if key and key not in spelled and value is not None:
            exact[key] = value
    return {key: exact[key] for key in keys if key in exact}


def found(value: Any) -> str:
    """What `value` is, for a message that says what was wanted instead."""
    return "a fraction" if isinstance(value, float) else rawjson.kind(value)


def is_system_text(text: str) -> bool:
    """Whether `text` can be a path or a variable of the environment: no NUL, nothing that has no bytes."""
    if text.isascii():
        return "\0" not in text
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return "\0" not in text
