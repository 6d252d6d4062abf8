"""Labelled images on disk: what one of them is, how it is read, and the base of all sets of them.

Every layout (`zsda.data.datasets`) is found by a pure function ``(root, ...) -> list[Sample]`` that touches file names only, so
that a wrong folder is reported before anything heavy starts.
"""

import logging
from collections import Counter
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch.utils.data import Dataset

from zsda.core.errors import DataError
from zsda.core.files import digest
from zsda.data.labels import CITYSCAPES, IGNORE, ClassSet

_log = logging.getLogger(__name__)

WAY_OUT = 'see "Data layout" in the README, or run with world=miniature'
ENCODINGS = ("labelIds", "labelTrainIds")


@dataclass(frozen=True)
class Sample:
    """One image of a set and where its label lies.

    Attributes:
        key: what names the frame within its set, e.g. ``aachen/aachen_000000_000019``; views are aligned by it.
        image: the PNG or JPEG.
        label: the label PNG; None where nothing is labelled.
        encoding: how the label counts; see `zsda.data.labels.ClassSet.to_ids`.
        equal_sizes: whether image and label must have one size; an edit has the label of its source, at the source's size.
    """

    key: str
    image: Path
    label: Path | None = None
    encoding: str = ENCODINGS[0]
    equal_sizes: bool = True


class DamagedImageError(DataError):
    """A file cannot be decoded. One among thousands is named and left out; the rest goes on."""


def fingerprint(samples: Sequence[Sample]) -> str:
    """Tells sets of files apart by their keys and sizes in bytes, without reading them; the same wherever they lie."""
    sizes = [(sample.key, _size(sample.image), _size(sample.label)) for sample in samples]
    return digest(repr(sizes).encode())


def _size(path: Path | None) -> int | None:
    try:
        return None if path is None else path.stat().st_size
    except OSError:  # is left out, with its name, when it is read
        return None


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


class Reader:
    """Opens images and labels from disk, the only one to do so; what stands in its place may keep what it read."""

    def image(self, path: Path) -> Image.Image:
        """Reads an RGB image completely.

        Raises:
            DamagedImageError: the file is missing, truncated or no image.
        """
        try:
            with Image.open(_regular(path), formats=("PNG", "JPEG")) as image:
                return image.convert("RGB")
        except (OSError, SyntaxError, ValueError) as error:
            raise DamagedImageError(f"{path}: cannot be decoded ({error}); expected a complete PNG or JPEG") from error

    def label(self, path: Path, encoding: str, classes: ClassSet) -> NDArray[np.uint8]:
        """Reads a label map as ids of a class set, uint8 [H, W].

        Palette PNGs, as GTA5 has them, are read as the ids they index, never as colours.

        Raises:
            DamagedImageError: the file is missing, truncated or no PNG.
            DataError: it has several channels, or ids that the encoding does not hold.
        """
        try:
            with Image.open(_regular(path), formats=("PNG",)) as image:
                mode, ids = image.mode, np.array(image)
        except (OSError, SyntaxError, ValueError) as error:
            raise DamagedImageError(f"{path}: cannot be decoded ({error}); expected a complete PNG") from error
        if mode not in ("L", "P"):
            raise DataError(f"{path}: a label in mode {mode}; expected one channel of 8-bit {encoding} (mode L or P)")
        try:
            return classes.to_ids(ids, encoding)
        except DataError as error:
            raise DataError(f"{path}: {error}") from error


FROM_DISK = Reader()


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


def pseudo_label(image: str | PurePath) -> str:
    """Returns the name of the file that holds the pseudo labels of an image, as HIAST calls it."""
    return f"{PurePath(image).stem}_pseudo_label.png"


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
    without = [sample for sample in samples if sample.label is not None and not sample.label.exists()]
    if without:
        raise DataError(
            f"{what}: {len(without)} of {len(samples)} images have no label, the first is {without[0].image}; "
            f"expected {without[0].label}"
        )


class SegmentationDataset(Dataset[dict[str, Any]]):
    """Images and what is labelled in them, read on demand.

    Args:
        samples: what to read.
        name: how messages and tables call it.
        root: the folder that it lies in.
        split: the part of it that is listed; empty where it has none.
        classes: what the ids of its masks stand for.
        reader: opens the files.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        name: str,
        root: str | Path,
        split: str = "",
        classes: ClassSet = CITYSCAPES,
        reader: Reader = FROM_DISK,
    ) -> None:
        self.samples = list(samples)
        self.name, self.root, self.split = name, Path(root), split
        self.classes, self.reader = classes, reader

    def __len__(self) -> int:
        return len(self.samples)

    def image(self, index: int) -> Image.Image:
        """Reads an image, RGB.

        Raises:
            DamagedImageError: it cannot be decoded.
        """
        return self.reader.image(self.samples[index].image)

    def mask(self, index: int) -> NDArray[np.uint8]:
        """Reads a label map, ids of the class set and `IGNORE`, uint8 [H, W]; of an unlabelled image everything is ignored.

        Raises:
            DamagedImageError: it cannot be decoded.
            DataError: it holds foreign ids.
        """
        sample = self.samples[index]
        if sample.label is None:
            return _nothing(self.image(index))
        return self.reader.label(sample.label, sample.encoding, self.classes)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Returns ``image`` (PIL, RGB), ``mask`` (ids of the class set and `IGNORE`, uint8 [H, W]) and ``key``.

        Raises:
            DamagedImageError: one of the files cannot be decoded.
            DataError: sizes differ that must not, or the label holds foreign ids.
        """
        sample, image = self.samples[index], self.image(index)
        mask = _nothing(image) if sample.label is None else self.mask(index)
        if sample.equal_sizes and image.size != mask.shape[::-1]:
            raise DataError(
                f"{sample.image}: {image.size[0]}x{image.size[1]}, but its label {sample.label} is "
                f"{mask.shape[1]}x{mask.shape[0]}; expected equal sizes"
            )
        return {"image": image, "mask": mask, "key": sample.key}

    def with_classes(self, classes: ClassSet) -> Self:
        """Returns the same images with their masks in another class set."""
        other = copy(self)
        other.classes = classes
        return other

    def unlabelled(self) -> Self:
        """Returns the same images without their labels."""
        return self._with_samples([replace(sample, label=None) for sample in self.samples])

    def relabelled(self, folder: Path) -> Self:
        """Returns the same images with pseudo labels of any sizes, ids of the class set of this data set; see `pseudo_label`.

        Raises:
            DataError: two images would have one label.
        """
        labels = [folder / pseudo_label(sample.image) for sample in self.samples]
        shared = [label for label, count in Counter(labels).items() if count > 1]
        if shared:
            first, second, *_ = (s.image for s, label in zip(self.samples, labels, strict=True) if label == shared[0])
            raise DataError(
                f"{self.name}: {first} and {second} would share the label {shared[0]}; expected a name of its own for each"
            )
        return self._with_samples(
            [
                replace(sample, label=label, encoding="classIds", equal_sizes=False)
                for sample, label in zip(self.samples, labels, strict=True)
            ]
        )

    def _with_samples(self, samples: list[Sample]) -> Self:
        other = copy(self)
        other.samples = samples
        return other


def _nothing(image: Image.Image) -> NDArray[np.uint8]:
    return np.full((image.height, image.width), IGNORE, np.uint8)
