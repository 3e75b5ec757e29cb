"""Writes the executables that a container runtime starts: `multus` and `multus-passthru`.

    .venv/bin/python scripts/make_launchers.py DIRECTORY

They are started for each pod, so they are no console scripts: those go through the venv's `site` module, which costs
more than the whole rest of a start. `-I` (no PYTHON* variable, no user directory) and `-S` (no `site`) start the bare
interpreter; what is needed of `sys.path` is written into the file. The interpreter is the one the venv was made from,
because a venv's own looks for its `pyvenv.cfg` first.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path

#: Executable -> the module whose `main` it calls.
LAUNCHERS = {
    "multus": "multus.thin",
    "multus-passthru": "multus.passthru",
    "multus-daemon": "multus.daemon.main",
}

#: The kernel cuts a longer first line of a script (BINPRM_BUF_SIZE).
SHEBANG_LIMIT = 255

#: Those that end with their one call: nothing they leave behind is worth collecting meanwhile (5 % of a call).
ONE_SHOT = ("multus.thin", "multus.passthru")

NO_COLLECTION = """\
import gc

gc.disable()
"""

TEMPLATE = """\
{shebang}
{prelude}import sys

# The source tree, then the dependencies; after the standard library, where most imports end.
sys.path += {path!r}

from {module} import main

main()
"""


class LauncherError(Exception):
    """A launcher can't be written; the message says why."""


def shebang(interpreter: str) -> str:
    """The first line of a script for `interpreter`. Raises LauncherError when the kernel can't use it."""
    line = f"#!{interpreter} -IS"
    if any(letter.isspace() for letter in interpreter):
        raise LauncherError(f"the interpreter's path has a blank in it, which a #! line can't: {interpreter}")
    if len(os.fsencode(line)) > SHEBANG_LIMIT:
        raise LauncherError(f"the interpreter's path is too long for a #! line (at most 251 bytes): {interpreter}")
    return line


def launcher(interpreter: str, path: list[str], module: str) -> str:
    """The text of an executable that calls `module.main` with the directories `path` to import from."""
    prelude = NO_COLLECTION if module in ONE_SHOT else ""
    return TEMPLATE.format(shebang=shebang(interpreter), prelude=prelude, path=path, module=module)


def base_interpreter() -> str:
    """The interpreter that this venv was made from, without symbolic links."""
    return os.path.realpath(getattr(sys, "_base_executable", "") or sys.executable)


def write(target: Path, text: str) -> None:
    """Write an executable so that nobody ever starts half of one, and one that runs is not disturbed."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    temporary.write_text(text)
    temporary.chmod(0o755)
    temporary.replace(target)


def main(arguments: list[str]) -> int:
    """Write all launchers into the directory named by the first argument."""
    source = Path(__file__).resolve().parent.parent / "src"
    path = [str(source), sysconfig.get_path("purelib")]
    try:
        for name, module in LAUNCHERS.items():
            write(Path(arguments[0]) / name, launcher(base_interpreter(), path, module))
    except (LauncherError, OSError) as error:
        print(f"make_launchers: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
