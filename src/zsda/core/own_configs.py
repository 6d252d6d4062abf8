"""Files of a user's ``--config-dir``: what they set, and which of them are no configs."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import OmegaConf

from zsda.core.config import conf_dir
from zsda.core.errors import ConfigError
from zsda.core.reasons import reason

_OPTIONS = ("--config-dir", "-cd")
_EXPECTED = "expected YAML in UTF-8, as python -m zsda.train --cfg job prints it"


def unreadable(error: Exception, words: Sequence[str]) -> ConfigError:
    """Returns what to say where Hydra stumbled over a config before the command began.

    Args:
        error: what it said, which seldom names the file.
        words: of the command line.
    """
    for folder in _folders(words):
        for path in sorted(folder.rglob("*.yaml")):
            try:
                path.read_text(encoding="utf-8")
                OmegaConf.load(path)
            except Exception as flaw:  # what is no YAML makes its reader stumble in ways that are not enumerable
                return ConfigError(f"{path}: cannot be read ({reason(flaw)}); {_EXPECTED}")
    return ConfigError(f"the configs cannot be put together ({reason(error)}); {_EXPECTED}")


def set_by_own_configs(name: str, words: Sequence[str]) -> set[str]:
    """Returns the dotted keys that files of a user's ``--config-dir`` set, those of a ``world`` left out.

    A world says what holds for all data; every other file is written for the runs that choose it.

    Args:
        name: of the config that was composed.
        words: of the command line that it was composed by, inside a running command.
    """
    folders = [Path(one.path) for one in HydraConfig.get().runtime.config_sources if one.provider == "command-line"]
    if not folders:
        return set()
    loader, given = GlobalHydra.instance().config_loader(), [*HydraConfig.get().overrides.hydra, *words]
    keys = set[str]()
    for one in loader.compute_defaults_list(name, given, RunMode.RUN).defaults:
        file = f"{one.config_path}.yaml"
        owned = [folder / file for folder in folders if (folder / file).is_file()]
        if owned and not (conf_dir() / file).is_file() and not file.startswith("world/"):
            said = OmegaConf.to_container(OmegaConf.load(owned[0]), resolve=False)
            keys |= set(_leaves(said, one.package or ""))
    return keys


def _leaves(said: Any, place: str) -> Iterator[str]:  # noqa: ANN401 - whatever stands there
    if not isinstance(said, Mapping) or not said:
        yield place
        return
    for key, value in said.items():
        yield from _leaves(value, f"{place}.{key}".lstrip("."))


def _folders(words: Sequence[str]) -> Iterator[Path]:
    for word, following in zip(words, [*words[1:], ""], strict=True):
        option, sign, folder = word.partition("=")
        if option in _OPTIONS:
            yield Path(folder if sign else following)
