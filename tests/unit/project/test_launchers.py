"""The executables that `make setup` writes."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

import make_launchers

if TYPE_CHECKING:
    from pathlib import Path


def test_shebang_skips_site() -> None:
    """The first line names the interpreter, isolated and without `site`."""
    assert make_launchers.shebang("/usr/bin/python3.11") == "#!/usr/bin/python3.11 -IS"


@pytest.mark.parametrize("interpreter", ["/opt/my python/bin/python3", f"/{'x' * 260}/python3"], ids=["blank", "long"])
def test_interpreter_that_a_script_cannot_name(interpreter: str) -> None:
    """A path that the kernel can't take from a script's first line is an error, not a broken executable."""
    with pytest.raises(make_launchers.LauncherError, match="interpreter's path"):
        make_launchers.shebang(interpreter)


def test_base_interpreter_is_not_the_venv_s() -> None:
    """The interpreter named is a real file, not a link of the venv."""
    base = make_launchers.base_interpreter()
    assert os.path.realpath(base) == base
    assert os.access(base, os.X_OK)


def test_runs_anywhere(tmp_path: Path) -> None:
    """A launcher works through a symbolic link, from any directory, with nothing but the protocol's variables."""
    assert make_launchers.main([str(tmp_path)]) == 0
    link = tmp_path / "elsewhere"
    link.symlink_to(tmp_path / "multus-passthru")
    done = subprocess.run(
        [link],
        input=b'{"cniVersion": "1.0.0"}',
        env={"CNI_COMMAND": "VERSION"},
        cwd="/",
        capture_output=True,
        check=True,
    )
    assert json.loads(done.stdout)["cniVersion"] == "1.0.0"


def test_no_half_written_launcher(tmp_path: Path) -> None:
    """Writing again replaces the file; nothing else is left beside it."""
    make_launchers.main([str(tmp_path)])
    first = (tmp_path / "multus").stat().st_ino
    make_launchers.main([str(tmp_path)])
    assert (tmp_path / "multus").stat().st_ino != first
    assert sorted(os.listdir(tmp_path)) == sorted(make_launchers.LAUNCHERS)


def test_directory_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A directory that can't be written to is one line and status 1."""
    assert make_launchers.main([str(tmp_path / "nosuch")]) == 1
    assert capsys.readouterr().err.startswith("make_launchers: ")
