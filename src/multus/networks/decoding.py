"""Values of configuration keys: each decoder is given the key (for the message) and a value that is not null.

Raises `BadValue` naming the key. Numbers and booleans in quotes are taken where their meaning is plain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from multus import errors
from multus.networks import keys

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from multus.cni.rawjson import Json

    Table = Mapping[str, tuple[str, Callable[[str, Any], Any]]]


class BadValue(errors.InvalidConfig):
    """A value that its key can't have."""


def fields(raw: Json, table: Table, what: str) -> dict[str, Any]:
    """The fields that `raw` sets, by `table` (key -> field, decoder); a decoder that returns None leaves the default.
    Raises errors.InvalidConfig naming `what` and the key."""
    found: dict[str, Any] = {}
    for key, value in keys.known(raw, table).items():
        field, decode = table[key]
        try:
            decoded = decode(key, value)
        except BadValue as error:
            raise error.within(what) from error
        if decoded is not None:
            found[field] = decoded
    return found


def wrong(key: str, wanted: str, value: object) -> BadValue:
    """The error of a value of the wrong type."""
    return BadValue(f"{key} must be {wanted}, not {keys.found(value)}")


def string(key: str, value: Any) -> str:
    """Text."""
    if not isinstance(value, str):
        raise wrong(key, "a string", value)
    return value


def path(key: str, value: Any) -> str | None:
    """An empty one leaves the default."""
    if not keys.is_system_text(string(key, value)):
        raise BadValue(f"{key} contains characters that no path can have")
    return value or None


def boolean(key: str, value: Any) -> bool:
    """True or false, also in quotes."""
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if not isinstance(value, bool):
        raise wrong(key, "true or false", value)
    return value


def whole(key: str, value: Any) -> int:
    """A whole number that is not negative, also in quotes."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        return int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise wrong(key, "a whole number", value)
    if not 0 <= value < 1 << 31:
        raise BadValue(f"{key} is out of range")
    return int(value)


_UNITS = {"ns": 1e-9, "us": 1e-6, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def duration(key: str, value: Any) -> float:
    """Seconds, as a number or in Go's notation (``1m30s``)."""
    seconds = _seconds(key, value)
    if not 0 < seconds <= 86400:
        raise BadValue(f"{key} must be more than nothing and at most a day")
    return seconds


def certificate_life(key: str, value: Any) -> float:
    """As `duration`, from ten minutes, the least that an API server signs for, to a year."""
    seconds = _seconds(key, value)
    if not 600 <= seconds <= 365 * 86400:
        raise BadValue(f"{key} must be ten minutes at least and at most 365 days")
    return seconds


def _seconds(key: str, value: Any) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        seconds = float(value)
    elif isinstance(value, str):
        seconds = _go_duration(key, value)
    else:
        raise wrong(key, "a duration (seconds, or text like 1m30s)", value)
    return seconds


def _go_duration(key: str, text: str) -> float:
    import re

    if not re.fullmatch(r"(\d{1,9}(\.\d{1,9})?(ns|us|ms|s|m|h))+|\d{1,9}(\.\d{1,9})?", text, re.ASCII):
        raise BadValue(f"{key} is not a duration; write seconds, or text like 1m30s")
    if text[-1].isdigit():
        return float(text)
    parts = re.findall(r"([\d.]+)(ns|us|ms|s|m|h)", text)
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def strings(key: str, value: Any) -> tuple[str, ...]:
    """A list of strings, or one comma separated string; blanks around them and empty ones don't count."""
    members = value.split(",") if isinstance(value, str) else value
    if not isinstance(members, list):
        raise wrong(key, "a list of strings", value)
    for member in members:
        if not isinstance(member, str):
            raise wrong(f"each member of {key}", "a string", member)
    return tuple(part for part in (member.strip() for member in members) if part)


def some_strings(key: str, value: Any) -> tuple[str, ...] | None:
    """As `strings`; an empty list leaves the default."""
    return strings(key, value) or None


def mapping(key: str, value: Any) -> Json:
    """An object."""
    if not isinstance(value, dict):
        raise wrong(key, "an object", value)
    return value


def one_of(*allowed: str) -> Callable[[str, Any], str]:
    """A decoder of text that must be one of `allowed`."""

    def decode(key: str, value: Any) -> str:
        if string(key, value) not in allowed:
            raise BadValue(f"{key} must be one of {', '.join(allowed)}")
        return str(value)

    return decode
