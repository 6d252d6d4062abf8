"""What a file of a user's own data says of a command's options, beside where the data lie."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import hydra
from omegaconf import DictConfig, OmegaConf

# By its name, as in a config: nothing here imports data.
_READ = "zsda.data.description.read_description"
_STEP = 8
"""Sides of a crop and of patches are multiples of it."""


def take_own_data(config: DictConfig, words: Sequence[str]) -> None:
    """Lets ``data.file`` say which classes there are, how large images are, and what sets and runs are called.

    Options that the command line gives stay as they are. A world that would be rendered is not, unless something else reads it.

    Args:
        config: of a command; it is changed.
        words: of the command line.

    Raises:
        ConfigError: the file is none, or something in it is not as it must be.
    """
    file = OmegaConf.select(config, "data.file")
    if file is None:
        return
    said = hydra.utils.get_method(_READ)(file)
    given = {word.lstrip("+~").partition("=")[0] for word in words}
    for key, value in _said(config, said):
        is_there = OmegaConf.select(config, key.partition(".")[0]) is not None
        if is_there and not any(one == key or one.startswith(f"{key}.") for one in given):
            OmegaConf.update(config, key, value, merge=False)


def _said(config: DictConfig, said: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - a Description, but nothing here imports data
    yield "generated_root", f"{config.data_root}/{said.name}"
    if said.size is not None:
        height, width = said.size
        yield "world.size", [height, width]
        yield "world.canvas", [width, height]
        yield "world.crop", [_steps(3 * height / 4), _steps(3 * width / 4)]
        yield "world.patch_size", min(config.world.patch_size, _steps(min(said.size)))
    if "source" in config.data:  # not where a file of weights is scored, whose classes are its own
        if "classes" in config:
            yield "classes", said.classes.plain()
        yield "data.setting", said.name
        if "val" not in said.splits:
            yield "data.watch", []
    if "name" in config and not str(config.name).startswith(f"{said.name}_"):
        yield "name", f"{said.name}_{config.name}"
    if not _reads_world(config):
        yield "world.prepare", None


def _steps(side: float) -> int:
    return max(_STEP, int(side) // _STEP * _STEP)


def _reads_world(config: DictConfig) -> bool:
    """Tells whether something reads a data set below ``data_root`` beside what is the user's own."""
    roots = (node.get("root") for key in ("data", "unlabelled", "settings") for node in _nodes(config.get(key)))
    world, own = Path(config.data_root), Path(config.generated_root)
    return any(
        root is not None and Path(root).is_relative_to(world) and not Path(root).is_relative_to(own) for root in roots
    )


def _nodes(config: Any) -> Iterator[DictConfig]:  # noqa: ANN401 - whatever stands there
    if OmegaConf.is_dict(config):
        yield config
        for key in config:
            if not OmegaConf.is_missing(config, key) and not OmegaConf.is_interpolation(config, key):
                yield from _nodes(config[key])
