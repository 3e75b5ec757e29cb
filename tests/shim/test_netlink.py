"""OPEN_NETLINK: a route socket of the pod's namespace, opened by the shim and used without its privileges."""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import subprocess
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from multus import errors
from multus.execproto import frames
from shim import harness

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from multus.execproto.connection import Connection
    from shim.harness import Host

pytestmark = pytest.mark.netns

RTM_NEWLINK, RTM_GETLINK = 16, 18
NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP = 1, 4, 0x300
CAP_NET_ADMIN = 12


@pytest.fixture
def netns() -> Iterator[str]:
    """A network namespace with loopback alone."""
    name = f"shim-{uuid.uuid4().hex[:8]}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    yield f"/run/netns/{name}"
    subprocess.run(["ip", "netns", "delete", name], check=True)


def links(sock: socket.socket) -> int:
    """How many links the socket's namespace has."""
    sock.settimeout(harness.PATIENCE)
    body = struct.pack("=BxHiII", 0, 0, 0, 0, 0)
    sock.send(struct.pack("=IHHII", 16 + len(body), RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, 1, 0) + body)
    found = 0
    while True:
        data = sock.recv(1 << 16)
        while data:
            length, kind = struct.unpack_from("=IH", data)
            if kind == 3:  # NLMSG_DONE
                return found
            found += kind == RTM_NEWLINK
            data = data[(length + 3) & ~3 :]


def set_up_loopback(sock: socket.socket) -> int:
    """Bring link 1 up: 0, or the errno of the kernel's refusal."""
    sock.settimeout(harness.PATIENCE)
    body = struct.pack("=BxHiII", 0, 0, 1, 1, 1)
    sock.send(struct.pack("=IHHII", 16 + len(body), RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK, 2, 0) + body)
    error: int = struct.unpack_from("=i", sock.recv(1 << 16), 16)[0]
    return -error


def capabilities(keep: int) -> None:
    """Drop every effective and permitted capability of this thread's process but `keep`."""
    header = struct.pack("=Ii", 0x20080522, 0)
    mask = 0 if keep < 0 else 1 << keep
    data = struct.pack("=IIIIII", mask, mask, 0, 0, 0, 0)
    assert ctypes.CDLL(None, use_errno=True).capset(header, data) == 0


def in_child(work: Callable[[], int]) -> int:
    """The small number that `work` gives in a process of its own."""
    pid = os.fork()
    if pid == 0:
        try:
            os._exit(work())
        finally:
            os._exit(255)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def during(host: Host, netns: str, work: Callable[[Connection], Any], verb: str = "ADD") -> Any:
    """The result of `work` in a call for that namespace, or what it raised."""
    results: list[Any] = []

    def handler(connection: Connection) -> None:
        connection.welcome()
        try:
            results.append(work(connection))
        except errors.CniError as error:
            results.append(error)
        connection.answer(b"", 0)

    with harness.Daemon(host.sockets, handler):
        assert host.call(verb, CNI_NETNS=netns) == (0, "")
    return results[0]


@pytest.mark.parametrize("explicit", [True, False])
def test_the_socket_is_of_the_pods_namespace(host: Host, netns: str, explicit: bool) -> None:
    """Loopback and the tunnel templates at most; the host has more to show."""

    def work(connection: Connection) -> int:
        with connection.open_netlink(netns if explicit else "") as sock:
            assert sock.family == socket.AF_NETLINK
            assert sock.type == socket.SOCK_DGRAM
            assert not sock.get_inheritable()
            return links(sock)

    name = os.path.basename(netns)
    shown = subprocess.run(["ip", "-n", name, "-o", "link"], check=True, capture_output=True, text=True)
    assert during(host, netns, work) == len(shown.stdout.splitlines())


def test_its_namespace_is_told_of_beforehand(host: Host, netns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody need ask whether it is there, and whose it is."""
    monkeypatch.setattr("multus.execproto.connection.FRESH", 60.0)

    def work(connection: Connection) -> tuple[int | None, bool, bool, int]:
        vouches, exists = connection.vouches(netns), connection.exists(netns)
        return connection.hello.netns, vouches, exists, next_request(connection)

    assert during(host, netns, work, "DEL") == (0, True, True, 1)


def next_request(connection: Connection) -> int:
    """The number of the next order: how many were given already, and one."""
    given: list[int] = []
    send = connection._channel._send

    def note(data: bytes, deadline: float) -> None:
        given.append(frames.HEADER.unpack_from(data)[3])
        send(data, deadline)

    connection._channel._send = note  # type: ignore[method-assign]
    connection.exists("/")
    return given[0]


def test_what_was_told_does_not_count_for_long(host: Host, netns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call may have waited, and the namespace gone; nor does it count for other paths."""
    assert during(host, netns, lambda c: c.vouches("/proc/self/ns/net")) is False
    monkeypatch.setattr("multus.execproto.connection.FRESH", 0.0)
    assert during(host, netns, lambda c: (c.vouches(netns), c.exists(netns))) == (False, True)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/proc/self/ns/net", frames.HOST_NETNS),
        ("/proc/self/ns/mnt", frames.UNUSABLE),
        ("/etc/passwd", frames.UNUSABLE),
        ("/nowhere/netns", frames.UNUSABLE),
        ("", frames.UNUSABLE),
    ],
)
def test_what_is_no_sandbox_is_told_of_too(host: Host, path: str, reason: int) -> None:
    """And then it is asked for as ever."""

    def work(connection: Connection) -> tuple[int | None, bool, bool]:
        return connection.hello.netns, connection.vouches(path), connection.exists(path)

    assert during(host, path, work) == (reason, False, os.path.exists(path))


def test_net_admin_alone_is_enough_to_write(host: Host, netns: str) -> None:
    """The daemon of the manifest."""

    def work(connection: Connection) -> int:
        with connection.open_netlink() as sock:

            def write() -> int:
                capabilities(CAP_NET_ADMIN)
                return set_up_loopback(sock)

            return in_child(write)

    assert during(host, netns, work) == 0
    state = subprocess.run(
        ["ip", "-n", os.path.basename(netns), "-o", "link", "show", "lo"], check=True, capture_output=True, text=True
    )
    assert "UP" in state.stdout.partition("<")[2].partition(">")[0].split(",")


def test_without_the_capability_the_kernel_refuses(host: Host, netns: str) -> None:
    """The descriptor itself gives no right."""

    def work(connection: Connection) -> int:
        with connection.open_netlink() as sock:

            def write() -> int:
                capabilities(-1)
                return set_up_loopback(sock)

            return in_child(write)

    assert during(host, netns, work) == 1  # EPERM


def test_the_worker_comes_back(host: Host, netns: str) -> None:
    """Delegates behind it run in the host's namespace."""
    host.plugin("where", "exec readlink /proc/self/ns/net")

    def work(connection: Connection) -> bytes:
        connection.open_netlink().close()
        return harness.run(connection, "where").stdout

    assert during(host, netns, work).decode().strip() == os.readlink("/proc/self/ns/net")


def test_nothing_pins_the_namespace_afterwards(host: Host, netns: str) -> None:
    """Neither the worker nor a delegate has the descriptor any more."""
    host.plugin("look", "ls -l /proc/$PPID/fd /proc/self/fd")

    def work(connection: Connection) -> str:
        connection.open_netlink().close()
        return harness.run(connection, "look").stdout.decode()

    listing = during(host, netns, work)
    assert "net:[" not in listing
    assert netns not in listing


def test_the_hosts_own_is_refused(host: Host) -> None:
    """Routes of the host are nobody's to edit."""
    assert isinstance(during(host, "/proc/self/ns/net", lambda c: c.open_netlink()), errors.SameNamespace)


def test_that_of_pid_1_is_refused(host: Host) -> None:
    """Where it can be looked at; else it can't be entered either."""
    error = during(host, "/proc/self/ns/net", lambda c: c.open_netlink())
    assert isinstance(error, errors.SameNamespace | errors.IoFailure)


def test_another_calls_namespace_is_refused(host: Host, netns: str) -> None:
    """A call has its own CNI_NETNS and no other."""
    error = during(host, "/run/netns/other", lambda c: c.open_netlink(netns))
    assert isinstance(error, errors.IoFailure)
    assert "not the one of this call" in error.message


@pytest.mark.parametrize("path", ["/run/netns/missing", "", "/etc/passwd", "/dev/null", "/"])
def test_what_is_no_namespace_is_an_error(host: Host, path: str) -> None:
    """Named, with the kernel's word for it."""
    error = during(host, path, lambda c: c.open_netlink(), "DEL")
    assert isinstance(error, errors.IoFailure)


def test_many_in_a_row_and_beside_delegates(host: Host, netns: str) -> None:
    """Each reply has its own descriptor."""
    import threading

    host.plugin("echo", "exec cat")

    def work(connection: Connection) -> list[int]:
        found: list[int] = []

        def one() -> None:
            for _ in range(10):
                harness.run(connection, "echo", b"x" * 100000)
                with connection.open_netlink() as sock:
                    found.append(links(sock))

        threads = [threading.Thread(target=one) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return found

    before = len(os.listdir("/proc/self/fd"))
    found = during(host, netns, work)
    assert len(found) == 40
    assert len(set(found)) == 1
    assert len(os.listdir("/proc/self/fd")) == before
