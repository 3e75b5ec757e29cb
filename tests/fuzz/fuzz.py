#!/usr/bin/env python3
"""Hostile input for everything that reads what strangers write (`make fuzz`).

    fuzz.py --seconds 600 [--seed N] [--target NAME]      as long as that
    fuzz.py --seed N --target NAME --only NUMBER          one input again

A finding is anything raised but errors.CniError, a broken promise (an assertion in `targets`), or an input that takes
longer than five seconds. It is printed with the line that repeats it, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

sys.path[0] = str(Path(__file__).resolve().parents[1])

from fuzz import mutation, targets  # noqa: E402 - found by the line above
from multus import errors  # noqa: E402

if TYPE_CHECKING:
    from types import FrameType

#: Seconds that one input may take.
LONGEST = 5


class TooSlow(BaseException):
    """An input took longer than `LONGEST` seconds."""


def case_of(target: str, seed: int, number: int) -> targets.Case:
    """The input of that number; most of its parts are valid, so that the other ones are reached."""
    source = random.Random(f"{seed} {target} {number}")
    seeds = targets.TARGETS[target].seeds
    case = {name: source.choice(texts) for name, texts in seeds.items()}
    hostile = [name for name in case if len(case) == 1 or source.random() < 0.4]
    return {name: mutation.mutate(text, source) if name in hostile else text for name, text in case.items()}


def attempt(target: str, case: targets.Case) -> bool:
    """Run one input; whether it was refused. Lets every finding through."""
    signal.setitimer(signal.ITIMER_REAL, LONGEST)
    try:
        targets.TARGETS[target].run(case)
    except errors.CniError as error:
        targets.told(error)
        return True
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return False


def report(target: str, seed: int, number: int, case: targets.Case) -> None:
    """Print the finding that is being handled."""
    traceback.print_exc(file=sys.stdout)
    print(f"\nFINDING in target {target!r}:")
    for name, text in case.items():
        print(f"  {name} = {text!r}")
    print(f"again: tests/fuzz/fuzz.py --seed {seed} --target {target!r} --only {number}")


def main() -> int:
    """The exit status."""
    given = parsed()
    signal.signal(signal.SIGALRM, too_slow)
    names = [given.target] if given.target else list(targets.TARGETS)
    print(f"seed {given.seed}, {given.seconds:g} s, targets: {', '.join(names)}", flush=True)
    ran, refused = Counter[str](), Counter[str]()
    begun = time.monotonic()
    number = given.only if given.only is not None else 0
    while True:
        for target in names:
            case = case_of(target, given.seed, number)
            try:
                refused[target] += attempt(target, case)
            except (Exception, TooSlow):
                report(target, given.seed, number, case)
                return 1
            ran[target] += 1
        number += 1
        if given.only is not None or time.monotonic() - begun >= given.seconds:
            break
    took = time.monotonic() - begun
    for target in names:
        print(f"  {target:20}{ran[target]:10} inputs, {refused[target]} refused")
    print(f"{ran.total()} inputs in {took:.0f} s, {ran.total() / max(took, 0.001):.0f}/s: nothing found")
    return 0


def too_slow(_number: int, _frame: FrameType | None) -> None:
    """SIGALRM."""
    raise TooSlow(f"more than {LONGEST} s")


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="hostile input")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--target", choices=list(targets.TARGETS), help="only this one")
    parser.add_argument("--only", type=int, help="only the input of this number")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
