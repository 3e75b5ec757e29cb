"""Runs a function inside a network namespace: what it opens, and threads it starts, stay there."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, TypeVar

from multus.host import netns

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def inside(path: str, function: Callable[[], T]) -> T:
    """The function's result; what it raises is raised here."""
    outcome: list[T] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            with open(path, "rb") as namespace:
                netns.enter(namespace.fileno())
            outcome.append(function())
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    assert os.path.exists(path)
    return outcome[0]
