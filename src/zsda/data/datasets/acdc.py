"""ACDC (Sakaridis, Dai, Van Gool, ICCV 2021, arXiv 2104.13395): Swiss streets in fog, at night, in rain and in snow, 1920x1080.

1,000 images of each condition: 400 to train (fog, night, rain, snow alike), 100 to validate (106 at night) and 500 to test, whose
labels are withheld. The ids and the 19 classes are those of Cityscapes. Some frames of fog have other sizes.

    <root>/rgb_anon/<condition>/<split>/<sequence>/<frame>_rgb_anon.png
    <root>/gt/<condition>/<split>/<sequence>/<frame>_gt_{labelIds,labelTrainIds}.png
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zsda.core.errors import ConfigError, DataError
from zsda.data.classes import find_classes
from zsda.data.reader import image_size
from zsda.data.samples import Sample, SegmentationDataset, find_images, pair_with_labels

_log = logging.getLogger(__name__)


def acdc_samples(
    root: Path, condition: str, split: str, only_size: Sequence[int] | None = None, needs_labels: bool | None = True
) -> list[Sample]:
    """Lists a split of one ACDC condition: ``fog``, ``night``, ``rain`` or ``snow``.

    Args:
        root: the folder of the set.
        condition: one of the four.
        split: ``train``, ``val`` or ``test``.
        only_size: width, height; images of other sizes are left out, but not those that cannot be read, so that whoever
            reads them names them. None takes all, without looking into the files.
        needs_labels: see `zsda.data.samples.with_labels`.

    Raises:
        DataError: there is no image, none of that size, or one without the label that it needs.
    """
    images = find_images("acdc", root, f"rgb_anon/{condition}/{split}", "*/*_rgb_anon.png")
    if only_size is not None:
        if not isinstance(only_size, Sequence) or len(only_size) != 2:
            raise ConfigError(f"settings.{condition}.only_size={only_size}; expected [width,height] in pixels, or null")
        of_size = [image for image in images if image_size(image) in (tuple(only_size), None)]
        shape = "x".join(map(str, only_size))
        if not of_size:
            raise DataError(
                f"acdc: none of the {len(images)} images of {condition} {split} is {shape}; give settings.{condition}.only_size=null"
            )
        if len(of_size) < len(images):
            left_out = len(images) - len(of_size)
            _log.info(
                "acdc %s %s: %d of %d frames left out, they are not %s", condition, split, left_out, len(images), shape
            )
        images = of_size
    labels = root / "gt" / condition / split
    return pair_with_labels("acdc", images, "_rgb_anon.png", labels, "_gt_{encoding}.png", needs_labels)


class ACDC(SegmentationDataset):
    """One condition of ACDC.

    Args:
        root: the folder that holds ``rgb_anon`` and ``gt``.
        condition: ``fog``, ``night``, ``rain`` or ``snow``.
        split: ``train``, ``val`` or ``test``.
        only_size: width, height of the frames to take; None takes all. SDGPA scores fog on frames of 1920x1080 only.
        classes: what the masks tell apart; see `zsda.data.classes.find_classes`.
        needs_labels: see `zsda.data.samples.with_labels`.

    Raises:
        ConfigError: no such set of classes.
        DataError: the layout is not there, an image has no label, or none has this size.
    """

    def __init__(
        self,
        root: str | Path,
        condition: str,
        split: str = "val",
        only_size: Sequence[int] | None = None,
        classes: Any = "19",  # noqa: ANN401 - of find_classes
        needs_labels: bool | None = True,
    ) -> None:
        samples = acdc_samples(Path(root), condition, split, only_size, needs_labels)
        super().__init__(samples, f"acdc {condition} {split}", root, split, find_classes(classes))
