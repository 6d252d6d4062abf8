"""Smooth noise: one tile, made once, that textures, clouds and weather look values up in."""

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from zsda.miniature.render.camera import Floats

SIDE = 256


@lru_cache(maxsize=1)
def tile() -> Floats:
    """Returns the tile: float32 [256, 256], between 0 and 1, mean 0.5, repeating without a seam."""
    generator = np.random.default_rng(2508)
    total = np.zeros((SIDE, SIDE), np.float32)
    for cells, weight in ((32, 1.0), (64, 0.6), (128, 0.4), (256, 0.25)):
        grid = np.pad(generator.random((cells, cells), np.float32), 2, mode="wrap")
        scale = SIDE // cells
        fine = cv2.resize(grid, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        total += weight * fine[2 * scale : 2 * scale + SIDE, 2 * scale : 2 * scale + SIDE]
    # Ranks instead of values: every threshold then covers the share of the area that it says.
    ranks = np.empty(SIDE * SIDE, np.float32)
    ranks[np.argsort(total, axis=None, kind="stable")] = np.linspace(0.0, 1.0, SIDE * SIDE, dtype=np.float32)
    return ranks.reshape(SIDE, SIDE)


def sample(column: Floats, row: Floats) -> Floats:
    """Looks the noise up at positions in cells of the tile; features are about eight cells wide."""
    # Bit masks wrap negative positions too, and np.take is several times faster than indexing.
    return np.take(tile(), (row.astype(np.int64) & SIDE - 1) * SIDE + (column.astype(np.int64) & SIDE - 1))


def smooth(column: Floats, row: Floats) -> Floats:
    """Looks the noise up as `sample` does, with interpolation; both [H, W]."""
    return cv2.remap(tile(), column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)


def wrap(value: Floats, period: float) -> Floats:
    """Returns the remainder in [0, period); np.mod is an order of magnitude slower."""
    return value - period * np.floor(value / period)


def field(size: tuple[int, int], generator: np.random.Generator, cells: tuple[int, int]) -> Floats:
    """Returns a smooth random field, float32 [H, W] between 0 and 1, with about ``cells`` features (rows, columns)."""
    coarse = generator.random((max(cells[0], 2), max(cells[1], 2)), np.float32)
    return np.clip(cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC), 0.0, 1.0)


def speckle(size: tuple[int, int], generator: np.random.Generator) -> NDArray[np.float32]:
    """Returns white Gaussian noise, float32 [H, W, 3]."""
    return generator.standard_normal((*size, 3), np.float32)
