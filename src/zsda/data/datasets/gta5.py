"""GTA5 (Richter et al., ECCV 2016, arXiv 1608.02192): 24,966 frames of a computer game, 1914x1052 but for a few.

The labels are palette PNGs whose indices are the label ids of Cityscapes, and 34 for licence plates; the 19 classes are the same.
SDGPA's setting from real to game is scored on 1,000 of the frames, which ``gta5_val.txt`` lists. HIAST and its kin train on 24,941.
Two frames have labels of another size, which those methods bring to the size of the image.

    <root>/images/<number>.png
    <root>/labels/<number>.png
"""

from collections.abc import Iterable
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from zsda.core.errors import DataError
from zsda.data.classes import find_classes
from zsda.data.datasets.lists import Listed, listed_samples, read_list
from zsda.data.samples import Sample, SegmentationDataset, find_images, with_labels

_NOT_TRAINED_ON = frozenset(
    f"{number:05d}"
    for first, last in ((2154, 2158), (4634, 4637), (7115, 7119), (9683, 9688), (12050, 12054))
    for number in range(first, last + 1)
)
_OTHER_SIZE = ("15188", "17705")


def gta5_samples(root: Path, subset: str | Path | None, needs_labels: bool | None = True) -> list[Sample]:
    """Lists GTA5; for ``subset`` and ``needs_labels`` see `GTA5`."""
    evaluated = Path(str(files("zsda.data.datasets") / "gta5_val.txt"))
    left_out: dict[str | Path | None, frozenset[str]] = {
        None: frozenset(),
        "train": _NOT_TRAINED_ON,
        "rest": frozenset(Path(name).stem for name in evaluated.read_text().split()),
    }
    if subset in left_out:
        images = [p for p in find_images("gta5", root, "images", "*.png") if p.stem not in left_out[subset]]
        samples = [Sample(path.stem, path, root / "labels" / path.name, "gta5Ids") for path in images]
        samples = with_labels("gta5", samples, needs_labels)
    else:
        path = evaluated if subset == "val" else Path(str(subset))
        listed = read_list(path) if path.suffix.lower() == ".json" else list(_read_names(path))
        needed = None if needs_labels is None else True
        samples = listed_samples("gta5", root, path, listed, lambda image: image.stem, "gta5Ids", needed)
    return [replace(sample, sizes="resized") if sample.key in _OTHER_SIZE else sample for sample in samples]


class GTA5(SegmentationDataset):
    """GTA5.

    Args:
        root: the folder that holds ``images`` and ``labels``.
        subset: a text file with one image name a line, or a JSON list (`zsda.data.datasets.lists`); ``val`` stands for the 1,000
            frames on which the published real-to-game setting is evaluated, ``train`` for the 24,941 that HIAST and its kin train
            on, ``rest`` for all but those of ``val``; None takes every image.
        needs_labels: see `zsda.data.samples.with_labels`; a list names the labels of its images, which are needed then.
        classes: what the masks tell apart; see `zsda.data.classes.find_classes`.

    Raises:
        ConfigError: no such set of classes.
        DataError: the layout is not there, an image has no label, or the list or a listed image is not as it must be.
    """

    def __init__(
        self,
        root: str | Path,
        subset: str | Path | None = "val",
        classes: Any = "19",  # noqa: ANN401 - of find_classes
        needs_labels: bool | None = True,
    ) -> None:
        super().__init__(gta5_samples(Path(root), subset, needs_labels), "gta5", root, classes=find_classes(classes))


def _read_names(path: Path) -> Iterable[Listed]:
    try:
        names = path.read_text().split()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no text"
        expected = "expected train, val, or a file with one image name a line or a JSON list"
        raise DataError(f"{path}: cannot be read ({reason}); {expected}") from error
    if not names:
        raise DataError(f"{path}: the list is empty; expected one image name a line")
    foreign = [name for name in names if Path(name).name != name]
    if foreign:
        raise DataError(f"{path}: {foreign[0]!r} is a path; expected bare file names, one a line")
    return [Listed(image_name=f"images/{name}", mask_name=f"labels/{name}") for name in names]
