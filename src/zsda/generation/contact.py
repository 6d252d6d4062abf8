"""The contact sheet of a generated set: its newest edits, each beside the image that it was made from.

    <root>/contact_sheet.jpg

Who makes thousands of images sees in the first minute whether the sentence works. While a run goes on the sheet shows what
came last; in the end it shows the last images of the set by path, so that equal sets have equal sheets.
"""

import io
import logging
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor
from torch.nn import functional

from zsda.core.errors import DataError
from zsda.core.files import digest, read_regular, write_atomic
from zsda.data.datasets.cityscapes import SUFFIX
from zsda.data.panels import BACKGROUND, GAP, INK, MARGIN, font, shorten
from zsda.data.reader import FROM_DISK
from zsda.data.set_names import CONTACT_SHEET, set_name
from zsda.generation.data import SourcePatches
from zsda.generation.store import Edited, GeneratedStore

_log = logging.getLogger(__name__)

PAIRS = 8
"""The most edits on a sheet."""

EVERY = 10.0
"""Seconds between two refreshes at least: a group of images may be done several times a second."""

_TILE = 320  # pixels, the longer side of a picture
_WIDTH = 1360  # pixels, of as many pairs as lie side by side: two of landscapes, four of portraits
_NARROWEST = 640  # pixels, of a sheet whose title is to be read
_BETWEEN = 16  # pixels, between pairs, which must be more than within them
_TITLE, _CAPTION = 20, 14
_MOST_BYTES = 300_000
_QUALITIES = (88, 75, 60, 45, 30, 15)  # the first that is small enough; noise alone needs the last


class Pair(NamedTuple):
    """What is shown of one edit.

    Attributes:
        source: path of the source image relative to its data set.
        before: the canvas that was edited, at the size of a tile, uint8 [h, w, 3].
        after: the edit, at the same size, uint8 [h, w, 3].
    """

    source: str
    before: NDArray[np.uint8]
    after: NDArray[np.uint8]


class ContactSheet:
    """The contact sheet of one set, written by one process.

    It never ends a run: what first keeps it from being written is told in a warning.

    Args:
        store: the set.
        patches: what is edited into it.
    """

    def __init__(self, store: GeneratedStore, patches: SourcePatches) -> None:
        self.path = store.root / CONTACT_SHEET
        self._store, self._patches = store, patches
        self._newest: deque[Pair] = deque(maxlen=PAIRS)
        self._due = 0.0  # on the clock that `time.monotonic` reads; no refresh is due before the first edit
        self._told = False

    def show(self, images: Sequence[Edited], canvases: Sequence[Tensor]) -> None:
        """Takes up the images of a group, and refreshes the sheet where that is due.

        Args:
            images: in their order, each with its edit.
            canvases: what was edited, each uint8 [3, H, W].
        """
        with self._never_fatal():
            shown = list(zip(images, canvases, strict=True))[-PAIRS:]
            # Tiles are kept, not images: a canvas would keep its whole batch in memory.
            self._newest += [
                Pair(edited.source, _tile(canvas), _tile(edited.image))
                for edited, canvas in shown
                if edited.image is not None
            ]
            if shown and time.monotonic() >= self._due:
                self._due = time.monotonic() + EVERY  # also where it cannot be written
                self._write(list(reversed(self._newest)))

    def conclude(self) -> None:
        """Shows the last images of the concluded set by path, whoever made them and when; a set without any has no sheet.

        An image that is not what the manifest tells of, or whose source is not, is passed over.
        """
        with self._never_fatal():
            records = self._store.records()
            found = (self._read(records[source]) for source in sorted(records, reverse=True))
            pairs = list(islice((pair for pair in found if pair is not None), PAIRS))
            if pairs:
                self._write(pairs)
            else:
                self.path.unlink(missing_ok=True)

    def _read(self, record: Mapping[str, Any]) -> Pair | None:
        source = record["source"]
        original, edit = self._patches.original(source), self._store.root / source
        try:
            contents = [digest(read_regular(path)) for path in (original, edit)]
            if contents != [record["source_digest"], record["digest"]]:
                return None
            canvas = self._patches.recipe.draw_canvas(FROM_DISK.image(original))
            return Pair(source, _tile(canvas), _tile(_to_tensor(FROM_DISK.image(edit))))
        except (OSError, DataError):  # of another split, whose images may be elsewhere by now
            return None

    def _write(self, pairs: Sequence[Pair]) -> None:
        domain, recipe = self._patches.domain, self._patches.recipe
        # Not by the name of its folder, which may be renamed.
        content = _encode(draw_sheet(domain.prompt, set_name(domain.name, recipe.name), pairs))
        if not _holds(self.path, content):
            write_atomic(self.path, content)

    @contextmanager
    def _never_fatal(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # whatever it is, hours of editing are not lost for a picture
            if not self._told:
                _log.warning("%s: no new contact sheet: %s", self.path.parent.name, error)
            self._told = True


def draw_sheet(prompt: str, name: str, pairs: Sequence[Pair]) -> Image.Image:
    """Lays out the pairs, row by row, under the sentence that made them.

    Args:
        prompt: the sentence; like the names of frames of any length and with any characters.
        name: of the set.
        pairs: at least one, in the order in which they are shown, all of the same size.

    Returns:
        An RGB image, less than 1400 pixels wide.
    """
    tile_height, tile_width = pairs[0].before.shape[:2]
    pair_width = 2 * tile_width + GAP
    columns = min(len(pairs), max(1, (_WIDTH + _BETWEEN) // (pair_width + _BETWEEN)))
    width = max(_NARROWEST, columns * (pair_width + _BETWEEN) - _BETWEEN)
    title, caption = font(_TITLE), font(_CAPTION)
    title_height, caption_height = (sum(chosen.getmetrics()) for chosen in (title, caption))
    top = MARGIN + title_height + caption_height + _BETWEEN
    row_height = caption_height + GAP // 2 + tile_height + _BETWEEN
    height = top + -(-len(pairs) // columns) * row_height - _BETWEEN + MARGIN
    sheet = Image.new("RGB", (2 * MARGIN + width, height), BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN, MARGIN), shorten(prompt, title, width), fill=INK, font=title)
    told = shorten(f"{name}: sources on the left, their edits on the right", caption, width)
    draw.text((MARGIN, MARGIN + title_height), told, fill=INK, font=caption)
    for number, pair in enumerate(pairs):
        row, column = divmod(number, columns)
        left, upper = MARGIN + column * (pair_width + _BETWEEN), top + row * row_height
        frame = PurePosixPath(pair.source).name.removesuffix(SUFFIX)
        draw.text((left, upper), shorten(frame, caption, pair_width), fill=INK, font=caption)
        upper += caption_height + GAP // 2
        sheet.paste(Image.fromarray(pair.before), (left, upper))
        sheet.paste(Image.fromarray(pair.after), (left + tile_width + GAP, upper))
    return sheet


def _tile(image: Tensor) -> NDArray[np.uint8]:
    height, width = image.shape[1:]
    factor = _TILE / max(height, width)
    size = (max(1, round(height * factor)), max(1, round(width * factor)))
    # On the tensor as it is this takes a tenth of the time that a Pillow image would need to be made and resized.
    shrunk = functional.interpolate(image[None], size, mode="bicubic", antialias=True)[0]
    return shrunk.permute(1, 2, 0).contiguous().numpy()


def _to_tensor(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()


def _encode(sheet: Image.Image) -> bytes:
    for quality in _QUALITIES:
        buffer = io.BytesIO()
        sheet.save(buffer, "JPEG", quality=quality, optimize=True)
        if buffer.tell() <= _MOST_BYTES:
            break
    return buffer.getvalue()


def _holds(path: Path, content: bytes) -> bool:
    try:
        return read_regular(path) == content
    except OSError:
        return False
