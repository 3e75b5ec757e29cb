"""The locks of `ports.Records` between the threads of a test."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from multus import errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Seconds that one thread waits for another one before the test is given up.
PATIENCE = 30.0


class FakeLocks:
    """Waiting for what the same thread holds would never end: errors.TryAgainLater at once, as at the deadline."""

    def __init__(self) -> None:
        self._holders: dict[str, int] = {}
        self._changed = threading.Condition()

    @contextmanager
    def shared(self, name: str) -> Iterator[None]:
        """Held once per `name`, beside other names, never beside `exclusive`."""
        with self._held(name, lambda: {name, ""} & set(self._holders)):
            yield

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Held alone."""
        with self._held("", lambda: set(self._holders)):
            yield

    @contextmanager
    def _held(self, name: str, in_the_way: Callable[[], set[str]]) -> Iterator[None]:
        with self._changed:
            if any(self._holders[other] == threading.get_ident() for other in in_the_way()):
                raise errors.TryAgainLater(f"another call holds the lock that {name or 'GC'} waits for")
            if not self._changed.wait_for(lambda: not in_the_way(), PATIENCE):
                raise errors.TryAgainLater("the lock was not released")
            self._holders[name] = threading.get_ident()
        try:
            yield
        finally:
            with self._changed:
                del self._holders[name]
                self._changed.notify_all()
