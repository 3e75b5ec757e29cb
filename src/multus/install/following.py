"""The default network over time: which one is in use, and when another one takes its place. Pure.

A better candidate (one that comes earlier by name) is what the runtime would use without us, so it is taken up, or
only reported, as the operator wants. One that goes is waited for: agents rewrite their files during upgrades, and a
pod on another network than the cluster's is worse than a pod that waits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from multus.install import settings

if TYPE_CHECKING:
    from multus.install.primary import Candidate, Choice


class Step(NamedTuple):
    """`use`: generate for this one, None: leave the configuration as it is. `reason` and `message` are to be reported
    when they change; `kind` is the event's."""

    use: Candidate | None = None
    reason: str = ""
    message: str = ""
    kind: str = "Normal"


class Following:
    """`current`: the path of the default network in use, "" for none; `policy` and `grace` as in the settings."""

    def __init__(self, current: str, policy: str, grace: float) -> None:
        self.current = current
        self._policy = policy
        self._grace = grace
        self._gone_since: float | None = None

    def step(self, choice: Choice, present: bool, now: float) -> Step:
        """What to do about what was found; `present`: the one in use is there and can be used."""
        chosen = choice.chosen
        if present:
            self._gone_since = None
        elif self._gone_since is None:
            self._gone_since = now
        if chosen is None:
            return self._none(choice)
        if chosen.path == self.current or not self.current:
            return self._take(choice, chosen)
        if self._policy == settings.REPORT:
            return self._other(chosen, present, "primaryPolicy is report, so it stays as it is")
        gone = 0.0 if self._gone_since is None else now - self._gone_since
        if chosen.path < self.current or gone >= self._grace:
            return self._take(choice, chosen)
        return self._other(chosen, present, f"it is taken up after {self._grace:g} s")

    def _none(self, choice: Choice) -> Step:
        why = f"{choice.why}; " + "; ".join(choice.passed_over) if choice.passed_over else choice.why
        if not self.current:
            return Step(None, "NoDefaultNetwork", f"{why}: waiting for one", "Warning")
        return Step(None, "DefaultNetworkMissing", f"{self.current} is gone, pods wait for it: {why}", "Warning")

    def _take(self, choice: Choice, chosen: Candidate) -> Step:
        self.current, self._gone_since = chosen.path, None
        why = "; ".join((choice.why, *(f"not {one}" for one in choice.passed_over)))
        return Step(chosen, "DefaultNetworkChosen", f"default network is {chosen.path}: {why}")

    def _other(self, chosen: Candidate, present: bool, what_then: str) -> Step:
        if present:
            message = f"{chosen.path} comes before {self.current}, which is in use: {what_then}"
            return Step(None, "BetterDefaultNetwork", message, "Warning")
        message = f"{self.current} is gone, pods wait for it; {chosen.path} could take its place: {what_then}"
        return Step(None, "DefaultNetworkMissing", message, "Warning")
