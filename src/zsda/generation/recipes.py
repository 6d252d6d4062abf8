"""How one source image becomes one edited image: which patches are cut out, and how the edited ones are put back.

SDGPA (Luo, Zhao, Liu, IROS 2025, arXiv 2508.03300): an *intermediate* image has one random patch edited, so it lies
between source and target; in a *target* image every patch is edited. Only geometry here, no networks.
"""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from zsda.errors import ConfigError


class Box(NamedTuple):
    """A rectangle of the canvas in pixels; right and bottom are exclusive."""

    left: int
    top: int
    right: int
    bottom: int


def derive_seed(seed: int, source: str, domain: str, recipe: str, patch_index: int, purpose: str) -> int:
    """Hashes what an edit depends on into a seed of 63 bits.

    The result depends on nothing else, so an image gets the same patch position and the same noise whatever the order,
    the batch size, the number of workers or devices, and however often a run was interrupted.

    Args:
        seed: the seed of the run.
        source: path of the source image relative to its data set, in POSIX form.
        domain: name of the domain.
        recipe: name of the recipe.
        patch_index: number of the patch within the image.
        purpose: what the seed is for, ``position`` or ``noise``.
    """
    key = json.dumps([seed, source, domain, recipe, patch_index, purpose], separators=(",", ":"))
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") >> 1


class Recipe(ABC):
    """Cuts patches of one size out of a canvas and puts them back.

    Args:
        canvas: width and height in pixels that a source image is resized to.
        patch: width and height in pixels of what the editor sees.

    Raises:
        ConfigError: the sizes make no sense together.
    """

    name: ClassVar[str]

    def __init__(self, canvas: Sequence[int], patch: Sequence[int]) -> None:
        if len(canvas) != 2 or not all(isinstance(size, int) and size > 0 for size in (*canvas, *patch)):
            raise ConfigError(
                f"recipe {self.name}: canvas={list(canvas)}, patches {list(patch)}; "
                "expected width and height in pixels, e.g. canvas=[1024,512] patch_size=512"
            )
        self.canvas = (canvas[0], canvas[1])
        self.patch = (patch[0], patch[1])
        if patch[0] > canvas[0] or patch[1] > canvas[1]:
            raise ConfigError(
                f"recipe {self.name}: patches of {patch[0]}x{patch[1]} do not fit into a canvas of "
                f"{canvas[0]}x{canvas[1]}; choose a smaller patch_size= or a larger canvas="
            )

    @property
    def patches_per_image(self) -> int:
        """Number of patches that are edited in one image."""
        return 1

    @abstractmethod
    def boxes(self, seed: int, source: str, domain: str) -> list[Box]:
        """Says where the patches lie; the arguments are those of `derive_seed`."""

    def describe(self) -> dict[str, Any]:
        """Returns the values as they are recorded beside a generated set."""
        return {"name": self.name, "canvas": list(self.canvas), "patch": list(self.patch)}

    def check_fits(self, multiple: int) -> None:
        """Refuses patches that the editor cannot take as they are.

        Args:
            multiple: what width and height of a patch must be a multiple of.

        Raises:
            ConfigError: they are not.
        """
        if any(size % multiple for size in self.patch):
            nearest = "x".join(str(max(multiple, size - size % multiple)) for size in self.patch)
            raise ConfigError(
                f"recipe {self.name}: patches of {self.patch[0]}x{self.patch[1]}; the editor works on multiples of "
                f"{multiple}, e.g. {nearest}; change patch_size= or canvas="
            )

    def draw_canvas(self, image: Image.Image) -> Tensor:
        """Resizes an RGB image to the canvas, uint8 [3, H, W]."""
        resized = image.resize(self.canvas, Image.Resampling.LANCZOS)
        return torch.from_numpy(np.array(resized)).permute(2, 0, 1).contiguous()

    def cut(self, canvas: Tensor, boxes: Sequence[Box]) -> Tensor:
        """Cuts patches [N, C, h, w] out of a canvas [C, H, W]."""
        return torch.stack([canvas[:, top:bottom, left:right] for left, top, right, bottom in boxes])

    def merge(self, canvas: Tensor, boxes: Sequence[Box], patches: Tensor) -> Tensor:
        """Pastes patches [N, C, h, w] into a copy of the canvas [C, H, W], of the same type."""
        merged = canvas.clone()
        for (left, top, right, bottom), patch in zip(boxes, patches, strict=True):
            merged[:, top:bottom, left:right] = patch
        return merged


class Intermediate(Recipe):
    """One random patch is edited and pasted back; the rest of the image stays as it was.

    Args:
        canvas: width and height in pixels.
        patch_size: side of the square patch in pixels.

    Raises:
        ConfigError: the patch does not fit into the canvas.
    """

    name = "intermediate"

    def __init__(self, canvas: Sequence[int] = (1024, 512), patch_size: int = 512) -> None:
        super().__init__(canvas, (patch_size, patch_size))

    def boxes(self, seed: int, source: str, domain: str) -> list[Box]:
        """Draws the position of the patch, every pixel position being equally likely."""
        (width, height), (patch_width, patch_height) = self.canvas, self.patch
        columns, rows = width - patch_width + 1, height - patch_height + 1
        top, left = divmod(derive_seed(seed, source, domain, self.name, 0, "position") % (columns * rows), columns)
        return [Box(left, top, left + patch_width, top + patch_height)]


class Target(Recipe):
    """Every patch of the image is edited, and the patches are merged.

    Args:
        canvas: width and height in pixels.
        patch_size: side of the square patches in pixels; they tile the canvas.

    Raises:
        ConfigError: the patches do not tile the canvas.
    """

    name = "target"

    def __init__(self, canvas: Sequence[int] = (1024, 512), patch_size: int = 512) -> None:
        super().__init__(canvas, (patch_size, patch_size))
        if any(size % patch_size for size in self.canvas):
            raise ConfigError(
                f"recipe target: patch_size={patch_size} does not divide the canvas of {canvas[0]}x{canvas[1]}; "
                "choose a patch_size= that divides both, or recipe=[whole]"
            )

    @property
    def patches_per_image(self) -> int:
        """Number of tiles."""
        return (self.canvas[0] // self.patch[0]) * (self.canvas[1] // self.patch[1])

    def boxes(self, seed: int, source: str, domain: str) -> list[Box]:
        """Tiles the canvas left to right, then top to bottom; the arguments change nothing."""
        (width, height), (step_x, step_y) = self.canvas, self.patch
        return [Box(x, y, x + step_x, y + step_y) for y in range(0, height, step_y) for x in range(0, width, step_x)]


class Whole(Recipe):
    """The image is edited in one go: the control to patch-wise editing.

    Args:
        canvas: width and height in pixels.
    """

    name = "whole"

    def __init__(self, canvas: Sequence[int] = (1024, 512)) -> None:
        super().__init__(canvas, canvas)

    def boxes(self, seed: int, source: str, domain: str) -> list[Box]:
        """Returns the canvas itself; the arguments change nothing."""
        return [Box(0, 0, *self.canvas)]
