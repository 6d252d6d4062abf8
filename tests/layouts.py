"""Tiny data sets in the layouts of SYNTHIA and RobotCar, and lists as HIAST publishes them."""

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIZE = (64, 128)
SYNTHIA_ROOT, ROBOTCAR_ROOT = "SYNTHIA_RAND_CITYSCAPES/RAND_CITYSCAPES", "RobotCar"
"""Where the configs expect them, below ``data_root``."""


def write_image(path: Path, seed: int, size: tuple[int, int] = SIZE) -> None:
    """Writes noise of one tint."""
    path.parent.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(seed)
    pixels = generator.integers(0, 128, (*size, 3)) + generator.integers(0, 128, 3)
    Image.fromarray(pixels.astype(np.uint8)).save(path)


def stripes(ids: Sequence[int], size: tuple[int, int] = SIZE) -> NDArray[np.uint16]:
    """Returns a map of upright stripes, one of each id, [H, W]."""
    return np.broadcast_to(np.array(ids, np.uint16)[np.arange(size[1]) * len(ids) // size[1]], size).copy()


def write_synthia_label(path: Path, ids: NDArray[np.uint16]) -> None:
    """Writes ids [H, W] as SYNTHIA has them: 3 channels of 16 bits, the class first, then the instance."""
    path.parent.mkdir(parents=True, exist_ok=True)
    instances = np.arange(ids.size, dtype=np.uint16).reshape(ids.shape)
    assert cv2.imwrite(str(path), np.stack([np.zeros_like(ids), instances, ids], axis=-1))  # OpenCV takes blue first


def write_robotcar_label(path: Path, ids: NDArray[np.uint16]) -> None:
    """Writes ids [H, W] as RobotCar has them: 4 channels of 8 bits, the class first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    others = [np.full(ids.shape, value) for value in (201, 202, 255)]
    Image.fromarray(np.stack([ids, *others], axis=-1).astype(np.uint8)).save(path)


def write_synthia(data_root: Path, frames: int = 4) -> Path:
    """Writes frames 0000000.png and on, with all ids from 0 to 22; returns the root of the set."""
    root = data_root / SYNTHIA_ROOT
    for number in range(frames):
        write_image(root / f"RGB/{number:07d}.png", number)
        write_synthia_label(root / f"GT/LABELS/{number:07d}.png", stripes(range(23)))
    return root


def write_robotcar(data_root: Path, train: int = 3, val: int = 2) -> Path:
    """Writes unlabelled and labelled frames, with the ids from 0 to 18; returns the root of the set."""
    root = data_root / ROBOTCAR_ROOT
    for split, frames in (("train", train), ("val", val)):
        for number in range(frames):
            write_image(root / f"{split}/{split}_{number}.png", number)
            if split == "val":
                write_robotcar_label(root / f"anno/{split}_{number}.png", stripes(range(19)))
    return root


def write_list(path: Path, *frames: tuple[str, str]) -> Path:
    """Writes a list of (image, label); returns where it is."""
    path.write_text(json.dumps([{"image_name": i, "mask_name": m, "has_target": bool(m)} for i, m in frames]))
    return path
