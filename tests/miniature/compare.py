import dataclasses

import numpy as np

from zsda.miniature.scenes import Scene


def differing_fields(first: Scene, second: Scene) -> list[str]:
    return [f.name for f in dataclasses.fields(Scene) if not _same(getattr(first, f.name), getattr(second, f.name))]


def _same(first: object, second: object) -> bool:
    return np.array_equal(first, second) if isinstance(first, np.ndarray) else first == second
