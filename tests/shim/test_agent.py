"""`multus-shim --agent`: hands for the daemon when no call of the runtime is there to lend them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from multus import errors
from multus.execproto import channel, frames, inflight
from shim import harness

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from multus.execproto.connection import Connection
    from shim.harness import Host

pytestmark = pytest.mark.netns


#: Starts the agent beneath a pid 1 of its own, whose namespaces may be looked at (a sandbox may forbid it for the
#: machine's), and keeps what it leaves behind running until the end of the test.
BENEATH = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c"]
WAIT = '"$@" & wait $!; echo $? > "$STATUS"; exec sleep 1000'


class Agent:
    """A running agent."""

    def __init__(self, host: Host, *inside: str) -> None:
        self._host = host
        environ = {**host.environ("-", CNI_CONTAINERID="-", CNI_NETNS="-", CNI_IFNAME="-"), "CNI_PATH": "/nowhere"}
        self._outer = subprocess.Popen(
            [*BENEATH, WAIT, "sh", *inside, str(host.shim), "--agent", str(host.sockets), str(host.plugins)],
            env={**environ, "STATUS": str(host.root / "status")},
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        host.spawned.append(self._outer)
        first = harness.wait_for(lambda: harness.children(self._outer.pid), "pid 1")[0]
        self.pid = harness.wait_for(lambda: [p for p in harness.children(first) if self._is_shim(p)], "the agent")[0]

    def _is_shim(self, pid: int) -> bool:
        """By the file, for the name that the kernel has for it may lead nowhere once its mounts are gone."""
        exe = f"/proc/{pid}/exe"
        return os.path.exists(exe) and os.path.samefile(exe, self._host.shim)

    def line(self) -> bytes:
        """The next line of its log."""
        assert self._outer.stderr is not None
        return self._outer.stderr.readline()

    def end(self) -> int:
        """SIGTERM, and its exit status."""
        os.kill(self.pid, signal.SIGTERM)
        status = self._host.root / "status"
        return int(harness.wait_for(lambda: status.exists() and status.read_text(), "the agent to end"))

    def close(self) -> None:
        """End it and its pid 1."""
        if not (self._host.root / "status").exists():
            self.end()
        for pid in harness.children(self._outer.pid):
            os.kill(pid, signal.SIGKILL)
        self._outer.communicate(timeout=harness.PATIENCE)


@pytest.fixture
def agent(host: Host) -> Iterator[Agent]:
    """A running agent of that host."""
    made = Agent(host)
    yield made
    made.close()


class Hands:
    """Keeps the agent's connection and gives it to the test."""

    def __init__(self, host: Host) -> None:
        import threading

        self.done = threading.Event()
        self.daemon = harness.Daemon(host.sockets, self._handle)

    def _handle(self, connection: Connection) -> None:
        connection.welcome()
        assert self.done.wait(harness.PATIENCE)

    def __enter__(self) -> Connection:
        connections = self.daemon.connections
        found: Connection = harness.wait_for(lambda: connections and connections[-1], "the agent to connect")
        return found

    def __exit__(self, *_: object) -> None:
        self.done.set()
        self.daemon.stop()


def hands(host: Host) -> AbstractContextManager[Connection]:
    return Hands(host)


def test_it_says_what_it_is(host: Host, agent: Agent) -> None:
    """HELLO of its kind, with the directories it was given."""
    with hands(host) as connection:
        assert connection.hello.kind == frames.AGENT
        assert connection.hello.search == f"{host.plugins}:/nowhere"
        assert connection.hello.stdin == b""
        assert set(connection.hello.environ) == {"CNI_PATH"}


def test_it_runs_plugins_for_any_container(host: Host, agent: Agent) -> None:
    """With the lock of the container that the order names."""
    host.plugin("hold", "read x; exec cat")
    with hands(host) as connection:
        ended = harness.run(connection, "hold", b"a\nb", CNI_CONTAINERID="one")
        assert ended.stdout == b"b"
        assert (host.sockets / "inflight/one").exists()
        assert inflight.wait(str(host.sockets), "one", 0)


def test_it_opens_any_namespace_but_the_hosts(host: Host) -> None:
    """The daemon names it: there is no call."""
    name = f"shim-{uuid.uuid4().hex[:8]}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    made = Agent(host)
    try:
        with hands(host) as connection:
            with connection.open_netlink(f"/run/netns/{name}") as sock:
                assert sock.family == socket.AF_NETLINK
            with pytest.raises(errors.SameNamespace):
                connection.open_netlink("/proc/1/ns/net")
            with pytest.raises(errors.IoFailure):
                connection.open_netlink("")
    finally:
        made.close()
        subprocess.run(["ip", "netns", "delete", name], check=True)


def test_it_comes_back_to_the_next_daemon(host: Host, agent: Agent) -> None:
    """Again and again."""
    host.plugin("ok", "echo ok")
    for _ in range(3):
        with hands(host) as connection:
            assert harness.run(connection, "ok", CNI_CONTAINERID="one").stdout == b"ok\n"


def test_it_waits_for_the_first_daemon(host: Host, agent: Agent) -> None:
    """Started before anything was there; it says so once."""
    assert b"not there" in agent.line()
    with hands(host) as connection:
        assert connection.exists("/")


def test_sigterm_ends_what_it_runs(host: Host, agent: Agent) -> None:
    """The daemon hears ABANDONED when all is gone."""
    host.plugin("slow", f"flock -n {host.root}/held sh -c 'touch {host.root}/runs; sleep 1000' & wait")
    raised: list[Any] = []
    with hands(host) as connection:
        import threading

        def work() -> None:
            with pytest.raises(channel.Abandoned) as found:
                harness.run(connection, "slow", CNI_CONTAINERID="one")
            held = subprocess.run(["flock", "-n", host.root / "held", "true"]).returncode
            raised.append((found.value, bool(held)))

        thread = threading.Thread(target=work)
        thread.start()
        harness.wait_for((host.root / "runs").exists, "the plugin to run")
        assert agent.end() == 0
        thread.join()
    assert [(type(error), alive) for error, alive in raised] == [(channel.Abandoned, False)]


def test_a_plugins_daemon_survives_the_agents_end(host: Host, agent: Agent) -> None:
    """It was left behind on purpose, by a call that is long over."""
    held = ["flock", "-n", str(host.root / "held"), "true"]
    host.plugin("leave", f"setsid flock {host.root}/held sh -c 'touch {host.root}/runs; sleep 1000' &")
    with hands(host) as connection:
        harness.run(connection, "leave", CNI_CONTAINERID="one")
        harness.wait_for((host.root / "runs").exists, "the daemon to run")
        assert agent.end() == 0
    assert subprocess.run(held).returncode == 1


def test_a_refusal_is_told_and_tried_again(host: Host, agent: Agent) -> None:
    """A daemon of another release: the agent goes on asking."""
    with harness.Daemon(host.sockets, lambda connection: None, versions=(7,)) as daemon:
        harness.wait_for(lambda: len(daemon.refused) >= 2, "two attempts")
    assert any(b"refused" in agent.line() for _ in range(2))


@pytest.mark.parametrize("arguments", [["relative"], ["/a", "/b", "/c"], ["/" + "a" * 200]])
def test_bad_arguments_are_a_usage_error(host: Host, arguments: list[str]) -> None:
    """Exit status 2."""
    done = subprocess.run([host.shim, "--agent", *arguments], capture_output=True, timeout=harness.PATIENCE)
    assert done.returncode == 2
    assert b"usage" in done.stderr


def test_it_joins_the_namespaces_of_pid_1(host: Host) -> None:
    """In a container with hostPID: the plugins it finds and their children are the host's."""
    host.plugin("where", "readlink /proc/self/ns/net /proc/self/ns/mnt /proc/1/ns/net /proc/1/ns/mnt; pwd")
    hidden = f'mount -t tmpfs none {host.plugins} && exec "$@"'
    made = Agent(host, "unshare", "--net", "--mount", "--propagation", "private", "sh", "-c", hidden, "sh")
    try:
        with hands(host) as connection:
            lines = harness.run(connection, "where", CNI_CONTAINERID="one").stdout.decode().split()
    finally:
        made.close()
    assert lines[:2] == lines[2:4]
    assert lines[4] == "/"


def test_it_refuses_to_guess_where_it_is(host: Host) -> None:
    """Without a look at pid 1's namespaces it might run plugins in a container's network."""
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", f"umount -l /proc; exec {host.shim} --agent {host.sockets}"],
        capture_output=True,
        timeout=harness.PATIENCE,
        env={"PATH": os.environ["PATH"], "ASAN_OPTIONS": "detect_leaks=0"},
    )
    assert done.returncode == 1
    assert b"namespaces of pid 1" in done.stderr
