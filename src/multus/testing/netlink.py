"""Network namespaces in memory: `multus.ports.Netlink` for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multus import errors
from multus.testing import namespaces
from multus.testing.failing import Failing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from multus.networks.routes import KernelRoute, Link
    from multus.testing.namespaces import FakeNamespace


class FakeNetlink(Failing):
    """`namespaces` by path. ``open``, ``links``, ``default_routes``, ``add_default`` and ``delete_route`` can be told
    to fail; `open_sockets` counts what was not closed yet, and paths in `host` are the caller's own namespace."""

    def __init__(self) -> None:
        super().__init__()
        self.namespaces: dict[str, FakeNamespace] = {}
        self.host: set[str] = set()
        self.open_sockets = 0

    def open(self, netns: str) -> FakeSandboxNet:
        """As `ports.Netlink.open`."""
        self._called("open", netns)
        if netns in self.host:
            raise errors.SameNamespace(f"{netns} is the network namespace of the host")
        if netns not in self.namespaces:
            raise errors.IoFailure(f"network namespace {netns}: No such file or directory")
        self.open_sockets += 1
        return FakeSandboxNet(self, self.namespaces[netns])

    def called(self, call: str, *about: str) -> None:
        """One call of a socket."""
        self._called(call, *about)


class FakeSandboxNet:
    """As `ports.SandboxNet`."""

    def __init__(self, netlink: FakeNetlink, namespace: FakeNamespace) -> None:
        self._netlink = netlink
        self._namespace = namespace
        self._open = True

    def links(self) -> Sequence[Link]:
        """As `ports.SandboxNet.links`."""
        self._call("links")
        return tuple(self._namespace.links)

    def default_routes(self) -> Sequence[KernelRoute]:
        """As `ports.SandboxNet.default_routes`."""
        self._call("default_routes")
        return tuple(self._namespace.defaults())

    def add_default(self, family: str, gateway: str, ifindex: int) -> None:
        """As `ports.SandboxNet.add_default`."""
        self._call("add_default", family, gateway, str(ifindex))
        metric = namespaces.kernel_metric(family, 0)
        for route in self._namespace.defaults():
            if (route.family, route.metric) == (family, metric):
                self._namespace.routes.remove(route)
        self._namespace.add_default(family, gateway, ifindex)

    def delete_route(self, route: KernelRoute) -> None:
        """As `ports.SandboxNet.delete_route`."""
        self._call("delete_route", route.family, route.gateway, str(route.oif))
        if route in self._namespace.routes:
            self._namespace.routes.remove(route)

    def close(self) -> None:
        """As `ports.SandboxNet.close`."""
        self._netlink.open_sockets -= self._open
        self._open = False

    def _call(self, call: str, *about: str) -> None:
        if not self._open:
            raise errors.IoFailure("the netlink socket is closed: Bad file descriptor")
        self._netlink.called(call, *about)
