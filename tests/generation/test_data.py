from types import SimpleNamespace

import pytest
import torch
from PIL import Image

from tests.generation.conftest import truncate
from zsda.core.errors import ConfigError
from zsda.core.files import digest
from zsda.data.datasets.described import DescribedData
from zsda.data.faults import Fault
from zsda.generation.data import PatchDataModule, SourcePatches, make_groups, stack_patches
from zsda.generation.recipes import Target
from zsda.generation.store import GeneratedStore

RECIPE = Target((128, 64), 64)


def test_groups_by_hand():
    assert make_groups(5, 1, 2) == [range(0, 2), range(2, 4), range(4, 5)]
    assert make_groups(5, 2, 4) == [range(0, 2), range(2, 4), range(4, 5)]
    assert make_groups(3, 2, 5) == [range(0, 2), range(2, 3)]  # a fifth patch would be half an image
    assert make_groups(2, 8, 4) == [range(0, 1), range(1, 2)]  # an image has more patches than fit


def test_full_groups_of_a_trial_are_those_of_the_whole():
    assert make_groups(100, 2, 8)[:3] == make_groups(12, 2, 8)


def test_an_image_becomes_a_canvas_and_its_patches(source, night):
    patches = SourcePatches(source, RECIPE, night, seed=0)
    first = patches[0]
    path = source.root / "leftImg8bit/train/aachen/aachen_000000_000000_leftImg8bit.png"
    assert first["source"] == "leftImg8bit/train/aachen/aachen_000000_000000_leftImg8bit.png"
    assert first["source_digest"] == digest(path.read_bytes())
    assert torch.equal(first["canvas"], RECIPE.draw_canvas(Image.open(path)))
    assert torch.equal(first["patches"], torch.stack([first["canvas"][:, :, :64], first["canvas"][:, :, 64:]]))


def test_edits_of_own_data_lie_as_cityscapes_would_have_them(tmp_path, night):
    for name in ("Nord/cam 1/Bild 2.JPG", "Süd/Bild 1.jpeg"):
        path = tmp_path / "Photos" / name
        path.parent.mkdir(parents=True)
        Image.new("RGB", (128, 64), (len(name), 0, 0)).save(path, "JPEG")
    splits = 'splits: {part: {images: "Photos/**/Bild *.JPG"}, val: {images: "Photos/**/Bild *.jpeg"}}'
    file = tmp_path / "town.yaml"
    file.write_text(f"classes: {{road: 0}}\n{splits}", encoding="utf-8")
    for split, key, image in (("part", "Nord-cam 1/2", "Nord/cam 1/Bild 2.JPG"), ("val", "Süd/1", "Süd/Bild 1.jpeg")):
        patches = SourcePatches(DescribedData(file, split, needs_labels=False), RECIPE, night, seed=0)
        path = f"leftImg8bit/{split}/{key}_leftImg8bit.png"
        assert patches.paths == [path]
        assert patches.images == {path: tmp_path / "Photos" / image}
        assert patches[0]["source"] == path
        assert patches[0]["source_digest"] == digest((tmp_path / "Photos" / image).read_bytes())


def test_a_damaged_image_is_a_fault_that_names_it(source, night):
    truncate(source.samples[1].image)
    fault = SourcePatches(source, RECIPE, night, seed=0)[1]
    assert isinstance(fault, Fault)
    assert not fault.fatal
    assert str(source.samples[1].image) in fault.message


def test_a_limit_takes_the_first_images(source, night):
    everything = SourcePatches(source, RECIPE, night, seed=0)
    assert SourcePatches(source, RECIPE, night, seed=0, limit=2).paths == everything.paths[:2]
    assert len(SourcePatches(source, RECIPE, night, seed=0, limit=99)) == 5
    with pytest.raises(ConfigError, match="limit=0"):
        SourcePatches(source, RECIPE, night, seed=0, limit=0)


def test_stacking(source, night):
    patches = SourcePatches(source, RECIPE, night, seed=0)
    batch = stack_patches([patches[0], patches[1]])
    assert batch["patches"].shape == (2, 2, 3, 64, 64)
    assert batch["source"] == patches.paths[:2]


@pytest.mark.parametrize(("name", "value"), [("batch_size", 0), ("num_workers", -1)])
def test_wrong_numbers(source, night, tmp_path, name, value):
    patches = SourcePatches(source, RECIPE, night, seed=0)
    options = {"batch_size": 4, "num_workers": 0, name: value}
    with pytest.raises(ConfigError, match=f"{name}={value}"):
        PatchDataModule(patches, GeneratedStore(tmp_path / "set", {}), **options)


class _Rank:
    def __init__(self, rank: int, world: int):
        self.global_rank, self.world_size = rank, world


def test_all_ranks_make_the_groups_of_the_first_whatever_fits_into_their_memory(source, night, tmp_path):
    patches, store = SourcePatches(source, RECIPE, night, seed=0), GeneratedStore(tmp_path / "set", {})
    groups = []
    for fits in (4, 1):
        data = PatchDataModule(patches, store, batch_size=fits)
        data.trainer = _Rank(0, 2)
        data.trainer.strategy = SimpleNamespace(broadcast=lambda own: 4)
        data.setup("predict")
        groups.append(data.pending)
    assert groups[0] == groups[1]
    assert len(groups[0][0]) == 4 // RECIPE.patches_per_image


def test_ranks_share_the_pending_groups(source, night, tmp_path):
    data = PatchDataModule(
        SourcePatches(source, RECIPE, night, seed=0), GeneratedStore(tmp_path / "set", {}), batch_size=2
    )
    data.setup("predict")
    shares = []
    for rank in range(3):
        data.trainer = _Rank(rank, 3)
        shares.append(list(data.predict_dataloader().batch_sampler))
    assert shares == [[[0], [3]], [[1], [4]], [[2]]]
