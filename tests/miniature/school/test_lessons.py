import numpy as np
import pytest

from zsda.errors import ConfigError
from zsda.miniature import export
from zsda.miniature.places import ABROAD, CITY
from zsda.miniature.school import lessons as school
from zsda.miniature.school.lessons import LOOKS, Lessons, lesson

SIZE = (64, 128)


def test_a_lesson_shows_one_scene_in_all_looks():
    pictures = lesson(3, SIZE)
    assert pictures.shape == (len(LOOKS), *SIZE, 3) and pictures.dtype == np.uint8
    assert np.array_equal(pictures, lesson(3, SIZE))
    assert not np.array_equal(pictures, lesson(4, SIZE))
    day, night, *_ = pictures.astype(float).mean(axis=(1, 2, 3))
    assert night < 0.8 * day


def test_shards_hold_the_lessons_in_order_and_the_last_one_the_rest(tmp_path, monkeypatch):
    monkeypatch.setattr(school, "PER_SHARD", 2)
    lessons = Lessons(tmp_path, 3, SIZE)
    lessons.render(processes=1)
    shards = list(lessons.shards())
    assert [len(shard) for shard in shards] == [2, 1]
    assert np.array_equal(np.concatenate(shards), np.stack([lesson(number, SIZE) for number in range(3)]))


def test_only_missing_shards_are_rendered(tmp_path, monkeypatch):
    monkeypatch.setattr(school, "PER_SHARD", 1)
    lessons = Lessons(tmp_path, 2, SIZE)
    lessons.render(processes=1)
    first, second = sorted(tmp_path.rglob("*.npy"))
    before, kept = second.read_bytes(), first.stat().st_mtime_ns
    second.unlink()
    lessons.render(processes=1)
    assert second.read_bytes() == before and first.stat().st_mtime_ns == kept


def test_no_scenes_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="scenes=0"):
        Lessons(tmp_path, 0, SIZE)


def test_no_seed_of_the_benchmark_is_a_seed_of_a_lesson(tmp_path, monkeypatch):
    seeds = {"city": [], "abroad": []}
    render = export.render_scene

    def spy(seed, size, place):
        seeds[place.name].append(seed)
        return render(seed, size, place)

    monkeypatch.setattr(export, "render_scene", spy)
    for place in seeds:
        export.export_miniature(tmp_path / place, train=3, val=2, test=1, size=SIZE, place=place)
    # Seeds of the benchmark are 60 bits of a hash: whatever is exported, they stay below where the others begin.
    assert max(seeds["city"]) < ABROAD.first_seed <= min(seeds["abroad"])
    assert CITY.first_seed + int("f" * 15, 16) < ABROAD.first_seed
    monkeypatch.setattr(school, "render_scene", spy)
    lesson(0, SIZE)
    assert seeds["abroad"][-1] == ABROAD.first_seed
