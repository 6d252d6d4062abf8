"""Generated sets, which share the labels of the source that they were made from.

    <generated_root>/<domain>_<recipe>/leftImg8bit/<split>/<city>/<frame>_leftImg8bit.png

A world that is rendered has the same for its oracle under ``data_root``: the scenes as they really look in the domain.
"""

import filecmp
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from zsda.core.digests import content_digests
from zsda.core.errors import ConfigError, DataError
from zsda.data.datasets.cityscapes import IMAGES, SUFFIX
from zsda.data.layout_choice import Best, best_scenes, check_choice, images_from
from zsda.data.manifest import has_none, read_manifest
from zsda.data.reader import FROM_DISK, DamagedImageError, image_size
from zsda.data.samples import Sample, SegmentationDataset, find_images, frame_key, tell
from zsda.data.set_names import ORACLE, set_name

Checks = Literal["all", "names", "none"]
"""What is refused of a generated set. ``all``: an image without a source, and one that is its source. ``names``: the former, without a
look into any file. ``none``: nothing, and an image without a source has no label; for `zsda.data.inspection`, which tells all of them."""

DECODED = 8
"""Images of a set whose pixels are compared with those of their source: a set of originals saved anew shows in any."""


class GeneratedSet(SegmentationDataset):
    """Edited images, of any size, that share the labels and the classes of the source they were made from.

    Args:
        root: where the sets lie, each in a folder of its own.
        domain: what the images were edited into; None is refused.
        recipe: how, or `ORACLE`.
        source: the dataset that was edited.
        min_layout_score: leave out images that keep less of their layout, by the manifest; None takes all.
        checks: what is refused.
        keep_best: take only this share of the images, those that keep most of their layout; see `choose_best`. None takes all.

    Attributes:
        made_of: image -> that of its source.
        source_name: what the source is called.
        is_edited: whether these are edits; renders of `ORACLE` are none, have no scores, and are all taken.
        best: what ``keep_best`` chose; None where it chose nothing.

    Raises:
        ConfigError: there is no domain, or the choice by layout score is none.
        DataError: the set is not there, holds an image without source or one that is its source, or lacks the scores asked for, or
            has them of different networks.
    """

    def __init__(
        self,
        root: str | Path,
        domain: str | None,
        recipe: str,
        source: SegmentationDataset,
        min_layout_score: float | None = None,
        checks: Checks = "all",
        keep_best: float | None = None,
    ) -> None:
        check_choice(min_layout_score, keep_best)
        if domain is None:
            raise ConfigError(
                f"the view {recipe!r} needs a generated set; give domain=night|snow|rain|fog|game, or your own name"
            )
        name = set_name(domain, recipe)
        make = f"make it with python -m zsda.generate domain={domain} recipe={recipe} split={source.split}"
        way_out = "only world=miniature renders this one" if recipe == ORACLE else make
        folder = Path(root) / name
        self.is_edited = recipe != ORACLE
        least = min_layout_score if self.is_edited else None
        samples = generated_samples(folder, source.split, source.samples, way_out, least, checks)
        sources = {sample.key: sample.image for sample in source.samples}
        self.made_of = {sample.image: sources[sample.key] for sample in samples if sample.key in sources}
        self.source_name = source.name
        super().__init__(samples, name, folder, source.split, source.classes, source.reader)
        self.best: Best | None = None
        if keep_best is not None and self.is_edited:
            self.best = best_scenes([self], keep_best, [sample.key for sample in samples])
            self.samples = [sample for sample in samples if sample.key in self.best.keys]


def generated_samples(
    root: Path,
    split: str,
    source: Sequence[Sample],
    way_out: str,
    min_layout_score: float | None = None,
    checks: Checks = "all",
) -> list[Sample]:
    """Lists a generated set, with the labels of the source images that its images were made from.

    Args:
        root: the folder of the set.
        split: of the source.
        source: the labelled images.
        way_out: what the message advises where the set is not there.
        min_layout_score: leave out images whose ``layout_score`` in the manifest is lower, and those without a label to
            score against; None takes all.
        checks: what is refused.

    Raises:
        DataError: the set is not there, has an image that is none of the source, or that is its source unedited, or lacks layout
            scores that are asked for, or has them of different networks.
    """
    name = root.name
    try:
        images = find_images(name, root, f"{IMAGES}/{split}", f"*/*{SUFFIX}", way_out)
    except DataError:
        if checks == "none" and has_none(root, split):
            return []
        raise
    if min_layout_score is not None:
        images = images_from(root, images, min_layout_score)
    by_key = {sample.key: sample for sample in source}
    samples, unedited = [], []
    decoded = set(images[:: -(-len(images) // DECODED)])
    for image in images:
        key = frame_key(image, SUFFIX)
        if key not in by_key and checks == "none":
            samples.append(Sample(key, image, sizes="own"))
            continue
        if key not in by_key:
            raise DataError(
                f"{name}: {image} has no source image; expected {key}{SUFFIX} among the {len(by_key)} of the source"
            )
        if checks == "all" and is_unedited(image, by_key[key].image, decode=image in decoded):
            unedited.append(image)
        samples.append(replace(by_key[key], image=image, sizes="own"))
    if unedited:
        raise DataError(
            f"{name}: {len(unedited)} of {len(images)} images are no edits but their source itself, the first is {unedited[0]}; the "
            f"published code links the {split} split of Cityscapes into its sets: edits of it are made by python -m zsda.generate "
            f"split={split}, with another domain.name= where the set is not from there"
        )
    if checks == "all":
        changed = changed_edits(root, {image: by_key[frame_key(image, SUFFIX)].image for image in images})
        if changed:
            tell(
                f"{root.name}: {len(changed)} of {len(images)} images are not what python -m zsda.generate made of their source as it is "
                f"now, the first is {changed[0]}; started again it makes them anew"
            )
    return samples


def changed_edits(root: Path, made_of: Mapping[Path, Path]) -> list[Path]:
    """Finds images that are not what the manifest tells of them, or whose source is not; a set without one is from elsewhere.

    Args:
        root: the folder of the set.
        made_of: image -> source.
    """
    lines = read_manifest(root).newest
    known = {image: lines[path] for image in made_of if (path := image.relative_to(root).as_posix()) in lines}
    contents = content_digests(path for image in known for path in (image, made_of[image]))
    return [
        image
        for image, line in known.items()
        if (contents[image], contents[made_of[image]]) != (line.digest, line.source_digest)
    ]


def is_unedited(image: Path, source: Path, decode: bool) -> bool:
    """Tells whether an image is a link to its source, or a copy to the byte; or, with ``decode``, to the pixel."""
    try:
        if not image.is_file():
            return False
        if image.samefile(source):
            return True
        if image.stat().st_size == source.stat().st_size and filecmp.cmp(image, source, shallow=False):
            return True
        alike = decode and image_size(image) == image_size(source)
        return alike and FROM_DISK.image(image) == FROM_DISK.image(source)
    except (OSError, DamagedImageError):  # what cannot be read is named when it is needed
        return False
