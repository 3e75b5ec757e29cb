"""Plugins that only exist as answers: `multus.ports.Executor` for tests."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, TypeAlias

from multus import errors
from multus.cni import invoke, rawjson, results, versions
from multus.cni.invoke import PluginExit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from multus.cni.invoke import Ended, PluginCall
    from multus.cni.rawjson import Json

#: How a plugin ends: its exit, an error of starting or waiting for it, or a function that decides by the call.
Answer: TypeAlias = "PluginExit | errors.CniError | Callable[[PluginCall], PluginExit]"


def printed(value: Json) -> PluginExit:
    """A success that prints `value`."""
    return PluginExit(0, rawjson.encode(value), b"")


def failed(code: int, message: str, details: str = "") -> PluginExit:
    """A failure with the error object of the CNI specification."""
    return PluginExit(1, rawjson.encode({"code": code, "msg": message, "details": details}), b"")


class FakeExecutor:
    """Answers each call as `answer` was told, else as a well-behaved plugin would (`succeed`).

    `calls` has every call in order; paths in `missing` don't exist, all others do."""

    def __init__(self) -> None:
        self.calls: list[PluginCall] = []
        self.missing: set[str] = set()
        self._answers: dict[tuple[str, str], list[Answer]] = {}
        self._lock = threading.Lock()

    def answer(self, plugin: str, verb: str, *answers: Answer) -> None:
        """Let `plugin` answer `verb` with `answers`, one a call; the last one stays."""
        if not answers:
            raise ValueError("at least one answer is needed")
        self._answers[plugin, verb] = list(answers)

    def prepare(self, call: PluginCall) -> None:
        """As `ports.Executor.prepare`."""

    def run(self, call: PluginCall) -> PluginExit:
        """As `ports.Executor.run`."""
        answer = self._next(call)
        if not isinstance(answer, (errors.PluginNotFound, errors.PluginUnusable, errors.SelfDelegation)):
            call.worked = 0.0
        if isinstance(answer, errors.CniError):
            raise answer
        return answer if isinstance(answer, PluginExit) else answer(call)

    def series(self, calls: Sequence[PluginCall], *, go_on: bool) -> Iterable[Ended]:
        """As `ports.Executor.series`."""
        return invoke.in_turn(self, calls, go_on=go_on)

    def exists(self, path: str) -> bool:
        """As `ports.Executor.exists`."""
        return path not in self.missing

    @property
    def order(self) -> list[tuple[str, str, str]]:
        """Every call in order as (verb, plugin type, interface name)."""
        return [(call.environ["CNI_COMMAND"], call.plugin, call.environ["CNI_IFNAME"]) for call in self.calls]

    def configs(self, verb: str) -> list[Json]:
        """What the plugins read on stdin, for every call of `verb` in order."""
        return [config_of(call) for call in self.calls if call.environ["CNI_COMMAND"] == verb]

    def succeed(self, call: PluginCall) -> PluginExit:
        """What a well-behaved plugin does: ADD hands on `prevResult`, or makes CNI_IFNAME in CNI_NETNS with one address
        (10.1.0.2 and on, one a call), in the configuration's version; VERSION tells all; else nothing is printed."""
        verb = call.environ["CNI_COMMAND"]
        if verb == "VERSION":
            return printed({"cniVersion": versions.LATEST, "supportedVersions": list(versions.SUPPORTED)})
        if verb != "ADD":
            return PluginExit(0, b"", b"")
        found = config_of(call)
        version = versions.normalise(rawjson.text(found, "cniVersion", "stdin"))
        previous = found.get("prevResult")
        if previous is not None:
            return printed(previous)
        number = next(number for number, seen in enumerate(self.calls) if seen is call)
        return printed(_attached(call, version, number))

    def _next(self, call: PluginCall) -> Answer:
        with self._lock:
            self.calls.append(call)
            waiting = self._answers.get((call.plugin, call.environ["CNI_COMMAND"]))
            if not waiting:
                return self.succeed
            return waiting.pop(0) if len(waiting) > 1 else waiting[0]


def config_of(call: PluginCall) -> Json:
    """What the plugin reads on stdin."""
    return rawjson.loads_object(call.stdin, f"stdin of {call.plugin}")


def _attached(call: PluginCall, version: str, number: int) -> Json:
    made: Json = {
        "interfaces": [
            {
                "name": call.environ["CNI_IFNAME"],
                "mac": f"02:00:00:00:{number // 250:02x}:{number % 250:02x}",
                "sandbox": call.environ["CNI_NETNS"],
            }
        ],
        "ips": [{"address": f"10.1.{number // 250}.{2 + number % 250}/16", "gateway": "10.1.0.1", "interface": 0}],
    }
    return results.convert(made, versions.LATEST, version)
