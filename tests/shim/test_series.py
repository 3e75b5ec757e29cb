"""THEN and NEXT: plugins that are ordered together and run one after another."""

from __future__ import annotations

import os
import select
import time
from typing import TYPE_CHECKING, Any

import pytest

from multus import errors
from multus.cni.invoke import Ended, PluginCall, PluginExit
from multus.execproto import frames, listener
from shim import harness
from shim.test_delegates import during

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from pathlib import Path

    from multus.execproto.connection import Connection
    from shim.harness import Host

pytestmark = pytest.mark.netns

#: Appends its name to a file, and fails when another one is at work.
ALONE = "mkdir {0}/busy || exit 9; echo {1} >> {0}/ran; sleep 0.05; rmdir {0}/busy; echo out-{1}"


def plugins(host: Host, *names: str) -> None:
    for name in names:
        host.plugin(name, ALONE.format(host.root, name))


def ran(host: Host) -> list[str]:
    path = host.root / "ran"
    return path.read_text().split() if path.exists() else []


def calls(connection: Connection, names: tuple[str, ...], seconds: float = 20.0) -> list[PluginCall]:
    variables = {"CNI_COMMAND": "ADD", "CNI_CONTAINERID": connection.hello.environ["CNI_CONTAINERID"]}
    made = [PluginCall(name, variables, b"", time.monotonic() + seconds) for name in names]
    for call in made:
        connection.prepare(call)
    return made


def series(
    host: Host, *names: str, go_on: bool = False, seconds: float = 20.0
) -> tuple[list[Ended], list[float | None]]:
    """How each ended, and how long each call's plugin was at work."""

    def work(connection: Connection) -> Any:
        several = calls(connection, names, seconds)
        return list(connection.series(several, go_on=go_on)), [call.worked for call in several]

    found: tuple[list[Ended], list[float | None]] = during(host, work)
    return found


def printed(*names: str) -> list[PluginExit]:
    return [PluginExit(0, f"out-{name}\n".encode(), b"") for name in names]


@pytest.mark.parametrize("go_on", [False, True])
def test_one_after_another(host: Host, go_on: bool) -> None:
    """In the order given, each when the one before has ended; with the time that each was at work."""
    plugins(host, "a", "b", "c")
    ends, worked = series(host, "a", "b", "c", go_on=go_on)
    assert ends == printed("a", "b", "c")
    assert ran(host) == ["a", "b", "c"]
    assert all(seconds is not None and 0.05 <= seconds < 10 for seconds in worked)


def test_a_failure_is_the_last(host: Host) -> None:
    """What would come behind it was never at work."""
    plugins(host, "a", "c")
    host.plugin("fail", "exit 3")
    ends, worked = series(host, "a", "fail", "c", "a")
    assert ends == [*printed("a"), PluginExit(3, b"", b"")]
    assert ran(host) == ["a"]
    assert [seconds is None for seconds in worked] == [False, False, True, True]


def test_a_plugin_that_is_not_there_is_the_last(host: Host) -> None:
    """A failure to start is one."""
    plugins(host, "a")
    ends, worked = series(host, "a", "absent", "a")
    assert ends[:1] == printed("a")
    assert [type(ended) for ended in ends[1:]] == [errors.PluginNotFound]
    assert ran(host) == ["a"]
    assert [seconds is None for seconds in worked] == [False, True, True]


def test_it_goes_on(host: Host) -> None:
    """Whatever failed, each is attempted."""
    plugins(host, "a", "c")
    host.plugin("die", "kill -SEGV $$")
    ends, worked = series(host, "absent", "a", "die", "c", go_on=True)
    assert isinstance(ends[0], errors.PluginNotFound)
    assert ends[1:] == [*printed("a"), PluginExit(-11, b"", b""), *printed("c")]
    assert [seconds is None for seconds in worked] == [True, False, False, False]


def test_no_time_is_left(host: Host) -> None:
    """One deadline for all: those behind a plugin that hangs are not begun."""
    plugins(host, "a")
    host.plugin("hang", "exec sleep 1000")
    ends, worked = series(host, "hang", "a", go_on=True, seconds=1.0)
    assert [type(ended) for ended in ends] == [errors.PluginTimeout, errors.PluginTimeout]
    assert "was not started" in str(ends[1])
    assert ran(host) == []
    assert [seconds is None for seconds in worked] == [False, True]


def test_much_output(host: Host) -> None:
    """It is not kept until the end, and blocks nobody."""
    host.plugin("much", f"exec head -c {frames.MAX_DATA} /dev/zero")
    ends, _ = series(host, *["much"] * 6)
    assert [len(ended.stdout) for ended in ends if isinstance(ended, PluginExit)] == [frames.MAX_DATA] * 6


def test_a_file_that_is_being_replaced(host: Host) -> None:
    """It is tried again, and the others go on behind it."""
    plugins(host, "a", "b", "c")
    writer = os.open(host.plugins / "b", os.O_WRONLY)

    def work(connection: Connection) -> Any:
        found: list[Ended] = []
        for ended in connection.series(calls(connection, ("a", "b", "c")), go_on=False):
            if not found:
                os.close(writer)
            found.append(ended)
        return found

    assert during(host, work) == printed("a", "b", "c")
    assert ran(host) == ["a", "b", "c"]


def order(number: int, request: int, plugin: str) -> bytes:
    content = frames.exec_content(plugin, {"CNI_COMMAND": "ADD"}, b"")
    return frames.encode(number, request, frames.within(20.0, content))


def read(accepted: socket.socket, decoder: frames.Decoder, count: int) -> list[frames.Frame]:
    """So many frames; [] behind the last when the shim closes."""
    accepted.settimeout(harness.PATIENCE)
    found: list[frames.Frame] = []
    while len(found) < count and (data := accepted.recv(1 << 16)):
        found += decoder.feed(data)
    return found


def test_replies_come_together(host: Host) -> None:
    """Each reply is a thread to wake, so there is one wake-up for all of them."""
    plugins(host, "a")
    host.plugin("wait", f"touch {host.root}/waits; until [ -e {host.root}/go ]; do sleep 0.02; done")
    with listener.listen(str(host.sockets)) as server:
        process = host.start("ADD")
        accepted, _ = server.accept()
        with accepted:
            decoder = frames.of_shim()
            read(accepted, decoder, 1)
            sent = frames.welcome(frames.Welcome(2, 0)) + order(frames.EXEC, 1, "a")
            accepted.sendall(sent + order(frames.THEN, 2, "wait") + order(frames.NEXT, 3, "a"))
            harness.wait_for((host.root / "waits").exists, "the second to run")
            assert select.select([accepted], [], [], 0.2)[0] == []
            (host.root / "go").touch()
            ends = read(accepted, decoder, 3)
            accepted.sendall(frames.answer(frames.Answer(0, b"done")))
            out, _ = process.communicate(timeout=harness.PATIENCE)
    assert [(frame.type, frame.request) for frame in ends] == [(frames.EXITED, number) for number in (1, 2, 3)]
    assert (process.returncode, out) == (0, b"done")


def test_the_daemon_goes_away(host: Host) -> None:
    """What runs may finish; what was to follow is not begun."""
    plugins(host, "a")
    host.plugin(
        "wait", f"touch {host.root}/waits; until [ -e {host.root}/go ]; do sleep 0.02; done; echo w >> {host.root}/ran"
    )
    with listener.listen(str(host.sockets)) as server:
        process = host.start("ADD")
        accepted, _ = server.accept()
        with accepted:
            accepted.sendall(frames.welcome(frames.Welcome(2, 0)) + order(frames.EXEC, 1, "wait"))
            accepted.sendall(order(frames.THEN, 2, "a") + order(frames.NEXT, 3, "a"))
            harness.wait_for((host.root / "waits").exists, "the first to run")
    (host.root / "go").touch()
    out, _ = process.communicate(timeout=harness.PATIENCE)
    assert process.returncode == 1
    assert b'"code": 11' in out
    assert ran(host) == ["w"]


def test_the_runtime_gives_up(host: Host) -> None:
    """Every plugin of the series is told to have been abandoned, and the rest is not begun."""
    plugins(host, "a")
    host.plugin("hang", f"touch {host.root}/hangs; exec sleep 1000")
    ends: list[Ended] = []

    def handler(connection: Connection) -> None:
        connection.welcome()
        ends.extend(connection.series(calls(connection, ("a", "hang", "a")), go_on=True))

    with harness.Daemon(host.sockets, handler):
        process = host.start("DEL")
        harness.wait_for((host.root / "hangs").exists, "the second to run")
        process.kill()
        process.communicate(timeout=harness.PATIENCE)
        harness.wait_for(lambda: ends, "the daemon to be told")
    assert [type(ended).__name__ for ended in ends] == ["Abandoned"] * 3
    assert ran(host) == ["a"]


@pytest.mark.parametrize("versions", [(1,), (1, 2)])
@pytest.mark.parametrize("newest", ["1", "2"])
def test_version_1(host: Host, built: Callable[..., Path], versions: tuple[int, ...], newest: str) -> None:
    """Where one end knows no series, plugins are ordered one by one."""
    host.shim = built("--define", "PROTOCOL_MIN=1", "--define", f"PROTOCOL_MAX={newest}")
    plugins(host, "a", "b")
    found: list[Ended] = []

    def handler(connection: Connection) -> None:
        connection.welcome()
        several = calls(connection, ("a", "b"))
        found.extend(connection.series(several, go_on=False))
        assert all(call.worked for call in several)
        connection.answer(b"done", 0)

    with harness.Daemon(host.sockets, handler, versions=versions) as daemon:
        assert host.call() == (0, "done")
    assert daemon.connections[0].version == min(versions[-1], int(newest))
    assert found == printed("a", "b")
    assert ran(host) == ["a", "b"]
