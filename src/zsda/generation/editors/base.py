"""What generation needs to know of an editor: patches and a sentence in, edited patches out."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, Self

import torch
from torch import Tensor

from zsda.generation.domains import Domain


class Edits(NamedTuple):
    """Edited patches.

    Attributes:
        images: uint8 [N, 3, h, w] on the CPU.
        finite: bool [N] on the CPU: whether the editor calculated finite values only. Where it did not, the image is void.
    """

    images: Tensor
    finite: Tensor


class Editor(Protocol):
    """What generation needs to know of an editor."""

    @property
    def multiple(self) -> int:
        """What width and height of a patch must be a multiple of."""

    def to(self, device: torch.device | str) -> Self:
        """Loads the editor where it is not loaded yet, and moves it."""

    def edit(
        self,
        patches: Tensor,
        prompt: str,
        seeds: Sequence[int],
        text_guidance: float,
        image_guidance: float,
        precise: bool = False,
    ) -> Edits:
        """Edits patches [N, 3, h, w], uint8 or float in [0, 1], each with its own seed; ``precise``: in fp32."""

    def describe(self) -> dict[str, Any]:
        """Returns plain values that tell this editor from any other; a key ``versions`` is told but not compared."""


def edit_in_turns(
    editor: Editor, patches: Tensor, domain: Domain, seeds: Sequence[int], batch_size: int, precise: bool = False
) -> Edits:
    """Edits patches as `Editor.edit` does, at most so many at once.

    Args:
        editor: what edits.
        patches: uint8 [N, 3, h, w].
        domain: what is made of them.
        seeds: one for each patch.
        batch_size: how many patches the editor is given at most.
        precise: calculate in fp32.
    """
    turns = [
        editor.edit(
            patches[start : start + batch_size],
            domain.prompt,
            seeds[start : start + batch_size],
            domain.text_guidance,
            domain.image_guidance,
            precise,
        )
        for start in range(0, len(seeds), batch_size)
    ]
    return Edits(*(torch.cat(parts) for parts in zip(*turns, strict=True)))
