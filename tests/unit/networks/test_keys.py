"""Keys as Go's decoder finds them."""

from __future__ import annotations

from typing import Any

import pytest

from multus.networks import keys


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        ({"logFile": 1}, {"logFile": 1}),
        ({"LogFile": 1}, {"logFile": 1}),
        ({"LogFile": 1, "logFile": 2}, {"logFile": 2}),
        ({"logFile": 2, "LogFile": 1}, {"logFile": 2}),
        ({"logFile": None}, {}),
        ({"logFile": None, "LogFile": 1}, {}),
        ({"LOGFILE": None}, {}),
        ({"logFil": 1, "": 2}, {}),
        ({"name": 1, "logFile": 2, "x": 3}, {"logFile": 2, "name": 1}),
    ],
)
def test_known(raw: dict[str, Any], found: dict[str, Any]) -> None:
    """Exactly, else without regard to case; null is absent; unknown keys are left out."""
    assert keys.known(raw, ("logFile", "name")) == found


def test_order() -> None:
    """Members come in the order asked for, whatever theirs is."""
    assert list(keys.known({"b": 1, "C": 2, "a": 3}, ("a", "b", "c"))) == ["a", "b", "c"]


@pytest.mark.parametrize(("value", "name"), [(1.5, "a fraction"), (1, "a number"), (True, "a boolean"), ([], "a list")])
def test_found(value: object, name: str) -> None:
    """What a message says was found."""
    assert keys.found(value) == name


@pytest.mark.parametrize(("text", "fits"), [("/a b", True), ("\udcff", True), ("\ud800", False), ("a\0b", False)])
def test_system_text(text: str, fits: bool) -> None:
    """NUL and lone surrogates can't be in a path; undecodable bytes of the environment can."""
    assert keys.is_system_text(text) is fits
