"""What papers say they reach, from ``published.toml``, to stand beside runs that compare with it."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from statistics import fmean
from typing import Any

from zsda.reporting.run_scores import RunScores
from zsda.reporting.seeds import Summary


@dataclass(frozen=True)
class Quoted:
    """A row that others measured.

    Attributes:
        name: how tables call it.
        by: who published it, and where.
        values: target -> the score, a share of 1, and its standard deviation where it is published.
    """

    name: str
    by: str
    values: Mapping[str, Summary]

    def mean(self, targets: Sequence[str]) -> Summary | None:
        """Returns the mean over targets, None where it lacks one; of one target, what is published."""
        if not targets or not all(target in self.values for target in targets):
            return None
        if len(targets) == 1:
            return self.values[targets[0]]
        return Summary(fmean(self.values[target].mean for target in targets), None, 0)


@dataclass(frozen=True)
class PublishedTable:
    """One table of ``published.toml``.

    Attributes:
        compares: attribute of `RunScores` -> the values that it has of runs that compare with the table.
        score: what it shows.
        rows: what it says.
    """

    compares: Mapping[str, Sequence[Any]]
    score: str
    rows: Sequence[Quoted]

    def fits(self, results: Sequence[RunScores]) -> bool:
        """Tells whether a run was made of real photographs, and measured, as the table."""
        return any(map(self._fits, results))

    def beside(self, results: Sequence[RunScores]) -> list[Quoted]:
        """Returns its rows, in those targets that a run compares in."""
        targets = {run.target for run in results if self._fits(run)}
        kept = [{target: value for target, value in row.values.items() if target in targets} for row in self.rows]
        return [replace(row, values=values) for row, values in zip(self.rows, kept, strict=True) if values]

    def _fits(self, run: RunScores) -> bool:
        targets = {target for row in self.rows for target in row.values}
        # The experiments of SDGPA are called as their targets: that of one is not the published one of another.
        of_another = run.experiment in targets and run.experiment != run.target
        same = all(_plain(getattr(run, key)) in wanted for key, wanted in self.compares.items())
        return run.world == "real" and same and not of_another


def _plain(value: Any) -> Any:  # noqa: ANN401 - a plain value
    return list(value) if isinstance(value, tuple) else value


def published_tables() -> list[PublishedTable]:
    """Returns all that are known."""
    found = tomllib.loads((files("zsda.reporting") / "published.toml").read_text(encoding="utf-8"))
    return [
        PublishedTable(
            table["compares"],
            table["score"],
            [_quoted(name, f"{table['by']}, {table['place']}", values) for name, values in table["rows"].items()],
        )
        for table in found["table"]
    ]


def quoted_beside(results: Sequence[RunScores], score: str) -> tuple[list[Quoted], list[str]]:
    """Returns the rows that stand beside runs, and the scores that would show more of them."""
    fitting = [table for table in published_tables() if table.fits(results)]
    rows = [row for table in fitting if table.score == score for row in table.beside(results)]
    return rows, sorted({table.score for table in fitting} - {score})


def _quoted(name: str, by: str, per_cent: Mapping[str, Any]) -> Quoted:
    pairs = {target: value if isinstance(value, list) else [value, None] for target, value in per_cent.items()}
    shares = {
        target: Summary(mean / 100, None if deviation is None else deviation / 100, 0)
        for target, (mean, deviation) in pairs.items()
    }
    return Quoted(name, by, shares)
