"""How images and labels are opened, and what a label file must be."""

import errno
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from zsda.core.errors import DataError, ZsdaError
from zsda.core.limits import TooLargeError, check_pixels
from zsda.core.reasons import reason
from zsda.data.labels import IGNORE, ClassSet, Encoding, LabelTable
from zsda.data.opening import opened, regular
from zsda.data.png import decode_plain
from zsda.data.resizing import Size, Window, cut, resize_image, resize_mask, resize_to_nearest

_RED = 2  # OpenCV counts from blue
_GREY_OF_16_BITS = ("I;16", "I;16B", "I")
"""Modes of Pillow whose values it would cut off at 255 instead of scaling them."""
_DARKEST = 64
"""What the largest value of 14 bits becomes where 16 are scaled to 8: a camera's own numbers, which nobody has scaled."""
_DEFECTIVE = 1e-5
"""Share of pixels that may be brighter all the same, as those of a camera that are always white."""
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""Orientation in EXIF -> what brings the picture upright."""
_SIDEWAYS = [turn for orientation, turn in _TURNS.items() if orientation >= 5]
_PROFILES = ("XML:com.adobe.xmp", "Raw profile type exif")
"""Texts of a PNG that may tell how to turn it, beside its EXIF; all may stand before or behind the pixels."""
_END = 2**18  # bytes
_NOT_OF_THE_FILE = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)


class DamagedImageError(DataError):
    """A file cannot be decoded. One among thousands is named and left out; the rest goes on."""


class _Form(NamedTuple):
    """What the PNGs of an encoding are, and what to do about others."""

    channels: int
    bits: int
    modes: tuple[str, ...]  # of Pillow
    way_out: str


_ONE_CHANNEL = _Form(
    1,
    8,
    ("L", "P"),
    "take the files that hold ids, not colours; those of SYNTHIA are read by data=synthia, of RobotCar by setting=robotcar",
)
_FORMS = {
    "synthiaIds": _Form(
        3, 16, ("RGB",), "take the files of GT/LABELS as they are published, neither GT/COLOR nor copies in 8 bits"
    ),
    "robotcarIds": _Form(4, 8, ("RGBA",), "take the files of anno as they are published"),
}
"""Those of the encodings whose labels are not `_ONE_CHANNEL`; the ids are in the first channel of each."""

_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Kind of colour in the header of a PNG -> channels; a palette (3) has one, of indices."""
_PALETTE = 3
_SIZE, _HEADER = 16, 26  # bytes, up to width and height, and up to the kind of colour


def image_size(path: Path) -> tuple[int, int] | None:
    """Returns width and height as `Reader.image` has them, mostly without decoding; None if that would refuse the file."""
    try:
        with opened(path) as (_, image):
            # Pillow decodes a PNG to find what stands behind the pixels.
            known = image.format != "PNG" or any(part in image.info for part in ("exif", *_PROFILES))
            asks = known or any(part.encode() in _end(path) for part in ("eXIf", *_PROFILES))
            return image.size[::-1] if asks and _turn(image) in _SIDEWAYS else image.size
    except ZsdaError:
        raise
    except Exception:  # see _decoding
        return None


class Pixels(NamedTuple):
    """What was read of a file.

    Attributes:
        values: of an image RGB, uint8 [h, w, 3]; of a label map ids of a class set, uint8 [h, w]. Not to be written to.
        size: height, width of what the file holds.
    """

    values: NDArray[np.uint8]
    size: tuple[int, int]


class LabelFile(NamedTuple):
    """A file of labels.

    Attributes:
        path: of the PNG.
        encoding: how it counts; see `zsda.data.labels.ClassSet.to_ids`.
        classes: what its ids are brought to.
        like: the image to whose size it is brought first, to the nearest as OpenCV does; None leaves it at its own.
    """

    path: Path
    encoding: Encoding
    classes: ClassSet
    like: Path | None = None


class Reader:
    """Opens images and labels from disk, the only one to do so; what stands in its place may keep what it read."""

    def image(self, path: Path) -> Image.Image:
        """Reads an RGB image completely, turned as its EXIF says; grey of 16 bits is scaled to 8.

        Raises:
            DamagedImageError: the file is missing, truncated, or no image; it has more pixels than `zsda.core.limits.most_pixels`; or it
                has 16 bits of which it uses 14 at most.
        """
        return _as_image(_decoded(path))

    def pixels(self, path: Path, size: Size | None = None, window: Window | None = None) -> Pixels:
        """Reads an image as `image` does, and resizes it with `zsda.data.resizing.resize_image`.

        Args:
            path: of the file.
            size: height, width; None leaves it at its own.
            window: of the resized image; None takes the whole.

        Raises:
            DamagedImageError: as `image`.
        """
        found = _decoded(path)
        own = (found.height, found.width) if isinstance(found, Image.Image) else (found.shape[0], found.shape[1])
        if tuple(size or own) == own and not isinstance(found, Image.Image) and found.ndim == 3:
            return Pixels(found if window is None else cut(found, window), own)
        return Pixels(resize_image(_as_image(found), size or own, window), own)

    def label(self, path: Path, encoding: Encoding, classes: ClassSet) -> NDArray[np.uint8]:
        """Reads a label map as ids of a class set, uint8 [H, W].

        Palette PNGs, as GTA5 has them, are read as the ids they index, never as colours; where those are the colours of other classes
        they are refused. Where a user's own table gives colours, those are read.

        Raises:
            DamagedImageError: the file is missing, truncated, or no PNG; or it has more pixels than `zsda.core.limits.most_pixels`.
            DataError: its channels or bits are not those of the encoding, its EXIF says that it is to be turned, it has ids that the
                encoding does not hold, or is painted in colours that are those of others or of nothing.
            ConfigError: the encoding does not tell the classes apart.
        """
        try:
            with _decoding(path, "PNG"):
                if isinstance(encoding, LabelTable) and encoding.colours:
                    ids: NDArray[np.uint8] | NDArray[np.uint16] = _decoded_colours(path, encoding)
                else:
                    form = _ONE_CHANNEL if isinstance(encoding, LabelTable) else _FORMS.get(encoding, _ONE_CHANNEL)
                    ids = _decoded_ids(path, form, classes, encoding)
            return classes.to_ids(ids if ids.ndim == 2 else ids[..., 0], encoding)
        except DamagedImageError:
            raise
        except DataError as error:
            raise DataError(f"{path}: {error}") from error

    def ids(self, label: LabelFile, size: Size | None = None, window: Window | None = None) -> Pixels:
        """Reads a label map as `label` does, and resizes it with `zsda.data.resizing.resize_mask`.

        Args:
            label: the file, and what to bring it to first.
            size: height, width; None leaves it as it is then.
            window: of the resized map; None takes the whole.

        Raises:
            DamagedImageError: as `label`; or the image whose size it is to have cannot be decoded.
            DataError: as `label`.
            ConfigError: as `label`.
        """
        ids = self.label(label.path, label.encoding, label.classes)
        if label.like is not None:
            ids = resize_to_nearest(ids, self.size(label.like))
        own = (ids.shape[0], ids.shape[1])
        return Pixels(resize_mask(ids, size or own, window), own)

    def size(self, path: Path) -> tuple[int, int]:
        """Returns height and width of an image as `image` reads it.

        Raises:
            DamagedImageError: the file is missing, or no image.
        """
        found = image_size(path)
        return self.image(path).size[::-1] if found is None else found[::-1]  # which says why


FROM_DISK = Reader()


@contextmanager
def _decoding(path: Path, expected: str) -> Iterator[None]:
    """Turns what a damaged file makes decoders stumble over, which is not enumerable, into the error that names it.

    Raises:
        DamagedImageError: something was stumbled over.
    """
    try:
        yield
    except ZsdaError:
        raise
    except TooLargeError as error:
        raise DamagedImageError(f"{path}: {error}") from error
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _NOT_OF_THE_FILE:
            raise
        raise DamagedImageError(
            f"{path}: cannot be decoded ({reason(error)}); expected a complete {expected}"
        ) from error


def _decoded(path: Path) -> NDArray[np.uint8] | Image.Image:
    """Decodes an image to RGB or, where it is one of those, to grey in an array, uint8 [H, W]."""
    with _decoding(path, "PNG or JPEG"):
        plain = decode_plain(regular(path))
        if plain is not None:
            return plain
        with opened(path) as (_, image):
            deep = any("16" in str(tile[3]) for tile in image.tile)
            image.load()
            turn = _turn(image)
            upright = image if turn is None else image.transpose(turn)
            return _from_16_bits(upright) if deep else upright.convert("RGB")


def _decoded_ids(
    path: Path, form: _Form, classes: ClassSet, encoding: Encoding
) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Decodes a label to what it holds, [H, W] or [H, W, C] with the ids in the first channel."""
    plain = decode_plain(regular(path)) if form is _ONE_CHANNEL else None
    if plain is not None and plain.ndim == 2:
        return plain
    with opened(path, png_only=True) as (file, image):
        _check_form(file, image, form, encoding)
        ids = _deep_red(file, image) if form.bits > 8 else np.array(image)
        _check_upright(image)
        if image.mode == "P":
            _check_colours(image, classes, encoding)
    return ids


def _decoded_colours(path: Path, table: LabelTable) -> NDArray[np.uint8]:
    """Decodes a label that is painted, with a palette or without, to ids of a table, uint8 [H, W]."""
    with opened(path, png_only=True) as (_, image):
        if any("16" in str(tile[3]) for tile in image.tile):
            raise DataError("a painted label of 16 bits; expected 8 bits of a channel")
        image.load()
        _check_upright(image)
        if image.mode == "P":
            palette = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
            used = np.array(image)
            return _painted_ids(palette, np.bincount(used.ravel(), minlength=len(palette)), table)[used]
        pixels = np.array(image.convert("RGB")).astype(np.int32)
    codes = pixels[..., 0] << 16 | pixels[..., 1] << 8 | pixels[..., 2]
    found = _ids_of_colours(table)[codes]
    if (found < 0).any():
        foreign, counts = np.unique(codes[found < 0], return_counts=True)
        colours = np.stack([foreign >> 16, foreign >> 8 & 255, foreign & 255], axis=-1).astype(np.uint8)
        _painted_ids(colours, counts, table)  # which names them
    return found.astype(np.uint8)


@cache
def _ids_of_colours(table: LabelTable) -> NDArray[np.int16]:
    """Returns the id of each colour of 24 bits, -1 of those that the table does not hold: sorting the pixels takes seconds."""
    ids = np.full(2**24, -1, np.int16)
    for (red, green, blue), number in table.colours:
        ids[red << 16 | green << 8 | blue] = number
    return ids


def _painted_ids(colours: NDArray[np.uint8], counts: NDArray[np.intp], table: LabelTable) -> NDArray[np.uint8]:
    """Returns the id of each colour, uint8 [N]; those that nothing is painted in are ignored.

    Raises:
        DataError: something is painted in a colour that the table does not hold.
    """
    known = dict(table.colours)
    keys = [(red, green, blue) for red, green, blue in colours.tolist()]
    foreign = sorted(
        ((int(count), key) for count, key in zip(counts, keys, strict=False) if count and key not in known),
        reverse=True,
    )
    if foreign:
        first = ", ".join(f"#{r:02x}{g:02x}{b:02x} ({count} pixels)" for count, (r, g, b) in foreign[:3])
        more = f" and {len(foreign) - 3} more" if len(foreign) > 3 else ""
        raise DataError(
            f"painted in colours that {table} does not hold: {first}{more}; expected those of its classes and of ignore:"
        )
    return np.array([known.get(key, IGNORE) for key in keys], np.uint8)


def _end(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(-min(_END, path.stat().st_size), os.SEEK_END)
        return file.read()


def _as_image(decoded: NDArray[np.uint8] | Image.Image) -> Image.Image:
    image = decoded if isinstance(decoded, Image.Image) else Image.fromarray(decoded)
    return image if image.mode == "RGB" else image.convert("RGB")  # which copies


def _turn(image: Image.Image) -> Image.Transpose | None:
    try:
        return _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # what damaged EXIF makes Pillow stumble over is not enumerable, and no viewer minds it
        return None


def _from_16_bits(image: Image.Image) -> Image.Image:
    if image.mode in _GREY_OF_16_BITS:
        grey = np.asarray(image).clip(0, 2**16 - 1).astype(np.uint32)
        image = Image.fromarray(((grey * 255 + 2**15) // (2**16 - 1)).astype(np.uint8))
    image = image.convert("RGB")
    pixels = np.asarray(image)
    if pixels.any() and np.count_nonzero(pixels > _DARKEST) <= _DEFECTIVE * pixels.size:
        raise OSError(
            "16 bits of which it uses the lower 14 at most, as cameras store them, so that it is dark; scale it to 16, or write 8"
        )
    return image


def _check_upright(image: Image.Image) -> None:
    if _turn(image) is not None:
        raise DataError("a label that its EXIF says to turn; expected one that is stored upright, as its image is seen")


def _check_colours(image: Image.Image, classes: ClassSet, encoding: Encoding) -> None:
    palette = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
    odd = {index: f"painted as {name}" for index, name in classes.painted_otherwise(palette, encoding).items()}
    if (palette == palette[:, :1]).all():  # ids as greys, to which a tool that saves space gave other indices
        odd |= {
            index: f"the grey {grey}" for index, (grey, *_) in enumerate(palette.tolist()) if grey not in (0, index)
        }
    used = image.histogram() if odd else []
    wrong = [f"{index} is {what}" for index, what in sorted(odd.items()) if used[index]]
    if wrong:
        raise DataError(
            f"a palette of class colours or greys whose indices are no {encoding}: {', '.join(wrong[:3])}; expected the index to be the "
            "id: take the files that hold ids, or write the ids without a palette"
        )


def _check_form(file: BinaryIO, image: Image.Image, form: _Form, encoding: Encoding) -> None:
    place = file.tell()
    file.seek(0)
    header = file.read(_HEADER)
    file.seek(place)
    check_pixels(*struct.unpack_from(">II", header, _SIZE))  # OpenCV takes the first header, Pillow the last
    bits, kind = header[-2:]
    channels = _CHANNELS.get(kind)
    if channels != form.channels or (bits != form.bits and kind != _PALETTE):
        raise DataError(
            f"a label in {_counted(channels, 'channel')} of {_counted(bits, 'bit')}; expected "
            f"{_counted(form.channels, 'channel')} of {_counted(form.bits, 'bit')}, as {encoding} are stored; {form.way_out}"
        )
    if image.mode not in form.modes:
        raise OSError("a second header")


def _counted(number: int | None, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _deep_red(file: BinaryIO, image: Image.Image) -> NDArray[np.uint16]:
    """Decodes the first of several channels of 16 bits, of which Pillow would keep the upper 8 only."""
    import cv2  # slow to import, and few sets need it

    image.verify()
    end = file.tell() + 4  # the check sum of the last chunk; what follows may be of any size
    file.seek(0)
    decoded = cv2.imdecode(np.frombuffer(file.read(end), np.uint8), cv2.IMREAD_UNCHANGED)
    if decoded is None:
        raise OSError("OpenCV finds no image in it")
    return decoded[..., _RED]
