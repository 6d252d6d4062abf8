"""Intersection over union, computed from one confusion matrix over all images."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import cv2
import torch
from torch import Tensor, nn
from torchmetrics import Metric

from zsda.core.errors import DataError
from zsda.data.labels import CITYSCAPES, CLASS_SETS, IGNORE, ClassSet
from zsda.evaluation.protocols import Absent, Protocol
from zsda.evaluation.records import SUMMARY

_BYTES = 256
_EXACT = 2**24  # pixels, up to which OpenCV, which counts in float32, is exact


def confusion_matrix(predictions: Tensor, labels: Tensor, num_classes: int, ignore_index: int = IGNORE) -> Tensor:
    """Counts pixels by label and prediction.

    Args:
        predictions: integers, any shape; a value outside 0..num_classes-1, e.g. "void", is counted as an error.
        labels: integers from 0 to num_classes-1, same shape; ``ignore_index`` is not counted.
        num_classes: number of scored classes C, at most 255.
        ignore_index: the label of pixels to leave out.

    Returns:
        int64 [C, C + 1]: rows are labels, columns predictions, the last column predictions outside the classes.

    Raises:
        DataError: a label is neither one of the classes nor ``ignore_index``.
    """
    counts, foreign = _count(predictions, labels, num_classes, ignore_index)
    _refuse(foreign, num_classes, ignore_index)
    return counts


def _count(predictions: Tensor, labels: Tensor, num_classes: int, ignore_index: int) -> tuple[Tensor, Tensor]:
    """Returns what `confusion_matrix` does, and the number of labels that are foreign to it, int64; neither waits for the device."""
    counts = torch.zeros(num_classes, num_classes + 1, dtype=torch.int64, device=labels.device)
    foreign = torch.zeros((), dtype=torch.int64, device=labels.device)
    for rows, columns in zip(_bytes(labels).split(_EXACT), _bytes(predictions).split(_EXACT), strict=True):
        # A table of all pairs of bytes has room for every pixel, so that none need be picked out.
        table = _count_pairs(rows, columns).long()
        table[min(max(ignore_index, -1), _BYTES - 1)] = 0
        classes = table[:num_classes]
        counts += torch.cat([classes[:, :num_classes], classes[:, num_classes:].sum(dim=1, keepdim=True)], dim=1)
        foreign += table[num_classes:].sum()
    return counts, foreign


def _refuse(foreign: Tensor, num_classes: int, ignore_index: int) -> None:
    if int(foreign):
        raise DataError(f"labels outside 0-{num_classes - 1} and {ignore_index}")


def _bytes(values: Tensor) -> Tensor:
    """Brings integers of at most 16 bits to uint8, flat; what is no byte becomes 255, which is no class."""
    if values.dtype != torch.uint8:
        values = values.to(torch.int16, copy=True).clamp_(-1, _BYTES - 1).to(torch.uint8)
    return values.flatten()


def _count_pairs(rows: Tensor, columns: Tensor) -> Tensor:
    """Counts pairs of bytes, [256, 256], where they are; on a CPU by OpenCV, in half the time of `torch.bincount`."""
    if rows.device.type != "cpu":
        pairs = columns.int().add_(rows, alpha=_BYTES)
        return torch.bincount(pairs, minlength=_BYTES**2).view(_BYTES, _BYTES)
    images = [values.numpy()[None] for values in (rows, columns)]
    return torch.from_numpy(cv2.calcHist(images, [0, 1], None, [_BYTES, _BYTES], [0, _BYTES, 0, _BYTES]))


def scores(confusion: Tensor, absent: Absent = "left_out") -> dict[str, Tensor]:
    """Derives the scores from a confusion matrix [C, C + 1].

    Args:
        confusion: see `confusion_matrix`.
        absent: what a class that is neither labelled nor predicted counts in the mean; see `Protocol`.

    Returns:
        ``iou`` float64 [C], NaN only for classes neither labelled nor predicted; ``miou``, the mean of the rest, or of all with 0
        for those; ``miou_present``, the mean over the classes that occur in the labels; ``accuracy`` of pixels; ``confusion``
        itself.
    """
    classes = confusion[:, :-1]
    hits = classes.diagonal().double()
    labelled = confusion.sum(dim=1).double()
    iou = hits / (labelled + classes.sum(dim=0).double() - hits)
    return {
        "iou": iou,
        "miou": iou.nanmean() if absent == "left_out" else iou.nan_to_num(0).mean(),
        "miou_present": iou[labelled > 0].mean(),
        "accuracy": hits.sum() / labelled.sum(),
        "confusion": confusion,
    }


class SegmentationScores(Metric):
    """Accumulates a confusion matrix over images, batches and processes.

    Args:
        num_classes: number of scored classes.
        ignore_index: label of pixels to leave out.
        absent: see `scores`.

    Attributes:
        latest: the confusion of the last update alone, int64 [C, C + 1].
    """

    full_state_update = False
    confusion: Tensor
    foreign: Tensor
    latest: Tensor

    def __init__(
        self,
        num_classes: int,
        ignore_index: int = IGNORE,
        absent: Absent = "left_out",
        **kwargs: Any,  # noqa: ANN401 - torchmetrics' own
    ) -> None:
        super().__init__(**kwargs)
        self.num_classes, self.ignore_index, self.absent = num_classes, ignore_index, absent
        empty = torch.zeros(num_classes, num_classes + 1, dtype=torch.int64)
        self.add_state("confusion", default=empty, dist_reduce_fx="sum")
        self.add_state("foreign", default=torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, predictions: Tensor, labels: Tensor) -> None:
        """Adds predictions and labels, integers of equal shape; see `confusion_matrix`."""
        self.latest, foreign = _count(predictions, labels, self.num_classes, self.ignore_index)
        self.confusion += self.latest
        self.foreign += foreign

    def compute(self) -> dict[str, Tensor]:
        """Returns what `scores` returns, over everything added so far.

        Raises:
            DataError: a label was neither one of the classes nor ``ignore_index``; not said before, as that would wait for the device.
        """
        _refuse(self.foreign, self.num_classes, self.ignore_index)
        return scores(self.confusion, self.absent)


class SetScores(nn.Module):
    """One accumulated score for each of several labelled sets; a part of whatever predicts.

    Args:
        classes: what masks and predictions tell apart.
        sets: names of the labelled sets, in the order of their loaders.
        protocol: by which they are scored.

    Attributes:
        sets: their names.
    """

    def __init__(self, classes: ClassSet, sets: Sequence[str], protocol: Protocol) -> None:
        super().__init__()
        self.sets = list(sets)
        self._scores = nn.ModuleList(SegmentationScores(len(classes), absent=protocol.absent) for _ in sets)

    def update(self, index: int, predictions: Iterable[Tensor], masks: Iterable[Tensor]) -> list[Tensor]:
        """Adds label maps, int [H, W], and what is labelled there, uint8 [H, W], to the scores of set ``index``.

        Returns:
            The confusion of each map alone, int64 [C, C + 1].
        """
        scores, own = self._of_sets()[index], []
        for prediction, mask in zip(predictions, masks, strict=True):
            scores.update(prediction, mask)
            own.append(scores.latest)
        return own

    def results(self) -> dict[str, dict[str, Tensor]]:
        """Returns set -> what `scores` returns, over all processes."""
        return {name: scores.compute() for name, scores in zip(self.sets, self._of_sets(), strict=True)}

    def reset(self) -> None:
        """Forgets everything added so far."""
        for scores in self._of_sets():
            scores.reset()

    def _of_sets(self) -> list[SegmentationScores]:
        return [cast(SegmentationScores, scores) for scores in self._scores]


def subset_means(
    iou: Mapping[str, float | None], classes: ClassSet, absent: Absent = "left_out"
) -> dict[str, float | None]:
    """Averages the IoU over those of the smaller class sets ``16`` and ``13`` whose classes are all told apart.

    HIAST (Zhu et al., TPAMI 2025) publishes results on 16 and 13 classes of networks with 19 outputs, and its code calculates them
    otherwise: the sum over all 19, in ``13`` without wall, fence and pole, divided by 16 or 13. Terrain, truck and train stay in the
    sum, so that it can exceed 1. With ``absent="zero"``, the rule of that code, these numbers are returned as well.

    Args:
        iou: class -> share of 1; None is undefined.
        classes: what was told apart.
        absent: see `scores`.

    Returns:
        ``16`` and ``13``, the means over their classes, and of the 19 classes ``16_published`` and ``13_published``; None where no
        class of the set is there.
    """
    same = {one.name: one.takes for one in classes.classes}.items()
    parts = {name: {one.name: one.takes for one in CLASS_SETS[name].classes} for name in ("16", "13")}
    means = {name: _mean([iou[own] for own in part], absent) for name, part in parts.items() if same > part.items()}
    if absent == "zero" and classes == CITYSCAPES:
        left_out = set(CLASS_SETS["16"].names) - set(CLASS_SETS["13"].names)
        counted = {name: value or 0.0 for name, value in iou.items()}
        means["16_published"] = sum(counted.values()) / 16
        means["13_published"] = sum(value for name, value in counted.items() if name not in left_out) / 13
    return means


def _mean(values: Sequence[float | None], absent: Absent) -> float | None:
    there = [value for value in values if value is not None]
    counted = len(values) if absent == "zero" else len(there)
    return sum(there) / counted if counted else None


def plain_scores(scores: Mapping[str, Tensor], classes: ClassSet, absent: Absent = "left_out") -> dict[str, Any]:
    """Turns the scores of one setting into JSON values, with the names of its classes; an undefined IoU becomes null."""
    iou = {name: plain_number(value) for name, value in zip(classes.names, scores["iou"].tolist(), strict=True)}
    summary = {key: plain_number(float(scores[key])) for key in SUMMARY}
    means = subset_means(iou, classes, absent)
    return {**summary, "iou": iou, "means": means, "confusion": scores["confusion"].tolist()}


def plain_number(value: float) -> float | None:
    """Returns a number as JSON has it: None in place of NaN."""
    return None if math.isnan(value) else value
