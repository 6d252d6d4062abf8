"""Rows of pictures under captions, as one picture."""

import functools
import importlib.util
import io
from bisect import bisect
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from zsda.core.files import write_atomic
from zsda.core.records import printable
from zsda.data.labels import ClassSet


class LabelMap(NamedTuple):
    """Ids of a class set, uint8 [H, W]."""

    ids: NDArray[np.uint8]
    classes: ClassSet

    @property
    def shape(self) -> tuple[int, ...]:
        """Height and width."""
        return self.ids.shape


Panel = NDArray[np.uint8] | LabelMap
"""A photograph, RGB [H, W, 3], or a label map."""

BACKGROUND, INK = (250, 250, 248), (34, 34, 34)
GAP, MARGIN = 6, 12
_QUALITY = 88  # of a JPEG
_LARGEST, _SMALLEST = 22, 9
_LONGEST = 1000  # characters, of which none but the first are measured


def picture_sheet(captions: Sequence[str], rows: Sequence[Sequence[Panel]], scale: int = 1) -> Image.Image:
    """Lays out rows of pictures, all at the size of the first one times ``scale``.

    Photographs are scaled with Lanczos. Label maps are painted in the colours of their classes, what is ignored or no class in black,
    and scaled to the nearest, so that no colour appears that stands for another class.

    Args:
        captions: one for each column.
        rows: as many pictures in each row as there are captions.
        scale: enlargement, a whole number of at least 1.

    Returns:
        An RGB image.

    Raises:
        ValueError: no rows, or a row of another length than the captions.
    """
    if not rows or any(len(row) != len(captions) for row in rows):
        raise ValueError(f"{len(captions)} captions over rows of {[len(row) for row in rows]} pictures")
    height, width = (length * scale for length in rows[0][0].shape[:2])
    font = fitting_font(captions, width)
    top = MARGIN + sum(font.getmetrics()) + GAP
    size = (
        2 * MARGIN + len(captions) * (width + GAP) - GAP,
        top + len(rows) * (height + GAP) - GAP + MARGIN,
    )
    sheet = Image.new("RGB", size, BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    for column, caption in enumerate(captions):
        left = MARGIN + column * (width + GAP)
        draw.text((left + width / 2, top - GAP), caption, fill=INK, font=font, anchor="md")
        for row, panels in enumerate(rows):
            sheet.paste(fit(panels[column], (width, height)), (left, top + row * (height + GAP)))
    return sheet


def write_picture_sheet(path: Path, captions: Sequence[str], rows: Sequence[Sequence[Panel]], scale: int = 1) -> None:
    """Writes what `picture_sheet` lays out, as JPEG where the path ends in ``.jpg``, else as PNG.

    Raises:
        StoreError: the file cannot be written.
    """
    buffer = io.BytesIO()
    picture_sheet(captions, rows, scale).save(buffer, "JPEG" if path.suffix == ".jpg" else "PNG", quality=_QUALITY)
    write_atomic(path, buffer.getvalue())


def fit(panel: Panel, size: tuple[int, int]) -> Image.Image:
    """Scales a picture to width and height; a label map is painted and scaled to the nearest."""
    if isinstance(panel, LabelMap):
        return Image.fromarray(panel.classes.colourise(panel.ids)).resize(size, Image.Resampling.NEAREST)
    return Image.fromarray(panel).resize(size, Image.Resampling.LANCZOS)


def fitting_font(captions: Sequence[str], width: int) -> ImageFont.FreeTypeFont:
    """Returns the largest font in which every caption fits over its column, within reason."""
    sizes = range(_LARGEST, _SMALLEST, -1)
    fitting = (size for size in sizes if all(font(size).getlength(caption) <= width for caption in captions))
    return font(next(fitting, _SMALLEST))


def shorten(text: str, chosen: ImageFont.FreeTypeFont, width: float) -> str:
    """Returns a text in one line no wider than so many pixels; what is cut off an ellipsis stands for."""
    text = printable(text[:_LONGEST])
    if chosen.getlength(text) <= width:
        return text
    fitting = bisect(range(len(text)), width, key=lambda count: chosen.getlength(f"{text[:count]}…"))
    return f"{text[: max(0, fitting - 1)].rstrip()}…"


@functools.cache
def font(size: int) -> ImageFont.FreeTypeFont:
    """Returns the font of all sheets at a size in pixels."""
    # The file is taken from matplotlib without importing it, which takes as long as everything else here.
    spec = importlib.util.find_spec("matplotlib")
    folder = Path(spec.origin).parent if spec and spec.origin else Path()
    return ImageFont.truetype(str(folder / "mpl-data/fonts/ttf/DejaVuSans.ttf"), size)
