"""Instance-adaptive selection of a pair of softmax maps of 768x1536 pixels, and the memory that it takes over many of them.

    python benchmarks/selection.py

The published procedure is rebuilt from its description: for each class a list of its threshold and of the confidences of its pixels, as
float16, of which NumPy takes a quantile. "array" is the same with arrays in place of lists. Both find class and confidence with
`torch.max`.
"""

import resource
from typing import Any

import numpy as np
import torch
from rounds import Claim, main, medians, ratio, seconds

from zsda.pseudo_labels.selectors import InstanceAdaptiveSelector

CLASSES, SIZE, ALPHA, BETA, GAMMA = 19, (768, 1536), 0.5, 0.9, 8.0
_IMAGES = 2000


class Published:
    """The published procedure.

    Args:
        gather: makes the collection of a threshold and confidences that a quantile is taken of.
    """

    def __init__(self, gather):
        self.gather, self.thresholds = gather, np.full(CLASSES, 0.9)
        self.means, self.pixels = np.zeros(CLASSES), np.zeros(CLASSES, np.int64)

    def select(self, probabilities):
        confidence, predicted = (part.numpy() for part in probabilities.max(dim=1))
        found = np.zeros(CLASSES, np.float32)
        for c in range(CLASSES):
            values = self.gather(self.thresholds[c], confidence[predicted == c].astype(np.float16))
            found[c] = np.quantile(values, 1 - ALPHA * self.thresholds[c] ** GAMMA)
        self.thresholds = BETA * self.thresholds + (1 - BETA) * found
        self.thresholds[self.thresholds >= 1] = 0.999
        labels = predicted.copy()
        labels[confidence < self.thresholds[predicted]] = 255
        for c in range(CLASSES):
            kept = confidence[labels == c]
            if len(kept):
                mean = kept.mean()
                self.means[c] = 0.99 * self.means[c] + 0.01 * mean if self.means[c] else mean
                self.pixels[c] += len(kept)
        return labels


def as_list(threshold, confidences):
    values = [threshold]
    values.extend(confidences)
    return values


def as_array(threshold, confidences):
    return np.concatenate([[threshold], confidences])


def maps(seed):
    """Two softmax maps with regions of every class, most of them certain."""
    coarse = 6 * torch.randn(2, CLASSES, SIZE[0] // 16, SIZE[1] // 16, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(coarse, size=SIZE, mode="bilinear").softmax(dim=1)


def memory(images: int) -> dict[int, float]:
    """Returns peak resident MB once so many images are selected; three pairs of maps in turn."""
    selector, pairs = InstanceAdaptiveSelector(CLASSES, ALPHA, BETA, GAMMA), [maps(seed) for seed in range(3)]
    peaks = {}
    for number in range(0, images, 2):
        selector.select(pairs[number // 2 % len(pairs)])
        if number + 2 in (10, images // 10, images // 4, images // 2, images):
            peaks[number + 2] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)
    return peaks


def measure(rounds: int) -> tuple[list[Claim], dict[str, Any]]:
    """Compares pairs of maps, and whether the labels agree."""
    peaks = memory(_IMAGES)  # first, while no list has raised the peak
    probabilities, ours = maps(0), InstanceAdaptiveSelector(CLASSES, ALPHA, BETA, GAMMA)
    selectors = {"zsda": ours, "published": Published(as_list), "array": Published(as_array)}
    labels = {}

    def select(name: str) -> None:
        labels[name] = np.asarray(selectors[name].select(probabilities))

    taken = seconds({name: lambda name=name: select(name) for name in selectors}, rounds)
    behind = {
        "milliseconds_of_2": medians(taken),
        "ratio_to_array": ratio(taken, "array", "zsda"),
        "equal_labels": {name: float((labels[name] == labels["zsda"]).mean()) for name in ("published", "array")},
        "peak_resident_mb_after_images": peaks,
    }
    claims = [
        Claim("instance-adaptive selection of 768x1536, against the published", ratio(taken, "published", "zsda"), 5)
    ]
    return claims, behind


if __name__ == "__main__":
    main(__doc__, measure)
