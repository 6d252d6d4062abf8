"""What a file of a user's own data says of a command's options, beside where the data lie."""

import copy
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import hydra
from omegaconf import DictConfig, OmegaConf

from zsda.core.config import conf_dir
from zsda.core.errors import ConfigError
from zsda.core.own_configs import set_by_own_configs

# By their names, as in a config: nothing here imports data.
_READ = "zsda.data.description.read_description"
_GENERATED = "zsda.data.datasets.generated.GeneratedSet"
_STEP = 8
"""Sides of a crop and of patches are multiples of it."""

_OF_A_WORLD = ("ACDC", "cityscapes", "GTA5", "RobotCar", "SYNTHIA_RAND_CITYSCAPES")
"""Folders of data sets, under ``data_root``."""
_WORLDS = ("demo", "miniature", "study")
"""Folders of rendered worlds, under the ``data_root`` of the real one."""


def take_own_data(config: DictConfig, name: str, words: Sequence[str]) -> None:
    """Lets ``data.file`` say which classes there are, how large images are, and what sets and runs are called.

    Options that the command line or a config of the user's own gives stay as they are. A world that would be rendered is not, unless
    something reads it.

    Args:
        config: of a command; it is changed.
        name: of the config that it was composed of.
        words: of the command line.

    Raises:
        ConfigError: the file is none, something in it is not as it must be, or the data are called as something else is.
    """
    file = OmegaConf.select(config, "data.file")
    if file is None:
        return
    said = hydra.utils.get_method(_READ)(file)
    _check_name(config, file, said.name)
    given = {word.lstrip("+~").partition("=")[0] for word in words} | set_by_own_configs(name, words)
    for key, value in _said(config, said):
        is_there = OmegaConf.select(config, key.partition(".")[0]) is not None
        if is_there and not any(one == key or one.startswith(f"{key}.") for one in given):
            OmegaConf.update(config, key, value, merge=False)


def _check_name(config: DictConfig, file: str, name: str) -> None:
    """Refuses a name under which sets and scores would be mixed with others; case counts nowhere, as on some disks."""
    domain, _, recipe = name.casefold().rpartition("_")
    chosen = OmegaConf.select(config, "domain.name", default="")
    known = {
        "a setting": _options("setting"),
        "a domain": [*_options("domain"), chosen],
        "a folder under data_root": [*_OF_A_WORLD, *_WORLDS],
    }
    taken = next((what for what, names in known.items() if name.casefold() in map(str.casefold, names)), None)
    if taken is None and domain and recipe in (*_options("recipe"), "oracle"):
        taken = "a generated set"
    if taken is not None:
        raise ConfigError(
            f"{file}: the data are called {name}, as {taken} is; expected a name of their own: give name: my_{name} in it, or another"
        )


def _options(group: str) -> list[str]:
    return sorted(path.stem for path in (conf_dir() / group).glob("*.yaml"))


def _said(config: DictConfig, said: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - a Description, but nothing here imports data
    yield "generated_root", f"{config.data_root}/{said.name}"
    if said.size is not None:
        yield "world.size", list(said.size)
        height, width = config.world.size  # which another size may have been given for
        yield "world.canvas", [width, height]
        yield "world.crop", [_steps(3 * height / 4), _steps(3 * width / 4)]
        yield "world.patch_size", min(config.world.patch_size, _steps(min(height, width)))
    if "source" in config.data:  # not where a file of weights is scored, whose classes are its own
        if "classes" in config:
            yield "classes", said.classes.plain()
        yield "data.setting", said.name
        if "val" not in said.splits:
            yield "data.watch", []
    if "name" in config and not _names_setting(config):
        yield "name", f"{said.name}_{config.name}"
    if not _reads_world(config, said):
        yield "world.prepare", None


def _steps(side: float) -> int:
    return max(_STEP, int(side) // _STEP * _STEP)


def _names_setting(config: DictConfig) -> bool:
    """Tells whether the name of a run is made of that of the source, which may be that of its domain as well."""
    other = copy.deepcopy(config)
    other.data.setting = f"{config.data.setting}_"
    return bool(other.name != config.name)


def _reads_world(config: DictConfig, said: Any) -> bool:  # noqa: ANN401 - see _said
    """Tells whether something reads a data set of a world, the user's own data among it."""
    world, folders = Path(config.data_root).resolve(), {folder.casefold() for folder in _OF_A_WORLD}
    nodes = (node for key in ("data", "unlabelled", "settings") for node in _nodes(config.get(key)))
    # The images of a generated set are those of its source, a node of its own.
    roots = [node.get("root") for node in nodes if node.get("_target_") != _GENERATED]
    roots += [said.root / split.images for split in said.splits.values()]
    places = [Path(root).resolve() for root in roots if root is not None]
    below = [place.relative_to(world).parts for place in places if place.is_relative_to(world)]
    return any(not parts or parts[0].casefold() in folders for parts in below)


def _nodes(config: Any) -> Iterator[DictConfig]:  # noqa: ANN401 - whatever stands there
    if OmegaConf.is_dict(config):
        yield config
        for key in config:
            if not OmegaConf.is_missing(config, key) and not OmegaConf.is_interpolation(config, key):
                yield from _nodes(config[key])
