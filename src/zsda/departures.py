"""In what a training differs from the published setting that its experiment stands for."""

from collections.abc import Mapping, Sequence
from typing import Any

import hydra
from omegaconf import DictConfig, open_dict

from zsda.command import choices
from zsda.config import plain
from zsda.runs import differences, without

_GROUPS = ("world", "domain", "method", "model", "optimizer", "schedule")
# What the papers leave to the reader, what is read from other keys, and how devices share a batch, which makes it no other batch.
_FREE = (
    "seed",
    "data_root",
    "world",
    "data.domain",
    "data.weather",
    "data.seed",
    "data.source.root",
    "data.validation.root",
    "data.generated_root",
    "data.watch",
    "trainer.devices",
    "trainer.sync_batchnorm",
)


def departures(config: DictConfig, unread: Sequence[str] = ()) -> list[str]:
    """Names what a composed config of ``train`` changes of the experiment that its key ``published`` names.

    Args:
        config: as it was composed, inside a running command.
        unread: dotted keys that make no difference to the result.

    Returns:
        ``<key>=<value> (published: <value>)`` for each; empty if the training is the published one, or names none.
    """
    if config.published is None:
        return []
    published = hydra.compose("train", overrides=[f"experiment={config.published}"], return_hydra_config=True)
    with open_dict(published):
        expected = published.pop("hydra").runtime.choices
    chosen = choices()
    others = [group for group in _GROUPS if chosen[group] != expected[group]]
    if "world" in others:
        others = ["world"]  # it brings its own sizes, lengths and network
    told = [f"{group}={chosen[group]} (published: {expected[group]})" for group in others]
    if "world" in others:
        return told
    before, now = (without(plain(one), (*unread, *_FREE, *others)) for one in (published, config))
    return told + [f"{key}={_value(now, key)} (published: {_value(before, key)})" for key in differences(before, now)]


def _value(settings: Mapping[str, Any], dotted: str) -> Any:  # noqa: ANN401 - a plain value
    found: Any = settings
    for key in dotted.split("."):
        found = found.get(key, "nothing") if isinstance(found, Mapping) else "nothing"
    return found
