"""How images and labels are opened, and what a label file must be."""

from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from zsda.core.errors import DataError
from zsda.data.labels import ClassSet

_UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
_RED = 2  # OpenCV counts from blue


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
_HEADER = 26  # bytes, up to the kind of colour


def image_size(path: Path) -> tuple[int, int] | None:
    """Returns width and height without reading the pixels; None if the file is no image."""
    try:
        with Image.open(_regular(path), formats=("PNG", "JPEG")) as image:
            return image.size
    except _UNREADABLE:
        return None


class Reader:
    """Opens images and labels from disk, the only one to do so; what stands in its place may keep what it read."""

    def image(self, path: Path) -> Image.Image:
        """Reads an RGB image completely.

        Raises:
            DamagedImageError: the file is missing, truncated, too large to be decoded, or no image.
        """
        try:
            with Image.open(_regular(path), formats=("PNG", "JPEG")) as image:
                return image.convert("RGB")
        except _UNREADABLE as error:
            raise DamagedImageError(f"{path}: cannot be decoded ({error}); expected a complete PNG or JPEG") from error

    def label(self, path: Path, encoding: str, classes: ClassSet) -> NDArray[np.uint8]:
        """Reads a label map as ids of a class set, uint8 [H, W].

        Palette PNGs, as GTA5 has them, are read as the ids they index, never as colours.

        Raises:
            DamagedImageError: the file is missing, truncated, too large to be decoded, or no PNG.
            DataError: its channels or bits are not those of the encoding, or it has ids that the encoding does not hold.
            ConfigError: the encoding does not tell the classes apart.
        """
        form = _FORMS.get(encoding, _ONE_CHANNEL)
        try:
            with _regular(path).open("rb") as file, Image.open(file, formats=("PNG",)) as image:
                _check_form(file, image, form, encoding)
                ids = _deep_red(file, image) if form.bits > 8 else np.array(image)
            return classes.to_ids(ids if ids.ndim == 2 else ids[..., 0], encoding)
        except _UNREADABLE as error:
            raise DamagedImageError(f"{path}: cannot be decoded ({error}); expected a complete PNG") from error
        except DataError as error:
            raise DataError(f"{path}: {error}") from error


FROM_DISK = Reader()


def resize_to_nearest(ids: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Brings ids, uint8 [H, W], to a width and height as OpenCV does, which takes other pixels than Pillow does."""
    import cv2  # slow to import, and few sets need it

    return ids if ids.shape[::-1] == size else cv2.resize(ids, size, interpolation=cv2.INTER_NEAREST)


def _regular(path: Path) -> Path:
    if path.exists() and not path.is_file():
        raise OSError("no regular file")  # a pipe would be waited for
    return path


def _check_form(file: BinaryIO, image: Image.Image, form: _Form, encoding: str) -> None:
    place = file.tell()
    file.seek(0)
    header = file.read(_HEADER)
    file.seek(place)
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
