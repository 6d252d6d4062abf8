"""What became of each class in a labelling, and how right it is where real labels are there."""

import csv
import io
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from zsda.core.errors import DataError
from zsda.core.files import write_atomic
from zsda.data.labels import IGNORE, ClassSet
from zsda.data.reader import FROM_DISK
from zsda.data.resizing import resize_to_nearest
from zsda.data.samples import SegmentationDataset, pseudo_label
from zsda.pseudo_labels.selectors import Selector

_log = logging.getLogger(__name__)

_COLUMNS = ("class", "{candidate}_pixels", "kept_pixels", "kept_share", "threshold", "mean_confidence", "accuracy")
_ALL = "all"


@dataclass(frozen=True)
class Accuracy:
    """How many of the kept pixels with a real label have the right class.

    Attributes:
        right: by the class of the pseudo label, int64 [C].
        compared: all that have a real label, int64 [C].
    """

    right: NDArray[np.int64]
    compared: NDArray[np.int64]


def compare(labels: Path, truth: SegmentationDataset) -> Accuracy:
    """Compares the pseudo labels of a folder with real labels, brought to their size to the nearest.

    Args:
        labels: a folder of pseudo labels, in ids of the classes of ``truth``.
        truth: the images with what real labels they have; one that is damaged is not compared.

    Raises:
        DataError: a pseudo label is damaged.
    """
    count = len(truth.classes)
    right, compared = np.zeros(count, np.int64), np.zeros(count, np.int64)
    for index, sample in enumerate(track(truth.samples, description="comparing", transient=True)):
        if sample.label is None:
            continue
        kept = FROM_DISK.label(labels / pseudo_label(sample.image), "classIds", truth.classes)
        try:
            real = resize_to_nearest(truth.mask(index), kept.shape)
        except DataError as error:
            _log.warning("not compared: %s", error)
            continue
        both = (kept != IGNORE) & (real != IGNORE)
        compared += np.bincount(kept[both], minlength=count)
        right += np.bincount(kept[both & (kept == real)], minlength=count)
    return Accuracy(right, compared)


def write_summary(
    path: Path, selector: Selector, classes: ClassSet, accuracy: Accuracy | None, checked: bool = False
) -> str:
    """Writes a CSV with a row for each class and one for all, shares from 0 to 1; what is undefined is empty.

    Args:
        path: of the file.
        selector: after the last batch.
        classes: its classes.
        accuracy: where there are real labels.
        checked: whether the selector checked labels in place of predicting them; then ``given_pixels`` stands for ``predicted_pixels``.

    Returns:
        A line that sums it up.

    Raises:
        StoreError: it cannot be written.
    """
    predicted, kept = selector.predicted_pixels.numpy(), selector.class_pixels.numpy()
    shares = _shares(kept, predicted)
    right = [None] * (len(classes) + 1) if accuracy is None else _shares(accuracy.right, accuracy.compared)
    thresholds: list[float | None] = [*selector.thresholds.tolist(), None]
    means: list[float | None] = [*(mean or None for mean in selector.class_mean_probabilities.tolist()), None]
    totals = ([*numbers.tolist(), int(numbers.sum())] for numbers in (predicted, kept))
    buffer = io.StringIO()
    table = csv.writer(buffer, lineterminator="\n")
    table.writerow(column.format(candidate="given" if checked else "predicted") for column in _COLUMNS)
    table.writerows(zip([*classes.names, _ALL], *totals, shares, thresholds, means, right, strict=True))
    write_atomic(path, buffer.getvalue().encode())
    told = f"kept {100 * (shares[-1] or 0):.1f} % of the {'given labels' if checked else 'pixels'}"
    return told if right[-1] is None else f"{told}, {100 * right[-1]:.1f} % of those with a real label are right"


def _shares(part: NDArray[np.int64], whole: NDArray[np.int64]) -> list[float | None]:
    """Returns the share of each class and, last, of all of them together; None where there is nothing."""
    parts, wholes = [*part.tolist(), int(part.sum())], [*whole.tolist(), int(whole.sum())]
    return [one / of if of else None for one, of in zip(parts, wholes, strict=True)]
