"""Scores on the screen."""

from collections.abc import Mapping
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from zsda.evaluation.protocols import SCORE_NAMES, Protocol
from zsda.evaluation.records import best_epochs
from zsda.reporting.cells import ORACLE_SELECTION


def scores_table(results: Mapping[str, Mapping[str, Any]], protocol: Protocol) -> Table:
    """Makes one table, a row for each class and a column for each setting, in per cent.

    Args:
        results: setting -> plain scores; where their classes differ, there is a row for each that any of them has.
        protocol: of the evaluation; its headline score is set off.
    """
    table = _table("IoU in %", *results)
    for name in dict.fromkeys(name for scores in results.values() for name in scores["iou"]):
        table.add_row(name, *(_points(scores["iou"].get(name)) for scores in results.values()))
    table.add_section()
    for key, label in SCORE_NAMES.items():
        table.add_row(
            label,
            *(_points(scores[key]) for scores in results.values()),
            style="bold" if key == protocol.headline else None,
        )
    if protocol.absent == "zero":
        _add_subsets(table, results)
    return table


def _add_subsets(table: Table, results: Mapping[str, Mapping[str, Any]]) -> None:
    means = [scores["means"] for scores in results.values()]
    for name in ("16", "13"):
        for key, label in ((name, f"mIoU of {name} classes"), (f"{name}_published", f"{name} by the published rule")):
            shown = key == name or any(found.get(key) != found.get(name) for found in means)
            if shown and any(key in found for found in means):
                table.add_row(label, *(_points(found.get(key)) for found in means))


def runs_table(results: Mapping[str, Mapping[str, Mapping[str, Any]]], protocol: Protocol) -> Table:
    """Makes one table, a row for each run and a column for each setting, in per cent.

    Args:
        results: run -> setting -> plain scores; every run has the same settings.
        protocol: of the evaluation, whose headline score is shown.
    """
    settings = list(next(iter(results.values())))
    table = _table("run", *settings, caption=f"{SCORE_NAMES[protocol.headline]} in %, protocol {protocol.name}")
    for run, scores in results.items():
        table.add_row(run, *(_points(scores[setting][protocol.headline]) for setting in settings))
    return table


def curve_table(title: str, epochs: Mapping[int, Mapping[str, Mapping[str, Any]]], protocol: Protocol) -> Group:
    """Makes one table, a row for each kept epoch of a run and a column for each setting, in per cent; the best of each is marked.

    Args:
        title: of the run.
        epochs: epoch, in their order -> setting -> summary scores.
        protocol: of the evaluation, whose headline score is shown.
    """
    best = best_epochs(epochs, protocol.headline)
    table = _table("epoch", *best)
    for epoch, settings in epochs.items():
        cells = {name: _points(settings[name][protocol.headline]) for name in best}
        marks = {name: " *" if epoch == best[name] else "  " for name in best}
        table.add_row(str(epoch), *(f"{cell}{marks[name]}" for name, cell in cells.items()))
    about = f"{SCORE_NAMES[protocol.headline]} in %, protocol {protocol.name}; the result is the last"
    chosen = f"* {ORACLE_SELECTION}: the best, of equals the first, chosen with the labels that it is scored by"
    # Not as the table's own, which would wrap them at its width.
    return Group(Text(title, style="bold"), table, Text(f"{about}\n{chosen}", style="dim"))


def _table(*columns: str, caption: str | None = None) -> Table:
    table = Table(caption=caption, caption_justify="left")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left")
    return table


def _points(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"
