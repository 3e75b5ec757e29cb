"""Names of Kubernetes objects."""

from __future__ import annotations

import pytest

from multus.networks import names


@pytest.mark.parametrize("text", ["a", "0", "net-a", "a--b", "x" * 63])
def test_labels(text: str) -> None:
    """DNS-1123 labels."""
    assert names.is_label(text)
    assert names.is_subdomain(text)


@pytest.mark.parametrize("text", ["", "-a", "a-", "A", "a_b", "a b", "a/b", "..", ".", "é", "a\n", "٣"])
def test_neither(text: str) -> None:
    """Neither labels nor subdomains."""
    assert not names.is_label(text)
    assert not names.is_subdomain(text)


@pytest.mark.parametrize(("text", "fits"), [("a.b", True), ("a..b", False), ("a.b.", False), ("x" * 253, True)])
def test_subdomains(text: str, fits: bool) -> None:
    """Subdomains may be long and have dots, labels may not."""
    assert names.is_subdomain(text) is fits
    assert not names.is_label(text)


def test_too_long() -> None:
    """254 characters are too many for any name."""
    assert not names.is_subdomain("x" * 254)
