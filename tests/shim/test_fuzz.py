"""A short run of the shim's fuzzer over its seeds, with the sanitizers watching."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from multus.execproto import frames
from shim import conftest

if TYPE_CHECKING:
    from pathlib import Path

SHIM = conftest.BUILD.parents[1] / "shim"


def test_the_fuzzer_finds_nothing(tmp_path: Path) -> None:
    """Two hundred thousand mutations; `make shim-fuzz` runs more."""
    fuzzer = conftest.build(tmp_path / "fuzz", "--fuzz", "--own-driver")
    seeds = sorted((SHIM / "seeds").iterdir())
    done = subprocess.run([fuzzer, "200000", "1", *seeds], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_seed_of_the_frames_is_of_this_protocol() -> None:
    """A seed that the first header stops would fuzz nothing; its first byte chooses the target."""
    found = list(frames.of_daemon().feed((SHIM / "seeds/frames").read_bytes()[1:]))
    assert {frame.type for frame in found} == set(range(frames.WELCOME, frames.NEXT + 1))


def test_the_shim_is_small() -> None:
    """Under a thousand lines, the only native code there is."""
    sources = [SHIM / name for name in ("multus-shim.c", "wire.h")]
    assert sum(len(path.read_text().splitlines()) for path in sources) < 1000
