"""The shims under test, and the certainty that no process is left behind."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from shim import harness

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BUILD = Path(__file__).parents[2] / "scripts/build_shim.py"
PR_SET_CHILD_SUBREAPER = 36


def build(output: Path, *flags: str) -> Path:
    """Compile a shim; the sanitizers' libraries may be missing, a compiler may not."""
    done = subprocess.run([sys.executable, BUILD, *flags, output], capture_output=True, text=True)
    if done.returncode and {"--sanitize", "--fuzz"} & set(flags) and "asan" in done.stderr:
        pytest.skip("no sanitizer libraries here")
    assert done.returncode == 0, done.stderr
    return output


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Compiles each kind of shim once."""
    made: dict[tuple[str, ...], Path] = {}
    root = tmp_path_factory.mktemp("shims")

    def get(*flags: str) -> Path:
        if flags not in made:
            made[flags] = build(root / str(len(made)) / "multus-shim", *flags)
        return made[flags]

    return get


@pytest.fixture(scope="session", params=["static", "sanitized"])
def shim(request: pytest.FixtureRequest, built: Callable[..., Path]) -> Path:
    """The shim as shipped (MULTUS_SHIM: an executable built elsewhere), and the one that notices its own mistakes."""
    if request.param == "static" and "MULTUS_SHIM" in os.environ:
        return Path(os.environ["MULTUS_SHIM"])
    return built() if request.param == "static" else built("--sanitize")


@pytest.fixture(scope="session", autouse=True)
def subreaper() -> None:
    """Orphans come to us instead of pid 1, where nobody might reap them."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)


@pytest.fixture
def host(shim: Path) -> Iterator[harness.Host]:
    """A host whose socket directory has a path short enough for a socket."""
    import shutil
    import tempfile

    root = Path(tempfile.mkdtemp(prefix="shim-"))
    made = harness.Host(root, shim)
    try:
        yield made
    finally:
        before = os.getpid()
        made.close()
        harness.wait_for(lambda: not list(harness.leftovers()), f"processes of {before} to end")
        shutil.rmtree(root)
