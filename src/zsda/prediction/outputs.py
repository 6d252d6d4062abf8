"""What is written of a prediction, and where: for the eye, for further work, or as a benchmark takes it."""

import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from zsda.core.errors import ConfigError, DataError
from zsda.data.datasets.cityscapes import SUFFIX
from zsda.data.labels import LABEL_ID, TRAIN_ID, ClassSet
from zsda.data.resizing import Size
from zsda.data.samples import Sample
from zsda.evaluation.pictures import mask_png
from zsda.prediction.predictor import Prediction

PAINTED = ("overlay", "colours")
"""What is for the eye: of a video a video, too."""

_OF_CITYSCAPES: Mapping[str, tuple[Mapping[str, int], int]] = {
    "label_ids": (LABEL_ID, 0),
    "labelTrainIds": (TRAIN_ID, 255),
    "labelTrainIds_invalid": (TRAIN_ID, 255),
}
"""Outputs that count as Cityscapes does: what a class becomes by its name, and what no class becomes."""
_FRAME = re.compile(r"[^_]+_\d{6}_\d{6}")
_DEEP = 2**16 - 1


@dataclass(frozen=True)
class Layout:
    """Which files are written of a photograph.

    Attributes:
        kinds: outputs, as `Painter.png` makes them.
        place: an output and the key of a photograph -> path of the file below the folder of all.
        size: height, width that photographs are resized to first; None leaves them.
        archive: a file into which all are packed in the end.
    """

    kinds: tuple[str, ...]
    place: Callable[[str, str], str]
    size: Size | None = None
    archive: str | None = None

    def places(self, photos: Sequence[Sample]) -> dict[str, dict[str, str]]:
        """Returns for the key of each photograph output -> path.

        Raises:
            DataError: a photograph is not called as a benchmark has it, or two would be written to one file.
        """
        found = {photo.key: {kind: self.place(kind, photo.key) for kind in self.kinds} for photo in photos}
        first: dict[str, str] = {}
        for key, places in found.items():
            other = first.setdefault(places[self.kinds[0]], key)
            if other != key:
                raise DataError(f"{other} and {key} would both be {places[self.kinds[0]]}; expected names that differ")
        for place, key in first.items():
            folder = next((str(parent) for parent in PurePosixPath(place).parents if str(parent) in first), None)
            if folder is not None:
                raise DataError(
                    f"{first[folder]} would be the file {folder}, and {key} would lie in a folder of that name; expected names that differ"
                )
        return found


def chosen_layout(kinds: Sequence[str], benchmark: str | None) -> Layout:
    """Returns what is written of ``kinds``, or what a benchmark takes: ``cityscapes`` or ``acdc``."""
    if benchmark == "cityscapes":
        return Layout(("label_ids",), _as_cityscapes)
    if benchmark == "acdc":
        three = ("labelTrainIds", "labelTrainIds_invalid", "confidence")
        return Layout(three, _flat, size=(1080, 1920), archive="results.zip")
    return Layout(tuple(dict.fromkeys(kinds)), lambda kind, key: f"{kind}/{key}.png")


def _as_cityscapes(_kind: str, key: str) -> str:
    # The scripts of the benchmark look for <city>_<sequence>_<frame>*.png at any depth, and want one alone.
    frame = key.removesuffix(SUFFIX.removesuffix(".png"))
    if _FRAME.match(PurePosixPath(frame).name) is None:
        raise DataError(
            f"{key}: format=cityscapes goes by the names of its frames; expected CITY_000000_000019{SUFFIX}"
        )
    return f"{frame}_pred_labelIds.png"


def _flat(kind: str, key: str) -> str:
    return f"{kind}/{PurePosixPath(key).name}.png"


class Painter:
    """Makes pictures of predictions.

    Args:
        classes: what the ids stand for.
        kinds: the outputs that will be asked for.

    Raises:
        ConfigError: one of them counts as Cityscapes does, and a class is not exactly one of those of Cityscapes.
    """

    def __init__(self, classes: ClassSet, kinds: Sequence[str]) -> None:
        self._classes = classes
        self._tables = {kind: _table(classes, kind) for kind in kinds if kind in _OF_CITYSCAPES}

    def png(self, kind: str, prediction: Prediction, pixels: NDArray[np.uint8]) -> bytes:
        """Makes a PNG.

        Args:
            kind: ``overlay``, RGB; ``colours``, ids in the colours of their classes; ``train_ids``, ids of the class set with 255 for
                none; ``label_ids``, those of Cityscapes with 0 for none; ``confidence``, 16 bits, 65535 being 1;
                ``labelTrainIds``, train ids of Cityscapes, the likeliest class where none is likelier; or ``labelTrainIds_invalid``,
                the same with 255 there.
            prediction: of the photograph.
            pixels: the photograph, RGB, uint8 [H, W, 3].
        """
        if kind == "colours":
            return mask_png(prediction.ids, self._classes, compress_level=1)
        if kind in PAINTED:
            values: NDArray[np.uint8] | NDArray[np.uint16] = self.paint(kind, prediction, pixels)
        elif kind == "confidence":
            values = np.rint(prediction.confidence * _DEEP).astype(np.uint16)
        elif kind in self._tables:
            values = self._tables[kind][prediction.classes if kind == "labelTrainIds" else prediction.ids]
        else:
            values = prediction.ids
        buffer = io.BytesIO()
        Image.fromarray(values).save(buffer, "PNG", compress_level=1)
        return buffer.getvalue()

    def paint(self, kind: str, prediction: Prediction, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Paints one of `PAINTED`, RGB, uint8 [H, W, 3]; for the arguments see `png`."""
        colours = self._classes.colourise(prediction.ids)
        # Half of each, without a copy in floats.
        return colours if kind == "colours" else (pixels >> 1) + (colours >> 1) + (pixels & colours & 1)


def _table(classes: ClassSet, kind: str) -> NDArray[np.uint8]:
    known, none = _OF_CITYSCAPES[kind]
    table = np.full(256, none, np.uint8)
    for number, one in enumerate(classes.classes):
        if len(one.takes) != 1 or not 0 <= known.get(one.takes[0], -1) < 255:
            raise ConfigError(
                f"{kind}: the class {one.name} ({' + '.join(one.takes)}) of classes={classes.name} is not exactly one class of Cityscapes; "
                "expected a network of such classes, or write=[train_ids], ids of its own classes"
            )
        table[number] = known[one.takes[0]]
    return table
