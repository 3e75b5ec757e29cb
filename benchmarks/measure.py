"""Runs one process and takes its wall and CPU time."""

from __future__ import annotations

import os
import statistics
import sys
import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


class Kind(NamedTuple):
    """A kind of call: the verb, where the pod comes from, how many networks beside the default one."""

    verb: str
    source: str
    networks: int


class Command(NamedTuple):
    """A process to run; its standard input is the file `stdin`, what it prints goes to the file `output`."""

    arguments: tuple[str, ...]
    environ: Mapping[str, str]
    stdin: Path
    output: Path


class Sample(NamedTuple):
    """One process' times, in milliseconds."""

    wall: float
    cpu: float


def call(command: Command) -> Sample:
    """Run it to its end. Exits with what it printed when it fails: a failure's time is nobody's interest."""
    files = [
        (os.POSIX_SPAWN_OPEN, 0, str(command.stdin), os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(command.output), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    started = time.perf_counter()
    pid = os.posix_spawn(command.arguments[0], command.arguments, command.environ, file_actions=files)
    _, status, usage = os.wait4(pid, 0)
    wall = time.perf_counter() - started
    if status != 0:
        verb = command.environ.get("CNI_COMMAND", "")
        sys.exit(f"bench: {command.arguments[0]} {verb} failed: {command.output.read_text(errors='replace')}")
    return Sample(wall * 1000, (usage.ru_utime + usage.ru_stime) * 1000)


def median(samples: Sequence[Sample]) -> Sample:
    """The medians of both times."""
    return Sample(statistics.median(s.wall for s in samples), statistics.median(s.cpu for s in samples))


def progress(text: str) -> None:
    """One line on a terminal that is overwritten; nothing elsewhere."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{text:<40}" if text else f"\r{'':<40}\r")
        sys.stderr.flush()
