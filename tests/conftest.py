"""Which tiers can run here; in CI none may be left out."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator

#: Where Debian's containernetworking-plugins are.
PLUGINS = Path("/usr/lib/cni")

#: A test of these tiers that is skipped in CI has failed: a lane that quietly runs nothing proves nothing.
TIERS = ("netns", "api", "cluster", "release")


def in_ci() -> bool:
    """Whether this is CI, as its usual variable says."""
    return os.environ.get("CI", "").lower() in ("1", "true")


def missing_for_netns() -> str:
    """Why network namespace tests can't run here; "" when they can."""
    if os.geteuid() != 0:
        return "needs root"
    commands = [name for name in ("ip", "ping", "iptables") if shutil.which(name) is None]
    if commands:
        return f"not installed: {', '.join(commands)} (make setup)"
    return "" if (PLUGINS / "bridge").exists() else f"no CNI plugins in {PLUGINS} (make setup)"


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Leave out what needs root or programs that aren't here."""
    if item.get_closest_marker("netns") is not None:
        reason = missing_for_netns()
        if reason:
            pytest.skip(reason)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI, turn the skip of a whole tier's test into a failure."""
    report = yield
    if report.skipped and in_ci() and any(item.get_closest_marker(tier) for tier in TIERS):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} must not be left out in CI: {reason}"
    return report
