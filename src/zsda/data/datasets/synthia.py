"""SYNTHIA-RAND-CITYSCAPES (Ros et al., CVPR 2016): 9,400 frames of a rendered city, from changing places, 1280x760.

The labels are PNGs of 16 bits: the first channel holds the class, in ids of SYNTHIA's own, the second the instance. Of the 19 classes
of Cityscapes HIAST and its kin train all and score 16, without terrain, truck and train, or 13.

    <root>/RGB/<number>.png
    <root>/GT/LABELS/<number>.png
"""

from pathlib import Path
from typing import Any

from zsda.data.classes import find_classes
from zsda.data.datasets.lists import listed_samples, read_list
from zsda.data.samples import Sample, SegmentationDataset, find_images, with_labels

_ENCODING = "synthiaIds"


def synthia_samples(root: Path, subset: Path | None = None, needs_labels: bool | None = True) -> list[Sample]:
    """Lists SYNTHIA, all of it or what a JSON list holds."""
    if subset is not None:
        listed = read_list(subset)
        return listed_samples("synthia", root, subset, listed, lambda image: image.stem, _ENCODING, needs_labels)
    images = find_images("synthia", root, "RGB", "*.png")
    samples = [Sample(image.stem, image, root / "GT/LABELS" / image.name, _ENCODING) for image in images]
    return with_labels("synthia", samples, needs_labels)


class SYNTHIA(SegmentationDataset):
    """SYNTHIA-RAND-CITYSCAPES.

    Args:
        root: the folder that holds ``RGB`` and ``GT``: ``RAND_CITYSCAPES`` of the download.
        subset: a JSON list of the frames to take; see `zsda.data.datasets.lists`. None takes all.
        classes: what the masks tell apart; see `zsda.data.classes.find_classes`.
        needs_labels: see `zsda.data.samples.with_labels`.

    Raises:
        ConfigError: no such set of classes.
        DataError: the layout is not there, an image has no label, or the list or a listed file is not as it must be.
    """

    def __init__(
        self,
        root: str | Path,
        subset: str | Path | None = None,
        classes: Any = "19",  # noqa: ANN401 - of find_classes
        needs_labels: bool | None = True,
    ) -> None:
        samples = synthia_samples(Path(root), None if subset is None else Path(subset), needs_labels)
        super().__init__(samples, "synthia", root, classes=find_classes(classes))
