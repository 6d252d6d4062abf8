import numpy as np
import pytest
import torch
from PIL import Image

from tests.layouts import write_robotcar
from zsda.core.errors import ConfigError, DataError
from zsda.data.datasets.acdc import ACDC
from zsda.data.datasets.cityscapes import Cityscapes
from zsda.data.datasets.robotcar import RobotCar
from zsda.data.reader import DamagedImageError
from zsda.data.samples import pseudo_label
from zsda.data.unpaired import UnpairedData, WeakStrongDataset
from zsda.data.weak_strong import StrongColours, WeakStrongTransform

WHOLE = WeakStrongTransform((64, 128), (64, 64), flip=0.0)


def unpaired(root, **changes):
    arguments = {
        "source": Cityscapes(root / "cityscapes", "train"),
        "unlabelled": ACDC(root / "ACDC", "night", "val"),
        "setting": "day",
        "target": "night",
        "transform": WHOLE,
        "unlabelled_transform": WHOLE,
        "batch_size": 2,
        "num_workers": 0,
        "seed": 3,
        **changes,
    }
    return UnpairedData(**arguments)


def batches(data, epoch=0):
    combined = data.train_dataloader()
    for loader in combined.flattened:
        loader.sampler.set_epoch(epoch)
    return [data.on_after_batch_transfer(batch, 0) for batch, _, _ in combined]


def test_both_have_batches_of_their_own_and_labels_of_the_condition_are_not_looked_at(world):
    data = unpaired(world)
    found = batches(data)
    assert len(found) == 4, "one pass over the eight scenes of the source"
    for batch in found:
        assert batch["source"]["images"]["weak"].shape == batch["unlabelled"]["images"]["weak"].shape
        assert (batch["source"]["mask"] != 255).any()
        assert (batch["unlabelled"]["mask"] == 255).all()
    seen = [key for batch in found for key in batch["unlabelled"]["key"]]
    assert len(seen) == 8 and len(set(seen)) == 3
    assert (data.target, data.unlabelled_name, data.describe()) == (
        "night", "acdc night val", "8 of cityscapes train, 3 of acdc night val",
    )  # fmt: skip


def test_labels_that_are_not_looked_at_need_not_tell_the_classes_apart(world, tmp_path):
    found = batches(unpaired(world, unlabelled=RobotCar(write_robotcar(tmp_path), "val")))
    assert all((batch["unlabelled"]["mask"] == 255).all() for batch in found)


def test_labels_are_those_of_a_folder_and_may_have_another_size(world, tmp_path):
    for number, sample in enumerate(ACDC(world / "ACDC", "night", "val").samples):
        Image.fromarray(np.full((32, 64), number, np.uint8)).save(tmp_path / pseudo_label(sample.image))
    found = batches(unpaired(world, labels=tmp_path))
    values = {value for batch in found for value in batch["unlabelled"]["mask"].unique().tolist()}
    assert values == {0, 1, 2}


def test_phases_and_epochs_draw_their_own_orders_and_the_same_seed_the_same(world):
    def keys(epoch=0, **changes):
        return [batch["source"]["key"] for batch in batches(unpaired(world, **changes), epoch)]

    assert keys() == keys()
    assert keys() != keys(epoch=1)
    assert keys() != keys(phase=1)


def test_a_missing_label_is_said_before_anything_starts(world, tmp_path):
    with pytest.raises(DataError, match="3 of 3 images have no label"):
        unpaired(world, labels=tmp_path)


def test_a_batch_must_fit_into_both_sets(world):
    with pytest.raises(ConfigError, match=r"data.batch_size=4 needs as many scenes, there are 3"):
        unpaired(world, batch_size=4).train_dataloader()


def test_only_the_source_is_watched(world):
    data = unpaired(world, validation=Cityscapes(world / "cityscapes", "val"))
    assert list(data.watched.settings) == ["source"]
    assert list(unpaired(world).watched.settings) == []
    assert torch.equal(next(iter(data.val_dataloader()[0]))["image"].isfinite().all(), torch.tensor(True))


def test_each_part_has_a_transform_of_its_own(world):
    strong = WeakStrongTransform((32, 64), (30, 60), strong=StrongColours())
    for batch in batches(unpaired(world, unlabelled_transform=strong)):
        assert {name: view.shape for name, view in batch["source"]["images"].items()} == {"weak": (2, 3, 64, 128)}
        shapes = {name: view.shape for name, view in batch["unlabelled"]["images"].items()}
        assert shapes == {"weak": (2, 3, 32, 64), "strong": (2, 3, 32, 64)}
        assert batch["unlabelled"]["mask"].shape == (2, 32, 64)


def test_an_image_is_pasted_on_at_full_size_before_it_is_transformed(world, tmp_path):
    for sample in ACDC(world / "ACDC", "night", "val").samples:
        Image.fromarray(np.full((32, 64), 2, np.uint8)).save(tmp_path / pseudo_label(sample.image))
    seen = []

    def copy_paste(dataset, labels):
        assert (len(dataset), labels) == (3, tmp_path)

        def paste(image, mask, seed):
            seen.append((image.shape, mask.shape, seed))
            image, mask = image.copy(), mask.copy()
            image[:, :64], mask[:, :64] = 0, 7
            return image, mask

        return paste

    small = WeakStrongTransform((32, 64), (64, 64), flip=1.0)
    found = batches(unpaired(world, labels=tmp_path, copy_paste=copy_paste, unlabelled_transform=small))
    assert {shapes[:2] for shapes in seen} == {((64, 128, 3), (64, 128))}
    assert len({seed for _, _, seed in seen}) == len(seen) == 8, "each image of each pass has draws of its own"
    for batch in found:
        assert batch["unlabelled"]["mask"].unique().tolist() == [2, 7]
        assert (batch["unlabelled"]["mask"][:, :, 32:] == 7).all(), "mirrored after it was pasted on"
        black = batch["unlabelled"]["images"]["weak"][:, :, :, 33:]
        assert torch.allclose(black, black[:, :, :1, :1], atol=1e-6)


def test_what_the_unlabelled_part_lacks_is_said(world):
    with pytest.raises(ConfigError, match="which unlabelled images"):
        unpaired(world, unlabelled=None)
    with pytest.raises(ConfigError, match="which condition do the unlabelled images show"):
        unpaired(world, target=None)
    with pytest.raises(ConfigError, match="copy_paste needs pseudo labels"):
        unpaired(world, copy_paste=lambda **_: None).train_dataloader()


def test_what_is_damaged_of_a_donor_costs_no_image(world, tmp_path):
    for sample in ACDC(world / "ACDC", "night", "val").samples:
        Image.fromarray(np.full((32, 64), 2, np.uint8)).save(tmp_path / pseudo_label(sample.image))

    def paste(image, mask, seed):
        raise DamagedImageError("donor.png: cannot be decoded")

    plain = batches(unpaired(world, labels=tmp_path))
    found = batches(unpaired(world, labels=tmp_path, copy_paste=lambda **_: paste))
    for one, other in zip(found, plain, strict=True):
        assert one["unlabelled"]["key"] == other["unlabelled"]["key"]
        assert torch.equal(one["unlabelled"]["images"]["weak"], other["unlabelled"]["images"]["weak"])
        assert [(fault.message, fault.fatal) for fault in one["unlabelled"]["faults"]] == [
            ("donor.png: cannot be decoded", False)
        ] * 2


def test_both_parts_draw_by_themselves(world):
    source = Cityscapes(world / "cityscapes", "train")
    changing = WeakStrongTransform((32, 64), (20, 60))
    both = batches(unpaired(world, unlabelled=source, transform=changing, unlabelled_transform=changing))
    keys = {name: [key for batch in both for key in batch[name]["key"]] for name in ("source", "unlabelled")}
    assert sorted(keys["source"]) == sorted(keys["unlabelled"]) and keys["source"] != keys["unlabelled"]
    views = {
        name: dict(zip(keys[name], torch.cat([b[name]["images"]["weak"] for b in both]), strict=True)) for name in keys
    }
    assert not any(torch.equal(views["source"][key], views["unlabelled"][key]) for key in keys["source"])


def test_what_an_image_is_made_into_does_not_depend_on_the_others_or_on_processes(world, tmp_path):
    night = ACDC(world / "ACDC", "night", "val")
    part = ACDC(world / "ACDC", "night", "val")
    part.samples = part.samples[1:]
    strong = WeakStrongTransform((32, 64), (30, 60), strong=StrongColours())
    paste = lambda image, mask, seed: (np.full_like(image, seed % 256), mask)  # noqa: E731
    for turn in (0, 1):
        first, second = (
            WeakStrongDataset(images, strong, 7, paste)[turn, 2 - number] for number, images in enumerate((night, part))
        )
        assert first["key"] == second["key"]
        assert all(torch.equal(first["images"][name], second["images"][name]) for name in ("weak", "strong"))
    here, there = (batches(unpaired(world, unlabelled_transform=strong, num_workers=workers)) for workers in (0, 2))
    for one, other in zip(here, there, strict=True):
        assert all(
            torch.equal(one["unlabelled"]["images"][name], other["unlabelled"]["images"][name])
            for name in ("weak", "strong")
        )


def test_images_too_small_for_the_windows_are_told(world, caplog):
    batches(unpaired(world, transform=WeakStrongTransform((64, 128), (341, 950))))
    assert [message for message in caplog.messages if "the first image is" in message] == [
        "cityscapes train: the first image is 128x64, so small that the window of a crop is as large as fits and never smaller; lower "
        "the heights of its transform"
    ]


@pytest.mark.parametrize(("part", "count", "steps"), [("source", 8, 4), ("unlabelled", 3, 1)])
def test_what_is_no_part_is_not_read(world, part, count, steps):
    data = unpaired(world, parts=[part])
    found = batches(data)
    assert [list(batch) for batch in found] == [[part]] * steps, "one pass over the only part"
    assert set(data.fingerprints()) == set(data.images) == {part}
    assert data.describe().startswith(f"{count} of ") and " 8 of" not in data.describe()
    of_condition = part == "unlabelled"
    assert (data.target, data.unlabelled_name) == (("night", "acdc night val") if of_condition else (None, None))


def test_the_source_alone_needs_no_condition_and_no_labels_of_it(world, tmp_path):
    alone = {"parts": ["source"], "unlabelled": None, "target": None, "labels": tmp_path}
    assert len(batches(unpaired(world, **alone))) == 4
    assert unpaired(world, **alone).truth() is None


def test_a_part_draws_the_same_with_the_other_and_without(world):
    both, alone = batches(unpaired(world)), batches(unpaired(world, parts=["source"]))
    for one, other in zip(both, alone, strict=True):
        assert one["source"]["key"] == other["source"]["key"]
        assert torch.equal(one["source"]["images"]["weak"], other["source"]["images"]["weak"])


@pytest.mark.parametrize("parts", ["source", [], ["source", "target"]])
def test_unknown_parts_are_refused(world, parts):
    with pytest.raises(ConfigError, match=r"data.parts=.*; expected a list of source, unlabelled or both"):
        unpaired(world, parts=parts)


def test_labels_that_are_there_can_be_compared_with(world, tmp_path):
    truth = unpaired(world).truth()
    assert (truth.mask(0) != 255).any()
    robotcar = write_robotcar(tmp_path)
    assert unpaired(world, unlabelled=RobotCar(robotcar, "train")).truth() is None, "it has none"
    assert unpaired(world, unlabelled=RobotCar(robotcar, "val")).truth() is None, "they tell other classes apart"
