"""One child process: output, limits, deadlines, and what is left of it."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from multus import errors
from multus.cni.invoke import PluginCall, PluginExit
from multus.host import executor, process
from multus.host.clock import SystemClock

CLOCK = SystemClock()


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    """A directory to put plugins in."""
    return tmp_path


def script(directory: Path, name: str, text: str) -> Path:
    path = directory / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def run(directory: Path, name: str, *, stdin: bytes = b"", seconds: float = 30.0, **environ: str) -> PluginExit:
    hands = executor.LocalExecutor([str(directory)], frozenset(), CLOCK)
    return hands.run(PluginCall(name, {"CNI_COMMAND": "ADD", **environ}, stdin, time.monotonic() + seconds))


def is_gone(pid: int) -> bool:
    """Whether no such process runs: one without memory, thus without environment, is at its end or a zombie."""
    try:
        return Path(f"/proc/{pid}/environ").read_bytes() == b""
    except (FileNotFoundError, ProcessLookupError):
        return True


def is_inherited(descriptor: int) -> bool:
    try:
        return os.get_inheritable(descriptor)
    except OSError:
        return False  # it was the directory's own


def wait_until_gone(pid: int) -> None:
    while not is_gone(pid):
        time.sleep(0.01)


def test_streams_and_status(plugin: Path) -> None:
    """Standard input arrives, both outputs come back apart, with the exit status."""
    script(plugin, "echo", "cat; echo problem >&2; exit 3")
    assert run(plugin, "echo", stdin=b"text") == (3, b"text", b"problem\n")


def test_large_input_that_nobody_reads(plugin: Path) -> None:
    """A plugin that ends without reading its standard input is no error."""
    script(plugin, "deaf", "exit 0")
    assert run(plugin, "deaf", stdin=b"x" * (1 << 20)).status == 0


def test_large_exchange(plugin: Path) -> None:
    """A megabyte goes in and out again: neither pipe blocks the other."""
    script(plugin, "cat", "exec cat")
    data = os.urandom(1 << 20)
    assert run(plugin, "cat", stdin=data).stdout == data


def test_stderr_is_bounded(plugin: Path) -> None:
    """The end of stderr is kept, not all of it."""
    script(plugin, "loud", "head -c 300000 /dev/zero >&2; echo end >&2")
    ended = run(plugin, "loud")
    assert len(ended.stderr) == process.MAX_STDERR
    assert ended.stderr.endswith(b"end\n")


def test_too_much_output(plugin: Path) -> None:
    """A plugin that prints without end is killed and named."""
    script(plugin, "flood", "exec cat /dev/zero")
    with pytest.raises(errors.PluginFailed, match='"flood" printed more'):
        run(plugin, "flood")


def test_signal(plugin: Path) -> None:
    """Death by a signal is a negative status."""
    script(plugin, "suicide", "kill -SEGV $$")
    assert run(plugin, "suicide").status == -signal.SIGSEGV


#: A plugin that hangs, having started a process that ignores SIGTERM; {mark} will hold its pid.
HANGS = {
    "in its group": "trap '' TERM; sleep 600 & echo $! > {mark}; wait",
    "in a session of its own": "setsid sh -c \"trap '' TERM; echo \\$\\$ > {mark}; sleep 600\" & sleep 600",
    "adopted by others": "(setsid sh -c \"trap '' TERM; echo \\$\\$ > {mark}; sleep 600\" &); sleep 600",
}


@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in HANGS.items()])
def test_deadline_ends_all_it_started(plugin: Path, text: str) -> None:
    """A plugin that hangs is killed at its deadline; what it started is gone before that is told."""
    mark = plugin / "child"
    script(plugin, "hang", text.format(mark=mark))
    with pytest.raises(errors.PluginTimeout, match='"hang" did not end within its deadline'):
        run(plugin, "hang", seconds=1.0)
    assert is_gone(int(mark.read_text()))


def test_how_long_it_worked(plugin: Path) -> None:
    """Whatever its end; not at all where it could not be started."""
    script(plugin, "hang", "exec sleep 600")
    script(plugin, "fail", "sleep 0.1; exit 1")
    (plugin / "plain").write_text("")
    hands = executor.LocalExecutor([str(plugin)], frozenset(), CLOCK)

    def worked(name: str, seconds: float) -> float | None:
        call = PluginCall(name, {}, b"", time.monotonic() + seconds)
        list(hands.series([call], go_on=True))
        return call.worked

    assert (worked("hang", 0.5) or 0.0) > 0.0
    assert (worked("fail", 30.0) or 0.0) >= 0.1
    assert worked("plain", 30.0) is None
    assert worked("absent", 30.0) is None


def test_signal_ends_all_it_started(plugin: Path) -> None:
    """What a plugin that was killed from outside had started works on for nobody."""
    mark = plugin / "child"
    script(plugin, "killed", f"setsid sleep 600 & echo $! > {mark}; kill -KILL $$")
    assert run(plugin, "killed").status == -signal.SIGKILL
    assert is_gone(int(mark.read_text()))


def test_a_daemon_left_behind_holds_nobody_up(plugin: Path) -> None:
    """A plugin has ended when its process has, though a daemon of its own holds the pipes open."""
    mark = plugin / "daemon"
    script(plugin, "parent", f"setsid sleep 600 & echo $! > {mark}; echo done")
    try:
        assert run(plugin, "parent").stdout == b"done\n"
    finally:
        os.kill(int(mark.read_text()), signal.SIGKILL)


def test_what_plugins_inherit(plugin: Path) -> None:
    """The environment with CNI_* and our mark; the three streams and no descriptor of ours; signals as by default."""
    script(plugin, "look", "env; ls -l /proc/self/fd; trap; grep SigIgn /proc/$$/status")
    before = signal.signal(signal.SIGUSR1, signal.SIG_DFL)
    try:
        out = run(plugin, "look", CNI_IFNAME="net7").stdout.decode()
    finally:
        signal.signal(signal.SIGUSR1, before)
    lines = out.splitlines()
    assert {"CNI_COMMAND=ADD", "CNI_IFNAME=net7"} <= set(lines)
    assert [line for line in lines if line.startswith(f"{executor.MARKER}=")]
    assert f"PATH={os.environ['PATH']}" in lines
    # "ls" has one for the directory; whoever started the tests may have left some open for everybody.
    strays = [int(number) for number in os.listdir("/proc/self/fd") if int(number) > 2 and is_inherited(int(number))]
    assert len([line for line in lines if " -> " in line]) == 3 + 1 + len(strays)
    ignored = int(lines[-1].split()[1], 16)
    assert not ignored & (1 << (signal.SIGPIPE - 1))


def test_not_executable(plugin: Path) -> None:
    """A plugin without permission to execute is named with the reason."""
    (plugin / "plain").write_text("text")
    with pytest.raises(errors.PluginUnusable, match=r'"plain" could not be started: .*Permission denied'):
        run(plugin, "plain")


def test_busy_file_is_tried_again(plugin: Path) -> None:
    """A plugin whose file is being written ("text file busy") is started once it is not."""
    import shutil
    import threading

    shutil.copy("/bin/true", plugin / "busy")
    writer = (plugin / "busy").open("r+b")
    threading.Timer(0.3, writer.close).start()
    assert run(plugin, "busy").status == 0


def test_search_order(plugin: Path) -> None:
    """The first directory that has it wins; relative directories and subdirectories of the name don't count."""
    first, second = plugin / "1", plugin / "2"
    for directory in (first, second):
        directory.mkdir()
    script(first, "who", "echo first")
    script(second, "who", "echo second")
    (first / "only").mkdir()
    script(second, "only", "echo second")
    hands = executor.LocalExecutor(["relative", str(first), str(second)], frozenset(), CLOCK)
    for name, answer in (("who", b"first\n"), ("only", b"second\n")):
        assert hands.run(PluginCall(name, {}, b"", time.monotonic() + 30)).stdout == answer


@pytest.mark.parametrize("name", ["../evil", "a/b", "..", ".", "", "nul\0"])
def test_names_that_are_paths(plugin: Path, name: str) -> None:
    """Nothing but a plain file name is looked for."""
    with pytest.raises(errors.InvalidConfig):
        run(plugin, name)


def test_not_found_names_the_directories(plugin: Path) -> None:
    """A missing plugin is named with the directories that were searched."""
    with pytest.raises(errors.PluginNotFound, match=rf'failed to find plugin "nothing" in path \[{plugin}\]'):
        run(plugin, "nothing")


def test_our_own_executable(plugin: Path) -> None:
    """A plugin that is Multus itself is refused under any name, through any link."""
    own = script(plugin, "multus", "exit 0")
    (plugin / "alias").symlink_to(own)
    os.link(own, plugin / "hard")
    hands = executor.LocalExecutor([str(plugin)], executor.identities([str(own), "/no/such"]), CLOCK)
    for name in ("multus", "alias", "hard"):
        with pytest.raises(errors.SelfDelegation, match="Multus itself"):
            hands.run(PluginCall(name, {}, b"", time.monotonic() + 30))


def test_exists(plugin: Path) -> None:
    """Files of the host are looked at, links followed."""
    hands = executor.LocalExecutor([], frozenset(), CLOCK)
    (plugin / "dangling").symlink_to(plugin / "nowhere")
    assert hands.exists(str(plugin))
    assert not hands.exists(str(plugin / "dangling"))


def test_interrupted(plugin: Path) -> None:
    """An exception that arrives while a plugin runs (SIGTERM) ends it before it goes on."""
    mark = plugin / "pid"

    class InterruptingClock(SystemClock):
        def monotonic(self) -> float:
            if mark.exists() and mark.read_text():
                raise KeyboardInterrupt
            return super().monotonic()

    path = script(plugin, "slow", f"echo $$ > {mark}; while :; do printf x; sleep 0.01; done")
    clock = InterruptingClock()
    with pytest.raises(KeyboardInterrupt):
        process.run(str(path), os.environ, b"", time.monotonic() + 600, clock, "MARK=interrupted")
    wait_until_gone(int(mark.read_text()))
