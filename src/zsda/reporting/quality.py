"""How good the edits of a generated set are, by its manifest: their layout scores, their drift, and which are the worst."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from zsda.core.errors import DataError
from zsda.data.datasets.generated import GeneratedSet
from zsda.data.inspection import Finding
from zsda.data.layout_choice import Best, choose_best, scene_scores
from zsda.data.manifest import Manifest, is_generated, read_manifest
from zsda.data.samples import is_there
from zsda.reporting.edits import EditedImage, Edits, known_scores, read_edits

KEPT = (0.9, 0.75)
"""Shares of a set that ``data.keep_best`` may take, of which the lowest score is told."""

WORST = 10
"""How many of the worst edits are shown."""

_BINS = 8  # at least as many times a bin's width fits between lowest and highest


class Bin(NamedTuple):
    """Values from ``low`` on and below ``high``, and how many images have them; where all are equal ``high`` is the same, and theirs."""

    low: float
    high: float
    images: int


class Distribution(NamedTuple):
    """Figures of at least one value; those between lowest and highest are percentiles, interpolated."""

    images: int
    mean: float
    lowest: float
    p5: float
    p25: float
    median: float
    p75: float
    p95: float
    highest: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Distribution | None":
        """Returns the figures of values; None where there are none."""
        if not values:
            return None
        found = np.quantile(values, [0, 0.05, 0.25, 0.5, 0.75, 0.95, 1])
        return cls(len(values), float(np.mean(values)), *map(float, found))


@dataclass(frozen=True)
class EditQuality:
    """How good the edits of one split of a set are.

    Attributes:
        edits: what the manifest tells.
        images: of those alone that are there; one that the manifest does not name has no score and no drift.
        gone: paths that the manifest names, and that are not there.
        asked: what ``python -m zsda.generate`` was asked for.
        kept: share -> what ``data.keep_best`` takes; empty where it cannot choose.
        refusal: why it cannot; None where it can, or there is nothing to choose from.
        damage: what is wrong with the manifest; None where nothing is.
        beside: how many lines a run left beside the manifest: it is going on, or was killed.
    """

    edits: Edits
    images: Sequence[EditedImage]
    gone: Sequence[str]
    asked: str
    kept: Mapping[float, Best] = field(default_factory=dict)
    refusal: str | None = None
    damage: str | None = None
    beside: int = 0

    @property
    def scores(self) -> list[float]:
        """Layout scores, of the images that have one; none where several networks gave them, which cannot be compared."""
        return known_scores(self.images) if len(self.networks) == 1 else []

    @property
    def drifts(self) -> list[float]:
        """Drifts, of the images that have one."""
        return [image.drift for image in self.images if image.drift is not None]

    @property
    def networks(self) -> Counter[str]:
        """Digest of a network -> how many scores it gave."""
        return Counter(image.network for image in self.images if image.layout_score is not None)

    @property
    def not_told(self) -> int:
        """Of how many images the drift could not be told."""
        return sum(image.measured and image.drift is None for image in self.images)

    @property
    def not_measured(self) -> int:
        """Of how many images no drift was looked for."""
        return sum(not image.measured for image in self.images)

    @property
    def order(self) -> str:
        """What the worst have first."""
        return "lowest layout score" if self.scores else "largest drift"

    def worst(self) -> list[EditedImage]:
        """Returns the worst edits, the worst one first.

        They are ranked by layout score, or where there is none to compare by drift; where none moved, there are no worst.
        """
        if self.scores:
            return sorted(self.images, key=_by_score)[:WORST]
        known = [image for image in self.images if image.drift is not None]
        return sorted(known, key=_by_drift)[:WORST] if max(self.drifts, default=0) > 0 else []

    def findings(self) -> list[Finding]:
        """Returns what a user should know beside the figures."""
        remarks = []
        if self.beside:
            remarks.append(
                f"{self.asked} is not finished: {self.beside} lines still lie beside the manifest, of a run that goes on or was stopped; "
                "started again it goes on"
            )
        if len(self.networks) > 1:
            told = ", ".join(f"{digest[:12] or 'unknown'} ({count})" for digest, count in self.networks.most_common())
            remarks.append(
                f"{self.asked}: the layout scores are of several networks, {told}, and cannot be compared; start it again with one "
                "layout.ckpt=FILE or layout.run=NAME"
            )
        elif self.networks and self.refusal is not None and self.damage is None:
            remarks.append(self.refusal)
        if self.gone:
            remarks.append(
                f"{self.gone[0]}: the first of {len(self.gone)} in the manifest that are not there; {self.asked} makes them anew"
            )
        damage = [] if self.damage is None else [Finding("quality", self.damage)]
        return damage + [Finding("quality", said, fault=False) for said in remarks]

    def plain(self) -> dict[str, Any]:
        """Returns all of it as plain values."""
        return {
            "made": len(self.edits.images),
            "left_out": self.edits.left_out,
            "unfinished": self.beside,
            "thrown_away": dict(self.edits.retried),
            "layout_networks": dict(self.networks),
            "layout_score": _plain(self.scores),
            "without_layout_score": len(self.images) - self.networks.total(),
            "keep_best": {str(share): best.least for share, best in self.kept.items()},
            "drift": _plain(self.drifts),
            "drift_not_told": self.not_told,
            "drift_not_measured": self.not_measured,
            "worst": [
                {"image": image.path, "layout_score": image.layout_score, "drift": image.drift}
                for image in self.worst()
            ],
        }


def rate_edits(dataset: GeneratedSet) -> EditQuality | None:
    """Finds how good the edits of a set are; None where it does not say how it was made.

    Raises:
        RecordError: ``generation.json`` is none that zsda wrote.
    """
    root = dataset.root
    if not is_generated(root):
        return None
    manifest = read_manifest(root)
    way_out = "its edits cannot be rated; delete the folder to make the set anew"
    edits = read_edits(root, manifest, way_out, dataset.split)
    known = {image.path: image for image in edits.images}
    paths = [sample.image.relative_to(root).as_posix() for sample in dataset.samples]
    domain, _, recipe = root.name.rpartition("_")
    kept, refusal = _choices(dataset, manifest)
    return EditQuality(
        edits,
        images=[known.get(path, EditedImage(path, dataset.split)) for path in paths],
        gone=sorted(known.keys() - set(paths)),
        asked=f"python -m zsda.generate domain={domain} recipe={recipe} split={dataset.split}",
        kept=kept,
        refusal=refusal,
        damage=_damage(manifest),
        beside=sum(line.split == dataset.split for line in manifest.beside.values()),
    )


def _choices(dataset: GeneratedSet, manifest: Manifest) -> tuple[dict[float, Best], str | None]:
    """Returns share -> what ``data.keep_best`` takes, and why it cannot choose."""
    if not dataset.samples:
        return {}, None
    try:
        scores = {dataset.name: scene_scores(dataset.root, manifest, dataset.samples)}
        return {share: choose_best(scores, share) for share in KEPT}, None
    except DataError as error:
        return {}, str(error)


def _damage(manifest: Manifest) -> str | None:
    """Says what is wrong with a manifest that is there."""
    try:
        manifest.check()
    except DataError as error:
        return str(error) if is_there(manifest.path) else None
    return None


def bins(values: Sequence[float]) -> list[Bin]:
    """Counts values in bins that are 1, 2 or 5 times a power of ten wide, from the lowest to the highest, ten at most."""
    lowest, highest = min(values), max(values)
    width = _width((highest - lowest) / _BINS)
    if not width:
        return [Bin(lowest, highest, len(values))]
    # On the edge of a bin a value is not to fall below it by a rounding.
    counts = Counter(math.floor(value / width + 1e-6) for value in values)
    return [Bin(number * width, (number + 1) * width, counts[number]) for number in range(min(counts), max(counts) + 1)]


def _width(least: float) -> float:
    if least < 1e-9:
        return 0.0
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least)


def _by_score(image: EditedImage) -> tuple[bool, float, bool, float, str]:
    return image.layout_score is None, image.layout_score or 0.0, *_by_drift(image)


def _by_drift(image: EditedImage) -> tuple[bool, float, str]:
    return image.drift is None, -(image.drift or 0.0), image.path


def _plain(values: Sequence[float]) -> dict[str, Any] | None:
    found = Distribution.of(values)
    return found and {**found._asdict(), "histogram": [one._asdict() for one in bins(values)]}
