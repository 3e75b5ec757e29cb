"""The first netlink socket of a call."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from multus import errors
from multus.daemon.hands import EarlyNetlink

if TYPE_CHECKING:
    from multus.daemon.hands import Hands

NETNS, OTHER, HOST = "/run/netns/a", "/run/netns/b", "/run/netns/host"


class Opening:
    """Hands that only open sockets."""

    def __init__(self, known: str = "") -> None:
        self.opened: list[Socket] = []
        self._known = known

    def vouches(self, netns: str) -> bool:
        return netns == self._known

    def open(self, netns: str) -> Socket:
        if netns == HOST:
            raise errors.SameNamespace("the host's own")
        self.opened.append(Socket(netns))
        return self.opened[-1]


class Socket:
    """Whether it is open."""

    def __init__(self, netns: str) -> None:
        self.netns = netns
        self.is_open = True

    def close(self) -> None:
        self.is_open = False


def early(hands: Opening) -> EarlyNetlink:
    return EarlyNetlink(cast("Hands", hands))


def test_the_first_socket_is_the_one_that_looked() -> None:
    """It is given once; the next one is opened."""
    hands = Opening()
    made = early(hands)
    made.look(NETNS)
    first, second = cast("Socket", made.open(NETNS)), cast("Socket", made.open(NETNS))
    assert hands.opened == [first, second]
    made.close()
    assert first.is_open
    assert second.is_open


def test_hands_that_have_looked_already() -> None:
    """Nothing is opened until it is asked for."""
    hands = Opening(known=NETNS)
    made = early(hands)
    made.look(NETNS)
    assert hands.opened == []
    made.close()
    assert cast("Socket", made.open(NETNS)).is_open
    with pytest.raises(errors.SameNamespace):
        made.look(HOST)


def test_a_socket_that_nobody_wants_is_closed() -> None:
    """It would pin the namespace."""
    hands = Opening()
    made = early(hands)
    made.look(NETNS)
    made.close()
    made.close()
    assert [one.is_open for one in hands.opened] == [False]


def test_another_namespace_is_opened() -> None:
    """And the socket that looked is closed."""
    hands = Opening()
    made = early(hands)
    made.look(NETNS)
    assert cast("Socket", made.open(OTHER)).netns == OTHER
    assert [(one.netns, one.is_open) for one in hands.opened] == [(NETNS, False), (OTHER, True)]


def test_a_look_at_the_hosts_namespace_is_refused() -> None:
    """By the hands."""
    with pytest.raises(errors.SameNamespace):
        early(Opening()).look(HOST)
