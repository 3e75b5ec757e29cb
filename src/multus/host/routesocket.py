"""Links and default routes of a sandbox, over a route netlink socket that was opened inside it.

A netlink socket belongs to the namespace it was opened in, as long as it lives: `multus.host.netlink` opens one here,
the node daemon is handed one by its shim.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from multus import errors
from multus.host import rtnetlink

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

    from multus.host.rtnetlink import Message
    from multus.networks.routes import KernelRoute, Link

#: The kernel answers at once, or something is very wrong (seconds).
PATIENCE = 5.0

#: A dump that changed while it was read is read again, this often.
DUMPS = 10

#: The kernel fills at most half of this per datagram of a dump. Twice as much would come from the kernel each time.
_BUFFER = 1 << 16

#: socket(7) and netlink(7): not in the `socket` module.
_SOL_NETLINK, _NETLINK_EXT_ACK = 270, 11

#: The kernel's answers to a gateway that no address of the interface reaches.
_NOT_ON_LINK = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EINVAL)


class RouteSocket:
    """`ports.SandboxNet` over a route netlink socket, which is closed with it."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._sequence = 0
        sock.settimeout(PATIENCE)
        try:
            sock.setsockopt(_SOL_NETLINK, _NETLINK_EXT_ACK, 1)
        except OSError:
            pass  # an old kernel: its errors are just numbers

    def links(self) -> Sequence[Link]:
        """As `ports.SandboxNet.links`."""
        found = self._dump(rtnetlink.get_links, rtnetlink.RTM_NEWLINK)
        return [rtnetlink.link(message.payload) for message in found]

    def default_routes(self) -> Sequence[KernelRoute]:
        """As `ports.SandboxNet.default_routes`."""
        return [route for family in rtnetlink.FAMILIES for route in self._default_routes(family)]

    def add_default(self, family: str, gateway: str, ifindex: int) -> None:
        """As `ports.SandboxNet.add_default`."""
        what = f"default route by {gateway}"
        try:
            self._command(lambda number: rtnetlink.new_default(family, gateway, ifindex, False, number))
        except OSError as error:
            if error.errno not in _NOT_ON_LINK:
                raise _refused(what, error) from error
        else:
            return
        try:
            self._command(lambda number: rtnetlink.new_default(family, gateway, ifindex, True, number))
        except OSError as error:
            raise _refused(what, error) from error

    def delete_route(self, route: KernelRoute) -> None:
        """As `ports.SandboxNet.delete_route`."""
        try:
            self._command(lambda number: rtnetlink.delete_default(route, number))
        except OSError as error:
            if error.errno != errno.ESRCH:
                raise _refused(f"deleting the default route by {route.gateway or 'no gateway'}", error) from error

    def close(self) -> None:
        """As `ports.SandboxNet.close`."""
        self._socket.close()

    def _default_routes(self, family: str) -> list[KernelRoute]:
        found = self._dump(lambda number: rtnetlink.get_routes(family, number), rtnetlink.RTM_NEWROUTE)
        routes = [route for message in found for route in rtnetlink.default_routes(message.payload)]
        # A kernel without IPv6 answers the dump of one family with those of all.
        return [route for route in routes if route.family == family]

    def _dump(self, request: Callable[[int], bytes], kind: int) -> list[Message]:
        try:
            for _ in range(DUMPS):
                found = self._exchange(request)
                if not any(message.flags & rtnetlink.NLM_F_DUMP_INTR for message in found):
                    break
        except OSError as error:
            raise _refused("reading links or routes", error) from error
        return [message for message in found if message.kind == kind]

    def _command(self, request: Callable[[int], bytes]) -> None:
        self._exchange(request)

    def _exchange(self, request: Callable[[int], bytes]) -> list[Message]:
        """Send, and collect the replies up to the last. Raises OSError, also for the kernel's own error."""
        self._sequence += 1
        self._socket.send(request(self._sequence))
        replies: list[Message] = []
        while True:
            for message in rtnetlink.messages(self._socket.recv(_BUFFER)):
                if message.sequence != self._sequence:
                    continue
                if message.kind == rtnetlink.NLMSG_ERROR:
                    number, told = rtnetlink.error_of(message)
                    if number:
                        raise OSError(number, told or os.strerror(number))
                    return replies
                if message.kind == rtnetlink.NLMSG_DONE:
                    return [*replies, message]
                replies.append(message)


def _refused(what: str, error: OSError) -> errors.IoFailure:
    return errors.IoFailure(f"{what}: {error.strerror or error}")
