"""A table of a report as title, caption and cells, each of which knows what it is from."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from zsda.reporting.run_scores import RunScores

ORACLE_SELECTION = "oracle selection"
NOISE = "≈"
NONE = "-"
SHARE, PIXELS = "share", "share of pixels"
"""Quantities that are no scores."""
DEVIATION, ERROR = "sample standard deviation", "paired standard error"


@dataclass(frozen=True)
class Cell:
    """One number of a table as it is shown, and what it is from.

    Attributes:
        number: its digits; empty where there is none.
        spread: those of its deviation or error; empty where it cannot be told.
        unit: what it is counted in.
        quantity: what it is a number of.
        seeds: of how many seeds it is the mean; None where others measured it.
        counted: whether that number is shown, since it is not that of the table.
        noise: whether seeds alone may explain a difference; None of other numbers, and where it cannot be told.
        runs: that it was calculated from.
    """

    number: str = ""
    spread: str = ""
    unit: str = "%"
    quantity: str = "score"
    seeds: int | None = None
    counted: bool = False
    noise: bool | None = None
    runs: Sequence[RunScores] = ()

    @property
    def text(self) -> str:
        """All of it, as people read it."""
        if not self.number:
            return NONE
        deviation = f" ± {self.spread}" if self.spread else ""
        share = " %" if self.quantity == SHARE else ""
        count = f" ({self.seeds})" if self.counted else ""
        return f"{f'{NOISE} ' if self.noise else ''}{self.number}{deviation}{share}{count}"


@dataclass(frozen=True)
class Grid:
    """One table.

    Attributes:
        title: what it shows, in a few words.
        head: the columns' names; that of the first stands over the rows' names.
        body: rows as name and cells, one for each further column.
        caption: what the numbers are, in sentences, of which several tables may share some.
        spread: what stands behind ±; empty where nothing does.
        quoted: names of the rows that others measured.
    """

    title: str
    head: Sequence[str]
    body: Sequence[tuple[str, Sequence[Cell]]]
    caption: Sequence[str]
    spread: str = DEVIATION
    quoted: Sequence[str] = field(default_factory=tuple)

    @property
    def rows(self) -> list[list[str]]:
        """Names and cells as texts, as many in each row as in the head."""
        return [[name, *(cell.text for cell in cells)] for name, cells in self.body]

    @property
    def runs(self) -> list[RunScores]:
        """What its numbers are from, each run once."""
        return list({run.label: run for _, cells in self.body for cell in cells for run in cell.runs}.values())
