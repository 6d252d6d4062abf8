"""Photograph-like images in the Cityscapes layout, a tiny pipeline and an editor without a network."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from lightning import Trainer
from PIL import Image

from tests.pipeline import make_pipeline
from zsda.core.seeds import derive_seed
from zsda.data.datasets.cityscapes import Cityscapes
from zsda.data.faults import FaultLog
from zsda.generation.data import PatchDataModule, SourcePatches
from zsda.generation.domains import Domain
from zsda.generation.editors.base import Edits
from zsda.generation.gates import Gate
from zsda.generation.recipes import Target
from zsda.generation.store import GeneratedStore
from zsda.generation.task import GenerationTask, StoreWriter, complete_set
from zsda.miniature.writer import write_miniature

HALVES = Target((128, 64), 64)


def draw_cityscapes(root: Path, train: int, val: int = 0, size: tuple[int, int] = (160, 80)) -> Path:
    """Draws frames of two cities with sky, road, houses and grain, and labels for them; returns ``root``."""
    random = np.random.default_rng(3)
    width, height = size
    for split, count in (("train", train), ("val", val)):
        for index in range(count):
            city = ("aachen", "bochum")[index % 2]
            pixels = np.full((height, width, 3), (150, 180, 220), float)
            pixels[height // 2 :] = (90, 85, 90)
            for _ in range(6):
                x, y = random.integers(0, width - 20), random.integers(0, height // 2)
                pixels[y : y + 30, x : x + 20] = random.integers(30, 220, 3)
            pixels += random.normal(0, 6, pixels.shape)
            frame = f"{city}_000000_{index:06d}"
            image = root / "leftImg8bit" / split / city / f"{frame}_leftImg8bit.png"
            label = root / "gtFine" / split / city / f"{frame}_gtFine_labelIds.png"
            for path in (image, label):
                path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(image)
            Image.fromarray(np.full((height, width), 7, np.uint8)).save(label)
    return root


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path)).astype(int)


def shifted(patch, x, y):
    """A patch, uint8 [3, h, w], moved by so many pixels; what comes in is the border."""
    return _warped(patch, [[1, 0, x], [0, 1, y]], cv2.BORDER_REPLICATE)


def enlarged(patch, zoom):
    """A patch, uint8 [3, h, w], enlarged about its centre."""
    height, width = patch.shape[1:]
    centre = ((width - 1) / 2 * (1 - zoom), (height - 1) / 2 * (1 - zoom))
    return _warped(patch, [[zoom, 0, centre[0]], [0, zoom, centre[1]]], cv2.BORDER_REPLICATE)


def _warped(patch, transform, border):
    pixels = patch.permute(1, 2, 0).contiguous().numpy()
    moved = cv2.warpAffine(pixels, np.array(transform, np.float64), pixels.shape[1::-1], borderMode=border)
    return torch.from_numpy(moved).permute(2, 0, 1).contiguous()


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


class NegativeEditor:
    """Turns patches into their negative; remembers the calls.

    Args:
        fail_after: the call before which the power goes off.
        flaws: seed -> ``black``, ``flat``, ``unchanged`` or ``non-finite``: what comes out instead with that seed.
    """

    multiple = 8

    def __init__(self, fail_after: int | None = None, flaws: dict[int, str] | None = None):
        self.calls: list[list[int]] = []
        self.precise: list[bool] = []
        self.fail_after = fail_after
        self.flaws = flaws or {}

    def to(self, device):
        return self

    def edit(self, patches, prompt, seeds, text_guidance, image_guidance, precise=False):
        if len(self.calls) == self.fail_after:
            raise KeyError("the power went off")
        assert len(patches) == len(seeds)
        self.calls.append(list(seeds))
        self.precise.append(precise)
        images, flaws = 255 - patches, [self.flaws.get(seed) for seed in seeds]
        for index, flaw in enumerate(flaws):
            if flaw == "unchanged":
                images[index] = patches[index]
            elif flaw is not None:
                images[index] = 140 if flaw == "flat" else 0
        return Edits(images, torch.tensor([flaw != "non-finite" for flaw in flaws]))

    def describe(self):
        return {"model": "negative"}


@pytest.fixture(scope="session")
def pipeline_folder(tmp_path_factory) -> Path:
    return make_pipeline(tmp_path_factory.mktemp("editor") / "tiny-ip2p")


@pytest.fixture(scope="session")
def rendered(tmp_path_factory) -> Path:
    """A read-only data_root of six training scenes in 128x256, each also as it looks in every domain."""
    root = tmp_path_factory.mktemp("rendered")
    write_miniature(root, train=6, val=1, test=1, seed=3, size=(128, 256))
    return root


@pytest.fixture
def source(tmp_path) -> Cityscapes:
    """Five training and two validation images under ``tmp_path/cityscapes``."""
    return Cityscapes(draw_cityscapes(tmp_path / "cityscapes", train=5, val=2))


@pytest.fixture
def night() -> Domain:
    return Domain("night", "Make it evening", 20.0, 1.7)


@pytest.fixture
def faults() -> FaultLog:
    return FaultLog()


@pytest.fixture
def make(source, night, faults, tmp_path):
    """Makes a set as the command does, with an editor of choice."""

    def make_set(
        name,
        editor,
        recipe=HALVES,
        batch_size=4,
        num_workers=0,
        seed=0,
        retries=3,
        limit=None,
        edited=source,
        domain=night,
        gate=None,
    ):
        trainer = Trainer(
            accelerator="cpu",
            devices=1,
            logger=False,
            enable_progress_bar=False,
            enable_checkpointing=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
            callbacks=[StoreWriter()],
        )
        gate = Gate() if gate is None else gate
        store = GeneratedStore(tmp_path / name, {"seed": seed, "gate": gate.describe()}, retries)
        data = PatchDataModule(SourcePatches(edited, recipe, domain, seed, limit), store, batch_size, num_workers)
        complete_set(trainer, GenerationTask(editor, recipe, domain, seed, batch_size, faults, retries, gate), data)
        return tmp_path / name

    return make_set


def contents(root):
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def lines(root):
    return [json.loads(line) for line in (root / "manifest.jsonl").read_text().splitlines()]


def noise(sample, source, patch, attempt=0, recipe="target"):
    """The seed of an attempt at a patch of an image of the source."""
    path = source.samples[sample].image.relative_to(source.root).as_posix()
    return derive_seed(0, path, "night", recipe, patch, f"noise{attempt}" if attempt else "noise")


def always(flaw, sample, source, patch=0, attempts=4):
    return {noise(sample, source, patch, attempt): flaw for attempt in range(attempts)}
