"""Labelled images on disk: what one of them is, how it is read, and the base of all sets of them.

Every layout (`zsda.data.datasets`) is found by a pure function ``(root, ...) -> list[Sample]`` that touches file names only, so
that a wrong folder is reported before anything heavy starts.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch.utils.data import Dataset

from zsda.core.errors import DataError
from zsda.core.files import digest
from zsda.data.labels import to_train_ids

_log = logging.getLogger(__name__)

WAY_OUT = 'see "Data layout" in the README, or run with world=miniature'
ENCODINGS = ("labelIds", "labelTrainIds")


@dataclass(frozen=True)
class Sample:
    """One image of a set and where its label lies.

    Attributes:
        key: what names the frame within its set, e.g. ``aachen/aachen_000000_000019``; views are aligned by it.
        image: the PNG or JPEG.
        label: the label PNG.
        encoding: how the label counts; see `zsda.data.labels.to_train_ids`.
    """

    key: str
    image: Path
    label: Path
    encoding: str


class DamagedImageError(DataError):
    """A file cannot be decoded. One among thousands is named and left out; the rest goes on."""


def fingerprint(samples: Sequence[Sample]) -> str:
    """Tells sets of files apart by their keys and sizes in bytes, without reading them; the same wherever they lie."""
    sizes = [(sample.key, _size(sample.image), _size(sample.label)) for sample in samples]
    return digest(repr(sizes).encode())


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:  # is left out, with its name, when it is read
        return None


def read_image(path: Path) -> Image.Image:
    """Reads an RGB image completely.

    Raises:
        DamagedImageError: the file is missing, truncated or no image.
    """
    try:
        with Image.open(_regular(path), formats=("PNG", "JPEG")) as image:
            return image.convert("RGB")
    except (OSError, SyntaxError, ValueError) as error:
        raise DamagedImageError(f"{path}: cannot be decoded ({error}); expected a complete PNG or JPEG") from error


def _regular(path: Path) -> Path:
    if path.exists() and not path.is_file():
        raise OSError("no regular file")  # a pipe would be waited for
    return path


def image_size(path: Path) -> tuple[int, int] | None:
    """Returns width and height without reading the pixels; None if the file is no image."""
    try:
        with Image.open(_regular(path), formats=("PNG", "JPEG")) as image:
            return image.size
    except (OSError, SyntaxError, ValueError):
        return None


def read_label(path: Path, encoding: str) -> NDArray[np.uint8]:
    """Reads a label map as train ids, uint8 [H, W].

    Palette PNGs, as GTA5 has them, are read as the ids they index, never as colours.

    Raises:
        DamagedImageError: the file is missing, truncated or no PNG.
        DataError: it has several channels, or ids that the table does not hold.
    """
    try:
        with Image.open(_regular(path), formats=("PNG",)) as image:
            mode, ids = image.mode, np.array(image)
    except (OSError, SyntaxError, ValueError) as error:
        raise DamagedImageError(f"{path}: cannot be decoded ({error}); expected a complete PNG") from error
    if mode not in ("L", "P"):
        raise DataError(f"{path}: a label in mode {mode}; expected one channel of 8-bit {encoding} (mode L or P)")
    try:
        return to_train_ids(ids, encoding)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def read_pair(sample: Sample) -> tuple[Image.Image, NDArray[np.uint8]]:
    """Reads image and train ids of one sample.

    Raises:
        DamagedImageError: one of the files cannot be decoded.
        DataError: their sizes differ, or the label holds foreign ids.
    """
    image, label = read_image(sample.image), read_label(sample.label, sample.encoding)
    if image.size != (label.shape[1], label.shape[0]):
        raise DataError(
            f"{sample.image}: {image.size[0]}x{image.size[1]}, but its label {sample.label} is "
            f"{label.shape[1]}x{label.shape[0]}; expected equal sizes"
        )
    return image, label


def find_images(what: str, root: Path, folder: str, pattern: str, way_out: str = WAY_OUT) -> list[Path]:
    """Lists the images of one folder in order.

    Args:
        what: how the message calls the set.
        root: the folder of the set.
        folder: below it.
        pattern: of paths below that.
        way_out: what the message advises.

    Raises:
        DataError: there are none.
    """
    if not root.is_dir():
        raise DataError(f"{what}: no folder {root}; expected {folder}/{pattern} in it; {way_out}")
    images = sorted((root / folder).glob(pattern))
    if not images:
        raise DataError(f"{what}: no images under {root}; expected {folder}/{pattern}; {way_out}")
    return images


def frame_key(image: Path, suffix: str) -> str:
    """Returns ``<city>/<frame>``, which an image shares with its label and with what it was edited into."""
    return f"{image.parent.name}/{image.name.removesuffix(suffix)}"


def pair_with_labels(what: str, images: Sequence[Path], suffix: str, labels: Path, label_suffix: str) -> list[Sample]:
    """Finds the label of each image; label ids are preferred where both encodings are there.

    Args:
        what: how the message calls the set.
        images: at least one.
        suffix: what their names end with.
        labels: the folder of the labels, in folders of the same names.
        label_suffix: what their names end with, with a place for the ``{encoding}``.

    Raises:
        DataError: an image has no label.
    """
    keys = [frame_key(image, suffix) for image in images]
    encoding = next(
        (e for e in ENCODINGS if (labels / (keys[0] + label_suffix.format(encoding=e))).exists()), ENCODINGS[0]
    )
    ending = label_suffix.format(encoding=encoding)
    samples = [Sample(k, image, labels / (k + ending), encoding) for k, image in zip(keys, images, strict=True)]
    check_labels(what, samples)
    return samples


def check_labels(what: str, samples: Sequence[Sample]) -> None:
    """Refuses a set with an image without a label.

    Raises:
        DataError: there is one; the message names the first.
    """
    without = [sample for sample in samples if not sample.label.exists()]
    if without:
        raise DataError(
            f"{what}: {len(without)} of {len(samples)} images have no label, the first is {without[0].image}; "
            f"expected {without[0].label}"
        )


class SegmentationDataset(Dataset[dict[str, Any]]):
    """Labelled images, read on demand.

    Args:
        samples: what to read.
        name: how messages and tables call it.
        root: the folder that it lies in.
        split: the part of it that is listed; empty where it has none.
    """

    def __init__(self, samples: Sequence[Sample], name: str, root: str | Path, split: str = "") -> None:
        self.samples = list(samples)
        self.name, self.root, self.split = name, Path(root), split

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Returns ``image`` (PIL, RGB), ``mask`` (train ids, uint8 [H, W]) and ``key``."""
        sample = self.samples[index]
        image, mask = read_pair(sample)
        return {"image": image, "mask": mask, "key": sample.key}
