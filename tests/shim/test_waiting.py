"""The daemon that is not there, comes late, or goes away."""

from __future__ import annotations

import os
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from multus import errors
from multus.execproto import frames, listener
from shim import harness

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from multus.execproto.connection import Connection
    from shim.harness import Host

pytestmark = pytest.mark.netns


def welcome_and_answer(connection: Connection) -> None:
    connection.welcome()
    connection.answer(b"done", 0)


@pytest.mark.parametrize("verb", ["ADD", "CHECK", "GC"])
def test_without_a_daemon_the_runtime_shall_try_again(host: Host, verb: str) -> None:
    """Code 11 when the wait is over, naming the socket."""
    error = host.error(verb, host.conf(daemonWait=0.2))
    assert error["code"] == 11
    assert str(host.sockets / "exec.sock") in error["msg"]


@pytest.mark.parametrize("verb", ["ADD", "CHECK", "GC", "DEL"])
def test_a_daemon_that_comes_late_is_waited_for(host: Host, verb: str) -> None:
    """The call was started before there was a socket."""
    process = host.start(verb)
    host.worker(process)
    with harness.Daemon(host.sockets, welcome_and_answer):
        out, _ = process.communicate(timeout=harness.PATIENCE)
    assert (process.returncode, out) == (0, b"done")


def test_a_predecessor_that_closes_before_its_welcome_is_not_the_end(host: Host) -> None:
    """An orderly restart: what waits in the backlog, or was not begun with, goes to the successor."""
    with harness.Daemon(host.sockets, lambda connection: None) as first:
        process = host.start("ADD")
        harness.wait_for(lambda: first.connections, "the first daemon to be asked")
    with harness.Daemon(host.sockets, welcome_and_answer):
        out, _ = process.communicate(timeout=harness.PATIENCE)
    assert (process.returncode, out) == (0, b"done")


def test_a_backlog_that_dies_is_not_the_end(host: Host) -> None:
    """The predecessor never even accepted it."""
    with listener.listen(str(host.sockets)):
        process = host.start("ADD")
        host.worker(process)
    with harness.Daemon(host.sockets, welcome_and_answer):
        out, _ = process.communicate(timeout=harness.PATIENCE)
    assert (process.returncode, out) == (0, b"done")


def test_a_full_backlog_is_a_daemon_that_is_there(host: Host) -> None:
    """Connect says EAGAIN; the call goes on waiting for its turn."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(host.sockets / "exec.sock"))
        server.listen(0)
        with socket.socket(socket.AF_UNIX) as filler:
            filler.connect(str(host.sockets / "exec.sock"))
            process = host.start("ADD", host.conf(daemonWait=1))
            worker = host.worker(process)
            time.sleep(0.2)
            assert harness.alive(worker)
            server.accept()[0].close()
            accepted, _ = server.accept()
            with accepted:
                accepted.sendall(frames.answer(frames.Answer(0, b"at last")))
                out, _ = process.communicate(timeout=harness.PATIENCE)
    assert (process.returncode, out) == (0, b"at last")


def test_del_without_a_daemon_fails_while_there_is_a_record(host: Host) -> None:
    """Never a silent success: code 11, so that the runtime retries."""
    (host.cni_dir / host.container_id).write_text("")
    error = host.error("DEL", host.conf(daemonWaitDelete=0.1))
    assert error["code"] == 11
    assert str(host.cni_dir / host.container_id) in error["msg"]


def test_del_without_a_daemon_and_without_a_record_succeeds(host: Host) -> None:
    """There is nothing to undo."""
    (host.cni_dir / "another").write_text("")
    assert host.call("DEL", host.conf(daemonWaitDelete=0.1)) == (0, "")


def test_del_without_a_daemon_and_without_a_directory_succeeds(host: Host) -> None:
    """Nothing was ever attached on this node."""
    assert host.call("DEL", host.conf(daemonWaitDelete=0, cniDir=str(host.root / "never"))) == (0, "")


def test_del_fails_when_the_records_can_not_be_read(host: Host) -> None:
    """Any other answer of the disk than "there is none" is no proof."""
    loop = host.root / "loop"
    loop.symlink_to(loop)
    assert host.error("DEL", host.conf(daemonWaitDelete=0, cniDir=str(loop)))["code"] == 11


def test_status_never_waits(host: Host) -> None:
    """Code 50 at once, without a heartbeat."""
    assert host.error("STATUS", CNI_CONTAINERID="-")["code"] == 50


@pytest.mark.parametrize(("age", "status"), [(0, 0), (30, 0), (90, 1), (-90, 1)])
def test_status_leans_on_the_heartbeat(host: Host, age: int, status: int) -> None:
    """Younger than statusGrace: an ADD would wait for the daemon anyway. A time far in the future proves nothing."""
    heartbeat = host.sockets / "heartbeat"
    heartbeat.touch()
    then = time.time() - age
    os.utime(heartbeat, (then, then))
    assert host.call("STATUS", CNI_CONTAINERID="-")[0] == status


def test_status_grace_is_configurable(host: Host) -> None:
    """One second is less than ninety."""
    heartbeat = host.sockets / "heartbeat"
    heartbeat.touch()
    os.utime(heartbeat, (time.time() - 10, time.time() - 10))
    assert host.call("STATUS", host.conf(statusGrace=1))[0] == 1
    assert host.call("STATUS", host.conf(statusGrace="100"))[0] == 0


def test_status_asks_a_daemon_that_is_there(host: Host) -> None:
    """Whatever the heartbeat says."""
    (host.sockets / "heartbeat").touch()

    def handler(connection: Connection) -> None:
        connection.welcome()
        connection.answer(b'{"code": 51}', 1)

    with harness.Daemon(host.sockets, handler):
        assert host.call("STATUS") == (1, '{"code": 51}')


def test_status_does_not_wait_for_a_successor(host: Host) -> None:
    """The daemon closes before its WELCOME: the heartbeat decides."""
    with harness.Daemon(host.sockets, lambda connection: None):
        assert host.error("STATUS")["code"] == 50


def test_when_the_daemon_goes_running_delegates_finish(host: Host) -> None:
    """Then code 11: the record still says what to undo."""
    host.plugin(
        "slow", f"touch {host.root}/started; while ! [ -e {host.root}/go ]; do sleep 0.02; done; touch {host.root}/end"
    )
    gone = threading.Event()

    def handler(connection: Connection) -> None:
        connection.welcome()
        thread = harness.run_aside(connection, "slow")
        harness.wait_for((host.root / "started").exists, "the plugin to run")
        connection.close()
        thread.join()
        gone.set()

    with harness.Daemon(host.sockets, handler):
        process = host.start("ADD")
        assert gone.wait(harness.PATIENCE)
        assert process.poll() is None
        (host.root / "go").touch()
        out, _ = process.communicate(timeout=harness.PATIENCE)
    assert process.returncode == 1
    assert b'"code": 11' in out
    assert (host.root / "end").exists()


def test_when_the_daemon_goes_a_deadline_still_holds(host: Host) -> None:
    """The shim enforces it alone."""
    host.plugin("slow", f"echo $$ > {host.root}/pid; exec sleep 1000")

    def handler(connection: Connection) -> None:
        connection.welcome()
        thread = harness.run_aside(connection, "slow", seconds=1)
        harness.wait_for((host.root / "pid").exists, "the plugin to run")
        connection.close()
        thread.join()

    with harness.Daemon(host.sockets, handler):
        assert host.error()["code"] == 11
    assert not harness.alive(int((host.root / "pid").read_text()))


@pytest.mark.parametrize("verb", ["ADD", "DEL", "CHECK", "GC"])
def test_a_daemon_that_dies_after_its_welcome_means_code_11(host: Host, verb: str) -> None:
    """Also for DEL without a record: it may have been in the middle of something."""
    with harness.Daemon(host.sockets, lambda connection: connection.welcome()):
        assert host.error(verb)["code"] == 11


def test_an_answer_behind_a_failed_write_is_still_printed(host: Host) -> None:
    """The daemon answers and goes while a delegate's output is on its way."""
    host.plugin("much", f"touch {host.root}/started; head -c 4000000 /dev/zero")

    def handler(connection: Connection) -> None:
        connection.welcome()
        thread = harness.run_aside(connection, "much")
        harness.wait_for((host.root / "started").exists, "the plugin to run")
        connection.answer(b"early", 0)
        thread.join()

    with harness.Daemon(host.sockets, handler):
        assert host.call() == (0, "early")


def test_versions_are_negotiated(host: Host) -> None:
    """The highest that both speak."""
    with harness.Daemon(host.sockets, welcome_and_answer, versions=(2, 3)) as daemon:
        assert host.call() == (0, "done")
    assert daemon.connections[0].version == 2


def test_without_a_common_version_both_are_named(host: Host) -> None:
    """The runtime's log says what to do."""
    with harness.Daemon(host.sockets, welcome_and_answer, versions=(7, 8)) as daemon:
        error = host.error()
    assert error["code"] == 11
    assert "versions 1 to 2" in error["msg"]
    assert "7 to 8" in error["msg"]
    assert len(daemon.refused) == 1


@pytest.mark.parametrize(("spoken", "agreed"), [((1, 2), 2), ((2, 3), 3), ((3, 4), 3)])
def test_a_newer_shim_speaks_with_older_and_newer_daemons(
    host: Host, built: Callable[..., Path], spoken: tuple[int, ...], agreed: int
) -> None:
    """Version N against N-1, N and N+1: the installer replaces the shim before the daemon."""
    host.shim = built("--define", "PROTOCOL_MIN=2", "--define", "PROTOCOL_MAX=3")
    with harness.Daemon(host.sockets, welcome_and_answer, versions=spoken) as daemon:
        assert host.call() == (0, "done")
    assert daemon.connections[0].version == agreed


def test_a_daemon_that_is_not_roots_is_refused(host: Host) -> None:
    """Whoever could put a socket there must not get root's hands."""
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(host.sockets / "exec.sock"))
    pid = os.fork()
    if pid == 0:
        os.setuid(65534)
        server.listen(8)  # the credentials are those at listen
        os._exit(0)
    os.waitpid(pid, 0)
    with server:
        error = host.error()
    assert error["code"] == 11
    assert "not root's" in error["msg"]


def test_a_shim_that_is_not_roots_is_refused(host: Host) -> None:
    """The daemon asks the kernel who is there."""
    raised: list[Any] = []
    host.root.chmod(0o711)
    host.sockets.chmod(0o711)
    with harness.Daemon(host.sockets, welcome_and_answer) as daemon:
        (host.sockets / "exec.sock").chmod(0o666)
        pid = os.fork()
        if pid == 0:
            os.setuid(65534)
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(host.sockets / "exec.sock"))
                client.recv(1)
            os._exit(0)
        os.waitpid(pid, 0)
        raised = harness.wait_for(lambda: daemon.refused, "the refusal")
    assert isinstance(raised[0], errors.Denied)


def test_the_socket_is_roots_alone(host: Host) -> None:
    """File modes."""
    with listener.listen(str(host.sockets / "deep")):
        assert (host.sockets / "deep").stat().st_mode & 0o777 == 0o700
        assert (host.sockets / "deep/exec.sock").stat().st_mode & 0o777 == 0o600
