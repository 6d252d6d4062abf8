"""What is predicted: one photograph, all below a folder, or a video."""

from collections.abc import Callable, Collection
from functools import cache
from pathlib import Path
from typing import NamedTuple

from zsda.core.errors import DataError
from zsda.data.datasets.folder import folder_samples
from zsda.data.samples import Sample
from zsda.prediction.store import holds_predictions

_PHOTOS = (".png", ".jpg", ".jpeg")
_VIDEOS = (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg")


class Input(NamedTuple):
    """What a user named.

    Attributes:
        name: of the file, without its ending, or of the folder.
        photos: what names each, its path below the folder without ending, and where it lies.
        video: the file, in place of photographs.
    """

    name: str
    photos: list[Sample]
    video: Path | None


def find_input(path: Path, results: Collection[Path] = ()) -> Input:
    """Finds out what lies at a path, by its name.

    Args:
        path: what the user named.
        results: folders that zsda writes to; what lies in them, or in a folder of predictions, is no photograph if they are below the path.

    Raises:
        DataError: nothing does, neither photographs nor a video, or two photographs that differ in their ending alone; or the path is
            that of a folder of predictions.
    """
    if path.is_dir():
        if holds_predictions(path):
            raise DataError(f"{path} holds predictions; expected a folder of photographs, or one in it")
        return Input(path.resolve().name, folder_samples(path, _written_below(path, results)), None)
    ending = path.suffix.lower()
    if not path.exists():
        raise DataError(f"no file or folder {path}; expected a photograph, a folder of photographs or a video")
    if ending in _VIDEOS:
        return Input(path.stem, [], path)
    if ending in _PHOTOS:
        return Input(path.stem, [Sample(path.stem, path)], None)
    raise DataError(
        f"{path}: expected a photograph ({', '.join(_PHOTOS)}), a folder of them, or a video ({', '.join(_VIDEOS)})"
    )


def _written_below(root: Path, results: Collection[Path]) -> Callable[[Path], bool]:
    """Returns what tells of an image below a folder whether zsda wrote it there."""
    top, places = root.resolve(), {result.resolve() for result in results}

    @cache
    def is_written(folder: Path) -> bool:
        return folder != top and (folder in places or holds_predictions(folder) or is_written(folder.parent))

    return lambda image: is_written(top / image.parent.relative_to(root))
