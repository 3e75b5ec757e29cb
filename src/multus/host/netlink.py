"""Opens route netlink sockets inside sandboxes of this machine."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from multus import errors
from multus.host import netns

if TYPE_CHECKING:
    import socket

    from multus.ports import SandboxNet


class LocalNetlink:
    """`ports.Netlink` for namespaces of this machine. Most calls open none: sockets are imported late."""

    def open(self, netns: str) -> SandboxNet:
        """As `ports.Netlink.open`."""
        from multus.host import routesocket

        return routesocket.RouteSocket(_opened_inside(netns))


def _opened_inside(path: str) -> socket.socket:
    """A socket of the namespace at `path`. A thread enters and ends there, so that no failure on the way back can leave
    this process in the wrong namespace."""
    if netns.same_namespace(path):
        raise errors.SameNamespace(f"network namespace {path} is the host's own")
    import errno
    import threading

    made: list[socket.socket | OSError] = []
    inside = threading.Thread(target=lambda: made.append(_enter_and_open(path)), name="netns")
    inside.start()
    inside.join()
    outcome = made[0] if made else OSError(errno.EAGAIN, "the thread ended")
    if isinstance(outcome, OSError):
        raise errors.IoFailure(f"network namespace {path} can't be entered: {outcome.strerror}") from outcome
    return outcome


def _enter_and_open(path: str) -> socket.socket | OSError:
    import socket

    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            netns.enter(descriptor)
            return socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        finally:
            os.close(descriptor)
    except OSError as error:
        return error
