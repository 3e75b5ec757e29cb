"""A line of the table: a number, what it is made of, and the aim it is held to."""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """`value` is in `unit`, or a ratio; `most` and `least` are aims; `made_of` tells the medians behind it."""

    what: str
    value: float
    unit: str = ""
    most: float | None = None
    least: float | None = None
    made_of: str = ""

    @property
    def is_missed(self) -> bool:
        """Whether there is an aim, and it is not met."""
        too_much = self.most is not None and self.value > self.most
        return too_much or (self.least is not None and self.value < self.least)

    def text(self) -> str:
        """The line."""
        number = f"{self.value:.2f}" if not self.unit else f"{self.value:.1f} {self.unit}"
        return f"{self.what:<48}{number:>10}  {self._verdict():<16}{self.made_of}".rstrip()

    def _verdict(self) -> str:
        if self.most is None and self.least is None:
            return ""
        aim = f"<= {self.most:g}" if self.most is not None else f">= {self.least:g}"
        return f"{aim} {'MISSED' if self.is_missed else 'met'}"
