"""What the views of a scene and the parts of a batch are read from, without torch, so that what is missing is told at once."""

from collections.abc import Mapping
from copy import copy
from pathlib import Path
from typing import TypeVar

from zsda.core.errors import ConfigError
from zsda.core.values import shown
from zsda.data.datasets.generated import Checks, GeneratedSet
from zsda.data.layout_choice import Best, best_scenes, check_choice, check_comparable
from zsda.data.samples import SegmentationDataset
from zsda.data.set_names import ORACLE

Images = TypeVar("Images")

SOURCE, WEATHER = "source", "weather"
"""Views that no generated set is for; the others are names of recipes."""

UNLABELLED = "unlabelled"
"""The part of a batch beside `SOURCE`."""


def view_images(
    view: str,
    source: SegmentationDataset,
    generated_root: str | Path,
    domain: str | None,
    rendered_root: str | Path | None = None,
    min_layout_score: float | None = None,
    checks: Checks = "all",
) -> SegmentationDataset:
    """Returns the images of a view.

    Args:
        view: see `zsda.data.aligned.ViewsData`, as for the other arguments.
        source: the labelled images of the scenes.
        generated_root: where the generated sets lie.
        domain: that they are of.
        rendered_root: where those of `ORACLE` lie; None: beside them.
        min_layout_score: of the edits.
        checks: what is refused of a generated set.

    Raises:
        ConfigError: the view needs a generated set, and there is no domain, or of the source none can be made.
        DataError: the set is not there, or not as it must be.
    """
    if view in (SOURCE, WEATHER):
        return source
    if not source.editable:
        raise ConfigError(
            f"the view {view!r} needs a generated set, which Cityscapes and own data have, and the source is {source.name}; give "
            f"data=cityscapes, data=folder, method=source_only, or in method.phases.NAME.data.views and data.watch nothing but {SOURCE}"
        )
    root = generated_root if view != ORACLE or rendered_root is None else rendered_root
    return GeneratedSet(root, domain, view, source, min_layout_score, checks)


def choose_scenes(
    views: Mapping[str, SegmentationDataset], min_layout_score: float | None = None, keep_best: float | None = None
) -> tuple[dict[str, SegmentationDataset], Best | None]:
    """Leaves out of all views together the scenes whose edits keep too little of their layout.

    Args:
        views: name -> what `view_images` returned; the same images in several views stay the same.
        min_layout_score: by which it has left out some already; nothing more is left out.
        keep_best: the share of the scenes that all views have which is kept; see `best_scenes`. None keeps all.

    Returns:
        The views, and what was chosen; None where nothing is: no view shows edits.

    Raises:
        ConfigError: the choice is none.
        DataError: an image has no layout score, or the scores are of different networks.
    """
    check_choice(min_layout_score, keep_best)
    shown = {id(images): images for images in views.values()}
    edits = {images.root: images for images in shown.values() if isinstance(images, GeneratedSet) and images.is_edited}
    if min_layout_score is not None:
        check_comparable(list(edits.values()))
    common = (
        set.intersection(*({sample.key for sample in images.samples} for images in shown.values())) if edits else ()
    )
    if keep_best is None or not common:
        return dict(views), None
    best = best_scenes(list(edits.values()), keep_best, common)
    rest = {number: copy(images) for number, images in shown.items()}
    for images in rest.values():
        images.samples = [s for s in images.samples if s.key in best.keys or s.key not in common]
    return {name: rest[id(images)] for name, images in views.items()}, best


def check_unlabelled(images: Images | None, target: str | None) -> tuple[Images, str]:
    """Refuses a part of unlabelled images of which it is not said which they are, or what they show.

    Args:
        images: a data set, or the config of one; None where that is not said.
        target: the setting that shows their condition.

    Returns:
        Both.

    Raises:
        ConfigError: one of both is not said.
    """
    if images is None:
        raise ConfigError("which unlabelled images? give unlabelled=NAME, or a folder of your own as unlabelled=folder")
    if target is None:
        raise ConfigError("which condition do the unlabelled images show? give unlabelled.setting=NAME, or a domain=")
    return images, target


def check_enough(batch_size: int, scenes: int, keep_best: float | None = None) -> None:
    """Refuses a set that is smaller than a batch.

    Args:
        batch_size: scenes of a batch.
        scenes: how many there are.
        keep_best: the share that they are of all; see `choose_scenes`.

    Raises:
        ConfigError: it is.
    """
    if scenes < batch_size:
        left = "" if keep_best is None else f" with data.keep_best={shown(keep_best)}"
        raised = "" if keep_best is None else "raise data.keep_best, or "
        raise ConfigError(
            f"data.batch_size={batch_size} needs as many scenes, there {'is' if scenes == 1 else 'are'} {scenes}{left}; "
            f"{raised}lower data.batch_size"
        )
