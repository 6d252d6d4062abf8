import numpy as np
import pytest
from PIL import Image

from tools.small_editor.looks import LOOKS
from tools.small_editor.streets import TRAINING_STREETS
from tools.small_editor.world import write_training_world
from zsda.core.errors import StoreError
from zsda.miniature import writer
from zsda.miniature.looks.weather import apply_look
from zsda.miniature.render.scenes import render_scene
from zsda.miniature.writer import write_miniature

SMALL = {"train": 3, "val": 2, "test": 0}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    root = tmp_path_factory.mktemp("training")
    write_training_world(root, train=3, val=2)
    return root


def test_it_has_day_scenes_only(world):
    assert len(list(world.glob("cityscapes/leftImg8bit/train/*/*.png"))) == 3
    assert len(list(world.glob("cityscapes/leftImg8bit/val/*/*.png"))) == 2
    assert not list(world.glob("*_oracle")) and not list(world.glob("ACDC/**/*.png"))


def test_it_has_other_scenes_than_the_benchmark(world, tmp_path):
    write_miniature(tmp_path, **SMALL, oracle=False)
    names = [path.relative_to(world) for path in world.rglob("*_labelTrainIds.png")]
    assert len(names) == 5
    assert not [name for name in names if (world / name).read_bytes() == (tmp_path / name).read_bytes()]


def test_its_streets_are_painted_in_the_training_looks(tmp_path, monkeypatch):
    seeds = []
    monkeypatch.setattr(writer, "render_scene", lambda seed, *how: (seeds.append(seed), render_scene(seed, *how))[1])
    write_training_world(tmp_path, train=1, val=0)
    (image,) = tmp_path.glob("cityscapes/leftImg8bit/train/*/*.png")
    (seed,) = seeds
    expected = apply_look(render_scene(seed, style=TRAINING_STREETS), "day", seed, LOOKS)
    assert np.array_equal(np.array(Image.open(image)), expected)


def test_the_benchmark_does_not_take_it_for_its_own(world):
    with pytest.raises(StoreError, match=r'place was "training" and is now "city"'):
        write_miniature(world, **SMALL, oracle=False)
