"""Hands on the host: who carries out what the daemon decides.

A runtime's call brings its own: the shim at the other end of its connection. The HTTP API brings none; its requests use
the agent's, or those of the daemon itself where it runs directly on the host.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from multus.host import routesocket

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from multus.cni.invoke import Ended, PluginCall, PluginExit
    from multus.execproto.connection import Connection
    from multus.ports import SandboxNet


class Hands(Protocol):
    """An executor (`ports.Executor`) and netlink (`ports.Netlink`) on one host."""

    def prepare(self, call: PluginCall) -> None:
        """As `ports.Executor.prepare`."""
        ...

    def run(self, call: PluginCall) -> PluginExit:
        """As `ports.Executor.run`; raises errors.TryAgainLater once the hands are gone."""
        ...

    def series(self, calls: Sequence[PluginCall], *, go_on: bool) -> Iterable[Ended]:
        """As `ports.Executor.series`."""
        ...

    def exists(self, path: str) -> bool:
        """As `ports.Executor.exists`."""
        ...

    def vouches(self, netns: str) -> bool:
        """Whether it is known already that `open` would succeed."""
        ...

    def open(self, netns: str) -> SandboxNet:
        """As `ports.Netlink.open`."""
        ...

    @property
    def gone(self) -> bool:
        """Whether they are known to be gone."""
        ...


class ShimHands:
    """The hands of a connected shim: a call's own, or the agent's."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def prepare(self, call: PluginCall) -> None:
        """As `Hands.prepare`."""
        self._connection.prepare(call)

    def run(self, call: PluginCall) -> PluginExit:
        """As `Hands.run`."""
        return self._connection.run(call)

    def series(self, calls: Sequence[PluginCall], *, go_on: bool) -> Iterable[Ended]:
        """As `Hands.series`."""
        return self._connection.series(calls, go_on=go_on)

    def exists(self, path: str) -> bool:
        """As `Hands.exists`."""
        return self._connection.exists(path)

    def vouches(self, netns: str) -> bool:
        """As `Hands.vouches`."""
        return self._connection.vouches(netns)

    def open(self, netns: str) -> SandboxNet:
        """As `Hands.open`."""
        return routesocket.RouteSocket(self._connection.open_netlink(netns))

    @property
    def gone(self) -> bool:
        """As `Hands.gone`."""
        return self._connection.gone


class LocalHands:
    """The daemon's own hands, where it runs directly on the host. `search`: the directories of plugins."""

    def __init__(self, search: list[str], own: list[str]) -> None:
        from multus.host import clock, executor, netlink

        self._executor = executor.LocalExecutor(search, executor.identities(own), clock.SystemClock())
        self._netlink = netlink.LocalNetlink()

    def prepare(self, call: PluginCall) -> None:
        """As `Hands.prepare`."""

    def run(self, call: PluginCall) -> PluginExit:
        """As `Hands.run`."""
        return self._executor.run(call)

    def series(self, calls: Sequence[PluginCall], *, go_on: bool) -> Iterable[Ended]:
        """As `Hands.series`."""
        return self._executor.series(calls, go_on=go_on)

    def exists(self, path: str) -> bool:
        """As `Hands.exists`."""
        return self._executor.exists(path)

    def vouches(self, netns: str) -> bool:
        """As `Hands.vouches`: to look costs nothing."""
        return False

    def open(self, netns: str) -> SandboxNet:
        """As `Hands.open`."""
        return self._netlink.open(netns)

    @property
    def gone(self) -> bool:
        """As `Hands.gone`: never."""
        return False


class EarlyNetlink:
    """A call's `ports.Netlink`. Whether its namespace is a sandbox's is seen by opening a socket there, where the hands
    have not said so; that socket is the first one that is asked for, if one is."""

    def __init__(self, hands: Hands) -> None:
        self._hands = hands
        self._early: SandboxNet | None = None
        self._netns = ""

    def look(self, netns: str) -> None:
        """Raises errors.IoFailure (no such namespace), errors.SameNamespace (it is the host's)."""
        if self._hands.vouches(netns):
            return
        self._early = self._hands.open(netns)
        self._netns = netns

    def open(self, netns: str) -> SandboxNet:
        """As `ports.Netlink.open`."""
        early, self._early = self._early, None
        if early is not None and netns == self._netns:
            return early
        if early is not None:
            early.close()
        return self._hands.open(netns)

    def close(self) -> None:
        """Nobody asked: it must not pin the namespace."""
        early, self._early = self._early, None
        if early is not None:
            early.close()
