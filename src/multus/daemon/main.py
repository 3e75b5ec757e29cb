"""`multus-daemon`, the executable: its flags and its configuration."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from multus import errors, log, serving
from multus.daemon import settings

if TYPE_CHECKING:
    from collections.abc import Sequence

USAGE = "usage: multus-daemon [-config FILE] [-version]\n"


def main() -> None:
    """The executable's entry. Exit status as upstream: 1 configuration, 3 the server can't start."""
    path = _flags(sys.argv[1:])
    try:
        told, remarks = settings.load(path, os.environ.get("MULTUS_NODE_NAME", ""))
    except errors.CniError as error:
        _fail(1, error.message)
    serving.log_to(told.log_level, told.log_to_stderr, told.log_file, told.log_options)
    for remark in remarks:
        log.warning(f"{path}: {remark}")
    if os.geteuid() != 0:
        _fail(3, "failed to run multus-daemon with root: shims speak to nobody else")
    from multus.daemon.daemon import Daemon

    try:
        Daemon(told).run()
    except errors.CniError as error:
        _fail(3, error.message)


def _flags(given: Sequence[str]) -> str:
    """Go-style flags, as upstream's; the configuration's path."""
    left = list(given)
    path = settings.DEFAULT_PATH
    while left:
        flag, equals, value = left.pop(0).partition("=")
        if flag.lstrip("-") == "version" and flag.startswith("-"):
            from multus import __version__

            os.write(1, f"multus-daemon: version:{__version__}\n".encode())
            sys.exit(0)
        if flag not in ("-config", "--config") or not (equals or left):
            os.write(2, f"multus-daemon: unknown flag {flag}\n{USAGE}".encode())
            sys.exit(2)
        path = value if equals else left.pop(0)
    return path


def _fail(status: int, message: str) -> None:
    log.error(message)
    os.write(2, f"multus-daemon: {message}\n".encode("utf-8", "backslashreplace"))
    sys.exit(status)


if __name__ == "__main__":
    main()
