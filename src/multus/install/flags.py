"""Command lines as upstream's tools have them: `--name=value`, `--name value`, `--name` for true, and letters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multus import errors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Value = str | bool

_WORDS = {"1": True, "t": True, "true": True, "0": False, "f": False, "false": False}


class HelpWanted(Exception):
    """`-h` or `--help` was given."""


def parse(
    arguments: Sequence[str], defaults: Mapping[str, Value], letters: Mapping[str, str] | None = None
) -> dict[str, Value]:
    """The values by name; a flag whose default is a boolean is one. `letters`: letter -> name.

    Raises errors.InvalidConfig for what is no flag or no value, HelpWanted."""
    values = dict(defaults)
    left = list(arguments)
    while left:
        name, equals, given = _name(left.pop(0), letters or {})
        if name not in defaults:
            raise errors.InvalidConfig(f"unknown flag: --{name}")
        if isinstance(defaults[name], bool):
            values[name] = _boolean(name, given) if equals else True
        elif equals or left:
            values[name] = given if equals else left.pop(0)
        else:
            raise errors.InvalidConfig(f"flag needs an argument: --{name}")
    return values


def usage(program: str, defaults: Mapping[str, Value]) -> str:
    """What `--help` prints."""
    lines = (f"  --{name} (default {_shown(value)})\n" for name, value in defaults.items())
    return f"Usage of {program}:\n" + "".join(lines)


def text(values: Mapping[str, Value], name: str) -> str:
    """The value of a flag that is no boolean."""
    return str(values[name])


def _name(argument: str, letters: Mapping[str, str]) -> tuple[str, str, str]:
    flag, equals, given = argument.partition("=")
    if flag in ("-h", "--help"):
        raise HelpWanted
    if flag.startswith("--") and len(flag) > 2:
        return flag[2:], equals, given
    if len(flag) > 1 and flag[0] == "-" and flag[1] in letters:
        rest = flag[2:] + equals + given
        return letters[flag[1]], "=" if rest else "", rest.removeprefix("=")
    raise errors.InvalidConfig(f"unexpected argument: {argument[:80]!r}")


def _shown(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else f'"{value}"'


def _boolean(name: str, given: str) -> bool:
    try:
        return _WORDS[given.lower()]
    except KeyError:
        raise errors.InvalidConfig(f"--{name} must be true or false, not {given[:80]!r}") from None
