"""The one table of classes, ids and colours.

Cityscapes defines 34 *label ids* (0-33, and -1 for licence plates), of which 19 are evaluated; those carry a *train id*
(0-18). Everything else is `IGNORE`. ACDC and GTA5 use the same ids.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from zsda.core.errors import DataError

IGNORE = 255
"""Value of a pixel that no loss and no score looks at."""

VOID = 19
"""Output channel of the published 20-channel networks that stands for "none of the classes"; as a prediction it is an error."""

_OUTSIDE = 254


class SegClass(NamedTuple):
    """One row of the table."""

    name: str
    label_id: int
    train_id: int
    colour: tuple[int, int, int]


TABLE: tuple[SegClass, ...] = (
    SegClass("unlabeled", 0, IGNORE, (0, 0, 0)),
    SegClass("ego vehicle", 1, IGNORE, (0, 0, 0)),
    SegClass("rectification border", 2, IGNORE, (0, 0, 0)),
    SegClass("out of roi", 3, IGNORE, (0, 0, 0)),
    SegClass("static", 4, IGNORE, (0, 0, 0)),
    SegClass("dynamic", 5, IGNORE, (111, 74, 0)),
    SegClass("ground", 6, IGNORE, (81, 0, 81)),
    SegClass("road", 7, 0, (128, 64, 128)),
    SegClass("sidewalk", 8, 1, (244, 35, 232)),
    SegClass("parking", 9, IGNORE, (250, 170, 160)),
    SegClass("rail track", 10, IGNORE, (230, 150, 140)),
    SegClass("building", 11, 2, (70, 70, 70)),
    SegClass("wall", 12, 3, (102, 102, 156)),
    SegClass("fence", 13, 4, (190, 153, 153)),
    SegClass("guard rail", 14, IGNORE, (180, 165, 180)),
    SegClass("bridge", 15, IGNORE, (150, 100, 100)),
    SegClass("tunnel", 16, IGNORE, (150, 120, 90)),
    SegClass("pole", 17, 5, (153, 153, 153)),
    SegClass("polegroup", 18, IGNORE, (153, 153, 153)),
    SegClass("traffic light", 19, 6, (250, 170, 30)),
    SegClass("traffic sign", 20, 7, (220, 220, 0)),
    SegClass("vegetation", 21, 8, (107, 142, 35)),
    SegClass("terrain", 22, 9, (152, 251, 152)),
    SegClass("sky", 23, 10, (70, 130, 180)),
    SegClass("person", 24, 11, (220, 20, 60)),
    SegClass("rider", 25, 12, (255, 0, 0)),
    SegClass("car", 26, 13, (0, 0, 142)),
    SegClass("truck", 27, 14, (0, 0, 70)),
    SegClass("bus", 28, 15, (0, 60, 100)),
    SegClass("caravan", 29, IGNORE, (0, 0, 90)),
    SegClass("trailer", 30, IGNORE, (0, 0, 110)),
    SegClass("train", 31, 16, (0, 80, 100)),
    SegClass("motorcycle", 32, 17, (0, 0, 230)),
    SegClass("bicycle", 33, 18, (119, 11, 32)),
    SegClass("license plate", -1, IGNORE, (0, 0, 142)),
)

CLASSES: tuple[SegClass, ...] = tuple(sorted((c for c in TABLE if c.train_id != IGNORE), key=lambda c: c.train_id))
"""The 19 evaluated classes, in the order of their train ids."""

CLASS_NAMES: tuple[str, ...] = tuple(c.name for c in CLASSES)
NUM_CLASSES = len(CLASSES)
TRAIN_ID: dict[str, int] = {c.name: c.train_id for c in CLASSES}
LABEL_ID: dict[str, int] = {c.name: c.label_id for c in TABLE}


def _lookup(pairs: list[tuple[int, int]]) -> NDArray[np.uint8]:
    table = np.full(256, _OUTSIDE, np.uint8)
    for found, becomes in [*pairs, (IGNORE, IGNORE)]:
        table[found] = becomes
    return table


_FROM_LABEL_IDS = _lookup([(c.label_id % 256, c.train_id) for c in TABLE])
_FROM_GTA5_IDS = _FROM_LABEL_IDS.copy()
_FROM_GTA5_IDS[34] = IGNORE  # its licence plates
_FROM_TRAIN_IDS = _lookup([(c.train_id, c.train_id) for c in CLASSES])
_TO_LABEL_IDS = np.zeros(256, np.uint8)
_TO_LABEL_IDS[:NUM_CLASSES] = [c.label_id for c in CLASSES]
_COLOURS = np.zeros((256, 3), np.uint8)
_COLOURS[:NUM_CLASSES] = [c.colour for c in CLASSES]


_ENCODINGS = {
    "labelIds": (_FROM_LABEL_IDS, "0-33 and 255"),
    "gta5Ids": (_FROM_GTA5_IDS, "0-34 and 255"),
    "labelTrainIds": (_FROM_TRAIN_IDS, f"0-{NUM_CLASSES - 1} and {IGNORE}"),
}


def to_train_ids(ids: NDArray[np.uint8], encoding: str) -> NDArray[np.uint8]:
    """Translates a label map as stored on disk.

    Args:
        ids: uint8, any shape.
        encoding: ``labelIds``, ``labelTrainIds``, or ``gta5Ids``: label ids with 34 for licence plates.

    Returns:
        Train ids 0-18 and `IGNORE`, uint8, same shape.

    Raises:
        DataError: an id that the table does not hold.
    """
    table, expected = _ENCODINGS[encoding]
    result = table[ids]
    if (result == _OUTSIDE).any():
        outside = sorted(int(i) for i in np.unique(ids[result == _OUTSIDE]))
        raise DataError(f"ids outside the table of {encoding}: {outside}; expected {expected}")
    return result


def to_label_ids(train_ids: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Translates train ids, uint8 of any shape, to Cityscapes label ids; everything unevaluated becomes 0."""
    return _TO_LABEL_IDS[train_ids]


def colourise(train_ids: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Paints train ids, uint8 [..., H, W], in the Cityscapes colours, uint8 [..., H, W, 3]; the rest is black."""
    return _COLOURS[train_ids]
