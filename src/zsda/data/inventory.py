"""The sets that lie under a ``data_root``, each in the layout of its own."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from zsda.core.errors import ConfigError, DataError, Gathered
from zsda.data.datasets.acdc import ACDC
from zsda.data.datasets.cityscapes import IMAGES, SUFFIX, Cityscapes
from zsda.data.datasets.described import DescribedData
from zsda.data.datasets.generated import Checks, GeneratedSet
from zsda.data.datasets.gta5 import GTA5
from zsda.data.datasets.robotcar import RobotCar
from zsda.data.datasets.synthia import SYNTHIA
from zsda.data.inspection import Listed, Role
from zsda.data.manifest import has_none, is_generated, read_manifest
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


def find_generated(
    data_root: Path, generated_root: Path, domain: str | None = None, file: Path | None = None
) -> list[Listed]:
    """Lists the generated sets that are there, every split of each.

    Args:
        data_root: where their source lies, and what a world rendered.
        generated_root: where they lie.
        domain: whose they are; None lists those of all.
        file: of the user's own data that are their source; None: they are of Cityscapes.
    """
    folders = _generated_folders(*_roots(data_root, generated_root, file))
    wanted = [folder for folder in folders if domain in (None, folder.name.rpartition("_")[0])]
    return _listed(wanted, data_root, file)


def find_named(names: Sequence[str], data_root: Path, generated_root: Path, file: Path | None = None) -> list[Listed]:
    """Lists generated sets, every split of each, once however often it is named.

    Args:
        names: those of sets below the roots, ``<domain>_<recipe>``, or folders.
        data_root: where their source lies, and what a world rendered.
        generated_root: where sets lie; of equal names that in here is taken.
        file: see `find_generated`.

    Raises:
        ConfigError: two sets have the same name.
        DataError: one is not there, has another name than a training would find it by, or holds no images.
    """
    known = _known(data_root, generated_root, file)
    found: dict[str, Path] = {}
    wrong = Gathered()
    for name in names:
        with wrong.gather():
            folder = _named(name, known)
            if found.setdefault(folder.name, folder).resolve() != folder.resolve():
                raise ConfigError(
                    f"set={name}: has the name of {found[folder.name]}, and their results would be one; look at them one by one"
                )
    wrong.conclude()
    return _listed(list(found.values()), data_root, file)


def open_named(
    name: str, data_root: Path, generated_root: Path, file: Path | None = None, keep_best: float | None = None
) -> list[GeneratedSet]:
    """Opens a generated set as a training reads it, every split of it that has images.

    Args:
        name: its name or its folder, as for `find_named`.
        data_root: see `find_named`.
        generated_root: see `find_named`.
        file: see `find_generated`.
        keep_best: the share of the images of each split that is taken; see `GeneratedSet`.

    Raises:
        DataError: it is not there, holds no images, or lacks labels, sources or layout scores that a training would need.
    """
    folder = _named(name, _known(data_root, generated_root, file))
    splits = [split for split in _splits(folder) if not has_none(folder, split)]
    if not splits:
        raise DataError(f"set={folder}: every edit was left out, there is no image; expected one at least")
    sources = partial(_source, data_root, file, needs_labels=True)
    return [_generated(folder, split, sources, "names", keep_best) for split in splits]


def _known(data_root: Path, generated_root: Path, file: Path | None) -> dict[str, Path]:
    return {folder.name: folder for folder in _generated_folders(*_roots(data_root, generated_root, file))}


def _named(name: str, known: Mapping[str, Path]) -> Path:
    folder = known.get(name, Path(name))
    _check_set(folder, known)
    return folder


def _roots(data_root: Path, generated_root: Path, file: Path | None) -> tuple[Path, ...]:
    """Returns where sets lie; what a world rendered is of no other data."""
    return (data_root, generated_root) if file is None else (generated_root,)


def _check_set(folder: Path, known: Collection[str]) -> None:
    if not folder.is_dir():
        there = f"there are {', '.join(sorted(known))}" if known else "there is none"
        raise DataError(
            f"set={folder}: neither a generated set nor a folder; {there}; python -m zsda.generate domain=... recipe=... makes one"
        )
    domain, _, recipe = folder.name.rpartition("_")
    if not (domain and recipe):
        raise DataError(f"set={folder}: expected a folder that is called <domain>_<recipe>, e.g. fog_target")
    if not _splits(folder):
        raise DataError(f"set={folder}: no generated set; expected {IMAGES}/train/*/*{SUFFIX} in it")


def _listed(folders: Iterable[Path], data_root: Path, file: Path | None) -> list[Listed]:
    sources = cache(partial(_source, data_root, file))
    return [
        Listed.by(f"{folder.name} {split}", role, partial(_generated, folder, split, sources))
        for folder in folders
        for split, role in _splits(folder).items()
    ]


def _splits(folder: Path) -> dict[str, Role]:
    """Returns the splits of a generated set; one of which every image was left out has no folder."""
    found = {split for split in _SPLITS if (folder / IMAGES / split).is_dir()}
    if is_generated(folder):
        found |= {line.split for line in read_manifest(folder).newest.values() if line.left_out}
        found = found or {"train"}  # not one image was begun
    return {split: role for split, role in _SPLITS.items() if split in found}


def _generated_folders(*roots: Path) -> Iterator[Path]:
    for root in dict.fromkeys(roots):
        for folder in sorted(root.iterdir()) if root.is_dir() else ():
            # Not the links that generate makes with cityscapes_root=true.
            is_set = (folder / IMAGES).is_dir() or is_generated(folder)
            if "_" in folder.name and is_set and not (folder / "gtFine").exists():
                yield folder


def _source(data_root: Path, file: Path | None, split: str, needs_labels: bool | None = None) -> SegmentationDataset:
    if file is not None:
        return DescribedData(file, split, needs_labels=needs_labels)
    return Cityscapes(data_root / "cityscapes", split, needs_labels=needs_labels)


def _generated(
    folder: Path,
    split: str,
    sources: Callable[[str], SegmentationDataset],
    checks: Checks = "none",
    keep_best: float | None = None,
) -> GeneratedSet:
    domain, _, recipe = folder.name.rpartition("_")
    return GeneratedSet(folder.parent, domain, recipe, sources(split), checks=checks, keep_best=keep_best)


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
