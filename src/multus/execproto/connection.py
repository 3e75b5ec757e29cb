"""One connected shim: a `ports.Executor` whose hands are on the host."""

from __future__ import annotations

import errno
import socket
import time
from typing import TYPE_CHECKING

from multus import errors
from multus.cni import environment, invoke
from multus.execproto import frames, meanings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Self

    from multus.cni.invoke import Ended, PluginCall, PluginExit
    from multus.execproto.channel import Channel
    from multus.execproto.frames import Frame, Hello

#: What the shim needs beyond a plugin's deadline, in seconds: SIGTERM, SIGKILL, the sweep of its group.
GRACE = 10.0

#: For orders that take no time.
PROMPT = 10.0

#: A plugin whose file is just being replaced ("text file busy") is tried again, as upstream does.
BUSY_RETRIES = 5
BUSY_PAUSE = 1.0

#: For how many seconds a shim's word about its namespace counts: its call may have waited.
FRESH = 1.0

#: The version that brought orders which wait for the one before them, and how many may be sent at once.
SERIES_SINCE = 2
MAX_SERIES = 256


class Connection:
    """The hands of one call, or of the agent. Made by `greeting.greet`; begin with `welcome`, end with `answer` or
    `close`. Orders may be given by several threads at once.

    Every order raises channel.Abandoned once the runtime gave the call up (then everything on the host has ended),
    channel.Disconnected once the shim is gone, frames.BrokenProtocol when it is none."""

    def __init__(self, channel: Channel, hello: Hello, version: int) -> None:
        self.hello = hello
        self.version = version
        self._channel = channel

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def elapsed(self) -> float:
        """Seconds since the shim was started; 0.0 when its clock is not ours (a time namespace)."""
        passed = time.monotonic() - self.hello.started
        return passed if 0 <= passed < frames.MAX_DEADLINE else 0.0

    @property
    def gone(self) -> bool:
        """Whether the shim is known to be gone."""
        return self._channel.failed

    def welcome(self, budget: float = 0.0) -> None:
        """Take the call on. Until then closing means "ask my successor"; afterwards the shim answers 11. `budget`:
        seconds after which the shim stops waiting for the answer (0: never)."""
        self._channel.send(frames.welcome(frames.Welcome(self.version, budget)), PROMPT)

    def prepare(self, call: PluginCall) -> None:
        """As `ports.Executor.prepare`: the order's bytes. What is wrong with it is for `run` to say."""
        try:
            call.prepared = _order(call)
        except errors.CniError:
            pass

    def run(self, call: PluginCall) -> PluginExit:
        """As `ports.Executor.run`; also raises errors.SelfDelegation, errors.InvalidConfig (no plugin's name),
        errors.PluginFailed (it printed too much)."""
        for attempt in range(BUSY_RETRIES + 1):
            begun = time.monotonic()
            remaining = call.deadline - begun
            if remaining <= 0:
                raise meanings.too_late(call.plugin)
            order = frames.within(remaining, call.prepared or _order(call))
            call.worked = 0.0
            frame, _ = self._channel.request(frames.EXEC, order, remaining + GRACE, call.meanwhile)
            if frame.type == frames.EXITED:
                return self._exit(call, frame, time.monotonic() - begun)
            call.worked = None
            reason, number = frames.read_pair(self._expect(frame, frames.FAILED).payload)
            if not _replaced(reason, number) or attempt == BUSY_RETRIES:
                break
            if call.deadline - time.monotonic() <= BUSY_PAUSE:
                break
            time.sleep(BUSY_PAUSE)
        raise meanings.of_refusal(call.plugin, self.hello.search, reason, number)

    def series(self, calls: Sequence[PluginCall], *, go_on: bool) -> Iterator[Ended]:
        """As `ports.Executor.series`: in one go, where the shim can and nobody else gives it orders."""
        orders = self._together(calls, frames.NEXT if go_on else frames.THEN)
        if not orders:
            yield from invoke.in_turn(self, calls, go_on=go_on)
            return
        try:
            replies = self._replies(calls, orders)
        except errors.CniError as error:
            yield from invoke.all_failed(calls, error, go_on=go_on)
            return
        for number, (call, frame) in enumerate(zip(calls, replies, strict=True)):
            ended = self._ended(call, frame)
            if ended is None:  # its file is just being replaced
                rest = calls[number : number + 1] if go_on else calls[number:]
                yield from invoke.in_turn(self, rest, go_on=go_on)
                if not go_on:
                    return
                continue
            yield ended
            if not go_on and not invoke.succeeded(ended):
                return

    def _together(self, calls: Sequence[PluginCall], following: int) -> list[tuple[int, bytes]]:
        """Their orders: an EXEC, and what follows. Empty where they must be given one by one: for the agent's hands
        others may wait; what is wrong with a call `run` says best."""
        if len(calls) < 2 or self.version < SERIES_SINCE or self.hello.kind != frames.CALL:
            return []
        now = time.monotonic()
        if not all(call.prepared and call.deadline > now for call in calls):
            return []
        contents = [frames.within(call.deadline - now, call.prepared) for call in calls]
        if len(calls) > MAX_SERIES or sum(map(len, contents)) > frames.MAX_FRAME:
            return []
        return [(following if number else frames.EXEC, content) for number, content in enumerate(contents)]

    def _replies(self, calls: Sequence[PluginCall], orders: list[tuple[int, bytes]]) -> list[Frame]:
        for call in calls:
            call.worked = 0.0
        patience = max(call.deadline for call in calls) - time.monotonic() + GRACE
        found = [reply.frame for reply in self._channel.requests(orders, patience, calls[0].meanwhile)]
        for call, frame in zip(calls, found, strict=True):
            if self._expect(frame, frames.EXITED, frames.FAILED).type == frames.FAILED:
                call.worked = None
        return found

    def _ended(self, call: PluginCall, frame: Frame) -> Ended | None:
        """How a plugin of a series ended; None when it is to be tried again."""
        try:
            if frame.type == frames.EXITED:
                return self._exit(call, frame, 0.0)
        except errors.CniError as error:
            return error
        reason, number = frames.read_pair(frame.payload)
        if _replaced(reason, number):
            return None
        return meanings.of_refusal(call.plugin, self.hello.search, reason, number)

    def _exit(self, call: PluginCall, frame: Frame, seconds: float) -> PluginExit:
        """`seconds`: how long it took, for what is known here. Raises as `run`."""
        ended = frames.read_exited(frame.payload)
        call.worked = seconds if ended.worked is None else ended.worked
        return meanings.of_exit(call.plugin, ended)

    def exists(self, path: str) -> bool:
        """As `ports.Executor.exists`."""
        if self.vouches(path):
            return True
        frame, _ = self._channel.request(frames.EXISTS, frames.path_content(path), PROMPT)
        return frames.read_pair(self._expect(frame, frames.PRESENT).payload)[0] == 0

    def vouches(self, netns: str) -> bool:
        """Whether the shim has just said of this path that it is a network namespace, and not the host's."""
        known = self.hello.netns == 0 and netns == self.hello.environ.get("CNI_NETNS")
        return known and 0 < self.elapsed < FRESH

    def open_netlink(self, netns: str = "") -> socket.socket:
        """A route netlink socket in a network namespace of the host: a call has its own CNI_NETNS only ("" means it),
        the agent any. It pins the namespace: close it before the first DEL.

        Raises errors.SameNamespace (the host's own), errors.IoFailure."""
        frame, descriptor = self._channel.request(frames.OPEN_NETLINK, frames.path_content(netns), PROMPT)
        if self._expect(frame, frames.NETLINK, frames.FAILED).type == frames.NETLINK:
            return socket.socket(fileno=descriptor)
        raise meanings.of_namespace(netns or self.hello.environ.get("CNI_NETNS", ""), *frames.read_pair(frame.payload))

    def cancel(self) -> None:
        """End every plugin that runs for this connection: their `run` raises errors.TryAgainLater."""
        for request in self._channel.outstanding():  # a KILL of what is no plugin is ignored
            self._channel.send(frames.encode(frames.KILL, request), PROMPT)

    def answer(self, stdout: bytes, status: int) -> bool:
        """Let the shim print `stdout` and exit with `status`, and close. False when it could not be told any more."""
        try:
            self._channel.send(frames.answer(frames.Answer(status, stdout)), PROMPT)
        except errors.CniError:
            return False
        finally:
            self.close()
        return True

    def close(self) -> None:
        """Let go of the shim. Plugins that run finish within their deadlines."""
        self._channel.close()

    def wait_end(self, deadline: float) -> bool:
        """Wait until the shim has gone: after its front died it stays until everything it started has ended. False at
        `deadline` (monotonic seconds)."""
        return self._channel.wait_end(deadline)

    def _expect(self, frame: Frame, *types: int) -> Frame:
        if frame.type not in types:
            raise self._channel.fail(
                frames.BrokenProtocol(f"executor protocol: a reply of type {frame.type} to another kind of order")
            )
        return frame


def _replaced(reason: int, number: int) -> bool:
    """Whether a FAILED says "text file busy"."""
    return reason == frames.UNUSABLE and number == errno.ETXTBSY


def _order(call: PluginCall) -> bytes:
    """What an EXEC of `call` holds beside its deadline. Raises errors.CniError for what no shim would take."""
    if "\0" in call.plugin or len(call.plugin.encode("utf-8", "surrogatepass")) > frames.MAX_NAME:
        raise meanings.of_refusal(environment.shown(call.plugin), "", frames.REFUSED, 0)
    if "\0" in "".join(call.environ.values()):
        raise errors.PluginUnusable(f'plugin "{call.plugin}" could not be started: a variable holds a NUL')
    return frames.exec_content(call.plugin, call.environ, call.stdin)
