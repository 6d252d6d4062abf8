"""Scores as tables on the screen."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from zsda.data.labels import CLASS_NAMES

_SUMMARY = {"miou": "mIoU", "miou_present": "mIoU of labelled classes", "accuracy": "pixel accuracy"}


def scores_table(results: Mapping[str, Mapping[str, Any]]) -> Table:
    """Makes one table, a row for each class and a column for each setting, in per cent.

    Args:
        results: setting -> plain scores.
    """
    table = Table()
    table.add_column("IoU in %")
    for setting in results:
        table.add_column(setting, justify="right")
    for name in CLASS_NAMES:
        table.add_row(name, *(_per_cent(scores["iou"][name]) for scores in results.values()))
    table.add_section()
    for key, label in _SUMMARY.items():
        table.add_row(
            label, *(_per_cent(scores[key]) for scores in results.values()), style="bold" if key == "miou" else None
        )
    return table


def _per_cent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"
