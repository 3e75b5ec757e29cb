"""Tells the story: plain text in a pipe, colours and a table on a terminal, or one JSON object at the end."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any, Protocol

from multus import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

    from multus.ctl.demo.probes import Attachment, Proof
    from multus.ctl.demo.story import Outcome

COLUMNS = ("POD", "INTERFACE", "NETWORK", "ADDRESS", "ROUTES")


class Reporter(Protocol):
    """Whoever listens to the story."""

    def heading(self, text: str) -> None:
        """A new chapter."""
        ...

    def step(self, text: str) -> None:
        """Something was done."""
        ...

    def proof(self, proof: Proof) -> None:
        """Something was proved, or not."""
        ...

    def table(self, attachments: Sequence[Attachment]) -> None:
        """What the pods have."""
        ...

    def end(self, outcome: Outcome, *, problem: str, kept: bool) -> None:
        """The verdict; `problem` is what ended the story early."""
        ...


def rows(attachments: Sequence[Attachment], separator: str = ", ") -> list[tuple[str, ...]]:
    """The cells of the table; a pod's name only on its first line, `separator` between several addresses or routes."""
    cells: list[tuple[str, ...]] = []
    previous = ""
    for one in attachments:
        name = "" if one.pod == previous else one.pod
        cells.append((name, one.interface, one.network, separator.join(one.addresses), separator.join(one.routes)))
        previous = one.pod
    return cells


def verdict(outcome: Outcome, problem: str) -> str:
    """One line: how many proofs, and which failed."""
    if problem:
        return f"FAILED: {problem}"
    if outcome.failed:
        return f"FAILED: {'; '.join(proof.name for proof in outcome.failed)}"
    return f"All {len(outcome.proofs)} proofs passed."


class Plain:
    """Lines of text, each written when it happens."""

    def heading(self, text: str) -> None:
        """As `Reporter.heading`."""
        self._line(f"\n{text}", "bold")

    def step(self, text: str) -> None:
        """As `Reporter.step`."""
        self._line(f"  {text}", "")

    def proof(self, proof: Proof) -> None:
        """As `Reporter.proof`."""
        mark, style = ("ok  ", "green") if proof.passed else ("FAIL", "bold red")
        detail = f"  [{proof.detail}]" if proof.detail else ""
        self._line(f"  {mark}  {proof.name}{detail}", style)

    def table(self, attachments: Sequence[Attachment]) -> None:
        """As `Reporter.table`."""
        lines = [COLUMNS, *rows(attachments)]
        widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
        for line in lines:
            padded = "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
            self._line(f"  {padded.rstrip()}", "")

    def end(self, outcome: Outcome, *, problem: str, kept: bool) -> None:
        """As `Reporter.end`."""
        if kept:
            self.heading("Kept")
            self.step("look around: ip netns exec mxdemo-web ip address; ls /run/multus-demo")
            self.step("remove it:   multusctl demo --clean")
        failed = bool(problem or outcome.failed)
        self._line(f"\n{verdict(outcome, problem)}", "bold red" if failed else "bold green")

    def _line(self, text: str, style: str) -> None:
        print(text, flush=True)


class Coloured(Plain):
    """The same on a terminal."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(highlight=False, emoji=False)

    def table(self, attachments: Sequence[Attachment]) -> None:
        """As `Reporter.table`."""
        from rich.table import Table

        table = Table(header_style="bold cyan")
        for column in COLUMNS:
            table.add_column(column.capitalize())
        cells = rows(attachments, "\n")
        for number, row in enumerate(cells):
            last = number + 1 == len(cells) or bool(cells[number + 1][0])
            table.add_row(*row, end_section=last)
        self._console.print(table)

    def _line(self, text: str, style: str) -> None:
        self._console.print(text, style=style or None, markup=False, soft_wrap=True)


class Json(Plain):
    """Silent until the end, then one object."""

    def end(self, outcome: Outcome, *, problem: str, kept: bool) -> None:
        """As `Reporter.end`."""
        print(json.dumps(as_object(outcome, problem=problem, kept=kept), indent=2), flush=True)

    def _line(self, text: str, style: str) -> None:
        pass


def as_object(outcome: Outcome, *, problem: str, kept: bool) -> dict[str, Any]:
    """The outcome for ``--output json``."""
    return {
        "multus": __version__,
        "passed": not problem and not outcome.failed,
        "problem": problem,
        "kept": kept,
        "attachments": [one._asdict() for one in outcome.attachments],
        "proofs": [proof._asdict() for proof in outcome.proofs],
        "calls": [call._asdict() for call in outcome.calls],
    }


def choose(output: str) -> Reporter:
    """The reporter for ``--output``; colours only on a terminal that has them, and not with NO_COLOR."""
    if output == "json":
        return Json()
    colours = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return Coloured() if colours else Plain()
