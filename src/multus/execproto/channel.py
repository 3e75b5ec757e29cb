"""Requests and replies over one connected socket, for several threads at once.

There is no reader thread: of the threads that wait for a reply one reads for all of them, and hands the reading on when
its own has come. A thread costs memory per call, and most calls have one order at a time.
"""

from __future__ import annotations

import array
import os
import select
import socket
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

from multus import errors
from multus.execproto import frames

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from multus.execproto.frames import Frame

_CHUNK = 1 << 16
_INT = array.array("i").itemsize
_DESCRIPTORS = socket.CMSG_SPACE(8 * _INT)

#: As numbers: to join flags of the `socket` module takes longer than to send a frame.
_SEND = int(socket.MSG_DONTWAIT) | int(socket.MSG_NOSIGNAL)
_RECEIVE = int(socket.MSG_CMSG_CLOEXEC)

#: How long a peer that stopped reading may take to say why, and threads to let go of a closed socket, in seconds.
_PATIENCE = 10.0


class Disconnected(errors.TryAgainLater):
    """The shim is gone without a word; delegates may still run (see `inflight`)."""


class Abandoned(errors.TryAgainLater):
    """The runtime gave the call up. Everything that was started on the host has ended."""


class Reply(NamedTuple):
    """A reply, and the descriptor that came with it (else -1)."""

    frame: Frame
    descriptor: int


class Channel:
    """The frames of one shim. Every method raises the error that ended the channel, once there is one: Abandoned,
    Disconnected or frames.BrokenProtocol."""

    def __init__(self, sock: socket.socket, decoder: frames.Decoder) -> None:
        self._sock = sock
        # Polled for before each read: one that waits in recvmsg(2) is woken once more when the peer takes what it was
        # sent.
        self._readable = select.poll()
        self._readable.register(sock, select.POLLIN)
        self._decoder = decoder
        self._lock = threading.Lock()
        self._condition = threading.Condition(self._lock)
        self._sending = threading.Lock()
        self._reading = False
        self._passing = False  # once descriptors were asked for
        self._idle = 0  # threads that wait for the one that reads
        self._last = 0
        self._waiting: set[int] = set()
        self._replies: dict[int, Reply] = {}
        self._descriptors: list[int] = []
        self._failure: tuple[type[errors.CniError], str] | None = None

    @property
    def failed(self) -> bool:
        """Whether it has ended."""
        return self._failure is not None

    def request(
        self, order: int, payload: bytes, patience: float, meanwhile: Callable[[], None] | None = None
    ) -> Reply:
        """Give an order (type, payload), do something else, and wait for the reply, `patience` seconds in all."""
        return self.requests([(order, payload)], patience, meanwhile)[0]

    def requests(
        self,
        orders: Sequence[tuple[int, bytes]],
        patience: float,
        meanwhile: Callable[[], None] | None = None,
    ) -> list[Reply]:
        """Give several at once, and wait for all replies."""
        deadline = time.monotonic() + patience
        ids = []
        with self._lock:
            for order, _ in orders:
                self._last = request = self._last % 0xFFFFFFFF + 1
                ids.append(request)
                if order == frames.OPEN_NETLINK:
                    self._passing = True
            self._waiting.update(ids)
        try:
            numbered = zip(ids, orders, strict=True)
            given = [frames.encode(order, request, payload) for request, (order, payload) in numbered]
            self._send(b"".join(given), deadline)
            if meanwhile is not None:
                meanwhile()
            return [self._await(request, deadline) for request in ids]
        except BaseException:
            with self._lock:
                self._waiting.difference_update(ids)
                for request in ids:
                    self._discard(self._replies.pop(request, None))
            raise

    def outstanding(self) -> list[int]:
        """The ids of the requests that wait for their replies."""
        with self._lock:
            return sorted(self._waiting)

    def send(self, data: bytes, patience: float) -> None:
        """Send one frame, waiting `patience` seconds at most for the peer to take it."""
        self._send(data, time.monotonic() + patience)

    def wait_end(self, deadline: float) -> bool:
        """Wait until the channel has ended; False at `deadline` (monotonic seconds)."""
        while not self.failed:
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            with self._lock:
                mine = self._turn(left)
            if mine:
                self._read(left)
        return True

    def fail(self, error: errors.CniError) -> errors.CniError:
        """End it with this error (the first one counts) and return it."""
        with self._lock:
            if self._failure is None:
                self._failure = (error.__class__, error.message)
            self._condition.notify_all()
        return error

    def close(self) -> None:
        """End it and close the socket, and every descriptor that nobody took."""
        if self._sock.fileno() < 0:
            return
        with self._lock:
            if self._failure is None:
                self._failure = (Disconnected, "the connection to multus-shim was closed")
        try:
            self._sock.shutdown(socket.SHUT_RDWR)  # wakes who reads: a descriptor must not vanish under its poll
        except OSError:
            pass
        with self._lock:
            if self._idle or self._reading:
                self._idle += 1
                self._condition.notify_all()
                self._condition.wait_for(lambda: not self._reading, _PATIENCE)
                self._idle -= 1
            while self._descriptors:
                os.close(self._descriptors.pop())
            while self._replies:
                self._discard(self._replies.popitem()[1])
        self._sock.close()

    def _send(self, data: bytes, deadline: float) -> None:
        with self._sending:
            if self._failure is not None:
                self._check()
            try:
                sent = self._sock.send(data, _SEND)
            except OSError:
                sent = 0
            while sent < len(data):
                sent += self._send_some(memoryview(data)[sent:], deadline)

    def _send_some(self, view: memoryview, deadline: float) -> int:
        try:
            return self._sock.send(view, _SEND)
        except BlockingIOError:
            if not self._writable(deadline):
                raise self.fail(Disconnected("multus-shim does not take orders any more")) from None
            return 0
        except OSError as error:
            # It may have said why before it went; whatever it said ends the channel with the better words.
            self.wait_end(time.monotonic() + _PATIENCE)
            self._check()
            raise self.fail(Disconnected(f"multus-shim is gone: {error.strerror}")) from error

    def _await(self, request: int, deadline: float) -> Reply:
        while True:
            left = deadline - time.monotonic()
            with self._lock:
                reply = self._replies.pop(request, None)
                if reply is not None:
                    return reply
                if self._failure is not None:
                    self._check()
                mine = left > 0 and self._turn(left)
            if left <= 0:
                raise self.fail(Disconnected("multus-shim did not reply in time"))
            if mine:
                self._read(left)

    def _turn(self, left: float) -> bool:
        """Whether the caller, who holds the lock, is to read for everybody; else wait for the thread that does."""
        if self._failure is not None:  # closed meanwhile: the descriptor may be another file's by now
            return False
        if self._reading:
            self._idle += 1
            self._condition.wait(left)
            self._idle -= 1
            return False
        self._reading = True
        return True

    def _read(self, left: float) -> None:
        """Read what comes next, for everybody."""
        try:
            if self._readable.poll(left * 1000):
                self._receive()
        except errors.CniError as error:
            self.fail(error)
        finally:
            with self._lock:
                self._reading = False
                if self._idle:
                    self._condition.notify_all()

    def _writable(self, deadline: float) -> bool:
        poll = select.poll()
        poll.register(self._sock, select.POLLOUT)
        return bool(poll.poll(max(0.0, deadline - time.monotonic()) * 1000))

    def _receive(self) -> None:
        try:
            # Not socket.recv_fds: up to Python 3.11 it forgets its flags, and children would inherit the descriptor.
            # Where none is expected none is taken: the kernel drops what comes then.
            if self._passing:
                data, ancillary, _, _ = self._sock.recvmsg(_CHUNK, _DESCRIPTORS, _RECEIVE)
                self._keep(ancillary)
            else:
                data = self._sock.recv(_CHUNK)
        except OSError as error:
            raise Disconnected(f"multus-shim is gone: {error.strerror}") from error
        if not data:
            raise Disconnected("multus-shim is gone without having ended its call")
        for frame in self._decoder.feed(data):
            self._take(frame)

    def _keep(self, ancillary: list[tuple[int, int, bytes]]) -> None:
        for level, kind, numbers in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                self._descriptors += array.array("i", numbers[: len(numbers) - len(numbers) % _INT]).tolist()

    def _take(self, frame: Frame) -> None:
        if frame.type == frames.ABANDONED:
            raise Abandoned("the runtime gave the call up; everything that was started for it has ended")
        descriptor = -1
        if frame.type == frames.NETLINK:
            if not self._descriptors:
                raise frames.BrokenProtocol("executor protocol: NETLINK without a descriptor")
            descriptor = self._descriptors.pop(0)  # the kernel keeps the order of frames and descriptors
        with self._lock:
            if frame.request in self._waiting:
                self._waiting.discard(frame.request)
                self._replies[frame.request] = Reply(frame, descriptor)
            else:
                self._discard(Reply(frame, descriptor))  # whoever wanted it has given up

    @staticmethod
    def _discard(reply: Reply | None) -> None:
        if reply is not None and reply.descriptor >= 0:
            os.close(reply.descriptor)

    def _check(self) -> None:
        if self._failure is not None:
            kind, message = self._failure
            raise kind(message)
