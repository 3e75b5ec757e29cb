"""EXEC: how a delegate is found, started, fed, listened to and ended."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from multus import errors
from multus.cni.invoke import PluginCall, PluginExit
from multus.execproto import frames, inflight
from shim import harness

if TYPE_CHECKING:
    from collections.abc import Callable

    from multus.execproto.connection import Connection
    from shim.harness import Host

pytestmark = pytest.mark.netns


def during(host: Host, work: Callable[[Connection], Any], verb: str = "ADD", **environ: str) -> Any:
    """The result of `work` inside one call, or what it raised."""
    results: list[Any] = []

    def handler(connection: Connection) -> None:
        connection.welcome()
        try:
            results.append(work(connection))
        except errors.CniError as error:
            results.append(error)
        connection.answer(b"done", 0)

    with harness.Daemon(host.sockets, handler):
        assert host.call(verb, None, **environ) == (0, "done")
    return results[0]


def test_status_stdout_and_stderr_are_reported(host: Host) -> None:
    """An exit status other than 0 is a result too."""
    host.plugin("speak", "echo out; echo err >&2; exit 3")
    assert during(host, lambda c: harness.run(c, "speak")) == PluginExit(3, b"out\n", b"err\n")


def test_death_by_a_signal_is_reported(host: Host) -> None:
    """A negative status."""
    host.plugin("die", "kill -SEGV $$")
    assert during(host, lambda c: harness.run(c, "die")).status == -11


def test_stdin_of_four_mebibytes_comes_back_whole(host: Host) -> None:
    """Nothing blocks on one pipe: the plugin reads and writes at once."""
    host.plugin("echo", "exec cat")
    data = os.urandom(frames.MAX_DATA)
    assert during(host, lambda c: harness.run(c, "echo", data)).stdout == data


def test_a_plugin_need_not_read_its_stdin(host: Host) -> None:
    """EPIPE is its business."""
    host.plugin("deaf", "exec <&-; echo fine")
    assert during(host, lambda c: harness.run(c, "deaf", b"x" * (1 << 20))).stdout == b"fine\n"


def test_more_than_four_mebibytes_of_stdout_is_an_error(host: Host) -> None:
    """The plugin is killed, its output dropped."""
    host.plugin("flood", "exec cat /dev/zero")
    error = during(host, lambda c: harness.run(c, "flood"))
    assert isinstance(error, errors.PluginFailed)
    assert "more than 4194304 bytes" in error.message


def test_exactly_four_mebibytes_of_stdout_are_none(host: Host) -> None:
    """The bound itself is allowed."""
    host.plugin("much", f"exec head -c {frames.MAX_DATA} /dev/zero")
    assert len(during(host, lambda c: harness.run(c, "much")).stdout) == frames.MAX_DATA


def test_the_last_of_stderr_is_kept(host: Host) -> None:
    """64 KiB, however much there was."""
    host.plugin("chat", "head -c 1000000 /dev/zero >&2; echo the end >&2")
    ended = during(host, lambda c: harness.run(c, "chat"))
    assert len(ended.stderr) == frames.MAX_STDERR
    assert ended.stderr.endswith(b"the end\n")


def test_the_environment_is_the_runtimes_and_the_frames_cni_variables(host: Host) -> None:
    """The call's own CNI_* are gone, the frame's are there, the marker too."""
    host.plugin("env", "exec env")
    ended = during(
        host, lambda c: harness.run(c, "env", CNI_IFNAME="net1", CNI_NEW="=x=y"), HTTPS_PROXY="proxy", CNI_OLD="old"
    )
    lines = ended.stdout.decode().splitlines()
    assert "CNI_IFNAME=net1" in lines
    assert "CNI_NEW==x=y" in lines
    assert "HTTPS_PROXY=proxy" in lines
    assert [line for line in lines if line.startswith("MULTUS_DELEGATE=")]
    assert not [line for line in lines if line.startswith(("CNI_OLD", "CNI_NETNS"))]


def test_cni_path_is_the_shims_own_whatever_the_frame_says(host: Host) -> None:
    """Plugins that delegate in turn search where the runtime and binDir say."""
    host.plugin("env", "exec env")
    ended = during(host, lambda c: harness.run(c, "env", CNI_PATH="/tmp/evil"))
    assert [line for line in ended.stdout.decode().splitlines() if line.startswith("CNI_PATH")] == [
        f"CNI_PATH={host.plugins}:/nowhere:relative"
    ]


def test_a_plugin_is_found_in_the_runtimes_path(host: Host) -> None:
    """Behind binDir; a directory of that name is passed over."""
    other = host.root / "other"
    other.mkdir()
    (host.plugins / "late").mkdir()
    host.plugin("late.tmp", "echo late").rename(other / "late")
    assert during(host, lambda c: harness.run(c, "late"), CNI_PATH=f"/nowhere:{other}").stdout == b"late\n"


def test_bin_dir_comes_first(host: Host) -> None:
    """As in the one-shot plugin."""
    other = host.root / "other"
    other.mkdir()
    host.plugin("twice", "echo path").rename(other / "twice")
    host.plugin("twice", "echo binDir")
    assert during(host, lambda c: harness.run(c, "twice"), CNI_PATH=str(other)).stdout == b"binDir\n"


@pytest.mark.parametrize("name", ["../bin/ok", "/bin/true", "..", ".", "", "a\0b", "n" * 300])
def test_a_type_that_is_no_file_name_is_refused(host: Host, name: str) -> None:
    """No path is ever made of it."""
    host.plugin("ok", "true")
    error = during(host, lambda c: harness.run(c, name))
    assert isinstance(error, errors.InvalidConfig)


def test_a_missing_plugin_is_named_with_the_directories(host: Host) -> None:
    """In upstream's words."""
    error = during(host, lambda c: harness.run(c, "nothing"))
    assert isinstance(error, errors.PluginNotFound)
    assert error.message == f'failed to find plugin "nothing" in path [{host.plugins} /nowhere relative]'


def test_a_file_that_is_not_executable_is_unusable(host: Host) -> None:
    """Found, and refused by the kernel."""
    host.plugin("flat", "true").chmod(0o600)
    error = during(host, lambda c: harness.run(c, "flat"))
    assert isinstance(error, errors.PluginUnusable)
    assert "Permission denied" in error.message


def test_a_busy_file_is_tried_again(host: Host) -> None:
    """A plugin that is just being replaced."""
    path = host.plugin("busy", "echo at last")
    descriptor = os.open(path, os.O_WRONLY)

    def work(connection: Connection) -> PluginExit:
        timer = threading.Timer(0.3, os.close, [descriptor])
        timer.start()
        try:
            return harness.run(connection, "busy")
        finally:
            timer.join()

    assert during(host, work).stdout == b"at last\n"


@pytest.mark.parametrize("make", [os.link, os.symlink])
def test_the_shim_never_runs_itself(host: Host, make: Callable[[Any, Any], None]) -> None:
    """Under whatever name."""
    import shutil

    own = host.root / "own-shim"
    shutil.copy2(host.shim, own)
    make(own, host.plugins / "innocent")
    host.shim = own
    assert isinstance(during(host, lambda c: harness.run(c, "innocent")), errors.SelfDelegation)


def test_a_copy_of_the_shim_refuses_to_be_a_delegate(host: Host) -> None:
    """The marker is the second guard."""
    import shutil

    shutil.copy2(host.shim, host.plugins / "copy")
    ended = during(host, lambda c: harness.run(c, "copy", CNI_COMMAND="ADD"))
    assert ended.status == 1
    assert b'"code": 7' in ended.stdout


@pytest.mark.parametrize("variable", ["LD_PRELOAD", "CNI_X Y", "CNI_"])
def test_a_variable_that_is_not_cni_breaks_the_protocol(host: Host, variable: str) -> None:
    """The daemon can't smuggle anything into a delegate's environment."""
    host.plugin("ok", "true")

    def handler(connection: Connection) -> None:
        connection.welcome()
        harness.run(connection, "ok", b"", 20.0, **{variable: "x"})

    with harness.Daemon(host.sockets, handler):
        error = host.error()
    assert error["code"] == 11
    assert "protocol" in error["msg"]


#: What a plugin starts before it hangs: it ignores SIGTERM, and its pid is in {pid}.
STARTED = {
    "in its group": "sleep 1000 & echo $! > {pid}",
    "in a session of its own": "setsid sh -c 'echo $$ > {pid}; sleep 1000' &",
    "orphaned": "(setsid sh -c 'echo $$ > {pid}; sleep 1000' &)",
}


@pytest.mark.parametrize("start", [pytest.param(start, id=name) for name, start in STARTED.items()])
def test_a_deadline_ends_all_that_was_started(host: Host, start: str) -> None:
    """SIGTERM ignored, children in the background: all gone when the timeout is reported."""
    host.plugin("slow", f"trap '' TERM; {start.format(pid=host.root / 'pid')}\nsleep 1000")

    def work(connection: Connection) -> bool:
        with pytest.raises(errors.PluginTimeout):
            harness.run(connection, "slow", seconds=0.3)
        return harness.alive(harness.pid_of(host.root / "pid"))

    assert during(host, work) is False


def test_sigterm_comes_first(host: Host) -> None:
    """A plugin may clean up behind itself."""
    host.plugin("tidy", f"trap 'echo tidied > {host.root}/tidied; exit 1' TERM; while :; do sleep 0.05; done")
    error = during(host, lambda c: harness.run(c, "tidy", seconds=0.5))
    assert isinstance(error, errors.PluginTimeout)
    assert (host.root / "tidied").read_text() == "tidied\n"


def test_kill_ends_what_runs(host: Host) -> None:
    """The order of a daemon that changed its mind."""
    host.plugin("slow", f"echo $$ > {host.root}/pid; exec sleep 1000")

    def work(connection: Connection) -> Any:
        def end() -> None:
            harness.wait_for((host.root / "pid").exists, "the plugin to run")
            connection.cancel()

        thread = threading.Thread(target=end)
        thread.start()
        try:
            return harness.run(connection, "slow")
        finally:
            thread.join()

    error = during(host, work)
    assert isinstance(error, errors.TryAgainLater)
    assert not isinstance(error, errors.PluginTimeout)


def test_a_plugin_killed_from_outside_takes_its_children_along(host: Host) -> None:
    """An IPAM plugin must not go on working for a main plugin that the OOM killer took."""
    host.plugin("main", f"sleep 1000 & echo $! > {host.root}/pid; kill -9 $$")

    def work(connection: Connection) -> tuple[int, bool]:
        ended = harness.run(connection, "main")
        return ended.status, harness.alive(harness.pid_of(host.root / "pid"))

    assert during(host, work) == (-9, False)


def test_a_daemon_left_behind_survives_and_delays_nothing(host: Host) -> None:
    """It holds the pipes open, in its own session: the plugin is finished when its pid is reaped. That a later one is
    ended is not its end."""
    host.plugin("leave", f"setsid sh -c 'echo $$ > {host.root}/pid; exec sleep 1000' & echo left")
    host.plugin("slow", "exec sleep 1000")

    def work(connection: Connection) -> bytes:
        out = harness.run(connection, "leave").stdout
        harness.wait_for((host.root / "pid").exists, "the daemon to start")
        with pytest.raises(errors.PluginTimeout):
            harness.run(connection, "slow", seconds=0.1)
        return out

    try:
        assert during(host, work) == b"left\n"
        pid = int(harness.wait_for((host.root / "pid").read_text, "the daemon's pid"))
        assert harness.alive(pid)
        # and it is no straggler that a DEL would wait for
        assert inflight.wait(str(host.sockets), host.container_id, 0)
    finally:
        os.kill(int((host.root / "pid").read_text()), 9)


def test_orders_run_side_by_side(host: Host) -> None:
    """Each waits for the other: strictly one after another would hang."""
    fifo = host.root / "fifo"
    os.mkfifo(fifo)
    host.plugin("meet", f'read mode; if [ "$mode" = r ]; then cat {fifo}; else echo met > {fifo}; fi')
    found: dict[str, PluginExit] = {}

    def work(connection: Connection) -> None:
        def one(mode: str) -> None:
            found[mode] = harness.run(connection, "meet", f"{mode}\n".encode())

        threads = [threading.Thread(target=one, args=(mode,)) for mode in "rw"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    during(host, work)
    assert found["r"].stdout == b"met\n"
    assert found["w"].status == 0


def test_many_at_once_are_all_served(host: Host) -> None:
    """Forty orders of forty threads over one connection; each gets its own reply."""
    host.plugin("echo", "exec cat")

    def work(connection: Connection) -> dict[int, bytes]:
        found: dict[int, bytes] = {}

        def one(number: int) -> None:
            found[number] = harness.run(connection, "echo", b"%d" % number * 1000).stdout

        threads = [threading.Thread(target=one, args=(number,)) for number in range(40)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return found

    assert during(host, work) == {number: b"%d" % number * 1000 for number in range(40)}


def test_more_than_the_bound_at_once_is_refused(host: Host) -> None:
    """The 65th delegate of a connection has to wait for the daemon's own queue."""
    host.plugin("slow", f"echo x >> {host.root}/running; exec sleep 1000")

    def work(connection: Connection) -> Any:
        def one() -> None:
            with pytest.raises(errors.TryAgainLater):
                harness.run(connection, "slow")

        threads = [threading.Thread(target=one) for _ in range(64)]
        for thread in threads:
            thread.start()
        harness.wait_for(
            lambda: (host.root / "running").exists() and (host.root / "running").stat().st_size == 128, "64 to run"
        )
        try:
            return harness.run(connection, "slow")
        except errors.CniError as error:
            return error
        finally:
            connection.cancel()
            for thread in threads:
                thread.join()

    error = during(host, work)
    assert isinstance(error, errors.TryAgainLater)
    assert "too many" in error.message


def test_the_lock_is_held_while_a_delegate_runs(host: Host) -> None:
    """Shared, by the delegate itself; free when it has ended; the file goes on request."""
    host.plugin("slow", f"echo $$ > {host.root}/pid; read line")
    where, container = str(host.sockets), host.container_id

    def work(connection: Connection) -> tuple[bool, bool, bool]:
        before = inflight.wait(where, container, 0)
        held: list[bool] = []

        def look() -> None:
            harness.wait_for((host.root / "pid").exists, "the plugin to run")
            held.append(inflight.wait(where, container, time.monotonic() + 0.1))
            connection.cancel()

        thread = threading.Thread(target=look)
        thread.start()
        with pytest.raises(errors.TryAgainLater):
            connection.run(PluginCall("hold", {"CNI_CONTAINERID": container}, b"", time.monotonic() + harness.PATIENCE))
        thread.join()
        return before, held[0], inflight.wait(where, container, 0)

    host.plugin("hold", f"echo $$ > {host.root}/pid; exec sleep 1000")
    assert during(host, work) == (True, False, True)
    assert (host.sockets / "inflight" / container).exists()
    inflight.forget(where, container)
    assert not (host.sockets / "inflight" / container).exists()


def test_a_container_id_of_a_frame_is_validated(host: Host) -> None:
    """No lock file is made outside the directory."""
    host.plugin("ok", "true")
    error = during(host, lambda c: harness.run(c, "ok", CNI_CONTAINERID="../../escape"))
    assert isinstance(error, errors.TryAgainLater)
    assert not (host.root / "escape").exists()


def test_exists(host: Host) -> None:
    """For `readinessindicatorfile`."""
    found = during(
        host, lambda c: (c.exists(str(host.plugins)), c.exists(str(host.root / "no")), c.exists("/etc/passwd/x"))
    )
    assert found == (True, False, False)


def test_an_answer_while_delegates_run_ends_them_first(host: Host) -> None:
    """Nothing of the call outlives its answer."""
    host.plugin("slow", f"echo $$ > {host.root}/pid; exec sleep 1000")

    def handler(connection: Connection) -> None:
        connection.welcome()
        thread = harness.run_aside(connection, "slow")
        harness.pid_of(host.root / "pid")
        connection.answer(b"early", 0)
        thread.join()

    with harness.Daemon(host.sockets, handler):
        assert host.call() == (0, "early")
    assert not harness.alive(harness.pid_of(host.root / "pid"))
