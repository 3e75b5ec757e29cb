"""The machine's clock."""

from __future__ import annotations

import time


class SystemClock:
    """`ports.Clock` as the kernel has it."""

    def monotonic(self) -> float:
        """As `ports.Clock.monotonic`."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """As `ports.Clock.sleep`."""
        time.sleep(seconds)
