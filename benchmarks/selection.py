"""How long instance-adaptive selection takes against the published procedure, and how much memory it takes over many images.

    python benchmarks/selection.py --out benchmarks/results/selection.json

All are given the same two softmax maps of 768x1536 pixels, on one thread, one after the other. The published procedure is rebuilt from
its description: for each class a list of its threshold and of the confidences of its pixels, as float16, of which NumPy takes a
quantile. "array" is the same with arrays in place of lists. Both find class and confidence with `torch.max`.
"""

import argparse
import json
import resource
import statistics
import time
from pathlib import Path

import numpy as np
import torch

from zsda.pseudo_labels.selectors import InstanceAdaptiveSelector

CLASSES, SIZE, ALPHA, BETA, GAMMA = 19, (768, 1536), 0.5, 0.9, 8.0


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


def speed(times):
    """Median seconds of each, in turn, and whether they agree."""
    probabilities, ours = maps(0), InstanceAdaptiveSelector(CLASSES, ALPHA, BETA, GAMMA)
    selectors = {"zsda": ours, "list": Published(as_list), "array": Published(as_array)}
    taken, labels = {name: [] for name in selectors}, {}
    for _ in range(times):
        for name, selector in selectors.items():
            begin = time.perf_counter()
            labels[name] = np.asarray(selector.select(probabilities))
            taken[name].append(time.perf_counter() - begin)
    seconds = {name: statistics.median(times) for name, times in taken.items()}
    rivals = ("list", "array")
    return {
        "seconds": seconds,
        "ratio": {name: seconds[name] / seconds["zsda"] for name in rivals},
        "equal_labels": {name: float((labels[name] == labels["zsda"]).mean()) for name in rivals},
        "thresholds_differ_by": {
            n: float(np.abs(selectors[n].thresholds - ours.thresholds.numpy()).max()) for n in rivals
        },
    }


def memory(images):
    """Peak resident MB once so many images are selected; three pairs of maps in turn."""
    selector, pairs = InstanceAdaptiveSelector(CLASSES, ALPHA, BETA, GAMMA), [maps(seed) for seed in range(3)]
    peaks = {}
    for number in range(0, images, 2):
        selector.select(pairs[number // 2 % len(pairs)])
        if number + 2 in (10, images // 10, images // 4, images // 2, images):
            peaks[number + 2] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)
    return peaks


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--times", type=int, default=9)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    machine = {"cpu": torch.backends.cpu.get_cpu_capability(), "torch": torch.__version__, "numpy": np.__version__}
    peaks = memory(asked.images)  # first, while no list has raised the peak
    result = {**machine, "threads": 1, **speed(asked.times), "peak_resident_mb_after_images": peaks}
    text = json.dumps(result, indent=2)
    print(text)
    if asked.out:
        asked.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
