"""Intersection over union, computed from one confusion matrix over all images."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from zsda.data.labels import CLASS_NAMES, IGNORE
from zsda.evaluation.records import SUMMARY


def confusion_matrix(predictions: Tensor, labels: Tensor, num_classes: int, ignore_index: int = IGNORE) -> Tensor:
    """Counts pixels by label and prediction.

    Args:
        predictions: integers, any shape; a value outside 0..num_classes-1, e.g. "void", is counted as an error.
        labels: integers, same shape; ``ignore_index`` is not counted.
        num_classes: number of scored classes C.
        ignore_index: the label of pixels to leave out.

    Returns:
        int64 [C, C + 1]: rows are labels, columns predictions, the last column predictions outside the classes.
    """
    counted = labels != ignore_index
    rows = labels[counted].long()
    columns = predictions[counted].long()
    columns = torch.where((columns >= 0) & (columns < num_classes), columns, num_classes)
    width = num_classes + 1
    return torch.bincount(rows * width + columns, minlength=num_classes * width).reshape(num_classes, width)


def scores(confusion: Tensor) -> dict[str, Tensor]:
    """Derives the scores from a confusion matrix [C, C + 1].

    Returns:
        ``iou`` float64 [C], NaN only for classes neither labelled nor predicted; ``miou``, the mean of the rest; ``miou_present``,
        the mean over the classes that occur in the labels; ``accuracy`` of pixels; ``confusion`` itself.
    """
    classes = confusion[:, :-1]
    hits = classes.diagonal().double()
    labelled = confusion.sum(dim=1).double()
    iou = hits / (labelled + classes.sum(dim=0).double() - hits)
    return {
        "iou": iou,
        "miou": iou.nanmean(),
        "miou_present": iou[labelled > 0].mean(),
        "accuracy": hits.sum() / labelled.sum(),
        "confusion": confusion,
    }


class SegmentationScores(Metric):
    """Accumulates a confusion matrix over images, batches and processes.

    Args:
        num_classes: number of scored classes.
        ignore_index: label of pixels to leave out.
    """

    full_state_update = False
    confusion: Tensor

    def __init__(self, num_classes: int, ignore_index: int = IGNORE, **kwargs: Any) -> None:  # noqa: ANN401 - torchmetrics' own
        super().__init__(**kwargs)
        self.num_classes, self.ignore_index = num_classes, ignore_index
        empty = torch.zeros(num_classes, num_classes + 1, dtype=torch.int64)
        self.add_state("confusion", default=empty, dist_reduce_fx="sum")

    def update(self, predictions: Tensor, labels: Tensor) -> None:
        """Adds predictions and labels, integers of equal shape; see `confusion_matrix`."""
        self.confusion += confusion_matrix(predictions, labels, self.num_classes, self.ignore_index)

    def compute(self) -> dict[str, Tensor]:
        """Returns what `scores` returns, over everything added so far."""
        return scores(self.confusion)


def plain_scores(scores: Mapping[str, Tensor]) -> dict[str, Any]:
    """Turns the scores of one setting into JSON values; an undefined IoU becomes null."""
    iou = {name: _number(value) for name, value in zip(CLASS_NAMES, scores["iou"].tolist(), strict=True)}
    summary = {key: _number(float(scores[key])) for key in SUMMARY}
    return {**summary, "iou": iou, "confusion": scores["confusion"].tolist()}


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
