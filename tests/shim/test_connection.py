"""The daemon's end against a shim that is played by the test."""

from __future__ import annotations

import os
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from multus import errors
from multus.cni.invoke import PluginCall
from multus.execproto import channel, frames, greeting, inflight

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from multus.execproto.connection import Connection

HELLO = frames.Hello((1, 1), frames.CALL, 0.0, "1", "/a:/b", {"CNI_COMMAND": "ADD", "CNI_NETNS": "/run/netns/x"}, b"{}")
PATIENCE = 30.0


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The daemon's and the shim's."""
    ours, theirs = socket.socketpair()
    yield ours, theirs
    ours.close()
    theirs.close()


def greet(sock: socket.socket, **options: Any) -> Connection:
    return greeting.greet(sock, time.monotonic() + PATIENCE, owner=os.getuid(), **options)


@pytest.fixture
def greeted(ends: tuple[socket.socket, socket.socket]) -> Iterator[tuple[Connection, socket.socket]]:
    """A connection, and the shim's end."""
    ours, theirs = ends
    theirs.sendall(frames.hello(HELLO))
    with greet(ours) as connection:
        yield connection, theirs


def order_of(theirs: socket.socket) -> frames.Frame:
    """The next order."""
    theirs.settimeout(PATIENCE)
    decoder = frames.of_daemon()
    while True:
        for frame in decoder.feed(theirs.recv(1 << 16)):
            return frame


def plugin_call(seconds: float = 20.0, plugin: str = "bridge", **environ: str) -> PluginCall:
    return PluginCall(plugin, environ, b"", time.monotonic() + seconds)


def reply(theirs: socket.socket, make: Callable[[int], bytes]) -> threading.Thread:
    """Answers one order, in a thread."""
    thread = threading.Thread(target=lambda: theirs.sendall(make(order_of(theirs).request)))
    thread.start()
    return thread


def test_greeting_needs_hello_first(ends: tuple[socket.socket, socket.socket]) -> None:
    """Any other frame is none of ours."""
    ends[1].sendall(frames.encode(frames.ABANDONED))
    with pytest.raises(frames.BrokenProtocol):
        greet(ends[0])
    assert ends[0].fileno() == -1


def test_a_hello_that_is_none_is_told_before_closing(ends: tuple[socket.socket, socket.socket]) -> None:
    """Or the shim would ask again until its wait is over."""
    ends[1].sendall(frames.encode(frames.HELLO, 0, b"HTTP"))
    with pytest.raises(frames.BrokenProtocol):
        greet(ends[0])
    assert b"not a shim" in frames.read_answer(order_of(ends[1]).payload).stdout


def test_greeting_a_silent_peer_ends_in_time(ends: tuple[socket.socket, socket.socket]) -> None:
    """It costs a thread and a timeout."""
    with pytest.raises(channel.Disconnected):
        greeting.greet(ends[0], time.monotonic() + 0.01, owner=os.getuid())


def test_greeting_a_peer_that_has_gone(ends: tuple[socket.socket, socket.socket]) -> None:
    """Its runtime gave up while it waited in the backlog: nothing is begun."""
    ends[1].sendall(frames.hello(HELLO))
    ends[1].close()
    with pytest.raises(channel.Disconnected):
        greet(ends[0])


def test_greeting_somebody_elses_process(ends: tuple[socket.socket, socket.socket]) -> None:
    """The kernel says who it is."""
    with pytest.raises(errors.Denied):
        greeting.greet(ends[0], time.monotonic() + PATIENCE, owner=os.getuid() + 1)


def test_no_common_version_is_told_before_closing(ends: tuple[socket.socket, socket.socket]) -> None:
    """An error object as ANSWER."""
    ends[1].sendall(frames.hello(HELLO))
    with pytest.raises(frames.BrokenProtocol):
        greet(ends[0], versions=(5,))
    answer = frames.read_answer(order_of(ends[1]).payload)
    assert answer.status == 1
    assert b'"code": 11' in answer.stdout


def test_elapsed_counts_from_the_shims_start(greeted: tuple[Connection, socket.socket]) -> None:
    """A clock that can't be ours counts nothing."""
    connection, _ = greeted
    connection.hello = HELLO._replace(started=time.monotonic() - 5)
    assert 5 <= connection.elapsed < 5 + PATIENCE
    connection.hello = HELLO._replace(started=time.monotonic() + 1000)
    assert connection.elapsed == 0


def test_a_plugin_without_time_is_not_started(greeted: tuple[Connection, socket.socket]) -> None:
    """The order is never sent."""
    connection, theirs = greeted
    with pytest.raises(errors.PluginTimeout):
        connection.run(plugin_call(-1))
    theirs.setblocking(False)
    with pytest.raises(BlockingIOError):
        theirs.recv(1)


def test_a_variable_with_a_nul_is_not_sent(greeted: tuple[Connection, socket.socket]) -> None:
    """No kernel could pass it on; the call ends, not the connection."""
    with pytest.raises(errors.PluginUnusable):
        greeted[0].run(plugin_call(CNI_ARGS="a\0b"))
    assert not greeted[0].gone


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        (frames.NOT_FOUND, errors.PluginNotFound),
        (frames.UNUSABLE, errors.PluginUnusable),
        (frames.ITSELF, errors.SelfDelegation),
        (frames.REFUSED, errors.InvalidConfig),
        (frames.BUSY, errors.TryAgainLater),
        (frames.LOCKED, errors.TryAgainLater),
        (77, errors.InvalidConfig),
    ],
)
def test_a_refusal_has_its_error(greeted: tuple[Connection, socket.socket], reason: int, kind: type[Exception]) -> None:
    """Each reason one of our own tree."""
    connection, theirs = greeted
    thread = reply(theirs, lambda request: frames.pair(frames.FAILED, request, reason, 2))
    with pytest.raises(kind):
        connection.run(plugin_call())
    thread.join()


@pytest.mark.parametrize(
    "make",
    [
        lambda request: frames.pair(frames.PRESENT, request, 0),
        lambda request: frames.encode(frames.NETLINK, request),
        lambda request: frames.HEADER.pack(9, frames.EXITED, 0, request) + b"x" * 9,
        lambda request: b"\xff" * 64,
    ],
)
def test_a_reply_that_is_none_ends_the_connection(
    greeted: tuple[Connection, socket.socket], make: Callable[[int], bytes]
) -> None:
    """A shim that is not one."""
    connection, theirs = greeted
    thread = reply(theirs, make)
    with pytest.raises(frames.BrokenProtocol):
        connection.run(plugin_call())
    thread.join()


def test_a_shim_that_vanishes_is_disconnected(greeted: tuple[Connection, socket.socket]) -> None:
    """Without ABANDONED nothing is known of its delegates."""
    connection, theirs = greeted
    theirs.close()
    with pytest.raises(channel.Disconnected):
        connection.run(plugin_call())
    assert connection.gone


def test_what_was_said_before_the_end_counts(greeted: tuple[Connection, socket.socket]) -> None:
    """ABANDONED is read although the order can't be sent any more."""
    connection, theirs = greeted
    theirs.sendall(frames.encode(frames.ABANDONED))
    theirs.close()
    with pytest.raises(channel.Abandoned):
        connection.run(plugin_call())


def test_every_waiting_thread_hears_of_the_end(greeted: tuple[Connection, socket.socket]) -> None:
    """Whichever of them was reading."""
    connection, theirs = greeted
    raised: list[type[Exception]] = []

    def work() -> None:
        with pytest.raises(errors.CniError) as found:
            connection.run(plugin_call())
        raised.append(found.type)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    theirs.settimeout(PATIENCE)
    decoder, seen = frames.of_daemon(), 0
    while seen < 8:
        seen += len(list(decoder.feed(theirs.recv(1 << 16))))
    theirs.sendall(frames.encode(frames.ABANDONED))
    for thread in threads:
        thread.join(PATIENCE)
    assert raised == [channel.Abandoned] * 8


def test_replies_in_any_order_find_their_threads(greeted: tuple[Connection, socket.socket]) -> None:
    """The one that reads hands on what is not its own."""
    connection, theirs = greeted
    found: dict[str, int] = {}

    def work(name: str) -> None:
        found[name] = connection.run(plugin_call(plugin=name)).status

    threads = [threading.Thread(target=work, args=(f"plugin{number}",)) for number in range(10)]
    for thread in threads:
        thread.start()
    theirs.settimeout(PATIENCE)
    decoder = frames.of_daemon()
    orders: list[frames.Frame] = []
    while len(orders) < 10:
        orders += list(decoder.feed(theirs.recv(1 << 16)))
    for frame in sorted(orders, key=lambda frame: -frame.request):
        number = int(frames.read_exec(frame.payload).plugin.removeprefix("plugin"))
        theirs.sendall(frames.exited(frame.request, frames.Exited(0, number, b"", b"")))
    for thread in threads:
        thread.join(PATIENCE)
    assert found == {f"plugin{number}": number for number in range(10)}


def test_closing_wakes_whoever_waits(greeted: tuple[Connection, socket.socket]) -> None:
    """And never pulls the descriptor from under its poll."""
    connection, theirs = greeted
    raised: list[type[Exception]] = []

    def work() -> None:
        with pytest.raises(errors.CniError) as found:
            connection.run(plugin_call())
        raised.append(found.type)

    thread = threading.Thread(target=work)
    thread.start()
    order_of(theirs)
    connection.close()
    thread.join(PATIENCE)
    assert raised == [channel.Disconnected]


def test_descriptors_that_nobody_took_are_closed(greeted: tuple[Connection, socket.socket]) -> None:
    """A reply to an order that was given up."""
    connection, theirs = greeted
    with open(os.devnull) as null:
        socket.send_fds(theirs, [frames.encode(frames.NETLINK, 4711)], [null.fileno()])
    before = len(os.listdir("/proc/self/fd"))
    theirs.sendall(frames.encode(frames.ABANDONED))
    assert connection.wait_end(time.monotonic() + PATIENCE)
    assert len(os.listdir("/proc/self/fd")) == before


def test_answering_a_shim_that_has_gone_is_no_error(greeted: tuple[Connection, socket.socket]) -> None:
    """It is only told."""
    connection, theirs = greeted
    theirs.close()
    assert connection.answer(b"", 0) is False


def test_wait_end_stops_at_its_deadline(greeted: tuple[Connection, socket.socket]) -> None:
    """A shim that tidies up for long."""
    assert greeted[0].wait_end(time.monotonic() + 0.01) is False
    assert not greeted[0].gone


def test_inflight_of_an_unknown_container_is_free(tmp_path: Path) -> None:
    """No file, no directory."""
    assert inflight.wait(str(tmp_path), "one", 0)
    inflight.forget(str(tmp_path), "one")


def test_inflight_never_leaves_its_directory(tmp_path: Path) -> None:
    """The id is validated before a path is made of it."""
    with pytest.raises(errors.InvalidEnvironment):
        inflight.wait(str(tmp_path), "../one", 0)


def test_inflight_follows_no_link(tmp_path: Path) -> None:
    """Nobody's file is locked or removed by way of ours."""
    (tmp_path / "inflight").mkdir()
    (tmp_path / "victim").touch()
    (tmp_path / "inflight/one").symlink_to(tmp_path / "victim")
    with pytest.raises(errors.IoFailure):
        inflight.wait(str(tmp_path), "one", 0)
    inflight.forget(str(tmp_path), "one")
    assert (tmp_path / "victim").exists()
