import numpy as np
import pytest

from tools.small_editor import pairs as module
from tools.small_editor.pairs import STORED, PicturePairs, render_looks
from tools.small_editor.streets import TRAINING_STREETS
from tools.small_editor.world import write_training_world
from zsda.core.errors import ConfigError
from zsda.miniature import writer
from zsda.miniature.street.style import CITY

SIZE = (64, 128)


def test_one_scene_is_shown_in_all_looks():
    pictures = render_looks(3, SIZE)
    assert pictures.shape == (len(STORED), *SIZE, 3) and pictures.dtype == np.uint8
    assert np.array_equal(pictures, render_looks(3, SIZE))
    assert not np.array_equal(pictures, render_looks(4, SIZE))
    day, night, *_ = pictures.astype(float).mean(axis=(1, 2, 3))
    assert night < 0.8 * day


def test_shards_hold_the_scenes_in_order_and_the_last_one_the_rest(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "PER_SHARD", 2)
    pairs = PicturePairs(tmp_path, 3, SIZE)
    pairs.render(processes=1)
    shards = list(pairs.shards())
    assert [len(shard) for shard in shards] == [2, 1]
    assert np.array_equal(np.concatenate(shards), np.stack([render_looks(number, SIZE) for number in range(3)]))


def test_only_missing_shards_are_rendered(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "PER_SHARD", 1)
    pairs = PicturePairs(tmp_path, 2, SIZE)
    pairs.render(processes=1)
    first, second = sorted(tmp_path.rglob("*.npy"))
    before, kept = second.read_bytes(), first.stat().st_mtime_ns
    second.unlink()
    pairs.render(processes=1)
    assert second.read_bytes() == before and first.stat().st_mtime_ns == kept


def test_no_scenes_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="scenes=0"):
        PicturePairs(tmp_path, 0, SIZE)


def test_no_seed_of_the_benchmark_is_a_seed_of_a_training_street(tmp_path, monkeypatch):
    seeds = {"city": [], "training": []}
    render = writer.render_scene

    def spy(seed, size, style):
        seeds[style.name].append(seed)
        return render(seed, size, style)

    monkeypatch.setattr(writer, "render_scene", spy)
    writer.write_miniature(tmp_path / "city", train=3, val=2, test=1, size=SIZE)
    write_training_world(tmp_path / "training", train=3, val=2)
    # Seeds of the benchmark are 60 bits of a hash: whatever is written, they stay below where the others begin.
    assert max(seeds["city"]) < TRAINING_STREETS.first_seed <= min(seeds["training"])
    assert CITY.first_seed + int("f" * 15, 16) < TRAINING_STREETS.first_seed
    monkeypatch.setattr(module, "render_scene", spy)
    render_looks(0, SIZE)
    assert seeds["training"][-1] == TRAINING_STREETS.first_seed
