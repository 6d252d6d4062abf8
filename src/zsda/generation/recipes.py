"""How one source image becomes one edited image: which patches are cut out, and how the edited ones are put back.

SDGPA (Luo, Zhao, Liu, IROS 2025, arXiv 2508.03300): an *intermediate* image has one random patch edited, so it lies
between source and target; in a *target* image every patch is edited. The defaults are the published ones. No networks here.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import product
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from PIL import Image

from zsda.core.errors import ConfigError
from zsda.core.seeds import derive_seed
from zsda.core.values import PATCH, SIDES, check_patch, shown, whole
from zsda.generation.tiling import Box, feather, place, spread

# Imported where it is used, so that a wrong recipe or folder is told at once.
if TYPE_CHECKING:
    from torch import Tensor


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
        SIDES.check(f"recipes.{self.name}.canvas", canvas)
        self.canvas = (canvas[0], canvas[1])
        self.patch = (patch[0], patch[1])
        check_patch(self.name, canvas, patch)

    @classmethod
    def _sides(cls, patch_size: int | Sequence[int]) -> Sequence[int]:
        PATCH.check(f"recipes.{cls.name}.patch_size", patch_size)
        return (patch_size, patch_size) if isinstance(patch_size, int) else patch_size

    @property
    def patches_per_image(self) -> int:
        """Number of patches that are edited in one image."""
        return 1

    @abstractmethod
    def boxes(self, seed: int, source: str, domain: str) -> list[Box]:
        """Says where the patches lie; the arguments are those of `zsda.core.seeds.derive_seed`."""

    def describe(self) -> dict[str, Any]:
        """Returns the values as they are recorded beside a generated set."""
        return {"name": self.name, "canvas": list(self.canvas), "resampling": "bicubic", "patch": list(self.patch)}

    def check_fits(self, multiple: int) -> None:
        """Refuses patches that the editor cannot take as they are.

        Args:
            multiple: what width and height of a patch must be a multiple of.

        Raises:
            ConfigError: they are not.
        """
        if any(size % multiple for size in self.patch):
            nearest = [max(multiple, size - size % multiple) for size in self.patch]
            raise ConfigError(
                f"recipe {self.name}: patches of {_size(self.patch)}; the editor works on multiples of "
                f"{multiple}, e.g. {_size(nearest)}; change patch_size= or canvas="
            )

    def draw_canvas(self, image: Image.Image) -> "Tensor":
        """Resizes an RGB image to the canvas as the published code does, bicubically; uint8 [3, H, W]."""
        import torch

        resized = image.resize(self.canvas, Image.Resampling.BICUBIC)
        return torch.from_numpy(np.array(resized)).permute(2, 0, 1).contiguous()

    def cut(self, canvas: "Tensor", boxes: Sequence[Box]) -> "Tensor":
        """Cuts patches [N, C, h, w] out of a canvas [C, H, W]."""
        import torch

        return torch.stack([canvas[:, top:bottom, left:right] for left, top, right, bottom in boxes])

    def merge(self, canvas: "Tensor", boxes: Sequence[Box], patches: "Tensor") -> "Tensor":
        """Pastes patches [N, C, h, w] into a copy of the canvas [C, H, W], of the same type, later ones over earlier ones."""
        merged = canvas.clone()
        for (left, top, right, bottom), patch in zip(boxes, patches, strict=True):
            merged[:, top:bottom, left:right] = patch
        return merged


class Intermediate(Recipe):
    """Few patches, by default one at a random place, are edited and pasted back; the rest of the image stays as it was.

    Several patches overlap as little as they can: each is put where it overlaps the earlier ones least, not at all where they
    left room, every such place being equally likely. Where patches do overlap, the later one lies on top.

    Args:
        canvas: width and height in pixels.
        patch_size: side of the square patches in pixels, or their width and height.
        patches: number of patches.
        position: ``random``; or, for a single patch, always the same place: ``left``, ``right`` or ``center``, half-way
            between top and bottom, or its left and top in pixels.

    Raises:
        ConfigError: the patches do not fit into the canvas, or the position makes no sense.
    """

    name = "intermediate"

    def __init__(
        self,
        canvas: Sequence[int] = (1024, 512),
        patch_size: int | Sequence[int] = 512,
        patches: int = 1,
        position: str | Sequence[int] = "random",
    ) -> None:
        super().__init__(canvas, self._sides(patch_size))
        most = (self.canvas[0] // self.patch[0]) * (self.canvas[1] // self.patch[1])
        if not whole(1, most).fits(patches):
            raise ConfigError(
                f"recipes.intermediate.patches={patches}; expected 1 to {most}, as many as fit side by side into a canvas of "
                f"{_size(self.canvas)} with patches of {_size(self.patch)}; choose fewer or a smaller patch_size="
            )
        self.patches = patches
        self.corner = None if position == "random" else self._corner(position)
        if self.corner is not None and patches > 1:
            raise ConfigError(
                f"recipes.intermediate.patches={patches} with position={shown(position)}; expected position=random for more "
                "than one patch"
            )

    @property
    def patches_per_image(self) -> int:
        """Number of patches."""
        return self.patches

    def boxes(self, seed: int, source: str, domain: str) -> list[Box]:
        """Draws the positions of the patches; a fixed position depends on nothing."""
        if self.corner is not None:
            left, top = self.corner
            return [Box(left, top, left + self.patch[0], top + self.patch[1])]
        boxes: list[Box] = []
        for index in range(self.patches):
            chosen = derive_seed(seed, source, domain, self.name, index, "position")
            boxes.append(place(self.canvas, self.patch, boxes, chosen))
        return boxes

    def describe(self) -> dict[str, Any]:
        """Returns the values as they are recorded beside a generated set."""
        described = super().describe()
        # Only what is not as published: sets that were made before these options came must still be continued.
        if self.patches > 1:
            described["patches"] = self.patches
        if self.corner is not None:
            described["position"] = list(self.corner)
        return described

    def _corner(self, position: str | Sequence[int]) -> tuple[int, int]:
        across, down = (size - side for size, side in zip(self.canvas, self.patch, strict=True))
        places = {"left": (0, down // 2), "right": (across, down // 2), "center": (across // 2, down // 2)}
        if isinstance(position, str) and position in places:
            return places[position]
        is_pair = isinstance(position, Sequence) and len(position) == 2
        if not is_pair or not all(isinstance(value, int) for value in position):
            raise ConfigError(
                f"recipes.intermediate.position={shown(position)}; expected random, {', '.join(places)}, or left and top in "
                "pixels, e.g. position=[0,0]"
            )
        left, top = int(position[0]), int(position[1])
        if not (0 <= left <= across and 0 <= top <= down):
            raise ConfigError(
                f"recipes.intermediate.position={shown(position)}: a patch of {_size(self.patch)} leaves the canvas of "
                f"{_size(self.canvas)} there; expected left from 0 to {across} and top from 0 to {down}"
            )
        return left, top


class Target(Recipe):
    """Every part of the image is edited in some patch, and the patches are merged.

    The patches tile the canvas: as few as possible, evenly spread, flush with its borders. Where neighbours overlap, one
    fades into the other linearly; elsewhere the bytes of a patch stay as they are.

    Args:
        canvas: width and height in pixels.
        patch_size: side of the square patches in pixels, or their width and height. Patches that do not divide the canvas
            overlap.
        overlap: what neighbours overlap at least, in pixels.

    Raises:
        ConfigError: the patches do not fit into the canvas, or the overlap into the patches.
    """

    name = "target"

    def __init__(
        self, canvas: Sequence[int] = (1024, 512), patch_size: int | Sequence[int] = 512, overlap: int = 0
    ) -> None:
        super().__init__(canvas, self._sides(patch_size))
        if not whole(0, min(self.patch) - 1).fits(overlap):
            raise ConfigError(
                f"recipes.target.overlap={overlap} with patches of {_size(self.patch)}; expected 0 to {min(self.patch) - 1} pixels"
            )
        self.overlap = overlap
        self._columns, self._rows = (
            spread(length, tile, overlap) for length, tile in zip(self.canvas, self.patch, strict=True)
        )

    @property
    def patches_per_image(self) -> int:
        """Number of tiles."""
        return len(self._columns) * len(self._rows)

    def boxes(self, seed: int, source: str, domain: str) -> list[Box]:
        """Tiles the canvas left to right, then top to bottom; the arguments change nothing."""
        width, height = self.patch
        return [Box(left, top, left + width, top + height) for top, left in product(self._rows, self._columns)]

    def merge(self, canvas: "Tensor", boxes: Sequence[Box], patches: "Tensor") -> "Tensor":
        """Blends the tiles [N, C, h, w] of all ``boxes``, in their order, into an image [C, H, W] of the canvas' type."""
        import torch

        width, height = self.patch
        weights = product(feather(self._rows, height), feather(self._columns, width))
        merged = torch.zeros(canvas.shape, dtype=torch.float64)
        for (left, top, right, bottom), patch, (down, across) in zip(boxes, patches, weights, strict=True):
            merged[:, top:bottom, left:right] += patch * torch.outer(down, across)
        return merged.round().to(canvas.dtype)

    def describe(self) -> dict[str, Any]:
        """Returns the values as they are recorded beside a generated set."""
        # Only what is not as published: sets that were made before this option came must still be continued.
        return super().describe() | ({"overlap": self.overlap} if self.overlap else {})


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


def _size(sides: Sequence[int]) -> str:
    return f"{sides[0]}x{sides[1]}"
