"""Predictions and scores as files."""

import csv
import io
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from zsda.data.labels import CLASS_NAMES, colourise
from zsda.evaluation.records import SUMMARY
from zsda.files import to_json, write_atomic


def write_colour_mask(path: Path, prediction: Tensor) -> None:
    """Writes train ids [H, W] as an RGB PNG in the Cityscapes colours."""
    colours = colourise(prediction.cpu().numpy().astype(np.uint8))
    buffer = io.BytesIO()
    Image.fromarray(colours).save(buffer, "PNG", compress_level=1)
    write_atomic(path, buffer.getvalue())


def plain_scores(scores: Mapping[str, Tensor]) -> dict[str, Any]:
    """Turns the scores of one setting into JSON values; an undefined IoU becomes null."""
    iou = {name: _number(value) for name, value in zip(CLASS_NAMES, scores["iou"].tolist(), strict=True)}
    summary = {key: _number(float(scores[key])) for key in SUMMARY}
    return {**summary, "iou": iou, "confusion": scores["confusion"].tolist()}


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def write_scores(folder: Path, results: Mapping[str, Mapping[str, Any]], provenance: Mapping[str, Any]) -> None:
    """Writes ``scores.json`` (all, with provenance), ``scores.csv`` (a row for each setting and class) and confusion PNGs.

    Args:
        folder: is created.
        results: setting -> what `plain_scores` returned.
        provenance: plain values that say what was evaluated, how and on what.
    """
    write_atomic(folder / "scores.json", to_json({**provenance, "settings": results}))
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["setting", "class", "iou"])
    for setting, scores in results.items():
        for name in SUMMARY:
            writer.writerow([setting, name, scores[name]])
        writer.writerows([setting, name, "" if iou is None else iou] for name, iou in scores["iou"].items())
    write_atomic(folder / "scores.csv", text.getvalue().encode())
    for setting, scores in results.items():
        write_atomic(folder / f"confusion_{setting}.png", confusion_picture(setting, np.array(scores["confusion"])))


def write_epochs(
    folder: Path, epochs: Mapping[int, Mapping[str, Mapping[str, Any]]], provenance: Mapping[str, Any]
) -> None:
    """Writes ``epochs.json`` (with provenance) and ``epochs.csv`` (a row for each epoch and setting).

    Args:
        folder: is created.
        epochs: epoch -> setting -> summary scores.
        provenance: plain values that say what was evaluated, how and on what.
    """
    numbered = {f"{epoch:04d}": settings for epoch, settings in epochs.items()}
    write_atomic(folder / "epochs.json", to_json({**provenance, "epochs": numbered}))
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["epoch", "setting", *SUMMARY])
    for epoch, settings in epochs.items():
        writer.writerows([epoch, name, *(scores[key] for key in SUMMARY)] for name, scores in settings.items())
    write_atomic(folder / "epochs.csv", text.getvalue().encode())


def confusion_picture(title: str, confusion: np.ndarray[Any, np.dtype[np.int64]]) -> bytes:
    """Draws a confusion matrix [C, C + 1], each row as shares of its label's pixels, as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    totals = confusion.sum(axis=1, keepdims=True)
    shares = np.divide(confusion, totals, out=np.full(confusion.shape, np.nan), where=totals > 0)
    figure = Figure(figsize=(9.5, 8.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    columns = [*CLASS_NAMES, "void"]
    axes.set_xticks(range(len(columns)), columns, rotation=90)
    axes.set_yticks(range(len(CLASS_NAMES)), CLASS_NAMES)
    axes.set(xlabel="predicted", ylabel="labelled", title=f"{title}: share of each class's pixels by prediction")
    for (row, column), share in np.ndenumerate(shares):
        if share >= 0.005:
            axes.text(
                column,
                row,
                f"{100 * share:.0f}",
                ha="center",
                va="center",
                fontsize=7,
                color="white" if share > 0.6 else "black",
            )
    figure.colorbar(image, shrink=0.8)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()
