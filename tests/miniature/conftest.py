import pytest

from tests.miniature.streets import benchmark_streets
from zsda.miniature.render.scenes import Scene


@pytest.fixture(scope="session")
def scenes() -> list[Scene]:
    return benchmark_streets()
