"""Confidences of predictions, and their exact quantiles without keeping them: histograms over all values that a float16 takes."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_ONE = 0x3C00  # bits of 1.0 in float16; those of smaller positive numbers are smaller, in the same order
_VALUES = np.arange(_ONE + 1, dtype=np.uint16).view(np.float16).astype(np.float64)
BINS = len(_VALUES)
"""How many float16 there are from 0 to 1."""


def confidence_and_class(probabilities: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the largest probability of each pixel and its class, the first of equal ones.

    It does what ``probabilities.max(dim=1)`` does, in less time on a CPU.

    Args:
        probabilities: float32 [B, C, H, W].

    Returns:
        Confidence, float32 [B, H, W], NaN where a probability is, and class, int32 [B, H, W].
    """
    probabilities = probabilities.contiguous()
    confidence = probabilities[:, 0].clone()
    classes = torch.zeros_like(confidence, dtype=torch.uint8)
    # Whole maps are compared, class by class, which passes memory in order; the class of a pixel only ever grows.
    for image, best, found in zip(probabilities, confidence, classes, strict=True):
        for number, probability in enumerate(image[1:], start=1):
            higher = (probability > best).view(torch.uint8)
            torch.maximum(best, probability, out=best)
            torch.maximum(found, higher * number, out=found)
    return confidence, classes.int()


def count_confidences(confidence: Tensor, classes: Tensor, num_classes: int) -> Tensor:
    """Counts confidences, rounded to float16.

    Args:
        confidence: from 0 to what rounds to 1, any shape, float32.
        classes: of the same pixels, below ``num_classes``, int32, same shape.
        num_classes: C.

    Returns:
        Counts, long [C, BINS], on the CPU, in ascending order of the confidence.
    """
    bins = (classes * BINS).add_(confidence.abs().half().view(torch.int16).int())
    return torch.bincount(bins.flatten(), minlength=num_classes * BINS).view(num_classes, BINS).cpu()


def quantiles(
    counts: Tensor, shares: NDArray[np.float64], also: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Returns a quantile of each class, linearly interpolated as `numpy.quantile` does.

    Args:
        counts: as `count_confidences` returns them.
        shares: the quantile of each class, in [0, 1], float64 [C].
        also: a further value of each class, in full precision, float64 [C].

    Returns:
        Float64 [C]; NaN where a class has no value.
    """
    found = np.full(len(counts), np.nan)
    for number, (upto, share) in enumerate(zip(counts.numpy().cumsum(axis=1), shares, strict=True)):
        last = int(upto[-1]) - (also is None)  # rank of the largest value
        if last >= 0:
            extra = None if also is None else float(also[number])
            place = share * last
            low, high = (_of_rank(upto, min(int(place) + step, last), extra) for step in (0, 1))
            found[number] = low + (high - low) * (place - int(place))
    return found


def _of_rank(upto: NDArray[np.int64], rank: int, extra: float | None) -> float:
    """Returns the value of a rank, from 0, among those counted, of which ``upto`` are as small as each bin, and an extra one."""
    if extra is not None:
        bin_above = np.searchsorted(_VALUES, extra)
        smaller = int(upto[bin_above - 1]) if bin_above else 0
        if rank == smaller:
            return extra
        rank -= rank > smaller
    return float(_VALUES[np.searchsorted(upto, rank, side="right")])
