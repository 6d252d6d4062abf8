"""Folders of pseudo labels, in the files of HIAST, so that its code reads ours, and ours what it wrote.

``<folder>/<image>_pseudo_label.png`` holds ids and 255 = ignored, 8 bits, at any size. Beside the folder lie

| file | what it holds |
| --- | --- |
| ``class_threshold.npy`` | the thresholds after the last batch, float64 [C] |
| ``class_mean_probabilities.npy`` | the mean confidence of what was kept of each class, float64 [C] |
| ``statics_class.npy`` | how many pixels were kept of each class, int64 [C] |
| ``sample_class_stats.json`` | for each image ``{class: pixels, ..., "file": image}`` |
| ``samples_with_class.json`` | ``{class: [[image, pixels], ...], ...}`` |
| ``pseudo_labels.json`` | the header, which the published code has not: what the labels are, and whether they are complete |
"""

import io
import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path, PurePath
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field

from zsda.core.errors import ConfigError, StoreError
from zsda.core.files import to_json, write_atomic
from zsda.core.records import PlainName, Record, read_record
from zsda.core.run_records import ClassesRecord, Plain
from zsda.data.labels import IGNORE, ClassSet
from zsda.data.reader import FROM_DISK
from zsda.data.samples import pseudo_label
from zsda.pseudo_labels.selectors import Selector

_Side = Annotated[int, Field(ge=1, le=2**15)]

ANEW = "delete it and the labels, and make them anew"
"""What messages on a folder of pseudo labels advise."""


class PseudoLabelHeader(Record):
    """``pseudo_labels.json``.

    Attributes:
        classes: what the ids stand for.
        size: height, width of the label maps.
        selector: the class that chose what was kept.
        options: its numbers, by name.
        network: digest of the weights that predicted.
        images: how many images are labelled; None while there are more to come.
    """

    classes: ClassesRecord
    size: Annotated[list[_Side], Field(min_length=2, max_length=2)]
    selector: PlainName
    options: dict[str, Plain]
    network: str
    images: int | None = None


class Places:
    """Where the files of a folder of pseudo labels lie."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        beside = folder.parent
        self.header = beside / "pseudo_labels.json"
        self.thresholds = beside / "class_threshold.npy"
        self.means = beside / "class_mean_probabilities.npy"
        self.pixels = beside / "statics_class.npy"
        self.of_images = beside / "sample_class_stats.json"
        self.of_classes = beside / "samples_with_class.json"


class PseudoLabelWriter:
    """Writes a folder of pseudo labels, image by image, so that a reader never meets half a file; begins it, or goes on.

    Args:
        folder: of the label maps; the other files lie beside it.
        selector: chooses what is kept.
        classes: what the ids stand for.
        size: height, width of the label maps.
        network: digest of the weights that predict.

    Raises:
        ConfigError: selector and classes are not as many.
        StoreError: the folder holds labels that are otherwise, or that no header tells of; or it cannot be written.
    """

    def __init__(self, folder: Path, selector: Selector, classes: ClassSet, size: Sequence[int], network: str) -> None:
        if selector.num_classes != len(classes):
            raise ConfigError(
                f"a selector of {selector.num_classes} classes for labels of {len(classes)}; expected as many"
            )
        self._places, self._selector, self._classes = Places(folder), selector, classes
        self._header = PseudoLabelHeader(
            classes=ClassesRecord(**classes.plain()),
            size=list(size),
            selector=type(selector).__name__,
            options=selector.options(),
            network=network,
        )
        self._counted: dict[str, NDArray[np.int64]] = {}
        self._begun = self._check()

    def has(self, image: str | PurePath) -> bool:
        """Returns whether an image is labelled."""
        return self._file(image).is_file()

    def write(self, image: str | PurePath, labels: NDArray[np.integer[Any]]) -> None:
        """Writes the labels of an image; from the first one on until `finish` the folder is not complete.

        Args:
            image: its path, of which the last part names the labels.
            labels: ids and 255, [H, W].

        Raises:
            StoreError: their size or ids are not those of the header, or they cannot be written.
        """
        path, ids = self._file(image), labels.astype(np.uint8)
        counts = np.bincount(ids.ravel(), minlength=IGNORE + 1)
        if (
            list(labels.shape) != self._header.size
            or (ids != labels).any()
            or counts[len(self._classes) : IGNORE].any()
        ):
            found = f"{list(labels.shape)}, ids {np.unique(labels)[:20].tolist()}"
            expected = f"{self._header.size}, ids below {len(self._classes)} and {IGNORE}"
            raise StoreError(f"labels of {image}: {found}; expected {expected}")
        if not self._begun:
            self._write_header(None)
            self._begun = True
        buffer = io.BytesIO()
        Image.fromarray(ids).save(buffer, "PNG", compress_level=1)
        write_atomic(path, buffer.getvalue())
        self._counted[path.name] = counts[: len(self._classes)]

    def finish(self, images: Sequence[str | PurePath]) -> None:
        """Writes what the whole folder is, and marks it as complete.

        Args:
            images: all of them, each labelled by now, here or by another process.

        Raises:
            StoreError: two images have the same labels, or something cannot be written.
            DataError: an image has no labels, or damaged ones.
        """
        if len({self._file(image) for image in images}) < len(images):
            raise StoreError(
                f"{len(images)} images for {self._places.folder}, of which some have one name; expected a name of its own for each"
            )
        counts = [self._count(image) for image in images]
        rows: list[dict[str, Any]] = []
        listed: dict[str, list[list[Any]]] = {}
        for image, pixels in zip(map(str, images), counts, strict=True):
            kept = {str(number): int(pixels[number]) for number in np.flatnonzero(pixels)}
            rows.append({**kept, "file": image})
            for number, count in kept.items():
                listed.setdefault(number, []).append([image, count])
        places = self._places
        write_atomic(places.thresholds, _npy(self._selector.thresholds.numpy()))
        write_atomic(places.means, _npy(self._selector.class_mean_probabilities.numpy()))
        write_atomic(places.pixels, _npy(sum(counts, start=np.zeros(len(self._classes), np.int64))))
        write_atomic(places.of_images, _compact(rows))
        write_atomic(places.of_classes, _compact(listed))
        self._write_header(len(images))

    def discard(self) -> None:
        """Removes the labels, of which nothing is kept, so that the folder is begun anew."""
        for path in self._places.folder.glob(f"*{pseudo_label('')}"):
            path.unlink(missing_ok=True)
        with suppress(OSError):  # it holds something else
            self._places.folder.rmdir()
        self._places.header.unlink(missing_ok=True)

    def _check(self) -> bool:
        """Returns whether the folder is begun and not complete; refuses one that cannot be gone on with."""
        path, folder = self._places.header, self._places.folder
        if path.exists():
            found = read_record(PseudoLabelHeader, path, ANEW)
            plain, wanted = found.model_dump(), self._header.model_dump()
            differing = [name for name in wanted if name != "images" and plain[name] != wanted[name]]
            if differing:
                raise StoreError(f"{path}: other labels than these, with another {' and '.join(differing)}; {ANEW}")
            return found.images is None
        if folder.is_dir() and any(folder.iterdir()):
            raise StoreError(
                f"{folder} is not empty, and no {path.name} beside it says what it holds; choose another folder"
            )
        return False

    def _write_header(self, images: int | None) -> None:
        header = self._header.model_copy(update={"images": images})
        write_atomic(self._places.header, to_json(header.model_dump()))

    def _file(self, image: str | PurePath) -> Path:
        return self._places.folder / pseudo_label(image)

    def _count(self, image: str | PurePath) -> NDArray[np.int64]:
        path = self._file(image)
        found = self._counted.get(path.name)
        return count_file(path, self._classes) if found is None else found


def count_file(path: Path, classes: ClassSet) -> NDArray[np.int64]:
    """Returns how many pixels of each class a label map on disk has, int64 [C].

    Raises:
        DataError: it is missing, damaged or holds other ids.
    """
    ids = FROM_DISK.label(path, "classIds", classes)
    return np.bincount(ids.ravel(), minlength=IGNORE + 1)[: len(classes)]


def _npy(numbers: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, numbers, allow_pickle=False)
    return buffer.getvalue()


def _compact(value: Any) -> bytes:  # noqa: ANN401 - anything that JSON knows
    return json.dumps(value).encode()
