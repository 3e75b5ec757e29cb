"""The signals that end the daemon, received for certain.

The kernel may hand a signal to any thread: one that is just being made takes it from under the main thread, which then
goes on sleeping in whatever lock it waits for, the handler unrun. So the main thread waits for a byte that the signal
writes, whichever thread it meets (`signal.set_wakeup_fd`).
"""

from __future__ import annotations

import signal
import socket

NUMBERS = (signal.SIGTERM, signal.SIGINT)


class Termination:
    """SIGTERM and SIGINT, from now on. To be made and waited for by the main thread."""

    def __init__(self) -> None:
        self._wake, self._waker = socket.socketpair()
        self._waker.setblocking(False)
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        for number in NUMBERS:
            signal.signal(number, lambda *_: None)

    def wait(self) -> None:
        """Until one of them came."""
        while self._wake.recv(1)[0] not in NUMBERS:
            pass
