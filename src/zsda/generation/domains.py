"""What the edited images are to look like."""

from dataclasses import asdict, dataclass
from typing import Any

from zsda.core.errors import ConfigError
from zsda.core.files import check_folder_name


@dataclass(frozen=True)
class Domain:
    """A condition of which no image exists, only a sentence.

    Args:
        name: letters, digits, ``_ - . +``; generated sets are called ``<name>_<recipe>``.
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
        check_folder_name("domain.name", self.name)
        if not isinstance(self.prompt, str) or not self.prompt.strip():
            raise ConfigError(f'domain.prompt is empty; give domain.prompt="..." for the domain {self.name}')
        # Below these bounds the pipeline ignores both scales without a word.
        if not isinstance(self.text_guidance, int | float) or not self.text_guidance > 1:
            raise ConfigError(f"domain.text_guidance={self.text_guidance}; expected a number above 1")
        if not isinstance(self.image_guidance, int | float) or not self.image_guidance >= 1:
            raise ConfigError(f"domain.image_guidance={self.image_guidance}; expected a number of at least 1")

    def describe(self) -> dict[str, Any]:
        """Returns the values as they are recorded beside a generated set."""
        return asdict(self)
