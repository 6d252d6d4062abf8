"""Oxford RobotCar (Maddern et al., IJRR 2017) as HIAST uses it: streets of Oxford in changing weather.

894 images to train, without labels, and 271 to validate. The labels are PNGs of 4 channels whose first holds the class; they tell 9
classes apart, each of one or several of Cityscapes'.

    <root>/train/<frame>.png
    <root>/val/<frame>.png
    <root>/anno/<frame>.png    labels of val
"""

from pathlib import Path
from typing import Any

from zsda.data.classes import find_classes
from zsda.data.datasets.lists import listed_samples, read_list
from zsda.data.samples import Sample, SegmentationDataset, find_images, with_labels

_TRAIN = "train"
_ENCODING = "robotcarIds"


def robotcar_samples(
    root: Path, split: str, subset: Path | None = None, needs_labels: bool | None = True
) -> list[Sample]:
    """Lists a split of RobotCar, all of it or what a JSON list holds."""
    labelled = split != _TRAIN
    needed = needs_labels if labelled else False
    if subset is not None:
        return listed_samples("robotcar", root, subset, read_list(subset), lambda image: image.stem, _ENCODING, needed)
    images = find_images("robotcar", root, split, "*.png")
    samples = [
        Sample(image.stem, image, root / "anno" / image.name if labelled else None, _ENCODING) for image in images
    ]
    return with_labels("robotcar", samples, needed)


class RobotCar(SegmentationDataset):
    """Oxford RobotCar.

    Args:
        root: the folder that holds ``train``, ``val`` and ``anno``.
        split: ``train``, whose images need no labels, or ``val``.
        subset: a JSON list of the frames to take; see `zsda.data.datasets.lists`. None takes all of the split.
        classes: what the masks tell apart; see `zsda.data.classes.find_classes`. The labels do for 9.
        needs_labels: of ``val``; see `zsda.data.samples.with_labels`.

    Raises:
        ConfigError: no such set of classes, or one that the labels do not tell apart.
        DataError: the layout is not there, an image has no label, or the list or a listed file is not as it must be.
    """

    def __init__(
        self,
        root: str | Path,
        split: str,
        subset: str | Path | None = None,
        classes: Any = "9",  # noqa: ANN401 - of find_classes
        needs_labels: bool | None = True,
    ) -> None:
        samples = robotcar_samples(Path(root), split, None if subset is None else Path(subset), needs_labels)
        super().__init__(samples, f"robotcar {split}", root, split, find_classes(classes))
