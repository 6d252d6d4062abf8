"""What the small editor is trained on: training streets, each by day and as it looks in every condition."""

import io
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from tools.small_editor.looks import LOOKS
from tools.small_editor.streets import TRAINING_STREETS
from zsda.core.errors import ConfigError
from zsda.core.files import write_atomic
from zsda.miniature.looks.weather import apply_look
from zsda.miniature.render.scenes import RENDERER_VERSION, render_scene

STORED = ("day", "night", "snow", "rain", "fog", "game")
"""The looks of a scene in the order in which they are stored; the first one is the picture before the edit."""

PER_SHARD = 100
"""Scenes in one file; the last file may have fewer."""


@dataclass(frozen=True)
class PicturePairs:
    """Rendered pictures on disk, in shards; the day picture of a scene makes a pair with each of its others.

    Attributes:
        root: folder of the shards, which lie in one for each size, number and version of the renderer.
        scenes: number of scenes.
        size: height, width of a picture in pixels.

    Raises:
        ConfigError: no scenes.
    """

    root: Path
    scenes: int
    size: tuple[int, int]

    def __post_init__(self) -> None:
        if self.scenes < 1:
            raise ConfigError(f"scenes={self.scenes}; expected at least 1")

    def render(self, processes: int) -> None:
        """Renders the shards that are missing, in several processes."""
        missing = [(path, numbers) for path, numbers in self._shards() if not path.is_file()]
        if not missing:
            return
        with ProcessPoolExecutor(max(processes, 1), mp_context=get_context("spawn")) as pool:
            jobs: list[Future[None]] = [
                pool.submit(_render_shard, path, numbers, self.size) for path, numbers in missing
            ]
            for job in track(as_completed(jobs), description="pairs", total=len(jobs)):
                job.result()

    def shards(self) -> Iterator[NDArray[np.uint8]]:
        """Yields uint8 [scenes, looks, H, W, 3], mapped from disk, in order."""
        for path, _ in self._shards():
            yield np.load(path, mmap_mode="r")

    def _shards(self) -> Iterator[tuple[Path, range]]:
        folder = self.root / f"{self.size[0]}x{self.size[1]}_{self.scenes}_v{RENDERER_VERSION}"
        for start in range(0, self.scenes, PER_SHARD):
            numbers = range(start, min(start + PER_SHARD, self.scenes))
            yield folder / f"shard_{start // PER_SHARD:04d}.npy", numbers


def render_looks(number: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Renders one scene in all looks, uint8 [looks, H, W, 3]; equal numbers give equal pictures."""
    seed = TRAINING_STREETS.first_seed + number
    scene = render_scene(seed, size, TRAINING_STREETS)
    return np.stack([apply_look(scene, look, seed, LOOKS) for look in STORED])


def _render_shard(path: Path, numbers: range, size: tuple[int, int]) -> None:
    pictures = np.stack([render_looks(number, size) for number in numbers])
    buffer = io.BytesIO()
    np.save(buffer, pictures)
    write_atomic(path, buffer.getvalue())
