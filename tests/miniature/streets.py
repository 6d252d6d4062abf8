"""Streets that several tests paint, and how two of them are compared."""

import dataclasses
from functools import cache

import numpy as np

from zsda.miniature.render.scenes import Scene, render_scene

SEEDS = range(6)


@cache
def benchmark_streets() -> list[Scene]:
    """One street for each of `SEEDS`; looks must not change them."""
    return [render_scene(seed) for seed in SEEDS]


def differing_fields(first: Scene, second: Scene) -> list[str]:
    return [f.name for f in dataclasses.fields(Scene) if not _same(getattr(first, f.name), getattr(second, f.name))]


def _same(first: object, second: object) -> bool:
    return np.array_equal(first, second) if isinstance(first, np.ndarray) else first == second
