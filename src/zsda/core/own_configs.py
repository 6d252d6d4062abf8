"""Files of a user's ``--config-dir`` that are no configs, named."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from omegaconf import OmegaConf

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


def _folders(words: Sequence[str]) -> Iterator[Path]:
    for word, following in zip(words, [*words[1:], ""], strict=True):
        option, sign, folder = word.partition("=")
        if option in _OPTIONS:
            yield Path(folder if sign else following)
