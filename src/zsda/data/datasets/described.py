"""Data of a user's own, wherever they lie, as a file of a few lines describes them; see `zsda.data.description`."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zsda.core.errors import ConfigError, DataError
from zsda.core.records import printable
from zsda.data.classes import find_classes
from zsda.data.description import Description, Split, read_description
from zsda.data.samples import Sample, SegmentationDataset, images_of_cities, is_there, warn_of_unused, with_labels

_STARS = re.compile(r"(\*+)")


def described_samples(description: Description, split: str, needs_labels: bool | None = True) -> list[Sample]:
    """Lists a split of a user's own data, in the order of the keys.

    A key is ``<city>/<frame>``: the frame is what the last star of ``images`` stands for, the city what the others do, or the name of
    the data.

    Args:
        description: of the data.
        split: one of its splits.
        needs_labels: see `zsda.data.samples.with_labels`.

    Raises:
        ConfigError: there is no such split, or none with labels where they are needed.
        DataError: there is no image, two would have one key, or one has no label, and needs one.
    """
    what = f"{description.name} {split}"
    if split not in description.splits:
        raise ConfigError(f"{description.path}: no split {split!r}; there are {', '.join(description.splits)}")
    patterns = description.splits[split]
    if needs_labels and patterns.labels is None:
        raise ConfigError(f"{description.path}: splits.{split} has no labels:, which are needed here")
    samples: dict[str, Sample] = {}
    in_any_case = _AnyCase()
    for image, stars in _matching(what, description.root, patterns.images):
        *above, frame = (star.replace("/", "-") for star in stars)
        if not frame:
            raise DataError(
                f"{what}: {image}: the last star of {printable(patterns.images)} stands for nothing; expected names that differ"
            )
        key = f"{'-'.join(filter(None, above)) or description.name}/{frame}"
        if key in samples:
            raise DataError(
                f"{what}: {samples[key].image} and {image} would both be {key}; expected a name of its own for each"
            )
        label = (
            None if patterns.labels is None else in_any_case.find(description.root / _filled(patterns.labels, stars))
        )
        samples[key] = Sample(key, image, label, description.encoding)
    folder, all_wanted = (
        _fixed(description.root, patterns.images),
        [_wanted(s.images) for s in description.splits.values()],
    )
    used = [i for i in images_of_cities(folder) if any(_stars_of(description.root, i, wanted) for wanted in all_wanted)]
    warn_of_unused(what, folder, used, _expected(patterns))
    return with_labels(what, [samples[key] for key in sorted(samples)], needs_labels)


class DescribedData(SegmentationDataset):
    """A split of a user's own data.

    Args:
        file: what describes them.
        split: which part.
        classes: what the masks tell apart; see `zsda.data.classes.find_classes`. None takes those of the file.
        needs_labels: see `zsda.data.samples.with_labels`.

    Raises:
        ConfigError: the file is none, has no such split, or its labels do not tell the classes apart.
        DataError: there is no image, or one has no label.
    """

    editable = True

    def __init__(
        self,
        file: str | Path | None,
        split: str = "train",
        classes: Any = None,  # noqa: ANN401 - of find_classes
        needs_labels: bool | None = True,
    ) -> None:
        said = read_description(file)
        known = said.classes if classes is None else find_classes(classes)
        samples = described_samples(said, split, needs_labels)
        super().__init__(samples, f"{said.name} {split}", said.root, split, known)


def described_settings(file: str | Path | None, splits: Sequence[str] | None = None) -> dict[str, DescribedData]:
    """Returns the splits of a user's own data that are scored, each as a setting of its own.

    Args:
        file: what describes them.
        splits: which; None takes all that have labels but ``train``.

    Raises:
        ConfigError: as `DescribedData`; or there is nothing to score.
        DataError: as `DescribedData`.
    """
    said = read_description(file)
    chosen = splits or [name for name, one in said.splits.items() if one.labels is not None and name != "train"]
    if not chosen:
        raise ConfigError(f"{file}: no split with labels but train; give settings.folder.splits=[train] to score that")
    return {said.setting(split): DescribedData(file, split) for split in chosen}


def _matching(what: str, root: Path, pattern: str) -> list[tuple[Path, tuple[str, ...]]]:
    """Finds images, each with what the stars stand for; the ending counts in any case."""
    folder = _fixed(root, pattern)
    if not folder.is_dir():
        raise DataError(f"{what}: no folder {folder}; expected images as {printable(pattern)} under {root}")
    wanted = _wanted(pattern)
    matching = ((image, _stars_of(root, image, wanted)) for image in images_of_cities(folder))
    found = [(image, stars) for image, stars in matching if stars is not None]
    if not found:
        raise DataError(f"{what}: no images as {printable(pattern)} under {root}")
    return found


def _wanted(pattern: str) -> re.Pattern[str]:
    ending = Path(pattern).suffix
    parts = [
        "([^/]*)" if part == "*" else "(.*)" if _STARS.fullmatch(part) else re.escape(part)
        for part in _STARS.split(pattern.removesuffix(ending))
    ]
    # Folders of any depth may be none.
    stem = re.sub(r"(^|/)\(\.\*\)/", r"\1(?:(.*)/)?", "".join(parts))
    return re.compile(f"{stem}(?i:{re.escape(ending)})")


def _stars_of(root: Path, image: Path, wanted: re.Pattern[str]) -> tuple[str, ...] | None:
    match = wanted.fullmatch(image.relative_to(root).as_posix())
    return None if match is None else match.groups("")


def _fixed(root: Path, pattern: str) -> Path:
    """Returns the folder down to which a pattern has no star."""
    parts = Path(pattern).parts[:-1]
    starred = next((place for place, part in enumerate(parts) if "*" in part), len(parts))
    return root.joinpath(*parts[:starred])


def _filled(pattern: str, stars: Sequence[str]) -> str:
    parts = _STARS.split(pattern)
    values = iter(stars[len(stars) - len(parts) // 2 :])
    filled = "".join(next(values) if _STARS.fullmatch(part) else part for part in parts)
    return filled.lstrip("/").replace("//", "/")  # of folders of any depth, which may be none


class _AnyCase:
    """Finds files whose ending counts in any case; lists a folder once, and only where a file is not called as expected."""

    def __init__(self) -> None:
        self._listed: dict[Path, dict[Path, Path]] = {}

    def find(self, path: Path) -> Path:
        """Returns the file that is there, or the path itself where there is none."""
        if is_there(path):
            return path
        folder = path.parent
        if folder not in self._listed:
            self._listed[folder] = {_lower_ending(file): file for file in _files(folder)}
        return self._listed[folder].get(_lower_ending(path), path)


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:  # its labels are missing, then
        return []


def _lower_ending(path: Path) -> Path:
    return path.with_suffix(path.suffix.lower())


def _expected(patterns: Split) -> str:
    return f"names as {patterns.images}"
