"""What one call of `multus` costs, as a multiple of a bare start of the same interpreter in the same run.

    make bench                                   the table
    make bench BENCH_ARGS="--json result.json"   and the numbers in a file
    make bench BENCH_ARGS="--rounds 50"

Absolute times differ from machine to machine, and on one machine from minute to minute; so every round runs each
kind of call once, the bare start among them, and what is compared are medians of the same rounds. CPU time is that of
the process and of all it waited for, delegates included (`wait4`). The delegates do nothing: what is left is Multus.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import measure
import scene

if TYPE_CHECKING:
    from collections.abc import Sequence

    from measure import Sample

#: Networks beside the default one.
NETWORKS = (0, 1, 3, 8)

#: Rounds before the ones that count.
WARM_UP = 3

#: Wall time at most, in bare starts: verb and where the pod comes from ("" is anywhere).
AIMS = {("ADD", "TLS"): 8.0, ("DEL", "TLS"): 5.0, ("DEL", "manifests"): 5.0}


class Row(NamedTuple):
    """The medians of one kind of call; times in milliseconds, ratios to the bare start."""

    verb: str
    source: str
    networks: int
    wall: float
    cpu: float
    wall_ratio: float
    cpu_ratio: float
    aim: float | None


def main(arguments: Sequence[str]) -> int:
    """Measure and print; 1 when an aim is missed and --strict was given."""
    chosen = parser().parse_args(arguments)
    if os.geteuid() != 0:
        print("bench: makes a network namespace and must be run as root", file=sys.stderr)
        return 2
    with scene.prepared(NETWORKS) as stage:
        samples = run(stage, chosen.rounds)
        rows = summary(samples)
        print_table(stage, rows, chosen.rounds)
        if chosen.json:
            Path(chosen.json).write_text(json.dumps(as_object(stage, rows, chosen.rounds), indent=2) + "\n")
    missed = [row for row in rows if row.aim is not None and row.wall_ratio > row.aim]
    return 1 if chosen.strict and missed else 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="bench", description="What one call of multus costs.")
    made.add_argument("--rounds", type=int, default=30, metavar="N", help="samples of each kind of call (30)")
    made.add_argument("--quick", action="store_const", const=5, dest="rounds", help="the same as --rounds 5")
    made.add_argument("--json", default="", metavar="FILE", help="write the numbers there, too")
    made.add_argument("--strict", action="store_true", help="exit with 1 when an aim is missed")
    return made


def run(stage: scene.Stage, rounds: int) -> dict[measure.Kind, list[Sample]]:
    """All samples, by kind of call, in the order of the first round."""
    samples: dict[measure.Kind, list[Sample]] = {}
    for number in range(WARM_UP + rounds):
        measure.progress(f"round {number + 1} of {WARM_UP + rounds}")
        for kind, command in stage.calls():
            sample = measure.call(command)
            if number >= WARM_UP:
                samples.setdefault(kind, []).append(sample)
    measure.progress("")
    return samples


def summary(samples: dict[measure.Kind, list[Sample]]) -> list[Row]:
    """One row for each kind of call; the first kind is the bare start."""
    bare = measure.median(next(iter(samples.values())))
    rows = []
    for kind, taken in samples.items():
        middle = measure.median(taken)
        rows.append(
            Row(
                *kind,
                wall=middle.wall,
                cpu=middle.cpu,
                wall_ratio=middle.wall / bare.wall,
                cpu_ratio=middle.cpu / bare.cpu,
                aim=AIMS.get((kind.verb, kind.source)),
            )
        )
    return rows


def print_table(stage: scene.Stage, rows: Sequence[Row], rounds: int) -> None:
    """The table, and what it was measured with."""
    print(f"medians of {rounds} rounds; {platform.machine()}, {os.cpu_count()} CPUs, Linux {platform.release()}")
    print(f"interpreter: {stage.interpreter}; delegate: {stage.delegate}")
    print()
    print(f"{'call':<9}{'pod from':<11}{'networks':>8}{'wall ms':>9}{'CPU ms':>8}{'x wall':>8}{'x CPU':>7}  aim (wall)")
    for row in rows:
        numbers = f"{row.wall:>9.1f}{row.cpu:>8.1f}{row.wall_ratio:>8.2f}{row.cpu_ratio:>7.2f}"
        count = str(row.networks) if row.source else "-"
        print(f"{row.verb:<9}{row.source:<11}{count:>8}{numbers}  {verdict(row)}".rstrip())


def verdict(row: Row) -> str:
    """The aim beside the number, and whether it is met."""
    if row.aim is None:
        return ""
    return f"<= {row.aim:g} {'met' if row.wall_ratio <= row.aim else 'MISSED'}"


def as_object(stage: scene.Stage, rows: Sequence[Row], rounds: int) -> dict[str, Any]:
    """The numbers for --json."""
    return {
        "rounds": rounds,
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "kernel": platform.release(),
        "interpreter": stage.interpreter,
        "delegate": stage.delegate,
        "rows": [row._asdict() for row in rows],
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
