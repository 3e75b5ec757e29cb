"""tests/conftest.py: at home a tier that can't run is skipped, in CI that is a failure."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).parents[2] / "conftest.py"

TESTS = """\
import pytest

@pytest.mark.api
def test_tier():
    pytest.skip("no server")

def test_other():
    pytest.skip("not on Tuesdays")
"""


@pytest.mark.parametrize(("ci", "outcome"), [("", "2 skipped"), ("true", "1 failed, 1 skipped")])
def test_skips(tmp_path: Path, ci: str, outcome: str) -> None:
    """Only the tiers' tests must not be left out, and only in CI."""
    shutil.copy(CONFTEST, tmp_path)
    (tmp_path / "test_it.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n  api: x\n  netns: x\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, env={"CI": ci}, capture_output=True, text=True, check=False)
    assert outcome in done.stdout.splitlines()[-1]
