"""Geometry of patches on a canvas: where they lie, and how tiles that overlap become one image again."""

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:  # see recipes
    from torch import Tensor


class Box(NamedTuple):
    """A rectangle of the canvas in pixels; right and bottom are exclusive."""

    left: int
    top: int
    right: int
    bottom: int


def spread(length: int, tile: int, overlap: int) -> list[int]:
    """Says where tiles begin along one axis: as few as possible, evenly spread, flush with both ends.

    Args:
        length: of the axis in pixels.
        tile: length of a tile, at most that of the axis.
        overlap: what neighbours share at least, from 0 to ``tile - 1``.
    """
    count = -(-(length - overlap) // (tile - overlap))
    # Rounding down keeps the overlap: no step is longer than the even one rounded up, which is a whole number at most
    # tile - overlap.
    return [0] if tile == length else [index * (length - tile) // (count - 1) for index in range(count)]


def feather(starts: Sequence[int], tile: int) -> "Tensor":
    """Weighs the pixels of tiles along one axis: linear ramps where neighbours overlap, exactly 1 elsewhere.

    Args:
        starts: where the tiles begin, as `spread` says.
        tile: length of a tile.

    Returns:
        float64 [number of tiles, tile]; above 0, and at each pixel of the axis the sum over all tiles is 1.
    """
    import torch

    weights = torch.ones(len(starts), tile, dtype=torch.float64)
    for index, (before, start) in enumerate(pairwise(starts)):
        overlap = before + tile - start
        ramp = torch.arange(1, overlap + 1, dtype=torch.float64) / (overlap + 1)
        weights[index + 1, :overlap] *= ramp
        weights[index, tile - overlap :] *= ramp.flip(0)
    total = torch.zeros(starts[-1] + tile, dtype=torch.float64)
    for start, weight in zip(starts, weights, strict=True):
        total[start : start + tile] += weight
    return weights / torch.stack([total[start : start + tile] for start in starts])


def place(canvas: tuple[int, int], patch: tuple[int, int], others: Sequence[Box], seed: int) -> Box:
    """Places a patch where it overlaps others least: not at all where there is room, each such place being equally likely.

    Args:
        canvas: width and height in pixels.
        patch: width and height in pixels.
        others: patches that are placed already.
        seed: chooses among the places.
    """
    (width, height), (patch_width, patch_height) = canvas, patch
    columns, rows = np.arange(width - patch_width + 1), np.arange(height - patch_height + 1)
    shared = np.zeros((len(rows), len(columns)), np.int64)
    for left, top, right, bottom in others:
        shared += np.outer(_common(rows, patch_height, top, bottom), _common(columns, patch_width, left, right))
    places = np.flatnonzero(shared == shared.min())
    top, left = divmod(int(places[seed % len(places)]), len(columns))
    return Box(left, top, left + patch_width, top + patch_height)


def _common(starts: np.ndarray, length: int, start: int, end: int) -> np.ndarray:
    """Returns the length that intervals from ``starts`` have in common with the one from ``start`` to ``end``."""
    return (np.minimum(starts + length, end) - np.maximum(starts, start)).clip(min=0)
