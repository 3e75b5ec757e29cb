"""One child process with three pipes and a deadline.

`subprocess` is not used: it costs 8 ms of import in a process that lives for thirty. The child leads a process group of
its own, so that what it started ends with it; what left the group is known by a mark in its environment. It has ended
when its pid is reaped: plugins that leave daemons behind hold their pipes open, which is no reason to wait.
"""

from __future__ import annotations

import os
import select
import signal
import time
from typing import TYPE_CHECKING

from multus import errors
from multus.cni.invoke import PluginExit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from multus.ports import Clock

#: What a plugin may print; more is an error, not a reason for us to grow.
MAX_STDOUT = 4 << 20

#: How much of the end of stderr is kept.
MAX_STDERR = 64 << 10

#: Between SIGTERM and SIGKILL, in seconds.
GRACE = 1.0

#: How often it is looked whether all that was killed has ended, and how long between two looks, in seconds.
_SWEEPS, _PAUSE = 200, 0.01

_CHUNK = 1 << 16

#: Python ignores these; a plugin must find them as it would without us.
_RESET = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGTERM, signal.SIGINT)


def run(path: str, environ: Mapping[str, str], stdin: bytes, deadline: float, clock: Clock, mark: str) -> PluginExit:
    """Run the executable to its end. `mark`: a variable of `environ` ("NAME=value") that no other process has but
    those it starts; after its violent end they are gone too.

    Raises OSError (it could not be started), errors.PluginTimeout, errors.PluginFailed (it printed more than
    `MAX_STDOUT`)."""
    child = _Child(path, environ, stdin)
    try:
        child.serve(deadline, clock)
        if child.status is not None and child.status < 0:
            child.end(mark)
        return child.exit()
    except BaseException:
        child.end(mark)
        raise
    finally:
        child.close()


class _Child:
    """The process and our ends of its pipes."""

    def __init__(self, path: str, environ: Mapping[str, str], stdin: bytes) -> None:
        self.path = path
        self.unsent = memoryview(stdin)
        self.stdout = bytearray()
        self.stderr = bytearray()
        self.status: int | None = None
        self.fds: dict[str, int] = {}
        theirs: list[int] = []
        try:
            self._spawn(environ, theirs)
        except BaseException:
            self.close()
            raise
        finally:
            for descriptor in theirs:
                os.close(descriptor)

    def _spawn(self, environ: Mapping[str, str], theirs: list[int]) -> None:
        for name in ("stdin", "stdout", "stderr"):
            reading, writing = os.pipe()
            ours, given = (writing, reading) if name == "stdin" else (reading, writing)
            self.fds[name] = ours
            theirs.append(given)
            os.set_blocking(ours, False)
        self.pid = os.posix_spawn(
            self.path,
            [self.path],
            environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, given, target) for target, given in enumerate(theirs)],
            setpgroup=0,
            setsigmask=(),
            setsigdef=_RESET,
        )
        self.fds["pid"] = os.pidfd_open(self.pid)

    def serve(self, deadline: float, clock: Clock) -> None:
        """Feed stdin and collect the output until the child has ended and is reaped."""
        poll = select.poll()
        names = {descriptor: name for name, descriptor in self.fds.items()}
        for name, descriptor in self.fds.items():
            poll.register(descriptor, select.POLLOUT if name == "stdin" else select.POLLIN)
        while self.status is None:
            left = deadline - clock.monotonic()
            if left <= 0:
                raise errors.PluginTimeout(
                    f'plugin "{os.path.basename(self.path)}" did not end within its deadline and was killed'
                )
            for descriptor, _ in poll.poll(min(left, 3600) * 1000):
                name = names[descriptor]
                if name == "pid":
                    self._reap()
                elif not self._move(name):
                    poll.unregister(descriptor)
                    self._close(name)
        for name in ("stdout", "stderr"):
            while name in self.fds and self._move(name):
                pass

    def _move(self, name: str) -> bool:
        """Move what one pipe takes or gives; False when it is at its end, or (after the child's) empty."""
        try:
            return self._feed() if name == "stdin" else self._collect(name)
        except BlockingIOError:
            return self.status is None
        except OSError:
            return False  # the child closed its end

    def _feed(self) -> bool:
        if self.unsent:
            self.unsent = self.unsent[os.write(self.fds["stdin"], self.unsent[:_CHUNK]) :]
        return bool(self.unsent)

    def _collect(self, name: str) -> bool:
        data = os.read(self.fds[name], _CHUNK)
        if name == "stderr":
            self.stderr += data
            del self.stderr[:-MAX_STDERR]
        elif len(self.stdout) + len(data) > MAX_STDOUT:
            raise errors.PluginFailed(
                f'plugin "{os.path.basename(self.path)}" printed more than {MAX_STDOUT} bytes and was killed'
            )
        else:
            self.stdout += data
        return bool(data)

    def _reap(self) -> None:
        _, status = os.waitpid(self.pid, 0)
        self.status = os.waitstatus_to_exitcode(status)

    def exit(self) -> PluginExit:
        """How it ended."""
        assert self.status is not None
        return PluginExit(self.status, bytes(self.stdout), bytes(self.stderr))

    def end(self, mark: str) -> None:
        """End the child and all it started, and reap it: SIGTERM, `GRACE` seconds, SIGKILL."""
        from multus.host import stragglers

        if self.status is None:
            self._signal(signal.SIGTERM)
            poll = select.poll()
            poll.register(self.fds["pid"], select.POLLIN)
            poll.poll(GRACE * 1000)
        self._signal(signal.SIGKILL)
        if self.status is None:
            self._reap()
        quiet = 0
        for _ in range(_SWEEPS):
            quiet = 0 if stragglers.kill(mark) else quiet + 1
            if quiet == 2:  # in the instant of its exec a process has no environment
                break
            time.sleep(_PAUSE)

    def _signal(self, number: int) -> None:
        try:
            os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):
            pass  # nothing of the group is left

    def _close(self, name: str) -> None:
        os.close(self.fds.pop(name))

    def close(self) -> None:
        """Close whatever is open still."""
        for name in list(self.fds):
            self._close(name)
