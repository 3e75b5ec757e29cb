"""The same delegates without Multus: recorded once as the shim runs them, run again by a loop in C."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import scene
from measure import Command
from node import Call

if TYPE_CHECKING:
    from node import Runtime

RECORDER = """#!/bin/sh
to="{directory}/$CNI_COMMAND-$CNI_IFNAME-{plugin}"
cat /proc/$$/environ > "$to.env"
cat > "$to.in"
exec "{real}" < "$to.in"
"""


class Loop:
    """Runs what was recorded of one pod's ADD and DEL. `count`: its networks beside the default one."""

    def __init__(self, runtime: Runtime, pod: str, plugin: str, count: int) -> None:
        self._runtime = runtime
        self._program = runtime.directory / "loop"
        self._kept = runtime.directory / f"recorded-{pod}"
        self._plugins = [scene.DELEGATE, *[plugin] * count]
        self._record(pod)

    def command(self, verb: str, slot: int = 0) -> Command:
        """The process that runs all delegates of ADD or DEL."""
        order = list(enumerate(self._plugins))
        words: list[str] = []
        for number, plugin in order if verb == "ADD" else reversed(order):
            stem = self._kept / f"{verb}-{f'net{number}' if number else 'eth0'}-{plugin}"
            words += [str(self._runtime.directory / "bin" / plugin), f"{stem}.env", f"{stem}.in"]
        return Command((str(self._program), *words), {}, Path("/dev/null"), self._runtime.directory / f"bare-{slot}")

    def _record(self, pod: str) -> None:
        directory = self._runtime.directory
        self._kept.mkdir()
        record = directory / "record"
        record.mkdir()
        for plugin in set(self._plugins):
            script = RECORDER.format(directory=self._kept, plugin=plugin, real=directory / "bin" / plugin)
            (record / plugin).write_text(script)
            (record / plugin).chmod(0o755)
        for verb in ("ADD", "DEL"):
            self._runtime.call(Call(verb, pod, "recorded"))
        shutil.rmtree(record)
        for path in self._kept.glob("*.env"):
            path.write_bytes(path.read_bytes().replace(f"{record}:".encode(), b""))


def compile_loop(target: Path) -> None:
    """Make the loop. Exits where there is no compiler: without it there is nothing to compare with."""
    command = ["cc", "-O2", "-Wall", "-Wextra", "-o", str(target), str(scene.HERE / "loop.c")]
    if shutil.which("cc") is None or subprocess.run(command, check=False).returncode != 0:
        sys.exit("bench: the bare loop needs a C compiler (Debian: gcc)")
