"""The one place of the demo that starts programs."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any, NamedTuple

from multus import errors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Seconds; nothing the demo starts takes more than a few.
TIMEOUT = 60


class Done(NamedTuple):
    """How a program ended."""

    status: int
    stdout: str
    stderr: str


def run(command: Sequence[str], stdin: str = "", environ: Mapping[str, str] | None = None) -> Done:
    """Run a program to its end, in a session of its own: Ctrl-C is for the demo, which then undoes what was begun.

    Raises errors.IoFailure when it can't be started or does not end."""
    try:
        ended = subprocess.run(
            command,
            input=stdin,
            env=None if environ is None else {"PATH": _path(), **environ},
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            start_new_session=True,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise errors.IoFailure(f"{' '.join(command)}: did not end within {TIMEOUT} s") from error
    except OSError as error:
        raise errors.IoFailure(f"{command[0]}: {error.strerror}") from error
    return Done(ended.returncode, ended.stdout, ended.stderr)


def ip(*arguments: str) -> str:
    """`ip` with these arguments; what it printed. Raises errors.IoFailure with what it complained about."""
    done = run(["ip", *arguments])
    if done.status:
        raise errors.IoFailure(f"ip {' '.join(arguments)}: {' '.join(done.stderr.split())}")
    return done.stdout


def ip_json(netns: str, *arguments: str) -> list[dict[str, Any]]:
    """`ip -json` inside a network namespace."""
    found: list[dict[str, Any]] = json.loads(ip("-n", netns, "-json", *arguments) or "[]")
    return found


def inside(netns: str, command: Sequence[str], stdin: str = "", environ: Mapping[str, str] | None = None) -> Done:
    """`run` inside a network namespace."""
    return run(["ip", "netns", "exec", netns, *command], stdin, environ)


def _path() -> str:
    return os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
