import logging
import multiprocessing
import os
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from tests.data.test_aligned import JITTER, STILL, views_data
from tests.data.test_unpaired import unpaired
from zsda.data.cache import Cache, Wanted, cache_place, entries_in
from zsda.data.datasets.acdc import ACDC
from zsda.data.datasets.cityscapes import Cityscapes
from zsda.data.evaluation import EvaluationData
from zsda.data.faults import Fault
from zsda.data.reader import FROM_DISK
from zsda.data.resizing import Window
from zsda.data.transforms import TrainingTransform

GB = 10**9


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """An empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return cache_place()


def filled(data, stage="fit"):
    data.prepare_data()
    data.setup(stage)
    return data


def wanted(root, size=(32, 64), label_size=(32, 64)):
    return [Wanted(Cityscapes(root / "cityscapes", "train"), size, label_size)]


def without_images(root):
    """Removes what the cache has been filled from."""
    for path in [*root.glob("*/leftImg8bit/train/*/*.png"), *root.glob("*/gtFine/train/*/*.png")]:
        path.unlink()


def assert_equal(one, other):
    assert one.keys() == other.keys()
    for key, value in one.items():
        if isinstance(value, dict):
            assert_equal(value, other[key])
        elif isinstance(value, torch.Tensor):
            assert value.dtype == other[key].dtype and torch.equal(value, other[key]), key
        else:
            assert value == other[key]


@pytest.mark.parametrize(
    "transform",
    [
        TrainingTransform((32, 64), (24, 48), 0.5, **JITTER),
        TrainingTransform((45, 80), (24, 48), 0.5, **JITTER),
        TrainingTransform((32, 64), None, 0.5, **STILL),
        TrainingTransform((32, 64), (24, 48), 0.5, **STILL, scale=(1.0, 1.5), blur=0.5, cutout=0.5),
    ],
)
@pytest.mark.parametrize("views", [["source", "target"], ["source", "source", "weather"]])
def test_samples_of_a_training_are_equal_bit_by_bit(copied_world, transform, views):
    how = {"views": views, "transform": transform, "weather": "night"}
    plain, kept = views_data(copied_world, **how), filled(views_data(copied_world, **how, cache=1.0))
    expected = [plain.training_set[epoch, index] for epoch in range(3) for index in range(8)]
    without_images(copied_world)
    found = [kept.training_set[epoch, index] for epoch in range(3) for index in range(8)]
    for one, other in zip(expected, found, strict=True):
        assert_equal(one, other)


@pytest.mark.parametrize("sizes", [((32, 64), (32, 64)), ((32, 64), None), (None, None)])
def test_samples_of_an_evaluation_are_equal_bit_by_bit(copied_world, sizes):
    def samples(cache):
        dataset = ACDC(copied_world / "ACDC", "night")
        data = filled(EvaluationData({"night": dataset}, *sizes, batch_size=1, num_workers=0, cache=cache))
        return lambda: [data.on_after_batch_transfer(batch, 0) for batch in data.test_dataloader()[0]]

    plain, kept = samples(None), samples(Cache(1.0))
    expected = plain()
    shutil.rmtree(copied_world / "ACDC/rgb_anon")
    for one, other in zip(expected, kept(), strict=True):
        assert torch.equal(one["image"], other["image"]) and torch.equal(one["mask"][0], other["mask"][0])


def test_samples_in_the_way_of_hiast_are_equal_bit_by_bit(world):
    plain, kept = unpaired(world), filled(unpaired(world, cache=1.0))
    for one, other in zip(iter(plain.train_dataloader()), iter(kept.train_dataloader()), strict=True):
        assert_equal(one[0]["source"]["images"], other[0]["source"]["images"])
        assert_equal(one[0]["unlabelled"]["images"], other[0]["unlabelled"]["images"])
        assert torch.equal(one[0]["source"]["mask"], other[0]["source"]["mask"])


def test_labels_that_are_brought_to_their_image_are_so_in_the_cache(world, tmp_path):
    dataset = ACDC(world / "ACDC", "night")
    for number, sample in enumerate(dataset.samples):
        ids = np.random.default_rng(number).integers(0, 19, (20, 50), np.uint8)
        Image.fromarray(ids).save(tmp_path / f"{sample.image.stem}_pseudo_label.png")
    plain = dataset.relabelled(tmp_path)
    cache = Cache(1.0)
    kept = plain.read_by(cache.reader)
    cache.fill([Wanted(kept, None, None)], 0)
    for path in tmp_path.glob("*_pseudo_label.png"):
        path.write_bytes(b"")
    shown = [kept[index]["mask"] for index in range(len(kept))]
    for number, mask in enumerate(shown):
        ids = np.random.default_rng(number).integers(0, 19, (20, 50), np.uint8)
        assert mask.shape == (64, 128) and set(np.unique(mask)) == set(np.unique(ids))


def test_its_size_is_said_before(world, place, caplog):
    cache = Cache(1.0)
    with caplog.at_level(logging.INFO):
        cache.fill(wanted(world), 0)
    (message,) = [record.getMessage() for record in caplog.records if "keeping" in record.getMessage()]
    expected = 8 * (32 * 64 * 4 + 2 * 64)
    assert message.startswith(f"keeping 16 decoded images and labels, about 66.6 kB, in {place}")
    assert sum(state.st_size for state in entries_in(place).values()) == expected
    caplog.clear()
    with caplog.at_level(logging.INFO):
        Cache(1.0).fill(wanted(world), 0)
    assert "keeping" not in caplog.text, "nothing is missing"


def test_entries_are_images_that_other_programs_read(world, place):
    Cache(1.0).fill(wanted(world), 0)
    source = Cityscapes(world / "cityscapes", "train")
    expected = {FROM_DISK.pixels(sample.image, (32, 64)).values.tobytes() for sample in source.samples}
    assert {Image.open(path).tobytes() for path in place.rglob("*.ppm")} == expected


def _fill(root, barrier):
    barrier.wait()
    Cache(1.0).fill(wanted(root), 0)


def test_several_processes_may_fill_it_at_once(world, place):
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(3)
    processes = [context.Process(target=_fill, args=(world, barrier)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert len(entries_in(place)) == 16
    assert not list(place.rglob("*.part"))
    cache = Cache(1.0)
    (want,) = wanted(world)
    cache.know([want])
    for sample in want.dataset.samples:
        window = Window(3, 5, 20, 40)
        one, other = (reader.pixels(sample.image, (32, 64), window) for reader in (FROM_DISK, cache.reader))
        assert (one.values == other.values).all() and one.size == other.size
        assert not other.values.flags.writeable


def test_workers_may_fill_it(world, place):
    Cache(1.0).fill(wanted(world), 2)
    assert len(entries_in(place)) == 16


def test_a_file_that_changes_has_another_entry(copied_world):
    (want,) = wanted(copied_world)
    Cache(1.0).fill([want], 0)
    image = want.dataset.samples[0].image
    Image.new("RGB", (128, 64), (9, 8, 7)).save(image)
    os.utime(image, (1, 1))
    cache = Cache(1.0)
    cache.fill([want], 0)
    assert (cache.reader.pixels(image, (32, 64)).values == (9, 8, 7)).all()


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "harm", [lambda p: p.unlink(), lambda p: p.write_bytes(b""), lambda p: os.truncate(p, 900), flip]
)
def test_what_is_gone_or_damaged_is_read_from_its_file(world, place, harm):
    (want,) = wanted(world)
    cache = Cache(1.0)
    cache.fill([want], 0)
    for path in entries_in(place):
        harm(path)
    for sample, index in zip(want.dataset.samples, range(8), strict=True):
        expected = want.dataset.load(index, (32, 64), (32, 64))
        found = want.dataset.read_by(cache.reader).load(index, (32, 64), (32, 64))
        assert (found["image"] == expected["image"]).all() and (found["mask"] == expected["mask"]).all(), sample
    assert not entries_in(place), "they are made again"


def test_what_does_not_fit_is_not_kept(world, place, caplog):
    Cache(50_000 / GB).fill(wanted(world), 0)
    assert "images are decoded every time: decoded they take" in caplog.text
    assert "machine.cache_gb=5e-05" in caplog.text
    assert not entries_in(place)


def test_a_full_disk_is_left_alone(world, place, monkeypatch, caplog):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(2 * GB, GB, GB))
    Cache(1.0).fill(wanted(world), 0)
    assert f"{place} has 1.0 GB left" in caplog.text
    assert not entries_in(place)


def test_a_cache_that_cannot_be_written_does_not_stop_anything(world, place, caplog):
    place.parent.mkdir(parents=True)
    place.write_text("a file")
    cache = Cache(1.0)
    cache.fill(wanted(world), 0)
    assert "images are decoded every time" in caplog.text or "are not kept" in caplog.text
    (want,) = wanted(world)
    assert want.dataset.read_by(cache.reader).load(0, (32, 64), (32, 64))["image"].shape == (32, 64, 3)


def test_a_user_without_a_home_has_no_cache(world, monkeypatch, caplog):
    def none():
        raise RuntimeError("no home")

    monkeypatch.setattr("zsda.data.cache.cache_place", none)
    cache = Cache(1.0)
    cache.fill(wanted(world), 0)
    assert cache.reader is FROM_DISK
    assert "set XDG_CACHE_HOME" in caplog.text


def test_what_was_not_used_for_the_longest_time_is_forgotten(world, place):
    one = 8 * (32 * 64 * 4 + 2 * 64)
    old, used, new = wanted(world), wanted(world, (32, 32), (64, 64)), wanted(world, (16, 128), (16, 128))
    Cache(1.0).fill(old, 0)
    before = {*entries_in(place)}
    for path in before:
        os.utime(path, (1000, 1000))
    Cache(1.0).fill(used, 0)
    kept = {*entries_in(place)} - before
    limit = sum(state.st_size for state in entries_in(place).values()) + one / 2
    Cache(limit / GB).fill(new, 0)
    left = {*entries_in(place)}
    assert kept < left
    assert len(before & left) < len(before)
    assert sum(state.st_size for state in entries_in(place).values()) <= limit


def test_damage_is_told_by_whoever_reads(copied_world):
    def harmed(**more):
        return views_data(copied_world, views=["source", "target"], **more)

    sample = harmed().source.samples[0]
    sample.image.write_bytes(sample.image.read_bytes()[:200])
    Image.open(sample.label).resize((50, 20), Image.Resampling.NEAREST).save(harmed().source.samples[1].label)
    plain, kept = harmed(), filled(harmed(cache=1.0))
    for index in range(2):
        one, other = plain.training_set[0, index], kept.training_set[0, index]
        assert isinstance(one, Fault) and isinstance(other, Fault)
        assert (one.message, one.fatal) == (other.message, other.fatal)


def test_the_command_says_its_size_and_empties_it(zsda, world, place):
    Cache(1.0).fill(wanted(world), 0)
    said = zsda("cache")
    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout == f"16 decoded images and labels, 66.6 kB, kept: {place}\n"
    assert len(entries_in(place)) == 16
    assert "freed" in zsda("cache", "clear=true").stdout
    assert not place.exists()
    assert zsda("cache", "clear=true").stdout.startswith("0 decoded images and labels, 0 bytes")
    assert "clear=perhaps; expected true or false" in zsda("cache", "clear=perhaps").stderr
