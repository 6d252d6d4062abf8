"""Streets that several tests paint."""

import pytest

from zsda.miniature.scenes import Scene, render_scene

SEEDS = range(6)


@pytest.fixture(scope="session")
def scenes() -> list[Scene]:
    """One street for each of `SEEDS`; looks must not change them."""
    return [render_scene(seed) for seed in SEEDS]
