"""Hard-aware copy-paste (HIAST, Zhu et al., TPAMI 2025, arXiv 2302.06992, and its code).

Labelled pixels of classes that the network is unsure of are pasted from another image of the condition.
"""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from zsda.core.errors import ConfigError, StoreError
from zsda.core.seeds import uniform
from zsda.core.values import COUNT
from zsda.data.labels import IGNORE
from zsda.data.resizing import resize_to_nearest
from zsda.data.samples import SegmentationDataset, pseudo_label
from zsda.pseudo_labels.reader import PseudoLabels

_DROPPED = 0.1
"""Share of the images with a class that hold too little of it to be a donor."""

Pixels = NDArray[np.uint8]


class HardAwareCopyPaste:
    """Pastes the hard classes of a donor onto an image and its pseudo labels.

    Hard are the classes whose kept pixels have the lowest mean confidence in this labelling. One of them is drawn with a weight of
    (1 - confidence)^2, then a donor among the images that hold it, alike but for the tenth with the fewest pixels of it. All pixels of
    the donor that bear any hard class are pasted where they are. The image may be its own donor.

    Each draw is a hash of a seed and of its own name.

    Args:
        dataset: the images, with their pseudo labels.
        labels: the folder of the pseudo labels.
        hard: how many classes are hard; a class that was never kept is one of them, but not drawn.
        donors: at most. One is the published code. Three are the paper's loop, of which the code takes one turn: another donor follows
            while fewer than half of the hard classes are on the image, for one of those that are not.
        left_out: names of classes that are never hard; those that the source does not have, in SYNTHIA terrain, truck and train.

    Attributes:
        hard: ids of the hard classes, the hardest first.
        weights: id of a hard class that may be drawn -> its share of the draws, float.
        donors_of: id of a hard class -> places of its donors in the data set, those with the fewest of its pixels first.

    Raises:
        ConfigError: numbers or names that make no sense.
        StoreError: the folder is not complete or damaged, or nothing in it can be pasted.
    """

    def __init__(
        self,
        dataset: SegmentationDataset,
        labels: Path,
        hard: int = 14,
        donors: int = 1,
        left_out: Sequence[str] = (),
    ) -> None:
        classes = dataset.classes
        for name, value in (("hard", hard), ("donors", donors)):
            COUNT.check(f"copy_paste.{name}", value)
        unknown = [name for name in left_out if name not in classes.names]
        if isinstance(left_out, str) or unknown:
            raise ConfigError(f"copy_paste.left_out={left_out}; expected a list, of {', '.join(classes.names)}")
        found = PseudoLabels(labels, classes)
        confidences = found.class_mean_probabilities()
        ranked = [int(number) for number in np.argsort(confidences, kind="stable")]
        self.hard = [number for number in ranked if classes.names[number] not in left_out][:hard]
        places = {pseudo_label(sample.image): place for place, sample in enumerate(dataset.samples)}
        listed = found.samples_with_class()
        self.donors_of = {number: _donors(listed[number], places) for number in self.hard}
        weights = {number: float(1 - confidences[number]) ** 2 for number in self.hard if self.donors_of[number]}
        total = sum(weights.values())
        if not total:
            names = ", ".join(classes.names[number] for number in self.hard)
            raise StoreError(
                f"{labels}: nothing can be pasted, no image of {dataset.name} has labels of the hard classes, {names}"
            )
        self.weights = {number: weight / total for number, weight in weights.items() if weight}
        self._dataset, self._most = dataset, donors
        self._is_hard = np.isin(np.arange(IGNORE + 1), self.hard)

    def __call__(self, image: Pixels, mask: Pixels, seed: int) -> tuple[Pixels, Pixels]:
        """Pastes; equal seeds give equal results in any process.

        Args:
            image: RGB at full size, uint8 [H, W, 3].
            mask: its pseudo labels, uint8 [H, W].
            seed: of this image at this time.

        Returns:
            Both with what was pasted. A donor of another size is resized.

        Raises:
            DamagedImageError: the donor, or its labels, cannot be decoded.
        """
        for turn in range(self._most):
            there = set(np.unique(mask).tolist()) if turn else set()
            if 2 * len(there.intersection(self.hard)) >= len(self.hard):
                break
            wanted = [number for number in self.weights if number not in there]
            if not wanted:
                break
            donor = self.draw(wanted, seed, turn)
            image, mask = self._paste(image, mask, donor)
        return image, mask

    def draw(self, wanted: Sequence[int], seed: int, turn: int = 0) -> int:
        """Draws one of the wanted classes, and a donor of it; returns the donor's place in the data set."""
        ends = list(accumulate(self.weights[number] for number in wanted))
        drawn = bisect_right(ends[:-1], uniform(seed, "class", turn) * ends[-1])
        donors = self.donors_of[wanted[drawn]]
        return donors[int(uniform(seed, "donor", turn) * len(donors))]

    def _paste(self, image: Pixels, mask: Pixels, donor: int) -> tuple[Pixels, Pixels]:
        sample = self._dataset[donor]
        pixels, ids = sample["image"], resize_to_nearest(sample["mask"], mask.shape)
        if pixels.shape[:2] != mask.shape:
            pixels = cv2.resize(pixels, mask.shape[::-1], interpolation=cv2.INTER_LINEAR)
        pasted = self._is_hard[ids]
        return np.where(pasted[..., None], pixels, image), np.where(pasted, ids, mask)


def _donors(listed: Sequence[tuple[Path, int]], places: dict[str, int]) -> list[int]:
    """Returns the places of the images that hold enough of a class, the least first; those of other data sets are none."""
    known = [(pixels, places[path.name]) for path, pixels in listed if path.name in places]
    by_pixels = [place for _, place in sorted(known, key=lambda entry: entry[0])]
    return by_pixels[round(_DROPPED * len(by_pixels)) :]
