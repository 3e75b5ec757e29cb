"""Pauses that grow, with jitter: all nodes lose the API server at once and should not come back at once."""

from __future__ import annotations

import random

#: In seconds.
FIRST = 0.8
LONGEST = 30.0

#: A server may ask for a longer pause than ours, up to this many seconds.
LONGEST_ASKED = 60.0


class Backoff:
    """The pauses of one thread: each longer than the one before, at random between a half and the whole of it."""

    def __init__(self, first: float = FIRST, longest: float = LONGEST) -> None:
        self._first = first
        self._longest = longest
        self._failures = 0

    def reset(self) -> None:
        """It went well: the next pause is short again."""
        self._failures = 0

    def next(self, asked: float | None = None) -> float:
        """Seconds to wait now; not less than the server `asked` for, within reason."""
        whole: float = min(self._longest, self._first * 2.0 ** min(self._failures, 30))
        self._failures += 1
        ours = whole * random.uniform(0.5, 1)  # noqa: S311 - spreads load
        return max(ours, min(asked, LONGEST_ASKED) * random.uniform(1, 1.25)) if asked else ours  # noqa: S311
