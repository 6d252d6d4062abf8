"""Any folder of images, without labels: what a camera, a download or another tool left.

<root>/**/<frame>.{png,jpg,jpeg}    in any case of the ending
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from zsda.core.errors import ConfigError, DataError
from zsda.data.classes import find_classes
from zsda.data.samples import Sample, SegmentationDataset, images_below, warn_of_unused

_ENDINGS = (".png", ".jpg", ".jpeg")


def folder_samples(root: Path, left_out: Callable[[Path], bool] = lambda _: False) -> list[Sample]:
    """Lists the images below a folder, at any depth, in the order of their keys: relative paths without ending.

    Hidden files and folders are left out, such as the ``._x.png`` of macOS; links to folders are not followed.

    Args:
        root: the folder.
        left_out: tells of an image whether it is none of the user's.

    Raises:
        DataError: there is no such folder or no image in it, or two would have one key.
    """
    if not root.is_dir():
        raise DataError(f"no folder {root}; expected one that holds images, PNG or JPEG")
    found: dict[str, Path] = {}
    others: list[Path] = []
    for image in images_below(root):
        if left_out(image):
            others.append(image)
            continue
        if image.suffix.lower() not in _ENDINGS:
            continue
        key = image.relative_to(root).with_suffix("").as_posix()
        if key in found:
            raise DataError(f"{found[key]} and {image} would both be {key}; expected a name of its own for each")
        found[key] = image
    if not found:
        beside = f" beside the {len(others)} that zsda wrote" if others else ""
        raise DataError(f"no images under {root}{beside}; expected PNG or JPEG files in it, at any depth")
    warn_of_unused(f"folder {root.name}", root, [*found.values(), *others], "PNG or JPEG, without links to folders")
    return [Sample(key, found[key]) for key in sorted(found)]


class ImageFolder(SegmentationDataset):
    """Any folder of images, without labels.

    Args:
        root: the folder; None and an empty name are refused.
        classes: what the masks would tell apart; see `zsda.data.classes.find_classes`.

    Raises:
        ConfigError: no folder is named, or no such set of classes.
        DataError: there is no image, or two would have one key.
    """

    def __init__(self, root: str | Path | None, classes: Any = "19") -> None:  # noqa: ANN401 - of find_classes
        if not root:
            raise ConfigError("which folder? give unlabelled.images.root=FOLDER, one that holds images")
        name = f"folder {Path(root).resolve().name}"
        super().__init__(folder_samples(Path(root)), name, root, classes=find_classes(classes))
