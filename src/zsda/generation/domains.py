"""What the edited images are to look like."""

import re
from dataclasses import asdict, dataclass
from typing import Any

from zsda.errors import ConfigError

_PLAIN_NAME = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True)
class Domain:
    """A condition of which no image exists, only a sentence.

    Args:
        name: letters, digits, ``-`` and ``_``; generated sets are called ``<name>_<recipe>``.
        prompt: the instruction to the editor.
        text_guidance: how strongly the edit follows the prompt, more than 1.
        image_guidance: how strongly the edit keeps to the image, at least 1.

    Raises:
        ConfigError: a value is outside what is said above.
    """

    name: str
    prompt: str
    text_guidance: float = 7.5
    image_guidance: float = 1.5

    def __post_init__(self) -> None:
        if not _PLAIN_NAME.fullmatch(str(self.name)):
            raise ConfigError(f"domain.name={self.name!r} cannot name a folder; expected letters, digits, - and _ only")
        if not isinstance(self.prompt, str) or not self.prompt.strip():
            raise ConfigError(f'domain.prompt is empty; give domain.prompt="..." for the domain {self.name}')
        # Below these bounds the pipeline ignores both scales without a word.
        if not self.text_guidance > 1:
            raise ConfigError(f"domain.text_guidance={self.text_guidance}; expected a number above 1")
        if not self.image_guidance >= 1:
            raise ConfigError(f"domain.image_guidance={self.image_guidance}; expected a number of at least 1")

    def describe(self) -> dict[str, Any]:
        """Returns the values as they are recorded beside a generated set."""
        return asdict(self)
