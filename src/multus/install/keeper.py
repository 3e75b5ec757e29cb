"""Keeps the runtime's configuration as it should be, from installation to uninstallation.

It looks four times a second: a look is one listing and a few `stat` calls (0.1 ms), which is less than what a library
for inotify costs in memory, and sees what inotify doesn't (another file system mounted over the directory, a directory
replaced by another). A process that ends leaves everything in place: no pod may ever start without its networks because
Multus is being restarted.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from multus import errors, log
from multus.install import contest, files, generate, primary, source, state
from multus.install.contest import Move
from multus.install.source import Generating, Report

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    from multus.install.settings import Settings

#: Seconds between two looks.
INTERVAL = 0.25

#: A directory of configurations that changed is left alone for so long: who writes a file may not be done.
SETTLE = 0.5

#: Looks without a change after which everything is read anyway: a file may change and keep its time and size.
EVERY = 40

Stamp = tuple[tuple[str, int, int, int], ...]


class Keeper:
    """`report` is told what an operator should know, each thing once; `gates` say what the first installation still
    waits for, "" for nothing; `refresh` is called with each look, for what else is to be kept; `contested`: the
    configuration was being taken away when this process began."""

    def __init__(
        self,
        told: Settings,
        report: Callable[[Report], None],
        *,
        gates: Sequence[Callable[[], str]] = (),
        refresh: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
        settle: float = SETTLE,
        contested: bool = False,
    ) -> None:
        self._told = told
        self._report = report
        self._gates = gates
        self._refresh = refresh
        self._clock = clock
        self._settle = settle
        self._state = state.load(told.state_dir)
        self._source = source.of(told, self._state)
        self._due = source.Due()
        self._contest = contest.Contest(lost=contested)
        self._said: dict[str, Report | None] = {}
        self._stamp: Stamp | None = None
        self._changed_at: float | None = None
        self._looks = 0
        #: The content this process last put in place, or found in place and right.
        self._kept: bytes | None = None
        files.sweep(told.conf_dir)

    def run(self, stopped: threading.Event) -> None:
        """Look until `stopped` is set."""
        while not stopped.wait(INTERVAL):
            self.step()

    def once(self, patience: float) -> None:
        """Look until the configuration is in place. Raises errors.TryAgainLater naming what is missing after `patience`
        seconds."""
        until = self._clock() + patience
        while not self.step():
            if self._clock() >= until:
                waiting = [said.message for said in self._said.values() if said is not None]
                raise errors.TryAgainLater("; ".join(waiting) or "the configuration is not in place")
            time.sleep(INTERVAL)

    def step(self) -> bool:
        """One look; whether the configuration is in place. Never raises for what is wrong on the node."""
        try:
            return self._look()
        except errors.CniError as error:
            self._say("failure", Report("InstallationFailed", error.message, "Warning"))
            return False

    # ── one look ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _look(self) -> bool:
        if state.is_uninstalled(self._told.state_dir):
            self._say("uninstalled", Report("Uninstalled", "uninstalled: the configuration is not put back"))
            return False
        self._look_at_others()
        now = self._clock()
        anew = self._is_time(now)
        if anew:
            self._due = self._source.look(now)
            self._say("primary", self._due.report)
        in_place = self._due.content is not None and self._keep(self._due.content, now)
        if in_place and anew:
            self._say("order", self._before(self._state.file))
        self._say("failure", None)
        return in_place

    def _look_at_others(self) -> None:
        """What fails there must not keep the configuration from being put back."""
        try:
            self._refresh()
        except errors.CniError as error:
            self._say("others", Report("KubeconfigNotWritten", error.message, "Warning"))
        else:
            self._say("others", None)

    def _is_time(self, now: float) -> bool:
        """Whether to choose again: something changed and has settled, or might have passed unseen."""
        self._looks += 1
        stamp = _stamp(self._told.autoconf_dir)
        if stamp != self._stamp:
            self._stamp, self._changed_at = stamp, now
        if self._changed_at is None:
            return self._due.content is None or self._looks % EVERY == 0
        if now - self._changed_at < self._settle:
            return False
        self._changed_at = None
        return True

    def _keep(self, content: generate.Generated, now: float) -> bool:
        path = os.path.join(self._told.conf_dir, content.file)
        there = files.find(path)
        if there == content.data:
            self._untouched(path, content, now)
            return True
        if there is None and self._waits():
            return False
        # What another installation left, and what we want otherwise than before, is no attack.
        if self._kept is not None and self._kept == content.data and not self._may_restore(path, now):
            return False
        self._put(path, content)
        return True

    def _untouched(self, path: str, content: generate.Generated, now: float) -> None:
        """The file is as it should be."""
        if self._kept != content.data:
            self._kept = content.data
            self._settled(path)
        if self._contest.untouched(now):
            self._say("contest", Report(contest.RESTORED, f"{path} stays in place again"))

    def _put(self, path: str, content: generate.Generated) -> None:
        again = self._kept == content.data
        files.write(path, content.data)
        self._kept = content.data
        for remark in content.remarks:
            log.warning(remark)
        log.verbose(
            "configuration put back" if again else "configuration written", file=path, primary=self._due.primary
        )
        self._settled(path)

    def _settled(self, path: str) -> None:
        """What belongs to a configuration in place."""
        for name in generate.FILES:
            other = os.path.join(self._told.conf_dir, name)
            if other != path and files.remove(other):
                log.verbose("configuration of another kind removed", file=other)
        if isinstance(self._source, Generating):
            self._source.written()
        self._save(state.State(path, self._due.primary, self._due.why, self._state.problem))

    def _may_restore(self, path: str, now: float) -> bool:
        move = self._contest.move(now)
        if move is Move.GIVE_UP:
            self._say("contest", Report(contest.TAKEN_AWAY, _rival(path), "Warning"))
        return move is Move.RESTORE

    def _waits(self) -> bool:
        """Whether the first installation has to wait. One that was there before is put back at once."""
        if self._state.file or self._kept is not None:
            return False
        missing = next(filter(None, (gate() for gate in self._gates)), "")
        self._say("gate", Report("InstallationWaits", missing) if missing else None)
        return bool(missing)

    def _before(self, path: str) -> Report | None:
        """Another configuration that the runtime reads instead of ours."""
        for one in primary.look(os.path.dirname(path)):
            if one.path < path and one.found is not None and one.file not in generate.FILES:
                message = (
                    f"{one.path} comes before {path}: the runtime uses it, pods get no networks of Multus: rename it"
                )
                return Report("ConfigurationNotInForce", message, "Warning")
        return None

    # ── telling ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _say(self, subject: str, report: Report | None) -> None:
        """Once for each change."""
        if self._said.get(subject) == report:
            return
        self._said[subject] = report
        if report is not None:
            self._report(report)
        problems = [said.message for said in self._said.values() if said is not None and said.kind == "Warning"]
        self._save(self._state._replace(problem="; ".join(problems)))

    def _save(self, new: state.State) -> None:
        if new == self._state:
            return
        self._state = new
        try:
            state.save(self._told.state_dir, new)
        except errors.CniError as error:
            log.warning("state of the installation not saved", error=error)


def _stamp(directory: str) -> Stamp:
    """What changes when a file of others does. Raises errors.IoFailure."""
    try:
        with os.scandir(directory) as entries:
            return tuple(sorted(_mark(entry) for entry in entries if _is_others(entry.name)))
    except OSError as error:
        raise errors.IoFailure(f"can't read the CNI configuration directory {directory}: {error.strerror}") from error


def _is_others(name: str) -> bool:
    return name.endswith(primary.SUFFIXES) and name not in generate.FILES


def _mark(entry: os.DirEntry[str]) -> tuple[str, int, int, int]:
    try:
        found = entry.stat()
    except OSError:
        return entry.name, 0, 0, 0
    return entry.name, found.st_ino, found.st_mtime_ns, found.st_size


def _rival(path: str) -> str:
    """Who takes our file away, and which setting ends it."""
    if os.path.exists(f"{path}.cilium_bak"):
        who = 'Cilium renames it: set cni.exclusive=false (Helm) or cni-exclusive: "false" (ConfigMap cilium-config)'
    else:
        who = "another agent on this node removes or changes it: turn off its exclusive use of the directory"
    return (
        f"{path} was taken away {contest.LIMIT} times in {contest.WINDOW:g} s, pods may start without networks: {who}"
    )
