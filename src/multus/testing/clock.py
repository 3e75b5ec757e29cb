"""Time that passes when somebody sleeps: `multus.ports.Clock` for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class FakeClock:
    """Begins at `now` seconds; `sleeps` has the length of every sleep in order."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now
        self.sleeps: list[float] = []
        self._due: list[tuple[float, Callable[[], None]]] = []

    def at(self, moment: float, action: Callable[[], None]) -> None:
        """Let `action` happen once the clock reaches `moment`."""
        self._due.append((moment, action))

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
        due = [action for moment, action in self._due if moment <= self.now]
        self._due = [(moment, action) for moment, action in self._due if moment > self.now]
        for action in due:
            action()

    def monotonic(self) -> float:
        """As `ports.Clock.monotonic`."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """As `ports.Clock.sleep`."""
        self.sleeps.append(seconds)
        self.advance(seconds)
