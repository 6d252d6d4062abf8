"""What is predicted: one photograph, all below a folder, or a video."""

from pathlib import Path
from typing import NamedTuple

from zsda.core.errors import DataError
from zsda.data.datasets.folder import folder_samples
from zsda.data.samples import Sample

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


def find_input(path: Path) -> Input:
    """Finds out what lies at a path, by its name.

    Raises:
        DataError: nothing does, neither photographs nor a video, or two photographs that differ in their ending alone.
    """
    if path.is_dir():
        return Input(path.resolve().name, folder_samples(path), None)
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
