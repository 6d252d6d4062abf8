"""Where images and labels lie on disk, and datasets over them.

Every layout is found by a pure function ``(root, ...) -> list[Sample]`` that touches file names only, so that a wrong folder
is reported before anything heavy starts. `SegmentationDataset` reads what they list.

    <data_root>/cityscapes/leftImg8bit/<split>/<city>/<frame>_leftImg8bit.png
    <data_root>/cityscapes/gtFine/<split>/<city>/<frame>_gtFine_{labelIds,labelTrainIds}.png
    <data_root>/ACDC/rgb_anon/<condition>/<split>/<sequence>/<frame>_rgb_anon.png
    <data_root>/ACDC/gt/<condition>/<split>/<sequence>/<frame>_gt_{labelIds,labelTrainIds}.png
    <data_root>/GTA5/images/<number>.png    <data_root>/GTA5/labels/<number>.png
    <data_root>/<domain>_<recipe>/leftImg8bit/<split>/<city>/<frame>_leftImg8bit.png      (labels: those of the source)
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch.utils.data import Dataset

from zsda.data.labels import to_train_ids
from zsda.errors import ConfigError, DataError
from zsda.files import digest

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


def cityscapes_samples(root: Path, split: str) -> list[Sample]:
    """Lists a split of Cityscapes; label ids are preferred where both encodings are there."""
    images = find_images("cityscapes", root, f"leftImg8bit/{split}", "*/*_leftImg8bit.png")
    return _pair("cityscapes", images, "_leftImg8bit.png", root / "gtFine" / split, "_gtFine_{encoding}.png")


def acdc_samples(root: Path, condition: str, split: str, only_size: Sequence[int] | None = None) -> list[Sample]:
    """Lists a split of one ACDC condition: ``fog``, ``night``, ``rain`` or ``snow``.

    Args:
        root: the folder of the set.
        condition: one of the four.
        split: ``train`` or ``val``.
        only_size: width, height; images of other sizes are left out, but not those that cannot be read, so that whoever
            reads them names them. None takes all, without looking into the files.

    Raises:
        DataError: there is no image, none of that size, or one without a label.
    """
    images = find_images("acdc", root, f"rgb_anon/{condition}/{split}", "*/*_rgb_anon.png")
    if only_size is not None:
        if not isinstance(only_size, Sequence) or len(only_size) != 2:
            raise ConfigError(f"settings.{condition}.only_size={only_size}; expected [width,height] in pixels, or null")
        of_size = [image for image in images if image_size(image) in (tuple(only_size), None)]
        shape = "x".join(map(str, only_size))
        if not of_size:
            raise DataError(
                f"acdc: none of the {len(images)} images of {condition} {split} is {shape}; give settings.{condition}.only_size=null"
            )
        if len(of_size) < len(images):
            left_out = len(images) - len(of_size)
            _log.info(
                "acdc %s %s: %d of %d frames left out, they are not %s", condition, split, left_out, len(images), shape
            )
        images = of_size
    return _pair("acdc", images, "_rgb_anon.png", root / "gt" / condition / split, "_gt_{encoding}.png")


def gta5_samples(root: Path, subset: Path | None) -> list[Sample]:
    """Lists GTA5, all of it or the file names (one a line) of ``subset``."""
    found = {path.name: path for path in find_images("gta5", root, "images", "*.png")}
    names = sorted(found) if subset is None else _read_list(subset)
    missing = [name for name in names if name not in found]
    if missing:
        raise DataError(
            f"gta5: {len(missing)} of the {len(names)} images that {subset} lists are not under {root / 'images'}, "
            f"the first is {missing[0]}; {WAY_OUT}"
        )
    samples = [Sample(Path(n).stem, found[n], root / "labels" / n, "gta5Ids") for n in names]
    _check_labels("gta5", samples)
    return samples


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


def _pair(what: str, images: Sequence[Path], suffix: str, labels: Path, label_suffix: str) -> list[Sample]:
    keys = [frame_key(image, suffix) for image in images]
    encoding = next(
        (e for e in ENCODINGS if (labels / (keys[0] + label_suffix.format(encoding=e))).exists()), ENCODINGS[0]
    )
    ending = label_suffix.format(encoding=encoding)
    samples = [Sample(k, image, labels / (k + ending), encoding) for k, image in zip(keys, images, strict=True)]
    _check_labels(what, samples)
    return samples


def _check_labels(what: str, samples: Sequence[Sample]) -> None:
    without = [sample for sample in samples if not sample.label.exists()]
    if without:
        raise DataError(
            f"{what}: {len(without)} of {len(samples)} images have no label, the first is {without[0].image}; "
            f"expected {without[0].label}"
        )


def _read_list(path: Path) -> list[str]:
    try:
        names = path.read_text().split()
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror}); expected a text file with one image name a line"
        ) from error
    foreign = [name for name in names if Path(name).name != name]
    if foreign:
        raise DataError(f"{path}: {foreign[0]!r} is a path; expected bare file names, one a line")
    return names


class SegmentationDataset(Dataset[dict[str, Any]]):
    """Samples read and transformed on demand.

    Args:
        samples: what to read.
        name: how messages and tables call it.
    """

    def __init__(self, samples: Sequence[Sample], name: str) -> None:
        self.samples = list(samples)
        self.name = name

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Returns ``image`` (PIL, RGB), ``mask`` (train ids, uint8 [H, W]) and ``key``."""
        sample = self.samples[index]
        image, mask = read_pair(sample)
        return {"image": image, "mask": mask, "key": sample.key}


class Cityscapes(SegmentationDataset):
    """Cityscapes, or anything in its layout.

    Args:
        root: the folder that holds ``leftImg8bit`` and ``gtFine``.
        split: ``train``, ``val`` or ``test``.

    Raises:
        DataError: the layout is not there, or an image has no label.
    """

    def __init__(self, root: str | Path, split: str = "train") -> None:
        super().__init__(cityscapes_samples(Path(root), split), f"cityscapes {split}")
        self.root, self.split = Path(root), split


class ACDC(SegmentationDataset):
    """One condition of ACDC.

    Args:
        root: the folder that holds ``rgb_anon`` and ``gt``.
        condition: ``fog``, ``night``, ``rain`` or ``snow``.
        split: ``train`` or ``val``.
        only_size: width, height of the frames to take; None takes all. SDGPA scores fog on frames of 1920x1080 only.

    Raises:
        DataError: the layout is not there, an image has no label, or none has this size.
    """

    def __init__(
        self, root: str | Path, condition: str, split: str = "val", only_size: Sequence[int] | None = None
    ) -> None:
        super().__init__(acdc_samples(Path(root), condition, split, only_size), f"acdc {condition} {split}")


class GTA5(SegmentationDataset):
    """GTA5.

    Args:
        root: the folder that holds ``images`` and ``labels``.
        subset: a text file with one image name a line; ``val`` stands for the 1,000 frames on which the published
            real-to-game setting is evaluated; None takes every image.

    Raises:
        DataError: the layout is not there, an image has no label, or a listed image is missing.
    """

    def __init__(self, root: str | Path, subset: str | Path | None = "val") -> None:
        path = Path(str(files("zsda.data") / "gta5_val.txt")) if subset == "val" else Path(subset) if subset else None
        super().__init__(gta5_samples(Path(root), path), "gta5")
