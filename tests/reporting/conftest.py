import pytest

from tests.reporting.made import result
from zsda.reporting.comparison import Comparison


@pytest.fixture
def comparison():
    """Two targets, one of them with an oracle and with a method of one seed."""
    return Comparison(
        [
            result("oracle", "fog", 0, fog=50, day=30),
            result("mine", "fog", 0, fog=10, day=10),
            result("sdgpa", "snow", 0, snow=40, day=44),
            result("sdgpa", "snow", 1, snow=44, day=40),
            result("sdgpa", "fog", 0, fog=34, day=46),
            result("sdgpa", "fog", 1, fog=36, day=42, snow=1),
            result("source_only", None, 0, fog=20, snow=30, day=47),
            result("source_only", None, 1, fog=24, snow=30, day=51),
        ]
    )


@pytest.fixture
def from_game():
    """Two seeds of a baseline that saw the game alone, and of a method that adapted it to the day."""
    return [
        *(result("source_only", None, seed, source_setting="game", game=60 + seed, day=30 + seed) for seed in range(2)),
        *(result("hiast", "day", seed, source_setting="game", game=56 + 2 * seed, day=40 + seed) for seed in range(2)),
    ]
