"""GTA5 (Richter et al., ECCV 2016, arXiv 1608.02192): 24,966 frames of a computer game, 1914x1052 but for a few.

The labels are palette PNGs whose indices are the label ids of Cityscapes, and 34 for licence plates; the 19 classes are the same.
SDGPA's setting from real to game is scored on 1,000 of the frames, which ``gta5_val.txt`` lists.

    <root>/images/<number>.png
    <root>/labels/<number>.png
"""

from importlib.resources import files
from pathlib import Path
from typing import Any

from zsda.core.errors import DataError
from zsda.data.labels import find_classes
from zsda.data.samples import WAY_OUT, Sample, SegmentationDataset, check_labels, find_images


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
    check_labels("gta5", samples)
    return samples


class GTA5(SegmentationDataset):
    """GTA5.

    Args:
        root: the folder that holds ``images`` and ``labels``.
        subset: a text file with one image name a line; ``val`` stands for the 1,000 frames on which the published
            real-to-game setting is evaluated; None takes every image.
        classes: what the masks tell apart; see `zsda.data.labels.find_classes`.

    Raises:
        ConfigError: no such set of classes.
        DataError: the layout is not there, an image has no label, or a listed image is missing.
    """

    def __init__(self, root: str | Path, subset: str | Path | None = "val", classes: Any = "19") -> None:  # noqa: ANN401 - of find_classes
        path = (
            Path(str(files("zsda.data.datasets") / "gta5_val.txt"))
            if subset == "val"
            else Path(subset)
            if subset
            else None
        )
        super().__init__(gta5_samples(Path(root), path), "gta5", root, classes=find_classes(classes))


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
