"""Every call that the engine makes to the outside is a step: any can fail, or be the last one of the process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from multus import errors
from multus.cni import invoke

if TYPE_CHECKING:
    from multus.engine.call import Ports

#: What never fails: no port says that it raises, and there is nothing in it that could.
SAFE = frozenset(("prepare", "opening", "close", "event", "exists", "monotonic", "sleep", "superseded"))

#: The code of the failure that is put in.
CODE = 77


class Killed(BaseException):
    """SIGKILL: no further effect of this process, rollback included."""


class Steps:
    """Counts the steps; the one numbered `at` (from 0) fails, `before` its effect or after it. With `kills` the process
    ends there."""

    def __init__(self, at: int = -1, *, before: bool = True, kills: bool = False) -> None:
        self.taken: list[str] = []
        self.at = at
        self.before = before
        self.kills = kills
        self.dead = False

    def ports(self, ports: Ports) -> Ports:
        """`ports`, watched."""
        watched: dict[str, Any] = {
            name: _Watched(getattr(ports, name), self, name)
            for name in ("executor", "cluster", "records", "results", "conf_files", "netlink", "devices", "clock")
            if getattr(ports, name) is not None
        }
        return ports._replace(**watched)

    @property
    def failed_at(self) -> str:
        """The step that failed, "" when the work ended before it came."""
        return self.taken[self.at] if 0 <= self.at < len(self.taken) else ""

    def take(self, name: str) -> bool:
        """One step more; whether it fails after its effect."""
        if self.dead:
            raise Killed
        self.taken.append(name)
        here = len(self.taken) - 1 == self.at
        if here and self.before:
            self.fail()
        return here

    def fail(self) -> None:
        """Fail now."""
        if self.kills:
            self.dead = True
            raise Killed
        raise errors.IoFailure(f"injected at {self.failed_at}", code=CODE)


class _Watched:
    def __init__(self, target: Any, steps: Steps, name: str) -> None:
        self._target = target
        self._steps = steps
        self._name = name

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._target, name)
        if name in SAFE:
            return method
        if name == "series":  # each of its plugins is a step
            return lambda calls, *, go_on: invoke.in_turn(self, calls, go_on=go_on)

        def step(*args: Any) -> Any:
            fails = self._steps.take(f"{self._name}.{name}")
            done = method(*args)
            if fails and name not in ("lock", "exclusive", "open"):
                self._steps.fail()
            return _Watched(done, self._steps, "net") if name == "open" else done

        return step
