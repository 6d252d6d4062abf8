"""Scores as tables, on the screen and in Markdown."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from zsda.data.labels import CLASS_NAMES
from zsda.reporting.comparison import Comparison, Summary, summarise

_SUMMARY = {"miou": "mIoU", "miou_present": "mIoU of labelled classes", "accuracy": "pixel accuracy"}
_COMPARED = "miou_present"


def scores_table(results: Mapping[str, Mapping[str, Any]]) -> Table:
    """Makes one table, a row for each class and a column for each setting, in per cent.

    Args:
        results: setting -> plain scores.
    """
    table = _table("IoU in %", *results)
    for name in CLASS_NAMES:
        table.add_row(name, *(_per_cent(scores["iou"][name]) for scores in results.values()))
    table.add_section()
    for key, label in _SUMMARY.items():
        table.add_row(
            label, *(_per_cent(scores[key]) for scores in results.values()), style="bold" if key == "miou" else None
        )
    return table


def runs_table(results: Mapping[str, Mapping[str, Mapping[str, Any]]], protocol: str) -> Table:
    """Makes one table, a row for each run and a column for each setting, in per cent.

    Args:
        results: run -> setting -> plain scores; every run has the same settings.
        protocol: of the evaluation.
    """
    settings = list(next(iter(results.values())))
    table = _table("run", *settings, caption=f"{_SUMMARY[_COMPARED]} in %, protocol {protocol}")
    for run, scores in results.items():
        table.add_row(run, *(_per_cent(scores[setting][_COMPARED]) for setting in settings))
    return table


def comparison_table(comparison: Comparison) -> Table:
    """Makes one table, a section for each domain and a row for each method with runs for it, in per cent.

    Without an oracle there is no column for the way to it.
    """
    rows = comparison.rows()
    way = ["of the way to oracle"] if any(row.share is not None for row in rows) else []
    table = _table("target", "method", "seeds", "mIoU target", "mIoU day", "gain", *way, caption=caption(comparison))
    table.columns[1].justify = "left"
    domain = None
    for row in rows:
        if domain not in (None, row.domain):
            table.add_section()
        seeds = 0 if row.target is None else row.target.seeds
        table.add_row(
            "" if row.domain == domain else row.domain,
            row.method,
            str(seeds),
            _spread(row.target),
            _spread(row.day),
            "-" if row.gain is None else f"{100 * row.gain:+.1f}",
            *(["-" if row.share is None else f"{100 * row.share:.0f} %"] if way else []),
        )
        domain = row.domain
    return table


def markdown_table(comparison: Comparison) -> str:
    """Writes a Markdown table, a row for each method and a column for each target, their mean, and day, in per cent.

    Where a cell has fewer seeds than the caption names, their number stands behind it in brackets.
    """
    head = ["method", *comparison.domains, *(["mean"] if comparison.domains else []), "day"]
    lines = [head, ["---", *["---:"] * (len(head) - 1)]]
    all_seeds = len(_seeds(comparison))
    for method in comparison.methods:
        cells = [summarise(comparison.target(method, domain)) for domain in comparison.domains]
        means = [comparison.mean_target(method)] if comparison.domains else []
        shown = (_spread(cell, all_seeds) for cell in (*cells, *means, comparison.mean_day(method)))
        lines.append([method, *shown])
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"{table}\n\n{caption(comparison)}\n"


def caption(comparison: Comparison) -> str:
    """Says what the numbers of a comparison are."""
    first = comparison.results[0]
    about = f"{_SUMMARY[_COMPARED]} in %, protocol {first.protocol}, input {'x'.join(map(str, first.size))}"
    seeds = _seeds(comparison)
    if len(seeds) == 1:
        return f"{about}, one seed."
    return f"{about}, mean ± sample standard deviation over seeds {', '.join(map(str, seeds))}."


def _seeds(comparison: Comparison) -> list[int]:
    return sorted({result.seed for result in comparison.results})


def _table(*columns: str, caption: str | None = None) -> Table:
    table = Table(caption=caption, caption_justify="left")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left")
    return table


def _spread(summary: Summary | None, all_seeds: int | None = None) -> str:
    if summary is None:
        return "-"
    deviation = "" if summary.deviation is None else f" ± {100 * summary.deviation:.1f}"
    number = "" if all_seeds in (None, summary.seeds) else f" ({summary.seeds})"
    return _per_cent(summary.mean) + deviation + number


def _per_cent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"
