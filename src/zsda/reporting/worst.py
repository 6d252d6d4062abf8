"""The sheet of the worst edits of a set: each between the image that it was made from and the labels that it is to go with."""

import io
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from zsda.core.errors import DataError
from zsda.core.files import write_atomic
from zsda.data.datasets.cityscapes import SUFFIX
from zsda.data.datasets.generated import GeneratedSet
from zsda.data.panels import BACKGROUND, GAP, INK, MARGIN, LabelMap, fit, font, shorten
from zsda.data.reader import FROM_DISK
from zsda.reporting.edits import EditedImage
from zsda.reporting.quality import EditQuality

COLUMNS = ("source", "edit", "labels")
TILE = 480
"""Pixels of the longer side of a picture."""

_TITLE, _CAPTION = 20, 14
_BETWEEN = 16  # pixels, between rows
_NO_LABELS = "no labels"


class Row(NamedTuple):
    """One edit.

    Attributes:
        name: of the frame, of any length and with any characters.
        figures: what the caption says after it.
        pictures: source, edit, labels, all of one size; None where there are no labels.
    """

    name: str
    figures: str
    pictures: Sequence[Image.Image | None]


def write_worst(path: Path, dataset: GeneratedSet, quality: EditQuality) -> tuple[bool, list[str]]:
    """Writes the sheet of a set as a PNG.

    Args:
        path: of the PNG.
        dataset: the set.
        quality: of its edits.

    Returns:
        Whether there was anything to show, and a sentence for each edit that could not be.

    Raises:
        StoreError: the file cannot be written.
    """
    rows, passed = [], []
    for image in quality.worst():
        try:
            rows.append(_row(dataset, image))
        except (OSError, DataError) as error:
            passed.append(f"{dataset.root / image.path}: is not among the worst that are shown: {error}")
    if rows:
        about = f"{dataset.root.name} {dataset.split}: the {len(rows)} worst of {len(quality.images)} edits, {quality.order} first"
        buffer = io.BytesIO()
        draw_worst(quality.edits.settings.get("domain.prompt", ""), about, rows).save(buffer, "PNG")
        write_atomic(path, buffer.getvalue())
    return bool(rows), passed


def draw_worst(prompt: str, about: str, rows: Sequence[Row]) -> Image.Image:
    """Lays out the sheet.

    Args:
        prompt: the sentence that made the edits; like the names of frames of any length and with any characters.
        about: what is shown.
        rows: at least one.

    Returns:
        An RGB image, three columns wide.
    """
    title, caption = font(_TITLE), font(_CAPTION)
    title_height, caption_height = (sum(chosen.getmetrics()) for chosen in (title, caption))
    width = len(COLUMNS) * (TILE + GAP) - GAP
    top = MARGIN + title_height + 2 * caption_height + GAP
    heights = [_BETWEEN + caption_height + GAP // 2 + _height(row) for row in rows]
    sheet = Image.new("RGB", (2 * MARGIN + width, top + sum(heights) + MARGIN), BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN, MARGIN), shorten(prompt, title, width), fill=INK, font=title)
    draw.text((MARGIN, MARGIN + title_height), shorten(about, caption, width), fill=INK, font=caption)
    lefts = [MARGIN + column * (TILE + GAP) for column in range(len(COLUMNS))]
    for left, name in zip(lefts, COLUMNS, strict=True):
        draw.text((left + TILE / 2, top), name, fill=INK, font=caption, anchor="md")
    for row, height in zip(rows, heights, strict=True):
        upper = top + _BETWEEN
        name = shorten(row.name, caption, width - caption.getlength(row.figures))
        draw.text((MARGIN, upper), f"{name}{row.figures}", fill=INK, font=caption)
        upper += caption_height + GAP // 2
        for left, picture in zip(lefts, row.pictures, strict=True):
            if picture is None:
                draw.text((left + TILE / 2, upper), _NO_LABELS, fill=INK, font=caption, anchor="ma")
            else:
                sheet.paste(picture, (left + (TILE - picture.width) // 2, upper))
        top += height
    return sheet


def frame_name(path: str) -> str:
    """Returns how the frame of an image of a set is called; it need not be printable."""
    return PurePosixPath(path).name.removesuffix(SUFFIX)


def _row(dataset: GeneratedSet, image: EditedImage) -> Row:
    path = dataset.root / image.path
    sample = next(sample for sample in dataset.samples if sample.image == path)
    if path not in dataset.made_of:
        raise DataError("it has no source image")
    edit, source = FROM_DISK.image(path), FROM_DISK.image(dataset.made_of[path])
    factor = TILE / max(edit.size)
    size = (max(1, round(edit.width * factor)), max(1, round(edit.height * factor)))
    photographs = [fit(np.asarray(photograph), size) for photograph in (source, edit)]
    labels = None
    if sample.label is not None and sample.label.exists():
        labels = fit(LabelMap(FROM_DISK.label(sample.label, sample.encoding, dataset.classes), dataset.classes), size)
    score = "no layout score" if image.layout_score is None else f"layout score {image.layout_score:.3f}"
    drift = "drift unknown" if image.drift is None else f"drift {image.drift:.1f} pixels"
    return Row(frame_name(image.path), f"   {score}   {drift}", [*photographs, labels])


def _height(row: Row) -> int:
    return max(picture.height for picture in row.pictures if picture is not None)
