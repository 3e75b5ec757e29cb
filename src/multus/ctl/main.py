"""The command line of `multusctl` (also `kubectl multus`).

Each command's module is imported when it is asked for: `multusctl --version` should not wait for tables and colours.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import signal
import sys
from typing import TYPE_CHECKING

from multus import __version__, errors

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Exit statuses: 0 everything proved, 1 something is not as it should be, `UNABLE` it could not even begin.
UNABLE = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command (`arguments` default to the process's); the exit status."""
    chosen = parser().parse_args(arguments)
    try:
        return int(chosen.run(chosen))
    except errors.CniError as error:
        print(f"multusctl: {error}", file=sys.stderr)
        return UNABLE
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:
        # Whoever read our output went away; nothing more can be said, not even by the interpreter at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 128 + signal.SIGPIPE


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(prog="multusctl", description="Look at Multus, and see it work.")
    top.add_argument("--version", action="version", version=f"multusctl {__version__}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    if importlib.util.find_spec("multus.ctl.demo") is not None:  # it is not in the image
        _add_demo(commands)
    _add_status(commands)
    return top


def _add_demo(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    demo = commands.add_parser(
        "demo",
        help="three pods in network namespaces of this machine, with the real plugins",
        description=(
            "Makes namespaces for three pods, runs the real multus with the real CNI plugins on them, proves with ping "
            "that every network carries traffic, runs CHECK, deletes, and shows that nothing is left. All of it "
            "happens in a private network namespace: the machine's own interfaces and firewall are not touched."
        ),
    )
    demo.add_argument("--output", choices=["text", "json"], default="text", help="text (default), or one JSON object")
    kept = demo.add_mutually_exclusive_group()
    kept.add_argument("--keep", action="store_true", help="leave the pods attached, to look around")
    kept.add_argument("--clean", action="store_true", help="only remove what an earlier run left or kept")
    demo.add_argument("--multus", metavar="FILE", default="", help="the plugin to run (default: the one beside me)")
    demo.add_argument("--plugins", metavar="DIR", default="", help="where the CNI plugins are (default: searched)")
    demo.set_defaults(run=_demo)


def _add_status(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    status = commands.add_parser(
        "status",
        help="this node: the configuration in force, the default network and why, the daemon, what is on record",
        description="Tells from the node's files what Multus is doing here. Exit status 1 when something is wrong.",
    )
    status.add_argument(
        "--config", metavar="FILE", default="", help="daemon-config.json (default: where it usually is)"
    )
    status.add_argument("--output", choices=["text", "json"], default="text", help="text (default), or one JSON object")
    status.set_defaults(run=_status)


def _status(chosen: argparse.Namespace) -> int:
    from multus.ctl import status

    return status.run(chosen.config, chosen.output)


def _demo(chosen: argparse.Namespace) -> int:
    from multus.ctl.demo import command

    return command.run(command.Options(chosen.output, chosen.keep, chosen.clean, chosen.multus, chosen.plugins))


if __name__ == "__main__":
    sys.exit(main())
