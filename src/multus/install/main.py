"""`multus-install`: puts Multus on the node it runs on, keeps it there, takes it off."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

from multus import __version__, errors, log
from multus.install import (
    binaries,
    detaching,
    gates,
    kubeconfig,
    lastorders,
    reports,
    running,
    settings,
    uninstall,
)
from multus.install.keeper import Keeper

if TYPE_CHECKING:
    from collections.abc import Sequence


#: Where the executables go, as a container sees the host.
BIN_DIR = "/host/opt/cni/bin"


def main() -> None:
    """The executable's entry. Exit status: 1 it failed or was refused, 2 flags."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """The command line; its exit status."""
    told = _parser().parse_args(arguments)
    log.configure(told.log_level, [log.to_stderr])
    try:
        return int(told.command(told) or 0)
    except errors.CniError as error:
        os.write(2, f"multus-install: {error}\n".encode("utf-8", "backslashreplace"))
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="multus-install", description=__doc__)
    parser.add_argument("--version", action="version", version=f"multus-install: version:{__version__}")
    parser.add_argument("--log-level", default="verbose", choices=log.LEVELS)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    one = commands.add_parser("binaries", help="copy the executables to the node")
    one.add_argument("-t", "--type", choices=sorted(binaries.OF_TYPE), default="thick")
    one.add_argument("-d", "--dest-dir", default=BIN_DIR)
    one.add_argument("--source-dir", default=binaries.SOURCE)
    one.add_argument("--with-python", action="store_true", help="of type thin, for nodes that have no Python")
    one.set_defaults(command=_binaries)

    one = commands.add_parser("keep", help="generate the runtime's configuration and keep it, until SIGTERM")
    one.set_defaults(command=_keep)
    once = commands.add_parser("once", help="generate the runtime's configuration and end")
    once.add_argument("--wait", type=float, default=0.0, metavar="SECONDS", help="for a default network (default 0)")
    once.set_defaults(command=_once)
    off = commands.add_parser("uninstall", help="take Multus off the node; refused while pods have further networks")
    off.add_argument("--drain", type=float, default=0.0, metavar="SECONDS", help="wait for those pods to go")
    off.add_argument("--detach", action="store_true", help="detach those networks; the pods keep eth0")
    off.add_argument("--agent", metavar="SHIM", help="--detach: a multus-shim that runs the plugins meanwhile")
    off.add_argument("--force", action="store_true", help="whatever pods there are: their further networks may leak")
    off.add_argument("--dest-dir", default="", metavar="DIR", help="remove executables from here that nobody needs now")
    off.set_defaults(command=_uninstall)
    idle = commands.add_parser("wait", help="do nothing until SIGTERM: a DaemonSet's pod has to go on running")
    idle.set_defaults(command=_wait)
    for command in (one, once, off):
        command.add_argument("--config", default=settings.DEFAULT_PATH, help="daemon-config.json (%(default)s)")
    return parser


def _binaries(told: argparse.Namespace) -> None:
    if told.with_python:
        if told.type != "thin":
            raise errors.InvalidConfig("--with-python is for --type thin: multus-shim needs no Python")
        from multus.install import bundle

        _print(f"installed {bundle.install(told.source_dir, told.dest_dir)}")
        return
    for name in binaries.OF_TYPE[told.type]:
        binaries.install(os.path.join(told.source_dir, name), os.path.join(told.dest_dir, name))


def _keep(told: argparse.Namespace) -> None:
    loaded = settings.load(told.config)
    uninstall.revoke(loaded)
    running.Running(loaded, os.environ).run()


def _once(told: argparse.Namespace) -> None:
    loaded = settings.load(told.config)
    uninstall.revoke(loaded)
    if loaded.kubeconfig:
        kubeconfig.refresh(loaded.kubeconfig, os.environ, skip_tls_verify=loaded.skip_tls_verify)
    # Whoever calls this decides about the daemon himself.
    Keeper(loaded, reports.log_report, gates=gates.of(loaded, daemon_too=False)).once(told.wait)


def _uninstall(told: argparse.Namespace) -> None:
    loaded = settings.load(told.config)
    if told.detach:
        detaching.detach(loaded, told.agent)
    if not told.force:
        uninstall.wait(loaded.cni_dir, told.drain)
    for path in uninstall.uninstall(loaded):
        _print(f"removed {path}")
    left = lastorders.leave(loaded.cni_dir, thick=loaded.wanted.thick)
    _print(f"sandboxes that multus-shim still deletes for a runtime that remembers its configuration: {left}")
    if told.dest_dir:
        for path in lastorders.remove_executables(loaded.cni_dir, told.dest_dir):
            _print(f"removed {path}")


def _wait(_: argparse.Namespace) -> None:
    told_to_end = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told_to_end.set())
    told_to_end.wait()


def _print(line: str) -> None:
    os.write(1, f"{errors.one_line(line)}\n".encode("utf-8", "backslashreplace"))
