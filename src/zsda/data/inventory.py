"""The sets that lie under a ``data_root``, each in the layout of its own."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from zsda.data.datasets.acdc import ACDC
from zsda.data.datasets.cityscapes import IMAGES, Cityscapes
from zsda.data.datasets.generated import GeneratedSet
from zsda.data.datasets.gta5 import GTA5
from zsda.data.datasets.robotcar import RobotCar
from zsda.data.datasets.synthia import SYNTHIA
from zsda.data.inspection import Listed, Role
from zsda.data.samples import SegmentationDataset

CONDITIONS = ("fog", "night", "rain", "snow")
_SPLITS: dict[str, Role] = {"train": "train", "val": "scored"}


@dataclass(frozen=True)
class _Place:
    """A set that may lie somewhere: one of its folders is there if it is."""

    name: str
    role: Role
    root: Path
    folders: tuple[str, ...]
    make: Callable[[], SegmentationDataset]


def find_sets(data_root: Path, generated_root: Path) -> tuple[list[Listed], list[str]]:
    """Lists all sets, and names those that are not there.

    Of a data set in whose folder nothing is in its place the first part is listed, whose error says what is expected.

    Args:
        data_root: where data sets lie.
        generated_root: where generated sets lie.
    """
    listed, absent = [], []
    by_root: dict[Path, list[_Place]] = {}
    for place in _places(data_root):
        by_root.setdefault(place.root, []).append(place)
    for root, places in by_root.items():
        there = [place for place in places if any((root / folder).is_dir() for folder in place.folders)]
        looked_at = there or (places[:1] if root.is_dir() else [])
        listed += [Listed.by(place.name, place.role, place.make) for place in looked_at]
        absent += [place.name for place in places if place not in looked_at]
    return [*listed, *find_generated(data_root, generated_root)], absent


def find_generated(data_root: Path, generated_root: Path, domain: str | None = None) -> list[Listed]:
    """Lists the generated sets that are there, every split of each.

    Args:
        data_root: where their source lies, and what a world rendered.
        generated_root: where they lie.
        domain: whose they are; None lists those of all.
    """
    sources = cache(partial(_source, data_root))
    return [
        Listed.by(f"{folder.name} {split}", role, partial(_generated, folder, split, sources))
        for folder in _generated_folders(data_root, generated_root)
        for split, role in _SPLITS.items()
        if (folder / IMAGES / split).is_dir() and domain in (None, folder.name.rpartition("_")[0])
    ]


def _generated_folders(*roots: Path) -> Iterator[Path]:
    for root in dict.fromkeys(roots):
        for folder in sorted(root.iterdir()) if root.is_dir() else ():
            # Not the links that generate makes with cityscapes_root=true.
            if "_" in folder.name and (folder / IMAGES).is_dir() and not (folder / "gtFine").exists():
                yield folder


def _source(data_root: Path, split: str) -> SegmentationDataset:
    return Cityscapes(data_root / "cityscapes", split, needs_labels=None)


def _generated(folder: Path, split: str, sources: Callable[[str], SegmentationDataset]) -> SegmentationDataset:
    domain, _, recipe = folder.name.rpartition("_")
    return GeneratedSet(folder.parent, domain, recipe, sources(split), checks="none")


def _places(root: Path) -> Iterator[_Place]:
    for split, role in _SPLITS.items():
        place, folders = root / "cityscapes", (f"{IMAGES}/{split}", f"gtFine/{split}")
        make: Callable[[], SegmentationDataset] = partial(Cityscapes, place, split, needs_labels=None)
        yield _Place(f"cityscapes {split}", role, place, folders, make)
    # Nothing is left to be scored of these, or another list says what.
    place = root / "GTA5"
    yield _Place("gta5", "", place, ("images", "labels"), partial(GTA5, place, None, needs_labels=None))
    place = root / "SYNTHIA_RAND_CITYSCAPES/RAND_CITYSCAPES"
    yield _Place("synthia", "", place, ("RGB", "GT/LABELS"), partial(SYNTHIA, place, needs_labels=None))
    for condition in CONDITIONS:
        for split, role in _SPLITS.items():
            place, below = root / "ACDC", f"{condition}/{split}"
            make = partial(ACDC, place, condition, split, needs_labels=None)
            yield _Place(f"acdc {condition} {split}", role, place, (f"rgb_anon/{below}", f"gt/{below}"), make)
    for split, role in _SPLITS.items():
        place = root / "RobotCar"
        make = partial(RobotCar, place, split, needs_labels=None)
        yield _Place(f"robotcar {split}", role, place, (split,), make)
