"""Single views of a scene, small and in one piece with the page that shows them."""

import base64
import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from zsda.core.errors import DataError, StoreError
from zsda.core.records import printable
from zsda.data.labels import IGNORE
from zsda.data.reader import FROM_DISK
from zsda.evaluation.scenes import LONGEST

_RIGHT, _WRONG, _UNLABELLED = (222, 224, 226), (208, 48, 24), (44, 44, 48)


class Picture(NamedTuple):
    """One view of a scene.

    Attributes:
        title: what it shows.
        uri: its content, as a ``data:`` address.
        width: in pixels.
        height: in pixels.
        sharp: whether its pixels are classes, not to be blurred.
    """

    title: str
    uri: str
    width: int
    height: int
    sharp: bool


def photograph(title: str, path: Path, size: tuple[int, int] | None) -> Picture:
    """Makes a view of an image.

    Args:
        title: of the view.
        path: of the image.
        size: width, height of the view; None takes those of the image, made smaller where a page has no room for it.

    Raises:
        DataError: it cannot be read.
    """
    try:
        image = FROM_DISK.image(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({printable(str(error))})") from error
    if size is None:
        scale = min(1.0, LONGEST / max(image.size))
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    buffer = io.BytesIO()
    image.resize(size, Image.Resampling.LANCZOS).save(buffer, "JPEG", quality=82, optimize=True)
    return Picture(title, _uri("jpeg", buffer), *size, sharp=False)


def label_map(title: str, picture: Image.Image) -> Picture:
    """Makes a view of ids in palette mode."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return Picture(title, _uri("png", buffer), *picture.size, sharp=True)


def error_map(title: str, prediction: Image.Image, labels: Image.Image, classes: int) -> Picture:
    """Makes a view of where a prediction is wrong: 0 is right, 1 wrong, 2 not labelled.

    Args:
        title: of the view.
        prediction: ids, in palette mode.
        labels: the same, of equal size.
        classes: number of classes; other labels are none.

    Raises:
        StoreError: the sizes differ.
    """
    predicted, labelled = np.asarray(prediction), np.asarray(labels)
    if predicted.shape != labelled.shape:
        raise StoreError(f"{title}: {predicted.shape} against labels of {labelled.shape}; evaluate this run again")
    ids = (predicted != labelled).astype(np.uint8)
    ids[(labelled == IGNORE) | (labelled >= classes)] = 2
    picture = Image.fromarray(ids)
    picture.putpalette([*_RIGHT, *_WRONG, *_UNLABELLED])
    return label_map(title, picture)


def _uri(kind: str, buffer: io.BytesIO) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"
