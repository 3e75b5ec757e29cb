"""Finds and removes everything that any run of the demo has made on this machine."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
from typing import TYPE_CHECKING

from multus import errors
from multus.ctl.demo import machine, topology

if TYPE_CHECKING:
    from collections.abc import Iterator


def namespaces() -> list[str]:
    """The demo's network namespaces on this machine."""
    try:
        names = os.listdir(topology.NETNS_DIR)
    except FileNotFoundError:
        return []
    return sorted(name for name in names if name.startswith(topology.PREFIX))


def leftovers() -> list[str]:
    """What there is of the demo on this machine: namespaces, and the directory of its files."""
    return namespaces() + ([str(topology.STATE)] if topology.STATE.exists() else [])


def remove() -> list[str]:
    """Remove it all; what was removed. With its namespaces go all bridges, links and addresses of the demo.

    Raises errors.IoFailure."""
    found = leftovers()
    for name in namespaces():
        machine.ip("netns", "delete", name)
    try:
        shutil.rmtree(topology.STATE)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise errors.IoFailure(f"{error.filename}: {error.strerror}") from error
    return found


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Hold the machine's only demo. Raises errors.Unavailable when another one runs.

    The lock is a name in the kernel's abstract socket namespace: it goes with the process and leaves no file."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as lock:
        try:
            lock.bind("\0multus-demo")
        except OSError as error:
            raise errors.Unavailable("another multusctl demo is running on this machine") from error
        yield
