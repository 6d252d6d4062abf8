"""Numbers recorded from the published implementations, and how their inputs are rebuilt."""

import json
import zlib
from pathlib import Path

import numpy as np
import torch

FOLDER = Path(__file__).parent


def recorded(name: str) -> dict[str, np.ndarray]:
    with np.load(FOLDER / f"{name}.npz") as arrays:
        return dict(arrays)


def state_dict(name: str) -> dict[str, torch.Tensor]:
    shapes = json.loads((FOLDER / f"{name}.json").read_text())
    return {key: torch.from_numpy(_tensor(key, tuple(shape))) for key, shape in shapes.items()}


def _tensor(key: str, shape: tuple[int, ...]) -> np.ndarray:
    if key.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    noise = np.random.RandomState(zlib.crc32(key.encode())).standard_normal(shape).astype(np.float32)
    if len(shape) == 4:
        return noise * np.float32(np.sqrt(1 / np.prod(shape[1:])))
    if key.endswith("running_var"):
        return 1 + np.float32(0.1) * np.abs(noise)
    if key.endswith("weight"):
        return 1 + np.float32(0.1) * noise
    return np.float32(0.1) * noise


def image(channels: int = 3) -> torch.Tensor:
    values = np.random.RandomState(zlib.crc32(b"image")).standard_normal((1, channels, 64, 128))
    return torch.from_numpy(values.astype(np.float32))
