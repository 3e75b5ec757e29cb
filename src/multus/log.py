"""One line a step, in upstream's format: ``<RFC 3339 local time> [<level>] <message>``.

The standard library's logging costs several milliseconds of import, which a process that lives for thirty can't
afford; this module needs nothing until a line is really written. Levels, as upstream: panic < error < verbose <
debug; a warning is an error-level line with the prefix ``warning: ``. Secrets and whole configurations are never
logged: callers pass the words they want, as ``key=value`` fields.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

LEVELS = ("panic", "error", "verbose", "debug")
_VERBOSE = LEVELS.index("verbose")

_level = 0
_sinks: list[Callable[[str], None]] = []


def configure(level: str, sinks: list[Callable[[str], None]]) -> None:
    """Write lines up to `level` (one of `LEVELS`, any case) to each of `sinks`; an unknown level changes nothing."""
    global _level
    _sinks[:] = sinks
    if level.lower() in LEVELS:
        _level = LEVELS.index(level.lower())
    elif level:
        to_stderr(f"multus logging: cannot set logging level to {level}\n")


def to_stderr(line: str) -> None:
    """The sink for ``logToStderr``; a closed or full stderr never fails a call."""
    import os

    try:
        os.write(2, line.encode("utf-8", "backslashreplace"))
    except OSError:
        pass


def enabled(level: str) -> bool:
    """Whether a line of `level` would be written anywhere."""
    return bool(_sinks) and LEVELS.index(level) <= _level


def error(message: str, **fields: object) -> None:
    """Something failed."""
    _write("error", message, fields)


def warning(message: str, **fields: object) -> None:
    """Something is wrong but the call goes on."""
    _write("error", "warning: " + message, fields)


def verbose(message: str, **fields: object) -> None:
    """One line a step."""
    if _level >= _VERBOSE and _sinks:
        _write("verbose", message, fields)


def debug(message: str, **fields: object) -> None:
    """What a developer wants to see."""
    _write("debug", message, fields)


def _write(level: str, message: str, fields: dict[str, object]) -> None:
    if not enabled(level):
        return
    line = f"{_timestamp()} [{level}] {_one_line(message)}{_rendered(fields)}\n"
    for sink in _sinks:
        sink(line)


def _rendered(fields: dict[str, object]) -> str:
    return "".join(f" {key}={_one_line(str(value))}" for key, value in fields.items() if value not in ("", None))


def _one_line(text: str) -> str:
    return text.replace("\n", "\\n").replace("\r", "\\r")


def _timestamp() -> str:
    import time

    zone = time.strftime("%z")
    return time.strftime("%Y-%m-%dT%H:%M:%S") + f"{zone[:3]}:{zone[3:]}"
