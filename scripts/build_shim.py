"""Builds `multus-shim`: static, for this machine or, with the `ziglang` package, for every architecture we ship.

.venv/bin/python scripts/build_shim.py OUTPUT              # a system compiler, with musl if it is there, else ziglang
.venv/bin/python scripts/build_shim.py --all DIRECTORY     # DIRECTORY/<architecture>/multus-shim, ziglang only
.venv/bin/python scripts/build_shim.py --sanitize OUTPUT   # address and undefined-behaviour sanitizers
.venv/bin/python scripts/build_shim.py --fuzz OUTPUT       # the fuzzer: libFuzzer with clang, else a driver of its own
"""

from __future__ import annotations

import argparse
import importlib.util
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ROOT / "shim"
FLAGS = ["-std=c11", "-O2", "-Wall", "-Wextra", "-Werror"]
SANITIZERS = ["-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"]

#: Our name of an architecture (as Go and container images have it), and zig's target.
TARGETS = {
    "amd64": "x86_64-linux-musl",
    "arm64": "aarch64-linux-musl",
    "arm": "arm-linux-musleabihf",
    "ppc64le": "powerpc64le-linux-musl",
    "s390x": "s390x-linux-musl",
    "riscv64": "riscv64-linux-musl",
}


def version() -> str:
    """The project's version."""
    found = re.search(r'__version__ = "([^"]+)"', (ROOT / "src/multus/__init__.py").read_text())
    assert found is not None
    return found[1]


def system_compiler(*first: str) -> str:
    """A C compiler of the system, `first` if there is such; "" without one."""
    return next((found for name in (*first, "cc", "gcc", "clang") if (found := shutil.which(name))), "")


def zig(python: str = sys.executable) -> list[str]:
    """How to call zig's compiler."""
    if importlib.util.find_spec("ziglang") is None:
        sys.exit("no C compiler here: install one, or the ziglang package (pip install ziglang)")
    return [python, "-m", "ziglang", "cc"]


def compile_shim(compiler: list[str], output: Path, *flags: str, source: str = "multus-shim.c") -> None:
    """One executable, put in place at once (it may be running)."""
    output.parent.mkdir(parents=True, exist_ok=True)
    temporary = output.with_name(output.name + ".new")
    name = f'-DMULTUS_VERSION="{version()}"'
    subprocess.run([*compiler, *FLAGS, *flags, name, "-o", str(temporary), str(SOURCES / source)], check=True)
    temporary.replace(output)


def main() -> None:
    """As the module says."""
    parser = argparse.ArgumentParser(description="Build multus-shim.")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--all", action="store_true", help="every architecture, with ziglang")
    what.add_argument("--sanitize", action="store_true", help="with the sanitizers of the system's compiler")
    what.add_argument("--fuzz", action="store_true", help="the fuzzer of frames and configuration")
    parser.add_argument("--only", choices=TARGETS, help="--all: this architecture alone")
    parser.add_argument("--own-driver", action="store_true", help="--fuzz: the fuzzer's own driver even with clang")
    parser.add_argument("--define", action="append", default=[], metavar="NAME=VALUE", help="for tests")
    parser.add_argument("output", type=Path)
    given = parser.parse_args()
    defines = [f"-D{define}" for define in given.define]
    if given.all:
        for architecture, target in TARGETS.items():
            if given.only in (None, architecture):
                output = given.output / architecture / "multus-shim"
                compile_shim([*zig(), "-target", target], output, "-static", "-s")
    elif given.sanitize:
        compile_shim([system_compiler()], given.output, *SANITIZERS, *defines)
    elif given.fuzz:
        clang = shutil.which("clang")
        if clang and not given.own_driver:
            compile_shim([clang], given.output, *SANITIZERS, "-fsanitize=fuzzer", source="fuzz.c")
        else:
            compile_shim([system_compiler()], given.output, *SANITIZERS, "-DOWN_DRIVER", source="fuzz.c")
    elif system_compiler():
        # glibc asks the processor for its features at each start: in a virtual machine longer than all else takes.
        compile_shim([system_compiler("musl-gcc")], given.output, "-static", "-s", *defines)
    else:
        machine = platform.machine().replace("ppc64le", "powerpc64le")
        compile_shim([*zig(), "-target", f"{machine}-linux-musl"], given.output, "-static", "-s", *defines)


if __name__ == "__main__":
    main()
