"""The versions of the specification and what is chosen among them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multus import errors
from multus.cni import versions
from unit.cni import strategies


def test_normalise() -> None:
    """No version is the first one."""
    assert versions.normalise("") == "0.1.0"
    assert versions.normalise("1.0.0") == "1.0.0"


@pytest.mark.parametrize("version", ["", *versions.SUPPORTED])
def test_supported(version: str) -> None:
    """Every released version, and none, is accepted."""
    assert versions.check(version) == (version or "0.1.0")


@pytest.mark.parametrize("version", ["9.9.9", "1.0", "v1.0.0", "1.0.0 ", "0.4.1"])
def test_unsupported(version: str) -> None:
    """Any other is refused in upstream's words, naming what is supported."""
    with pytest.raises(errors.IncompatibleVersion) as caught:
        versions.check(version)
    assert (caught.value.code, caught.value.message) == (1, "incompatible CNI versions")
    supported = '["0.1.0" "0.2.0" "0.3.0" "0.3.1" "0.4.0" "1.0.0" "1.1.0"]'
    assert caught.value.details == f'config is "{version}", plugin supports {supported}'


@pytest.mark.parametrize(
    ("version", "minimum", "expected"),
    [
        ("", "0.1.0", True),
        ("", "0.4.0", False),
        ("0.3.1", "0.4.0", False),
        ("0.4.0", "0.4.0", True),
        ("1.0.0", "0.4.0", True),
        ("1.0.0", "1.1.0", False),
        ("9.9.9", "0.4.0", False),
    ],
)
def test_at_least(version: str, minimum: str, expected: bool) -> None:
    """Versions compare by their order, not as text; an unsupported one is no later version."""
    assert versions.at_least(version, minimum) is expected


@pytest.mark.parametrize(
    ("one", "several", "expected"),
    [
        ("0.4.0", [], "0.4.0"),
        ("", [], ""),
        ("0.4.0", ["1.0.0", "0.3.1"], "1.0.0"),
        ("1.1.0", ["0.4.0"], "1.1.0"),
        ("", ["0.4.0", "0.3.1"], "0.4.0"),
        ("0.4.0", ["9.9.9"], "0.4.0"),
        ("9.9.9", ["1.0.0", "2.0.0"], "1.0.0"),
        ("9.9.9", [], "9.9.9"),
        ("", ["9.9.9"], "9.9.9"),
    ],
)
def test_select(one: str, several: list[str], expected: str) -> None:
    """The highest supported of both keys; where none is, one that `check` then reports."""
    assert versions.select(one, several) == expected


@strategies.MODEST
@given(st.text(), st.lists(st.text() | strategies.VERSIONS))
def test_any_text(one: str, several: list[str]) -> None:
    """Whatever is written there, the choice is a supported version or refused by our error."""
    try:
        assert versions.check(versions.select(one, several)) in versions.SUPPORTED
    except errors.IncompatibleVersion as error:
        assert "\n" not in str(error)  # noqa: PT017
