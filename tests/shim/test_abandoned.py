"""The runtime kills the pid it started: everything is gone before the daemon may let go of the sandbox."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from multus import errors
from multus.execproto import channel, inflight
from shim import harness

if TYPE_CHECKING:
    from multus.execproto.connection import Connection
    from shim.harness import Host

pytestmark = pytest.mark.netns

#: Each starts a process that would sleep on, and writes its pid.
STRAGGLERS = {
    "plugin": "echo $$ > {0}/pid; exec sleep 1000",
    "child": "sleep 1000 & echo $! > {0}/pid; wait",
    "grandchild": "sh -c 'sh -c \"echo \\$\\$ > {0}/pid; exec sleep 1000\" & wait' & wait",
    "other session": "setsid sh -c 'echo $$ > {0}/pid; exec sleep 1000' & wait",
    "orphan": "(setsid sh -c 'echo $$ > {0}/pid; exec sleep 1000' &) ; sleep 1000",
    "deaf": "trap '' TERM INT HUP; echo $$ > {0}/pid; while :; do sleep 0.1; done",
    "stopped": "echo $$ > {0}/pid; kill -STOP $$",
}


@pytest.mark.parametrize("kind", STRAGGLERS)
def test_nothing_outlives_the_front(host: Host, kind: str) -> None:
    """When `run` raises Abandoned, whatever kind of descendant there was is gone."""
    host.plugin("slow", STRAGGLERS[kind].format(host.root))
    seen: list[Any] = []

    def handler(connection: Connection) -> None:
        connection.welcome()
        try:
            harness.run(connection, "slow", seconds=harness.PATIENCE)
        except errors.CniError as error:
            seen.append(error)
        seen.append(harness.alive(int((host.root / "pid").read_text())))
        seen.append(inflight.wait(str(host.sockets), host.container_id, 0))

    with harness.Daemon(host.sockets, handler):
        process = host.start("ADD")
        harness.pid_of(host.root / "pid")
        process.send_signal(signal.SIGKILL)
        harness.wait_for(lambda: len(seen) == 3, "the call to end")
    assert isinstance(seen[0], channel.Abandoned)
    assert seen[1:] == [False, True]


def test_a_del_right_behind_finds_nothing(host: Host) -> None:
    """The daemon's lock per sandbox: DEL begins when the killed ADD's grandchild is gone."""
    host.plugin("slow", STRAGGLERS["grandchild"].format(host.root))
    sandbox = threading.Lock()
    alive: list[bool] = []

    def handler(connection: Connection) -> None:
        with sandbox:
            connection.welcome()
            if connection.hello.environ["CNI_COMMAND"] == "ADD":
                harness.run(connection, "slow", seconds=harness.PATIENCE)
            alive.append(harness.alive(int((host.root / "pid").read_text())))
            connection.answer(b"", 0)

    with harness.Daemon(host.sockets, handler) as daemon:
        process = host.start("ADD")
        harness.pid_of(host.root / "pid")
        process.send_signal(signal.SIGKILL)
        assert host.call("DEL") == (0, "")
    assert alive == [False]
    assert [type(error) for error in daemon.ended] == [channel.Abandoned]


def test_what_an_earlier_delegate_left_behind_goes_with_an_abandoned_call(host: Host) -> None:
    """An orderly end lets a plugin's daemon live; a call that was given up has no use for it."""
    host.plugin("leave", f"setsid sh -c 'echo $$ > {host.root}/pid; exec sleep 1000' &")

    def handler(connection: Connection) -> None:
        connection.welcome()
        harness.run(connection, "leave")
        connection.wait_end(time.monotonic() + harness.PATIENCE)

    with harness.Daemon(host.sockets, handler):
        process = host.start("ADD")
        pid = harness.pid_of(host.root / "pid")
        process.send_signal(signal.SIGKILL)
    assert not harness.alive(pid)


def test_a_front_that_dies_while_waiting_leaves_no_worker(host: Host) -> None:
    """There is no daemon yet, and none will be asked."""
    process = host.start("ADD")
    worker = host.worker(process)
    process.send_signal(signal.SIGKILL)
    harness.wait_for(lambda: not harness.alive(worker), "the worker to go")


def test_a_front_that_died_in_the_backlog_is_noticed(host: Host) -> None:
    """Nothing is begun for a call that nobody waits for."""
    from multus.execproto import greeting, listener

    with listener.listen(str(host.sockets)) as server:
        process = host.start("ADD")
        accepted, _ = server.accept()
        harness.wait_for(lambda: accepted.recv(1, 2), "HELLO to arrive")
        worker = host.worker(process)
        process.send_signal(signal.SIGKILL)
        harness.wait_for(lambda: not harness.alive(worker), "the worker to go")
        with pytest.raises(channel.Disconnected):
            greeting.greet(accepted, time.monotonic() + harness.PATIENCE)


def run_slow(connection: Connection) -> None:
    connection.welcome()
    harness.run(connection, "slow")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_worker_that_is_told_to_end_ends_everything(host: Host, number: int) -> None:
    """The runtime gets code 11 from the front."""
    host.plugin("slow", STRAGGLERS["child"].format(host.root))
    with harness.Daemon(host.sockets, run_slow) as daemon:
        process = host.start("ADD")
        pid = harness.pid_of(host.root / "pid")
        os.kill(host.worker(process), number)
        out, _ = process.communicate(timeout=harness.PATIENCE)
    assert process.returncode == 1
    assert b'"code": 11' in out
    assert not harness.alive(pid)
    assert [type(error) for error in daemon.ended] == [channel.Abandoned]


def test_delegates_of_a_killed_worker_hold_the_lock(host: Host) -> None:
    """Nobody could end them; DEL can wait for them, and the runtime hears of it."""
    host.plugin("slow", f"echo $$ > {host.root}/pid; exec sleep 1000")
    where = str(host.sockets)

    with harness.Daemon(host.sockets, run_slow) as daemon:
        process = host.start("ADD")
        pid = harness.pid_of(host.root / "pid")
        os.kill(host.worker(process), signal.SIGKILL)
        out, _ = process.communicate(timeout=harness.PATIENCE)
    assert b'"code": 11' in out
    assert [type(error) for error in daemon.ended] == [channel.Disconnected]
    assert not inflight.wait(where, host.container_id, time.monotonic() + 0.1)
    inflight.forget(where, host.container_id)
    assert (host.sockets / "inflight" / host.container_id).exists()
    os.kill(pid, signal.SIGKILL)
    assert inflight.wait(where, host.container_id, time.monotonic() + harness.PATIENCE)


def test_the_worker_does_not_hold_the_runtimes_pipes(host: Host) -> None:
    """A runtime that waits for the end of stdout is not kept waiting by a worker that tidies up."""
    host.plugin("slow", f"trap '' TERM; echo $$ > {host.root}/pid; while :; do sleep 0.1; done")

    def handler(connection: Connection) -> None:
        connection.welcome()
        harness.run(connection, "slow")

    with harness.Daemon(host.sockets, handler):
        process = host.start("ADD")
        pid = harness.pid_of(host.root / "pid")
        os.kill(pid, signal.SIGSTOP)
        process.send_signal(signal.SIGKILL)
        out, err = process.communicate(timeout=harness.PATIENCE)  # ends although the plugin is there for another second
    assert (out, err) == (b"", b"")
