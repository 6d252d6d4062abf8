"""Cityscapes (Cordts et al., CVPR 2016, arXiv 1604.01685): streets of 50 cities by day, mostly in Germany, 2048x1024.

2,975 images to train, 500 to validate and 1,525 to test, finely labelled in 34 ids of which 19 classes are scored; the labels of
the test split are withheld.

    <root>/leftImg8bit/<split>/<city>/<frame>_leftImg8bit.png
    <root>/gtFine/<split>/<city>/<frame>_gtFine_{labelIds,labelTrainIds}.png
"""

from pathlib import Path
from typing import Any

from zsda.data.labels import find_classes
from zsda.data.samples import Sample, SegmentationDataset, find_images, pair_with_labels

IMAGES, SUFFIX = "leftImg8bit", "_leftImg8bit.png"
"""Folder and ending of the images, which generated sets share."""


def cityscapes_samples(root: Path, split: str) -> list[Sample]:
    """Lists a split of Cityscapes; label ids are preferred where both encodings are there."""
    images = find_images("cityscapes", root, f"{IMAGES}/{split}", f"*/*{SUFFIX}")
    return pair_with_labels("cityscapes", images, SUFFIX, root / "gtFine" / split, "_gtFine_{encoding}.png")


class Cityscapes(SegmentationDataset):
    """Cityscapes, or anything in its layout.

    Args:
        root: the folder that holds ``leftImg8bit`` and ``gtFine``.
        split: ``train``, ``val`` or ``test``.
        classes: what the masks tell apart; see `zsda.data.labels.find_classes`.

    Raises:
        ConfigError: no such set of classes.
        DataError: the layout is not there, or an image has no label.
    """

    def __init__(self, root: str | Path, split: str = "train", classes: Any = "19") -> None:  # noqa: ANN401 - of find_classes
        samples = cityscapes_samples(Path(root), split)
        super().__init__(samples, f"cityscapes {split}", root, split, find_classes(classes))
