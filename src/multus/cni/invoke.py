"""One plugin call, and what the way it ended means (CNI specification, section 2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

from multus import errors
from multus.cni import rawjson

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

#: How many characters of what a plugin printed go into a message where they are no error object.
QUOTED = 500

#: The bound of a plugin's own message, and of its details: generous, yet no dump reaches the log and the events.
TOLD = 4096

#: Error codes are unsigned 32-bit numbers in the reference library.
_CODE_MAX = 0xFFFFFFFF


class _PluginCall(NamedTuple):
    plugin: str
    environ: Mapping[str, str]
    stdin: bytes
    deadline: float


class PluginCall(_PluginCall):
    """Run `plugin` (a type, never a path) with these CNI_* variables and stdin; `deadline` in monotonic seconds."""

    #: What its executor made of it beforehand (`Executor.prepare`); the executor's own affair.
    prepared: bytes = b""

    #: How long the plugin was at work, in seconds, as told by its executor; None while it can't have begun, 0.0 where
    #: nobody saw its end.
    worked: float | None = None

    #: Done while it runs, by an executor that only waits for it; of a series, the first call's. Never raises.
    meanwhile: Callable[[], None] | None = None


class PluginExit(NamedTuple):
    """How it ended: exit status (negative: that signal), all of stdout, the last 64 KiB of stderr."""

    status: int
    stdout: bytes
    stderr: bytes


#: How a plugin ended: its exit, or the error that kept it from running or ended it.
Ended: TypeAlias = "PluginExit | errors.CniError"


class Executor(Protocol):
    """Runs plugins."""

    def prepare(self, call: PluginCall) -> None:
        """As `ports.Executor.prepare`."""
        ...

    def run(self, call: PluginCall) -> PluginExit:
        """Raises errors.PluginNotFound, errors.PluginUnusable, errors.PluginTimeout."""
        ...

    def series(self, calls: Sequence[PluginCall], *, go_on: bool) -> Iterable[Ended]:
        """As `ports.Executor.series`."""
        ...


def attempt(call: PluginCall, executor: Executor) -> Ended:
    """Run one plugin; never raises errors.CniError."""
    try:
        return executor.run(call)
    except errors.CniError as error:
        return error


def succeeded(ended: Ended) -> bool:
    """Whether it ran, and says that all went well."""
    return isinstance(ended, PluginExit) and ended.status == 0


def in_turn(executor: Executor, calls: Iterable[PluginCall], *, go_on: bool) -> Iterator[Ended]:
    """`Executor.series` by `Executor.run`: each plugin is begun when the end of the one before has been taken."""
    for call in calls:
        ended = attempt(call, executor)
        yield ended
        if not go_on and not succeeded(ended):
            return


def all_failed(calls: Sequence[PluginCall], error: errors.CniError, *, go_on: bool) -> list[Ended]:
    """How a series ends whose hands are gone, or never came."""
    return [error] * (len(calls) if go_on else 1)


def output(call: PluginCall, ended: PluginExit) -> bytes:
    """The stdout of a success. Raises the plugin's own error (code, msg and details kept), or errors.PluginFailed
    where it gave none that can be understood."""
    if ended.status == 0:
        return ended.stdout
    if ended.status < 0:
        raise errors.PluginFailed(f"netplugin was killed by {_signal(-ended.status)}{_stderr(ended)}")
    if not ended.stdout.strip():
        if ended.stderr.strip():
            raise errors.PluginFailed(f'netplugin failed: "{_quoted(ended.stderr)}"')
        raise errors.PluginFailed(f"netplugin failed with no error message: exit status {ended.status}")
    raise _reported(ended)


def _reported(ended: PluginExit) -> errors.CniError:
    """The error object on stdout: what it tells is kept, bounded and on one line."""
    try:
        found = rawjson.loads_object(ended.stdout.decode("utf-8", "replace"), "diagnostic message")
    except errors.DecodeError as error:
        return errors.PluginFailed(
            f'netplugin failed but error parsing its diagnostic message "{_quoted(ended.stdout)}":'
            f" {error.message}{_stderr(ended)}"
        )
    code, message, details = found.get("code"), found.get("msg"), found.get("details")
    known = code if isinstance(code, int) and not isinstance(code, bool) and 0 < code <= _CODE_MAX else None
    message = _told(message)
    if not message and known is None:
        return errors.PluginFailed(
            f'netplugin failed, and its diagnostic message "{_quoted(ended.stdout)}" is not a CNI error{_stderr(ended)}'
        )
    return errors.CniError(message or f"netplugin failed with code {known}", details=_told(details), code=known)


def _told(value: object) -> str:
    text = errors.one_line(value).strip() if isinstance(value, str) else ""
    return text if len(text) <= TOLD else text[:TOLD] + "..."


def _stderr(ended: PluginExit) -> str:
    return f', stderr: "{_quoted(ended.stderr)}"' if ended.stderr.strip() else ""


def _quoted(data: bytes) -> str:
    text = errors.one_line(data.decode("utf-8", "replace").strip())
    return text if len(text) <= QUOTED else "..." + text[-QUOTED:]


def _signal(number: int) -> str:
    import signal

    try:
        return f"signal {signal.Signals(number).name}"
    except ValueError:
        return f"signal {number}"
