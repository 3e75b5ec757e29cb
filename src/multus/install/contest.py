"""What to do when somebody else removes, renames or changes our file: undo it, but not for ever.

Some networks' agents want to be alone (Cilium's exclusive mode). Who restores at once each time fights until the node's
disk is worn, and the runtime sees now one configuration, now the other. So: undone at once, then after pauses that
grow; after three times in ten seconds no more, but for a try each minute, because an operator may have changed the
other's settings meanwhile. Pure: time comes from outside (monotonic seconds).
"""

from __future__ import annotations

import enum

#: So often in so many seconds is a contest.
LIMIT = 3
WINDOW = 10.0

#: Before the first, second, third time.
PAUSES = (0.0, 0.5, 1.0)

#: Between tries once the contest is lost.
TRUCE = 60.0


#: What is reported of it.
TAKEN_AWAY, RESTORED = "ConfigurationTakenAway", "ConfigurationRestored"


class Move(enum.Enum):
    """What to do now."""

    RESTORE = enum.auto()
    WAIT = enum.auto()
    GIVE_UP = enum.auto()


class Contest:
    """About one file. `lost`: it was lost when the process before this one ended."""

    def __init__(self, *, lost: bool = False) -> None:
        self._restored: list[float] = []
        self._truce_until = 0.0
        self.lost = lost

    def move(self, now: float) -> Move:
        """The file is not as it should be. `GIVE_UP` is said once for each contest that is lost."""
        if now < self._truce_until:
            return Move.WAIT
        recent = [then for then in self._restored if now - then < WINDOW]
        if len(recent) >= (1 if self.lost else LIMIT):
            return self._give_up(now)
        if recent and now < recent[-1] + PAUSES[len(recent)]:
            return Move.WAIT
        self._restored = [*recent, now]
        return Move.RESTORE

    def untouched(self, now: float) -> bool:
        """The file is as it should be. True once, when a contest that was lost is over."""
        if not self.lost or now < self._truce_until:
            return False
        # Where it was lost before we began: for all we know it has just been put back.
        self._restored = self._restored or [now]
        self.lost = now - self._restored[-1] < WINDOW
        return not self.lost

    def _give_up(self, now: float) -> Move:
        again, self.lost = self.lost, True
        self._truce_until = now + TRUCE
        return Move.WAIT if again else Move.GIVE_UP
