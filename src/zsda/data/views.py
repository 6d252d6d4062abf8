"""What the views of a scene and the parts of a batch are read from, without torch, so that what is missing is told at once."""

from pathlib import Path
from typing import TypeVar

from zsda.core.errors import ConfigError
from zsda.data.datasets.cityscapes import Cityscapes
from zsda.data.datasets.generated import Checks, GeneratedSet
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
        ConfigError: the view needs a generated set, and there is no domain, or another source than Cityscapes.
        DataError: the set is not there, or not as it must be.
    """
    if view in (SOURCE, WEATHER):
        return source
    if not isinstance(source, Cityscapes):
        raise ConfigError(
            f"the view {view!r} needs a generated set, which Cityscapes alone has, and the source is {source.name}; give "
            f"data=cityscapes, method=source_only, or in method.phases.NAME.data.views and data.watch nothing but {SOURCE}"
        )
    root = generated_root if view != ORACLE or rendered_root is None else rendered_root
    return GeneratedSet(root, domain, view, source, min_layout_score, checks)


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


def check_enough(batch_size: int, scenes: int) -> None:
    """Refuses a set that is smaller than a batch.

    Raises:
        ConfigError: it is.
    """
    if scenes < batch_size:
        raise ConfigError(
            f"data.batch_size={batch_size} needs as many scenes, there are {scenes}; lower data.batch_size"
        )
