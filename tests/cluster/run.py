"""Runs the tier: a pytest for each node, side by side, since most of the time goes into waiting.

    .venv/bin/python tests/cluster/run.py [arguments of pytest]

Every line of theirs is printed as it comes, with the node's name before it; at the end one table of all scenarios. With
KUBE_ASSETS the tests of the API run against a real API server, too.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import IO

import pytest

ROOT = Path(__file__).resolve().parents[2]
NODES = ("thick", "thin", "others")
COMMAND = [sys.executable, "-m", "pytest", "-m", "api or cluster", "--verbose", "--maxfail=10", "--durations=10"]

#: Nothing of this node was asked for.
HARMLESS = (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)


def main(arguments: list[str]) -> int:
    """Run all, print the table; not 0 unless every test that was asked for has passed."""
    with tempfile.TemporaryDirectory(prefix="multus-cluster-table-") as folder:
        tables = {node: Path(folder, node) for node in NODES}
        running = [start(node, tables[node], arguments) for node in NODES]
        statuses = [finish(*one) for one in running]
        lines = [line for table in tables.values() if table.exists() for line in table.read_text().splitlines()]
    print("\nScenarios:", *lines, sep="\n")
    return verdict(statuses)


def start(node: str, table: Path, arguments: list[str]) -> tuple[subprocess.Popen[str], threading.Thread]:
    """The tests of a node, in a process of their own."""
    chosen = [f"--node={node}", f"--table={table}", "-p", "no:cacheprovider", *arguments]
    process = subprocess.Popen(
        [*COMMAND, *chosen, "tests/api", "tests/cluster"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    assert process.stdout is not None
    reader = threading.Thread(target=relay, args=(node, process.stdout))
    reader.start()
    return process, reader


def relay(node: str, lines: IO[str]) -> None:
    """Print its lines as they come."""
    with lines:
        for line in lines:
            print(f"{node:6} {line}", end="", flush=True)


def finish(process: subprocess.Popen[str], reader: threading.Thread) -> int:
    """Its exit status."""
    reader.join()
    return process.wait()


def verdict(statuses: list[int]) -> int:
    """Of all of them: the first that is no success; nothing tested at all is none."""
    bad = [status for status in statuses if status not in HARMLESS]
    return bad[0] if bad else min(statuses)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
