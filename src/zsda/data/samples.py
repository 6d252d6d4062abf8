"""Labelled images on disk: what one of them is, how it is found, and the base of all sets of them.

Every layout (`zsda.data.datasets`) is found by a pure function ``(root, ...) -> list[Sample]`` that touches file names only, so
that a wrong folder is reported before anything heavy starts.
"""

import logging
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path, PurePath
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from zsda.core.digests import content_digests
from zsda.core.errors import DataError
from zsda.core.files import digest
from zsda.core.records import printable
from zsda.data.labels import CITYSCAPES, IGNORE, ClassSet, Encoding, LabelTable
from zsda.data.reader import FROM_DISK, LabelFile, Pixels, Reader
from zsda.data.resizing import Size, Window
from zsda.data.set_names import CONTACT_SHEET

_log = logging.getLogger(__name__)

WAY_OUT = 'see "Data layout" in the README, or run with world=miniature'
ENCODINGS = ("labelIds", "labelTrainIds")
"""Those of which the official downloads of Cityscapes and ACDC have files; the first is preferred."""

_IMAGES = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".jp2"),
    *(".avif", ".heic", ".tga"),
)

LabelSizes = Literal["equal", "resized", "own"]
"""``equal``: a label of another size than its image is an error. ``resized``: it is brought to the size of the image, to the
nearest as OpenCV does. ``own``: it stays; an edit has the label of its source, at the source's size."""


@dataclass(frozen=True)
class Sample:
    """One image of a set and where its label lies.

    Attributes:
        key: what names the frame within its set, e.g. ``aachen/aachen_000000_000019``; views are aligned by it.
        image: the PNG or JPEG.
        label: the label PNG; None where nothing is labelled.
        encoding: how the label counts; see `zsda.data.labels.ClassSet.to_ids`.
        sizes: what becomes of a label of another size than the image.
    """

    key: str
    image: Path
    label: Path | None = None
    encoding: Encoding = ENCODINGS[0]
    sizes: LabelSizes = "equal"


def fingerprint(samples: Sequence[Sample]) -> str:
    """Tells sets apart by their keys and the contents of their files; the same wherever they lie.

    What cannot be read counts as nothing: it is left out, with its name, when it is needed.
    """
    contents = content_digests(path for s in samples for path in (s.image, s.label) if path is not None)
    known = [(s.key, contents[s.image], None if s.label is None else contents[s.label]) for s in samples]
    # What labels mean by themselves, nobody can change; a table of a user's own is changed easily.
    tables = list(dict.fromkeys(s.encoding for s in samples if isinstance(s.encoding, LabelTable)))
    return digest(repr((known, tables) if tables else known).encode())


def images_below(folder: Path) -> Iterator[Path]:
    """Walks the images below a folder, at any depth, in any format and case of the ending, in order.

    Hidden files and folders are left out, such as the ``._x.png`` of macOS, and the contact sheet of a generated set; links to
    folders are not followed.

    Raises:
        DataError: a folder cannot be listed.
    """

    def refuse(error: OSError) -> None:
        raise DataError(
            f"{error.filename}: the folder cannot be listed ({error.strerror}); expected one that this user may read"
        )

    for path, inner, names in os.walk(folder, onerror=refuse):
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        sheet = CONTACT_SHEET if "generation.json" in names else None
        for name in sorted(names):
            if not name.startswith(".") and name != sheet and name.lower().endswith(_IMAGES):
                yield Path(path, name)


def images_of_cities(folder: Path) -> Iterator[Path]:
    """Walks the images below a folder as `images_below` does, and those of its folders that are links, such as those of a city.

    Raises:
        DataError: a folder cannot be listed.
    """
    links = [path for path in folder.iterdir() if path.is_symlink() and path.is_dir()] if folder.is_dir() else []
    for place in (folder, *links):
        yield from images_below(place)


def warn_of_unused(what: str, folder: Path, used: Sequence[Path], expected: str) -> None:
    """Counts in a warning the images below a folder that are not used, and names the first.

    Args:
        what: how the message calls the set.
        folder: of the images.
        used: those that are.
        expected: what would be used.
    """
    unused = sorted({*images_of_cities(folder)} - {*used})
    if unused:
        tell(
            f"{what}: {len(unused)} of {len(unused) + len(used)} images under {folder} are not used, the first is {unused[0]}; expected "
            f"{expected}"
        )


@cache
def tell(message: str) -> None:
    """Warns of a set, once however often it is listed."""
    _log.warning("%s", printable(message))


def find_images(what: str, root: Path, folder: str, pattern: str, way_out: str = WAY_OUT) -> list[Path]:
    """Lists the images of one folder in order, hidden ones left out; warns of others that are there.

    Args:
        what: how the message calls the set.
        root: the folder of the set.
        folder: below it.
        pattern: of paths below that.
        way_out: what the message advises.

    Raises:
        DataError: there are none, or a folder cannot be listed.
    """
    if not root.is_dir():
        raise DataError(f"{what}: no folder {root}; expected {folder}/{pattern} in it; {way_out}")
    images = sorted(path for path in (root / folder).glob(pattern) if not path.name.startswith("."))  # ._x.png of macOS
    if not images:
        raise DataError(f"{what}: no images under {root}; expected {folder}/{pattern}; {way_out}")
    warn_of_unused(what, root / folder, images, f"names as {folder}/{pattern}")
    return images


def is_there(path: Path) -> bool:
    """Returns whether there is anything of this name."""
    try:
        return path.exists()
    except OSError:  # longer than the name of a file can be
        return False


def frame_key(image: Path, suffix: str) -> str:
    """Returns ``<city>/<frame>``, which an image shares with its label and with what it was edited into."""
    return f"{image.parent.name}/{image.name.removesuffix(suffix)}"


def pseudo_label(image: str | PurePath) -> str:
    """Returns the name of the file that holds the pseudo labels of an image, as HIAST calls it."""
    return f"{PurePath(image).stem}_pseudo_label.png"


def pair_with_labels(
    what: str, images: Sequence[Path], suffix: str, labels: Path, label_suffix: str, needs_labels: bool | None = True
) -> list[Sample]:
    """Finds the label of each image; label ids are preferred where both encodings are there.

    Args:
        what: how the message calls the set.
        images: at least one.
        suffix: what their names end with.
        labels: the folder of the labels, in folders of the same names.
        label_suffix: what their names end with, with a place for the ``{encoding}``.
        needs_labels: see `with_labels`.

    Raises:
        DataError: an image has no label, and needs one.
    """
    keys = [frame_key(image, suffix) for image in images]
    encoding = next(
        (e for k in keys for e in ENCODINGS if (labels / (k + label_suffix.format(encoding=e))).exists()), ENCODINGS[0]
    )
    ending = label_suffix.format(encoding=encoding)
    samples = [Sample(k, image, labels / (k + ending), encoding) for k, image in zip(keys, images, strict=True)]
    return with_labels(what, samples, needs_labels)


def with_labels(what: str, samples: Sequence[Sample], needs_labels: bool | None) -> list[Sample]:
    """Returns samples of whose labels each is there.

    Args:
        what: how the message calls the set.
        samples: with the places of their labels.
        needs_labels: whether an image without its label is refused; otherwise it is taken, unlabelled. None keeps the place where the label
            should be, for `zsda.data.inspection`, which tells all that are missing.

    Raises:
        DataError: a sample has no label, and needs one.
    """
    if needs_labels is None:
        return list(samples)
    if needs_labels:
        check_labels(what, samples)
        return list(samples)
    return [replace(s, label=None) if s.label is not None and not is_there(s.label) else s for s in samples]


def check_labels(what: str, samples: Sequence[Sample]) -> None:
    """Refuses a set with an image without a label.

    Raises:
        DataError: there is one; the message names the first.
    """
    without = [sample for sample in samples if sample.label is not None and not is_there(sample.label)]
    if without:
        raise DataError(
            f"{what}: {len(without)} of {len(samples)} images have no label, the first is {without[0].image}; "
            f"expected {without[0].label}"
        )


def check_sizes(sample: Sample, size: tuple[int, int], label_size: tuple[int, int]) -> None:
    """Refuses an image, height, width, whose label has another size, where that must not be.

    Raises:
        DataError: it has.
    """
    if sample.sizes == "equal" and size != label_size:
        (height, width), (label_height, label_width) = size, label_size
        raise DataError(
            f"{sample.image}: {width}x{height}, but its label {sample.label} is {label_width}x{label_height}; expected equal sizes"
        )


class SegmentationDataset:
    """Images and what is labelled in them, read on demand; without torch, so that a wrong folder is told before that is imported.

    Args:
        samples: what to read.
        name: how messages and tables call it.
        root: the folder that it lies in.
        split: the part of it that is listed; empty where it has none.
        classes: what the ids of its masks stand for.
        reader: opens the files.

    Attributes:
        editable: whether generated sets can be made of it: its keys are ``<city>/<frame>``.

    Raises:
        ConfigError: the labels do not tell the classes apart.
    """

    editable: ClassVar[bool] = False

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
        self._check_classes()

    def __len__(self) -> int:
        return len(self.samples)

    def image(self, index: int) -> Image.Image:
        """Reads an image, RGB.

        Raises:
            DamagedImageError: it cannot be decoded.
        """
        return self.reader.image(self.samples[index].image)

    def pixels(self, index: int, size: Size | None = None, window: Window | None = None) -> NDArray[np.uint8]:
        """Reads an image, RGB, uint8 [h, w, 3]; see `zsda.data.reader.Reader.pixels`.

        Raises:
            DamagedImageError: it cannot be decoded.
        """
        return self.reader.pixels(self.samples[index].image, size, window).values

    def mask(self, index: int, size: Size | None = None, window: Window | None = None) -> NDArray[np.uint8]:
        """Reads a label map, ids of the class set and `IGNORE`, uint8 [h, w]; of an unlabelled image everything is ignored.

        Args:
            index: of the sample.
            size: height, width that it is resized to; None leaves it at its own, or at that of the image if its label is resized to that.
            window: of the resized map; None takes the whole.

        Raises:
            DamagedImageError: it cannot be decoded.
            DataError: it holds foreign ids.
        """
        return self._ids(index, size, window).values

    def label_file(self, index: int) -> LabelFile | None:
        """Returns what the reader needs to know of a label; None where there is none."""
        sample = self.samples[index]
        if sample.label is None:
            return None
        like = sample.image if sample.sizes == "resized" else None
        return LabelFile(sample.label, sample.encoding, self.classes, like)

    def _ids(self, index: int, size: Size | None, window: Window | None) -> Pixels:
        label = self.label_file(index)
        if label is not None:
            return self.reader.ids(label, size, window)
        own = self.reader.size(self.samples[index].image)
        shape = (window.height, window.width) if window is not None else tuple(size or own)
        return Pixels(np.full(shape, IGNORE, np.uint8), own)

    def load(
        self, index: int, size: Size | None = None, label_size: Size | None = None, window: Window | None = None
    ) -> dict[str, Any]:
        """Reads an image and its label map.

        Args:
            index: of the sample.
            size: see `pixels`.
            label_size: see `mask`.
            window: of both.

        Returns:
            ``image`` (RGB, uint8 [h, w, 3]), ``mask`` (ids of the class set and `IGNORE`, uint8 [h, w]) and ``key``. Neither is to be
            written to.

        Raises:
            DamagedImageError: one of the files cannot be decoded.
            DataError: sizes differ that must not, or the label holds foreign ids.
        """
        sample = self.samples[index]
        image, ids = self.reader.pixels(sample.image, size, window), self._ids(index, label_size, window)
        check_sizes(sample, image.size, ids.size)
        return {"image": image.values, "mask": ids.values, "key": sample.key}

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Returns what `load` does, at its own size."""
        return self.load(index)

    def read_by(self, reader: Reader) -> Self:
        """Returns the same images, opened by another reader."""
        other = copy(self)
        other.reader = reader
        return other

    def with_classes(self, classes: ClassSet) -> Self:
        """Returns the same images with their masks in another class set.

        Raises:
            ConfigError: the labels do not tell its classes apart.
        """
        other = copy(self)
        other.classes = classes
        other._check_classes()
        return other

    def unlabelled(self) -> Self:
        """Returns the same images without their labels."""
        return self._with_samples([replace(sample, label=None) for sample in self.samples])

    def relabelled(self, folder: Path) -> Self:
        """Returns the same images with pseudo labels, ids of the class set of this data set, of any sizes; see `pseudo_label`.

        They are brought to the size of the image.

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
                replace(sample, label=label, encoding="classIds", sizes="resized")
                for sample, label in zip(self.samples, labels, strict=True)
            ]
        )

    def _with_samples(self, samples: list[Sample]) -> Self:
        other = copy(self)
        other.samples = samples
        return other

    def _check_classes(self) -> None:
        for encoding in {sample.encoding for sample in self.samples if sample.label is not None}:
            self.classes.check_encoding(encoding)
