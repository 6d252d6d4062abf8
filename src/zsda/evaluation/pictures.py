"""Predictions and confusions as pictures."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from zsda.core.files import write_atomic
from zsda.data.labels import ClassSet
from zsda.evaluation.protocols import SCORE_NAMES
from zsda.evaluation.records import best_epochs


def write_mask(path: Path, prediction: Tensor, classes: ClassSet) -> None:
    """Writes ids of a class set, int [H, W], as a palette PNG; see `mask_png`."""
    write_atomic(path, mask_png(prediction.cpu().numpy().astype(np.uint8), classes, compress_level=1))


def mask_png(ids: NDArray[np.uint8], classes: ClassSet, compress_level: int) -> bytes:
    """Makes a palette PNG of ids of a class set, uint8 [H, W]: the ids as they are, shown in the colours of the set, others black."""
    picture = Image.fromarray(ids)
    picture.putpalette(classes.palette.tobytes())
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=compress_level)
    return buffer.getvalue()


def write_confusions(folder: Path, results: Mapping[str, Mapping[str, Any]]) -> None:
    """Writes ``confusion_<setting>.png`` for each setting of what `zsda.evaluation.metrics.plain_scores` returned."""
    for setting, scores in results.items():
        picture = confusion_picture(setting, np.array(scores["confusion"]), list(scores["iou"]))
        write_atomic(folder / f"confusion_{setting}.png", picture)


def write_curves(folder: Path, epochs: Mapping[int, Mapping[str, Mapping[str, Any]]], score: str, title: str) -> None:
    """Writes ``epochs.png``: the score of each setting over the epochs, its best, which is oracle selection, marked by a star.

    Args:
        folder: where it goes.
        epochs: epoch, in their order -> setting -> summary scores, shares of 1.
        score: which of them is drawn.
        title: over the picture.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for setting, best in best_epochs(epochs, score).items():
        points = [100 * epochs[epoch][setting][score] for epoch in epochs]
        (line,) = axes.plot(list(epochs), points, marker=".", label=setting)
        axes.plot([best], [100 * epochs[best][setting][score]], marker="*", markersize=14, color=line.get_color())
    axes.set(xlabel="epoch", ylabel=f"{SCORE_NAMES[score]} in %", title=f"{title}\n* best epoch: oracle selection")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    write_atomic(folder / "epochs.png", buffer.getvalue())


def confusion_picture(title: str, confusion: np.ndarray[Any, np.dtype[np.int64]], names: Sequence[str]) -> bytes:
    """Draws a confusion matrix [C, C + 1] of named classes, each row as shares of its label's pixels, as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    totals = confusion.sum(axis=1, keepdims=True)
    shares = np.divide(confusion, totals, out=np.full(confusion.shape, np.nan), where=totals > 0)
    figure = Figure(figsize=(9.5, 8.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    columns = [*names, "void"]
    axes.set_xticks(range(len(columns)), columns, rotation=90)
    axes.set_yticks(range(len(names)), names)
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
