"""What the fakes have in common: they keep their calls, and fail when they were told to."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from multus import errors


class Failing:
    """`calls` names each call in order, with what it was about."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, ...]] = []
        self._failures: dict[str, list[errors.CniError]] = {}

    def fail(self, call: str, error: errors.CniError, times: int = 1) -> None:
        """Let the next `times` calls of that name raise `error` and do nothing."""
        self._failures.setdefault(call, []).extend([error] * times)

    def _called(self, call: str, *about: str) -> None:
        self.calls.append((call, *about))
        failures = self._failures.get(call)
        if failures:
            raise failures.pop(0)
