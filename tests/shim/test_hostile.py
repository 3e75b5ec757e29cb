"""A daemon that breaks the protocol gets nowhere, and the runtime gets a clean error."""

from __future__ import annotations

import json
import os
import struct
from typing import TYPE_CHECKING

import pytest

from multus.execproto import frames, listener
from shim import harness

if TYPE_CHECKING:
    from shim.harness import Host

pytestmark = pytest.mark.netns

WELCOME = frames.welcome(frames.Welcome(1, 0))


def order(
    *, deadline: int = 1000, name: bytes = b"ok", count: int = 0, variables: bytes = b"", rest: bytes = b"\0" * 4
) -> bytes:
    """An EXEC with any fields."""
    payload = struct.pack(">II", deadline, len(name)) + name + struct.pack(">I", count) + variables + rest
    return frames.HEADER.pack(len(payload), frames.EXEC, 0, 1) + payload


def text(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


HOSTILE = {
    "garbage": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "huge length": WELCOME + struct.pack(">IHHI", 0xFFFFFFFF, frames.EXEC, 0, 1),
    "length beyond the type": WELCOME + struct.pack(">IHHI", 1, frames.KILL, 0, 1) + b"x",
    "unknown type": WELCOME + struct.pack(">IHHI", 0, 200, 0, 1),
    "a frame of the shim": WELCOME + struct.pack(">IHHI", 0, frames.ABANDONED, 0, 1),
    "FORGET, which only last orders have": WELCOME + frames.path_order(frames.FORGET, 1, "/nowhere/file"),
    "reserved bits": WELCOME + struct.pack(">IHHI", 0, frames.KILL, 1, 1),
    "an order before WELCOME": order(),
    "WELCOME twice": WELCOME + WELCOME,
    "WELCOME cut short": struct.pack(">IHHI", 2, frames.WELCOME, 0, 0) + b"\0\1",
    "version below": frames.welcome(frames.Welcome(0, 0)),
    "version above": frames.welcome(frames.Welcome(99, 0)),
    "ANSWER cut short": WELCOME + struct.pack(">IHHI", 4, frames.ANSWER, 0, 0) + b"\0\0\0\0",
    "ANSWER longer than its frame": WELCOME + struct.pack(">IHHIII", 8, frames.ANSWER, 0, 0, 0, 1),
    "ANSWER with bytes too many": WELCOME + struct.pack(">IHHIII", 9, frames.ANSWER, 0, 0, 0, 0) + b"x",
    "ANSWER with an impossible status": WELCOME + struct.pack(">IHHIII", 8, frames.ANSWER, 0, 0, 256, 0),
    "EXEC cut short": WELCOME + struct.pack(">IHHI", 0, frames.EXEC, 0, 1),
    "EXEC with a name beyond its frame": WELCOME + struct.pack(">IHHIII", 8, frames.EXEC, 0, 1, 0, 200),
    "EXEC with a name too long": WELCOME + order(name=b"n" * 256),
    "EXEC with a NUL in its name": WELCOME + order(name=b"a\0b"),
    "EXEC with a deadline too far": WELCOME + order(deadline=3600 * 1000 + 1),
    "EXEC with too many variables": WELCOME + order(count=257, variables=text(b"CNI_A=1") * 257),
    "EXEC with a count beyond its frame": WELCOME + order(count=256),
    "EXEC with too many bytes of variables": WELCOME + order(count=2, variables=text(b"CNI_A=" + b"a" * (1 << 17)) * 2),
    "EXEC with a variable without =": WELCOME + order(count=1, variables=text(b"CNI_A")),
    "EXEC with a NUL in a variable": WELCOME + order(count=1, variables=text(b"CNI_A=\0")),
    "EXEC with LD_PRELOAD": WELCOME + order(count=1, variables=text(b"LD_PRELOAD=/tmp/evil.so")),
    "EXEC with bytes too many": WELCOME + order(rest=text(b"") + b"x"),
    "EXEC with an id in use": WELCOME + order(name=b"slow", deadline=60000) * 2,
    "THEN in version 1": WELCOME + struct.pack(">IHHI", len(order()) - 12, frames.THEN, 0, 1) + order()[12:],
    "EXISTS with a NUL": WELCOME + struct.pack(">IHHI", 7, frames.EXISTS, 0, 1) + text(b"a\0b"),
    "EXISTS with bytes too many": WELCOME + struct.pack(">IHHI", 6, frames.EXISTS, 0, 1) + text(b"a") + b"x",
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_broken_protocol_is_a_clean_error(host: Host, kind: str) -> None:
    """Code 11, one line; delegates that run may finish."""
    host.plugin("ok", "true")
    host.plugin("slow", f"while ! [ -e {host.root}/go ]; do sleep 0.02; done")
    with listener.listen(str(host.sockets)) as server:
        process = host.start("ADD")
        accepted, _ = server.accept()
        with accepted:
            accepted.settimeout(harness.PATIENCE)
            accepted.sendall(HOSTILE[kind])
            while accepted.recv(1 << 16):  # until the shim closes
                pass
        (host.root / "go").touch()
        out, err = process.communicate(timeout=harness.PATIENCE)
    assert (process.returncode, err) == (1, b"")
    error = json.loads(out)
    assert error["code"] == 11
    assert "executor protocol" in error["msg"]


def test_frames_may_arrive_byte_by_byte(host: Host) -> None:
    """A stream has no frames of its own."""
    host.plugin("ok", "exec cat")
    sent = WELCOME + order(rest=text(b"fine")) + frames.answer(frames.Answer(0, b"done"))
    with listener.listen(str(host.sockets)) as server:
        process = host.start("ADD")
        accepted, _ = server.accept()
        with accepted:
            for at in range(len(sent)):
                accepted.sendall(sent[at : at + 1])
            out, _ = process.communicate(timeout=harness.PATIENCE)
    assert (process.returncode, out) == (0, b"done")


def test_a_daemon_that_does_not_read_is_not_waited_for_with_memory(host: Host) -> None:
    """Orders stop being taken when their replies are not read; what was ordered is carried out all the same."""
    host.plugin("much", f"echo x >> {host.root}/ran; exec head -c 4000000 /dev/zero")
    orders = b"".join(frames.exec_order(number, frames.Exec(60, "much", {}, b"")) for number in range(1, 31))
    with listener.listen(str(host.sockets)) as server:
        process = host.start("ADD")
        accepted, _ = server.accept()
        with accepted:
            accepted.sendall(WELCOME + frames.exec_order(99, frames.Exec(60, "much", {}, b"")) * 1)
            harness.wait_for(lambda: (host.root / "ran").exists(), "the first to run")
            accepted.sendall(orders)
            decoder, seen = frames.of_shim(), 0
            accepted.settimeout(harness.PATIENCE)
            while seen < 32:  # HELLO, then every plugin's end
                for frame in decoder.feed(accepted.recv(1 << 16)):
                    seen += 1
                    assert frame.type == frames.HELLO or len(frames.read_exited(frame.payload).stdout) == 4000000
            accepted.sendall(frames.answer(frames.Answer(0, b"done")))
            out, _ = process.communicate(timeout=harness.PATIENCE)
    assert (process.returncode, out) == (0, b"done")


def test_a_daemon_that_hangs_is_given_up_at_the_end_of_its_own_budget(host: Host) -> None:
    """WELCOME names it; five seconds of slack."""
    with listener.listen(str(host.sockets)) as server:
        process = host.start("ADD")
        accepted, _ = server.accept()
        with accepted:
            accepted.sendall(frames.welcome(frames.Welcome(1, 0.001)))
            out, _ = process.communicate(timeout=harness.PATIENCE)
    assert b"its own budget" in out


@pytest.mark.parametrize("seed", [1, 2])
def test_random_bytes_behind_a_welcome(host: Host, seed: int) -> None:
    """Whatever comes, the front answers and nothing is left."""
    import random

    chooser = random.Random(seed)
    host.plugin("ok", "true")
    for _ in range(20):
        data = bytearray(order(name=b"ok", count=1, variables=text(b"CNI_A=1"), rest=text(b"in")) * 3)
        for _ in range(chooser.randrange(1, 6)):
            data[chooser.randrange(len(data))] = chooser.choice((0, 1, 4, 65, 66, 70, 255, chooser.randrange(256)))
        with listener.listen(str(host.sockets)) as server:
            process = host.start("ADD")
            accepted, _ = server.accept()
            with accepted:
                accepted.sendall(WELCOME + bytes(data))
            out, _ = process.communicate(timeout=harness.PATIENCE)
        assert json.loads(out)["code"] == 11


def test_a_descriptor_of_the_daemons_is_not_taken(host: Host) -> None:
    """The shim reads bytes; what comes beside them is dropped by the kernel."""
    import socket

    with listener.listen(str(host.sockets)) as server:
        process = host.start("ADD")
        accepted, _ = server.accept()
        with accepted, open(os.devnull) as null:
            socket.send_fds(accepted, [WELCOME], [null.fileno()])
            accepted.sendall(frames.answer(frames.Answer(0, b"done")))
            out, _ = process.communicate(timeout=harness.PATIENCE)
    assert (process.returncode, out) == (0, b"done")
