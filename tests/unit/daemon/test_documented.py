"""The reference of the daemon's configuration."""

from __future__ import annotations

import re
from pathlib import Path

from multus.daemon import settings

DOCUMENTED = Path(__file__).parents[3] / "docs" / "configuration.md"


def named(section: str) -> set[str]:
    """The keys in the table of a section."""
    text = DOCUMENTED.read_text().partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return {name for row in rows for name in re.findall(r"`(\w+)`", row)}


def test_every_key_of_the_daemon_is_documented() -> None:
    """The reference names every key of the daemon, and what it names exists; `binDir` is every request's, too."""
    assert named("The node daemon") | {"binDir"} == set(settings.KEYS)


def test_every_key_of_the_shim_is_documented() -> None:
    """The shim's seven keys."""
    text = (DOCUMENTED.parent / "executor-protocol.md").read_text()
    listed = text.partition("The shim reads seven keys")[2].partition(".")[0]
    assert named("multus-shim") == set(re.findall(r"`(\w+)`", listed))
