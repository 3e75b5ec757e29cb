"""From an accepted socket to a `Connection`: who it is, what it wants, and which version both speak."""

from __future__ import annotations

import socket
import struct
import time
from typing import TYPE_CHECKING

from multus import errors
from multus.cni import rawjson
from multus.cni import versions as cni_versions
from multus.execproto import connection, frames
from multus.execproto.channel import Channel, Disconnected

if TYPE_CHECKING:
    from collections.abc import Sequence

    from multus.execproto.frames import Frame

_CHUNK = 1 << 16
_LOOK = int(socket.MSG_PEEK) | int(socket.MSG_DONTWAIT)


def greet(
    sock: socket.socket, deadline: float, versions: Sequence[int] = frames.VERSIONS, owner: int = 0
) -> connection.Connection:
    """The connection of an accepted socket: the peer is `owner`'s (root's), HELLO read, the version agreed, the shim
    still there.

    On an error the socket is closed; a shim that can't be understood, or speaks no common version, is told so first:
    it would try again else. Raises errors.Denied (not root's), frames.BrokenProtocol, Disconnected (gone, or silent
    until `deadline`, in monotonic seconds)."""
    try:
        return _greet(sock, deadline, versions, owner)
    except BaseException:
        sock.close()
        raise


def peer_uid(sock: socket.socket) -> int:
    """The user id of the process at the other end."""
    raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    uid: int = struct.unpack("3i", raw)[1]
    return uid


def _greet(sock: socket.socket, deadline: float, versions: Sequence[int], owner: int) -> connection.Connection:
    if peer_uid(sock) != owner:
        raise errors.Denied("a process that is not root's connected to the executor socket")
    decoder = frames.of_shim()
    try:
        hello = frames.read_hello(_first_frame(sock, decoder, deadline).payload)
        version = frames.negotiate(hello.versions, versions)
    except frames.BrokenProtocol as error:
        _refuse(sock, error)
        raise
    sock.settimeout(None)
    if _gone(sock):
        raise Disconnected("multus-shim gave up before its call was begun")
    return connection.Connection(Channel(sock, decoder), hello, version)


def _first_frame(sock: socket.socket, decoder: frames.Decoder, deadline: float) -> Frame:
    while True:
        try:
            sock.settimeout(max(0.001, deadline - time.monotonic()))
            data = sock.recv(_CHUNK)
        except OSError as error:
            raise Disconnected("multus-shim did not say HELLO in time") from error
        if not data:
            raise Disconnected("multus-shim went away before it had said HELLO")
        for frame in decoder.feed(data):
            if frame.type != frames.HELLO:
                raise frames.BrokenProtocol("executor protocol: the first frame is not HELLO")
            return frame


def _gone(sock: socket.socket) -> bool:
    """Whether the shim has closed its end: its runtime gave up while it waited in the backlog."""
    try:
        return sock.recv(1, _LOOK) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def _refuse(sock: socket.socket, error: errors.CniError) -> None:
    body = rawjson.dumps(error.as_object(cni_versions.LATEST), indent=4).encode() + b"\n"
    try:
        sock.sendall(frames.answer(frames.Answer(1, body)))
    except OSError:
        pass
