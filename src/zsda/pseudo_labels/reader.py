"""Reads folders of pseudo labels, made here or by the published code, as data."""

import io
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, TypeAdapter, ValidationError

from zsda.core.errors import StoreError
from zsda.core.files import read_regular
from zsda.core.records import first_fault, printable, read_record, validate_json
from zsda.data.labels import ClassSet
from zsda.data.samples import pseudo_label
from zsda.pseudo_labels.store import ANEW, Places, PseudoLabelHeader, count_file

_Listed = TypeAdapter(dict[int, list[tuple[str, Annotated[int, Field(ge=0)]]]])
_COUNT_ANEW = "delete it, and the labels are counted anew"
_MOST_BYTES = 2**28


class PseudoLabels:
    """A complete folder of pseudo labels, made here or by the published code.

    Args:
        folder: of the label maps; the other files lie beside it.
        classes: what their ids must stand for.

    Attributes:
        header: what they are; None where the published code made them.

    Raises:
        StoreError: there are no labels, they are of other classes, or not complete.
    """

    def __init__(self, folder: Path, classes: ClassSet) -> None:
        self._places, self._classes = Places(folder), classes
        self.folder = folder
        self.header: PseudoLabelHeader | None = None
        self._files = {path.name for path in folder.glob("*" + pseudo_label(""))} if folder.is_dir() else set()
        if not self._files:
            raise StoreError(f"no pseudo labels in {folder}; expected {pseudo_label('IMAGE')}")
        if self._places.header.exists():
            self.header = read_record(PseudoLabelHeader, self._places.header, ANEW)
            self._check(self.header)

    def __len__(self) -> int:
        return len(self._files)

    def path(self, image: str | PurePath) -> Path:
        """Returns the labels of an image.

        Raises:
            StoreError: it has none.
        """
        name = pseudo_label(image)
        if name not in self._files:
            raise StoreError(f"{image} has no pseudo labels; expected {self.folder / name}")
        return self.folder / name

    def thresholds(self) -> NDArray[np.float64]:
        """Returns the thresholds after the last batch, float64 [C].

        Raises:
            StoreError: the file is missing or damaged.
        """
        return self._numbers(self._places.thresholds).astype(np.float64)

    def class_mean_probabilities(self) -> NDArray[np.float64]:
        """Returns the mean confidence of what was kept of each class, 0 where nothing was, float64 [C].

        Raises:
            StoreError: the file is missing or damaged.
        """
        return self._numbers(self._places.means).astype(np.float64)

    def class_pixels(self) -> NDArray[np.int64]:
        """Returns how many pixels of each class were kept, int64 [C].

        Raises:
            StoreError: the file is missing or damaged.
        """
        return self._numbers(self._places.pixels).astype(np.int64)

    def samples_with_class(self) -> dict[int, list[tuple[Path, int]]]:
        """Returns, for each class, the labels that hold it, in the order of the images, each with its number of pixels.

        Where the file is missing they are counted.

        Raises:
            StoreError: the file is damaged. The published code appends to it, so it is after a second labelling into one place.
            DataError: a label is damaged.
        """
        found = self._listed() if self._places.of_classes.exists() else self._counted()
        numbers = range(len(self._classes))
        return {
            number: [(self.folder / name, pixels) for name, pixels in found.get(number, []) if pixels]
            for number in numbers
        }

    def _check(self, header: PseudoLabelHeader) -> None:
        if header.images is None:
            raise StoreError(f"{self.folder} is not complete; start again what makes it")
        if header.images != len(self._files):
            raise StoreError(f"{self.folder} holds {len(self._files)} pseudo labels, expected {header.images}; {ANEW}")
        if header.classes.model_dump()["classes"] != self._classes.plain()["classes"]:
            raise StoreError(
                f"{self.folder} holds labels of the classes {header.classes.name!r}, expected {self._classes.name!r}; choose their classes="
            )

    def _listed(self) -> Mapping[int, list[tuple[str, int]]]:
        path = self._places.of_classes
        try:
            found = validate_json(_Listed, _read(path, _COUNT_ANEW))
        except ValidationError as error:
            raise StoreError(f"{path}: {first_fault(error)}; {_COUNT_ANEW}") from error
        foreign = sorted(found.keys() - set(range(len(self._classes))))
        if foreign:
            raise StoreError(f"{path}: a class {foreign[0]}; expected 0 to {len(self._classes) - 1}; {_COUNT_ANEW}")
        return {
            number: [(self._named(image), pixels) for image, pixels in entries] for number, entries in found.items()
        }

    def _named(self, image: str) -> str:
        """Returns the file with the labels of an image that a JSON file names by its own path or that of its labels."""
        for name in (PurePath(image).name, pseudo_label(image)):
            if name in self._files:
                return name
        where = f"{self._places.of_classes}: {printable(image)}"
        raise StoreError(f"{where} has no pseudo labels in {self.folder}; {_COUNT_ANEW}")

    def _counted(self) -> Mapping[int, list[tuple[str, int]]]:
        found: dict[int, list[tuple[str, int]]] = {}
        for name in sorted(self._files):
            pixels = count_file(self.folder / name, self._classes)
            for number in np.flatnonzero(pixels).tolist():
                found.setdefault(number, []).append((name, int(pixels[number])))
        return found

    def _numbers(self, path: Path) -> NDArray[Any]:
        content = _read(path, ANEW)
        try:
            numbers = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
        except Exception as error:
            # What a damaged header makes NumPy stumble over is not enumerable.
            raise StoreError(f"{path}: cannot be read ({printable(str(error))}); {ANEW}") from error
        if numbers.shape != (len(self._classes),) or numbers.dtype.kind not in "fiu" or not np.isfinite(numbers).all():
            found = f"{numbers.dtype} of shape {numbers.shape}"
            raise StoreError(
                f"{path}: {found}; expected {len(self._classes)} finite numbers, one for each class; {ANEW}"
            )
        return numbers


def _read(path: Path, way_out: str) -> bytes:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise StoreError(f"{path}: {path.stat().st_size} bytes; expected at most {_MOST_BYTES}; {way_out}")
        return read_regular(path)
    except OSError as error:
        raise StoreError(f"{path}: cannot be read ({printable(str(error))}); {way_out}") from error
