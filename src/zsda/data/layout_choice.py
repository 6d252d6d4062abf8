"""Which edits are taken, by how much of their layout they keep: all of a least score, or the best share of the scenes."""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

from zsda.core.errors import ConfigError, DataError, Gathered
from zsda.core.records import printable
from zsda.core.values import PART, SHARE, shown
from zsda.data.manifest import LayoutScore, Manifest, read_manifest
from zsda.data.samples import Sample, SegmentationDataset

_MIN_SCORE, _KEEP_BEST = "data.min_layout_score", "data.keep_best"
_AGAIN = "start their python -m zsda.generate again with"


class Best(NamedTuple):
    """The scenes whose edits keep most of their layout.

    Attributes:
        keys: of the scenes.
        share: of all scenes, which was asked for.
        total: how many they were chosen from.
        least: the lowest score among them; None where none of them has one.
        unscored: how many of them have none.
    """

    keys: frozenset[str]
    share: float
    total: int
    least: float | None
    unscored: int

    def describe(self) -> str:
        """Says what was chosen from how many."""
        least = "" if self.least is None else f", from {self.least:.3f}"
        unscored = f", {self.unscored} of them without one" if self.unscored else ""
        return f"the best {100 * self.share:g} % of {self.total} by layout score{least}{unscored}"


def check_choice(min_layout_score: object, keep_best: object) -> None:
    """Refuses what is no choice of images by their layout scores, and two of them.

    Raises:
        ConfigError: it is none, or there are two.
    """
    SHARE.or_none().check(_MIN_SCORE, min_layout_score)
    PART.or_none().check(_KEEP_BEST, keep_best)
    if min_layout_score is not None and keep_best is not None:
        raise ConfigError(
            f"{_MIN_SCORE}={shown(min_layout_score)} and {_KEEP_BEST}={shown(keep_best)}; give one of the two"
        )


def images_from(root: Path, images: Sequence[Path], min_layout_score: float) -> list[Path]:
    """Leaves out images that keep too little of their layout, and those without a label to score against.

    Args:
        root: the folder of the set.
        images: of it.
        min_layout_score: of those that are taken.

    Raises:
        DataError: there is none left, an image has no score in the manifest, or they are of different networks.
    """
    scores = _scores_of(root, read_manifest(root), images, _MIN_SCORE)
    _check_networks({root.name: scores.values()}, _MIN_SCORE)
    known = {image: score.value for image, score in scores.items() if score.value is not None}
    kept = [image for image in images if known.get(image, -1) >= min_layout_score]
    if not kept:
        raise DataError(
            f"{root.name}: no image reaches {_MIN_SCORE}={min_layout_score}; the best has {max(known.values(), default=0):.3f}"
        )
    return kept


def check_comparable(sets: Sequence[SegmentationDataset]) -> None:
    """Refuses sets of which images were left out by scores that cannot be compared.

    Raises:
        DataError: the scores of the images that are left are of different networks.
    """
    scores = {
        edits.name: _scores_of(
            edits.root, read_manifest(edits.root), [sample.image for sample in edits.samples], _MIN_SCORE
        )
        for edits in sets
    }
    _check_networks({name: of_set.values() for name, of_set in scores.items()}, _MIN_SCORE)


def best_scenes(sets: Sequence[SegmentationDataset], share: float, among: Collection[str]) -> Best:
    """Chooses the scenes whose edits keep most of their layout, by the manifests of their sets; see `choose_best`.

    Args:
        sets: the edits.
        share: of the scenes, above 0, up to 1.
        among: keys of the scenes, at least one, which are in every set.

    Raises:
        DataError: an image has no score in the manifest, or they are of different networks.
    """
    scores, wrong, keys = dict[str, dict[str, LayoutScore]](), Gathered(), frozenset(among)
    for edits in sets:
        samples = [sample for sample in edits.samples if sample.key in keys]
        with wrong.gather():
            scores[edits.name] = scene_scores(edits.root, read_manifest(edits.root), samples)
    wrong.conclude()
    return choose_best(scores, share)


def scene_scores(root: Path, manifest: Manifest, samples: Iterable[Sample]) -> dict[str, LayoutScore]:
    """Returns the scores that `choose_best` needs, key of a scene -> that of its edit.

    Args:
        root: the folder of the set.
        manifest: of it.
        samples: its images.

    Raises:
        DataError: the manifest cannot be read, or an image has no score there.
    """
    keys = {sample.image: sample.key for sample in samples}
    return {keys[image]: score for image, score in _scores_of(root, manifest, list(keys), _KEEP_BEST).items()}


def choose_best(scores: Mapping[str, Mapping[str, LayoutScore]], share: float) -> Best:
    """Chooses the scenes whose edits keep most of their layout, as many of them as the share comes to.

    The score of a scene is the lowest that it has in any of the sets, and one without a score, of which no pixel is labelled, comes last.
    Of equal scenes those with the first keys are taken. Half a scene counts as a whole one, and one is taken at least.

    Args:
        scores: name of a set -> key of a scene -> that of its edit; of the same scenes in each set, at least one.
        share: of the scenes, above 0, up to 1.

    Raises:
        DataError: the scores are of different networks.
    """
    _check_networks({name: of_set.values() for name, of_set in scores.items()}, _KEEP_BEST)
    values = [{key: score.value for key, score in of_set.items()} for of_set in scores.values()]
    least = {key: min(-1 if (value := of_set[key]) is None else value for of_set in values) for key in values[0]}
    # A share is the decimal number that was written: 0.35 of 10 are three and a half, and the product of floats is less.
    count = max(1, math.floor(Fraction(str(share)) * len(least) + Fraction(1, 2)))
    kept = sorted(least, key=lambda key: (-least[key], key))[:count]
    known = [least[key] for key in kept if least[key] >= 0]
    return Best(frozenset(kept), share, len(least), min(known, default=None), len(kept) - len(known))


def _scores_of(root: Path, manifest: Manifest, images: Sequence[Path], option: str) -> dict[Path, LayoutScore]:
    """Returns what the manifest of a set, without lines that lie beside it, tells of images.

    Args:
        root: the folder of the set.
        manifest: of it.
        images: of it.
        option: that asks for the scores.

    Raises:
        DataError: the manifest cannot be read, or an image has no score there.
    """
    manifest.check()
    lines = {image: manifest.lines.get(image.relative_to(root).as_posix()) for image in images}
    scores = {image: line.layout for image, line in lines.items() if line is not None and line.layout is not None}
    without = [image for image in images if image not in scores]
    if without:
        raise DataError(
            f"{root.name}: {len(without)} of {len(images)} images have no layout score, the first is {without[0]}; "
            f"{_AGAIN} layout.ckpt=FILE or layout.run=NAME, or give {option}=null"
        )
    return scores


def _check_networks(scores: Mapping[str, Iterable[LayoutScore]], option: str) -> None:
    """Refuses scores, name of a set -> those of its images, that different networks gave."""
    counts = Counter(
        (score.network, name) for name, of_set in scores.items() for score in of_set if score.value is not None
    )
    if len({network for network, _ in counts}) > 1:
        told = [
            f"{count} of {name} by {'an unknown one' if network is None else printable(network)[:12]}"
            for (network, name), count in counts.most_common()
        ]
        raise DataError(
            f"{', '.join(scores)}: layout scores that different networks gave cannot be compared, {', '.join(told[:4])}; {_AGAIN} the same "
            f"layout.ckpt=FILE or layout.run=NAME, or give {option}=null"
        )
