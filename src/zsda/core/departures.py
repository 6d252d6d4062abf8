"""In what a training differs from the published setting that its experiment stands for."""

from collections.abc import Mapping, Sequence
from typing import Any

import hydra
from omegaconf import DictConfig, open_dict

from zsda.core.command import choices
from zsda.core.recording import compared
from zsda.core.settings import differences, without

_GROUPS = ("world", "domain", "method", "model", "optimizer", "schedule")
# What the papers leave to the reader: what is watched, which of several seeds a run has.
_FREE = ("seed", "data.seed", "data.watch")
_SHARING = ("devices", "num_nodes")  # change the result where devices do not share the statistics of a batch
_FP32 = (32, "32", "32-true")


def departures(config: DictConfig, unread: Sequence[str] = ()) -> list[str]:
    """Names what a composed config of ``train`` changes of the experiment that its key ``published`` names.

    Args:
        config: as it was composed, inside a running command.
        unread: dotted keys that make no difference to the result.

    Returns:
        ``<key>=<value> (published: <value>)`` for each. Another world is told as such: of its own sizes, lengths, network and
        precision only what the command line changes is named.
    """
    if config.published is None:
        return []
    words = [f"experiment={config.published}"]
    chosen, (published, expected) = choices(), _compose(words)
    others = [group for group in _GROUPS if chosen[group] != expected[group]]
    if "world" in others:
        published, of_the_world = _compose([*words, f"world={chosen['world']}"])
        others = [group for group in others if group == "world" or chosen[group] != of_the_world[group]]
    told = [f"{group}={chosen[group]} (published: {expected[group]})" for group in others]
    published.data_root, published.generated_root = config.data_root, config.generated_root  # other keys refer to them
    free = [*_FREE, *unread, *others, *_followed(config, published)]
    before, now = (without(_told(one), free) for one in (published, config))
    return told + [f"{key}={_value(now, key)} (published: {_value(before, key)})" for key in differences(before, now)]


def _compose(words: Sequence[str]) -> tuple[DictConfig, Mapping[str, str]]:
    """Returns a config of ``train`` and the options that were chosen for it."""
    config = hydra.compose("train", overrides=list(words), return_hydra_config=True)
    with open_dict(config):
        return config, config.pop("hydra").runtime.choices


def _told(config: DictConfig) -> dict[str, Any]:
    machine = {key: config.machine[key] for key in _SHARING}
    return {**compared(config), "machine": machine}


def _followed(config: DictConfig, published: DictConfig) -> list[str]:
    """Names the keys whose values differ without making a difference."""
    domain = config.domain.name if config.domain is not None else None
    keys = [f"data.{key}" for key in ("domain", "weather") if config.data.get(key) == domain]
    if config.machine.sync_batchnorm:
        keys.append("machine")
    same = config.trainer.precision in _FP32 and published.trainer.precision in _FP32
    if same or published.trainer.precision == "fast":  # which is what suits the device
        keys.append("trainer.precision")
    return keys


def _value(settings: Mapping[str, Any], dotted: str) -> Any:  # noqa: ANN401 - a plain value
    found: Any = settings
    for key in dotted.split("."):
        found = found.get(key, "nothing") if isinstance(found, Mapping) else "nothing"
    return found
