"""What the edited images are to look like."""

from dataclasses import asdict, dataclass
from typing import Any

from zsda.core.values import IMAGE_GUIDANCE, NAME, SENTENCE, TEXT_GUIDANCE


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
        NAME.check("domain.name", self.name)
        SENTENCE.check("domain.prompt", self.prompt)
        # Below these bounds the pipeline ignores both scales without a word.
        TEXT_GUIDANCE.check("domain.text_guidance", self.text_guidance)
        IMAGE_GUIDANCE.check("domain.image_guidance", self.image_guidance)

    def describe(self) -> dict[str, Any]:
        """Returns the values as they are recorded beside a generated set."""
        return asdict(self)
