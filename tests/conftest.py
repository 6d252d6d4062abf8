"""What several tests need: a small miniature world in the real layouts, sets made from it, and the commands as a user runs them."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.starting import call, spawn
from zsda.miniature.writer import write_miniature


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips what needs a GPU where there is none."""
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if marked:
        import torch  # here, so that a test without it starts at once

        if not torch.cuda.is_available():
            for item in marked:
                item.add_marker(pytest.mark.skip(reason="needs a GPU"))


Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Digests of files are remembered in a place of the tests' own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A read-only data_root: 8 + 4 day scenes, 3 of every target setting, 64x128."""
    root = tmp_path_factory.mktemp("world")
    write_miniature(root, train=8, val=4, test=3, seed=5, size=(64, 128))
    return root


@pytest.fixture(scope="session")
def world_with_sets(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same data_root with stand-ins for the generated sets of night: darkened source images."""
    root = tmp_path_factory.mktemp("world_with_sets") / "data"
    shutil.copytree(world, root)
    for recipe, factor in (("intermediate", 0.7), ("target", 0.4), ("whole", 0.5)):
        for image in (root / "cityscapes/leftImg8bit/train").glob("*/*.png"):
            edited = root / f"night_{recipe}/leftImg8bit/train" / image.parent.name / image.name
            edited.parent.mkdir(parents=True, exist_ok=True)
            Image.open(image).point(lambda value, factor=factor: int(value * factor)).save(edited)
    return root


@pytest.fixture
def copied_world(world_with_sets: Path, tmp_path: Path) -> Path:
    """A data_root that a test may damage."""
    return Path(shutil.copytree(world_with_sets, tmp_path / "data"))


def run(command: str, *words: object, cwd: Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Runs ``python -m zsda.<command> words`` in a folder."""
    module, texts, environment = f"zsda.{command}", [str(word) for word in words], {**os.environ, **(env or {})}
    # Lightning starts the other processes with the words that this one was started with.
    return (spawn if "trainer=ddp" in texts else call)(module, texts, cwd, environment)


@pytest.fixture
def zsda(tmp_path: Path) -> Command:
    """A command run in an empty folder: ``zsda("train", "experiment=night", ...)``."""
    folder = tmp_path / "work"
    folder.mkdir()
    return lambda command, *words, **more: run(command, *words, cwd=more.pop("cwd", folder), **more)


def one_line(result: subprocess.CompletedProcess[str]) -> str:
    """The one line of error that a user sees; fails if there is more than one, or a traceback."""
    lines = [line for line in result.stderr.splitlines() if line.startswith("zsda.")]
    assert len(lines) == 1, result.stderr
    assert "Traceback" not in result.stderr, result.stderr
    return lines[0]


SMALL_NETWORK = {"backbone": "resnet18", "width": 32, "skip": 16}
"""Arguments of `DeepLabV3Plus` with which a step takes some hundredths of a second."""

SMALL_MODEL = [f"model.{key}={value}" for key, value in SMALL_NETWORK.items()]

SMALL_UNET = [
    "model=smp", "model.architecture=unet", "model.encoder=tu-resnet10t", "+model.encoder_depth=3",
    "+model.decoder_channels=[32,16,16]", "model.pretrained=false",
]  # fmt: skip

TINY = """# @package _global_
defaults:
  - override /domain: night
  - override /trainer: cpu

data:
  transform: {size: [64, 128], crop: [48, 96]}
  batch_size: 2
machine: {num_workers: 0}
model: {backbone: resnet18, width: 32, skip: 16, pretrained: false}
method:
  phases:
    intermediate: {epochs: 2, horizon: 3}
    target: {epochs: 1, horizon: 3}
"""


@pytest.fixture(scope="session")
def own_configs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's --config-dir with one experiment of their own, small enough for tests."""
    folder = tmp_path_factory.mktemp("own_configs")
    (folder / "experiment").mkdir()
    (folder / "experiment/tiny.yaml").write_text(TINY)
    return folder


@pytest.fixture(scope="session")
def trained(world_with_sets: Path, own_configs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which ``train experiment=tiny`` was run to its end."""
    folder = tmp_path_factory.mktemp("trained")
    result = run("train", "--config-dir", own_configs, "experiment=tiny", f"data_root={world_with_sets}", cwd=folder)
    assert result.returncode == 0, result.stdout + result.stderr
    return folder
