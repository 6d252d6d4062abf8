"""The generated sets that runs were trained on: what they were made with, and how their making went."""

import json
import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from zsda.core.errors import StoreError
from zsda.core.records import printable, read_plain
from zsda.core.runs import RunFolder
from zsda.data.manifest import Manifest, ManifestLine, count_flaws, is_generated, read_manifest
from zsda.data.set_names import set_name

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EditedImage:
    """What the manifest tells of one image.

    Attributes:
        path: below the folder of the set.
        split: of its source.
        layout_score: a share of 1; None where there is none.
        network: the digest of the weights that gave it; empty where that is not known.
        drift: how many pixels of the canvas the image lies at most from where it belongs, once it was moved back if it was; None where
            that is not known.
        measured: whether a drift was looked for.
    """

    path: str
    split: str = ""
    layout_score: float | None = None
    network: str = ""
    drift: float | None = None
    measured: bool = False

    @classmethod
    def of(cls, line: ManifestLine) -> Self:
        """Returns what a line tells."""
        network = line.layout_network or ""
        return cls(line.source, line.split, line.layout_score, network, line.drift, line.measured)


@dataclass(frozen=True)
class Edits:
    """What a generated set tells of its images.

    Attributes:
        settings: what it was made with, dotted key -> value.
        images: in the order of their paths.
        left_out: how many have none, since no edit of them passed.
        retried: flaw -> how many edits were thrown away for it.
    """

    settings: Mapping[str, str]
    images: Sequence[EditedImage]
    left_out: int
    retried: Mapping[str, int]

    @property
    def made(self) -> Mapping[str, int]:
        """Split -> number of images."""
        return Counter(image.split for image in self.images)

    @property
    def layout_scores(self) -> list[float]:
        """Of the images that have one, shares of 1."""
        return known_scores(self.images)

    @property
    def paths(self) -> list[str]:
        """Of the images below the folder, in their order."""
        return sorted(image.path for image in self.images)


@dataclass(frozen=True)
class EditedSet(Edits):
    """One generated set that runs saw.

    Attributes:
        root: its folder.
        source: what was edited, as the last run that saw the set read it: the folder of Cityscapes, or the file of a user's own data.
        domain: what its images were edited into.
        recipe: how.
    """

    root: Path
    source: Path
    domain: str
    recipe: str

    @property
    def name(self) -> str:
        """As its folder is called."""
        return set_name(self.domain, self.recipe)


def edited_sets(runs: Sequence[RunFolder]) -> list[EditedSet]:
    """Returns the generated sets that runs saw, each once, in the order of their names; those that are gone are left out."""
    places: dict[Path, tuple[Path, str, str]] = {}
    for run in runs:
        record = run.record()
        domain = None if record.header is None else record.header.domain
        start = record.starts[-1] if record.starts else {}
        data_root = str(start.get("data_root", ""))
        root = str(start.get("generated_root", data_root))
        seen = {key.rpartition("/")[2] for key in record.files}
        for recipe in seen | ({"target"} if "unlabelled" in seen else set()) if domain and root else ():
            source = Path(str(start["data_file"])) if "data_file" in start else Path(data_root) / "cityscapes"
            places[Path(root) / set_name(str(domain), recipe)] = (source, str(domain), recipe)
    sets = []
    for path, (source, domain, recipe) in sorted(places.items()):
        if not is_generated(path):
            continue
        try:
            edits = read_edits(path, read_manifest(path), "it is left out of the page")
        except StoreError as error:
            _log.warning("%s", printable(str(error)))
            continue
        sets.append(EditedSet(**vars(edits), root=path, source=source, domain=domain, recipe=recipe))
    return sets


def read_edits(root: Path, manifest: Manifest, way_out: str, split: str | None = None) -> Edits:
    """Reads what a set tells of its images, those of a run that is not finished included.

    Args:
        root: the folder of the set.
        manifest: of it.
        way_out: what a message advises where ``generation.json`` cannot be read.
        split: of the images; None takes all.

    Raises:
        RecordError: ``generation.json`` is missing, or none that zsda wrote.
    """
    settings = read_plain(root / "generation.json", way_out)
    lines = [line for _, line in sorted(manifest.newest.items()) if split in (None, line.split)]
    left_out = sum(line.left_out for line in lines)
    images = [EditedImage.of(line) for line in lines if not line.left_out]
    return Edits(plain_rows(settings), images, left_out, count_flaws(lines))


def known_scores(images: Iterable[EditedImage]) -> list[float]:
    """Returns the layout scores of the images that have one."""
    return [image.layout_score for image in images if image.layout_score is not None]


def plain_rows(values: Mapping[str, Any], above: str = "") -> dict[str, str]:
    """Flattens nested plain values: dotted key -> value as text."""
    rows: dict[str, str] = {}
    for key, value in values.items():
        dotted = f"{above}.{key}".lstrip(".")
        if isinstance(value, Mapping) and value:
            rows |= plain_rows(value, dotted)
        else:
            rows[dotted] = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return rows
