"""Cityscapes (Cordts et al., CVPR 2016, arXiv 1604.01685): streets of 50 cities by day, mostly in Germany, 2048x1024.

2,975 images to train, 500 to validate and 1,525 to test, finely labelled in 34 ids of which 19 classes are scored; the labels of
the test split are withheld.

    <root>/leftImg8bit/<split>/<city>/<frame>_leftImg8bit.png
    <root>/gtFine/<split>/<city>/<frame>_gtFine_{labelIds,labelTrainIds}.png
"""

from functools import partial
from pathlib import Path
from typing import Any

from zsda.core.errors import DataError
from zsda.core.records import printable
from zsda.data.classes import find_classes
from zsda.data.datasets.lists import listed_samples, read_list
from zsda.data.samples import ENCODINGS, Sample, SegmentationDataset, find_images, frame_key, pair_with_labels

IMAGES, SUFFIX = "leftImg8bit", "_leftImg8bit.png"
"""Folder and ending of the images, which generated sets share."""


def edit_path(split: str, key: str) -> str:
    """Returns where the edit of an image lies below its set, whatever the image is called: as Cityscapes would have it."""
    return f"{IMAGES}/{split}/{key}{SUFFIX}"


def cityscapes_samples(
    root: Path, split: str, subset: Path | None = None, needs_labels: bool | None = True
) -> list[Sample]:
    """Lists a split of Cityscapes, all of it or what a JSON list holds.

    Of the images that are found, label ids are preferred where both encodings are there; of those in a list, the name of the mask
    says which it is.
    """
    if subset is not None:
        encoding, listed = partial(_encoding, subset), read_list(subset)
        return listed_samples("cityscapes", root, subset, listed, _key, encoding, needs_labels)
    images = find_images("cityscapes", root, f"{IMAGES}/{split}", f"*/*{SUFFIX}")
    labels = root / "gtFine" / split
    return pair_with_labels("cityscapes", images, SUFFIX, labels, "_gtFine_{encoding}.png", needs_labels)


class Cityscapes(SegmentationDataset):
    """Cityscapes, or anything in its layout.

    Args:
        root: the folder that holds ``leftImg8bit`` and ``gtFine``.
        split: ``train``, ``val`` or ``test``.
        classes: what the masks tell apart; see `zsda.data.classes.find_classes`.
        subset: a JSON list of the frames to take, of any split; see `zsda.data.datasets.lists`. None takes all of the split.
        needs_labels: see `zsda.data.samples.with_labels`.

    Raises:
        ConfigError: no such set of classes.
        DataError: the layout is not there, an image has no label, or the list or a listed file is not as it must be.
    """

    editable = True

    def __init__(
        self,
        root: str | Path,
        split: str = "train",
        classes: Any = "19",  # noqa: ANN401 - of find_classes
        subset: str | Path | None = None,
        needs_labels: bool | None = True,
    ) -> None:
        samples = cityscapes_samples(Path(root), split, None if subset is None else Path(subset), needs_labels)
        super().__init__(samples, f"cityscapes {split}", root, split, find_classes(classes))


def _key(image: Path) -> str:
    return frame_key(image, SUFFIX)


def _encoding(subset: Path, label: Path) -> str:
    found = next((encoding for encoding in ENCODINGS if label.name.endswith(f"_{encoding}.png")), None)
    if found is None:
        expected = " or ".join(f"_gtFine_{encoding}.png" for encoding in ENCODINGS)
        raise DataError(f"{subset}: the mask {printable(label.name)}; expected a name that ends with {expected}")
    return found
