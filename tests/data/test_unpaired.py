import numpy as np
import pytest
import torch
from PIL import Image

from zsda.core.errors import ConfigError, DataError
from zsda.data.datasets.acdc import ACDC
from zsda.data.datasets.cityscapes import Cityscapes
from zsda.data.samples import pseudo_label
from zsda.data.transforms import TrainingTransform
from zsda.data.unpaired import UnpairedData

STILL = {"brightness": (1, 1), "contrast": (1, 1), "saturation": (1, 1), "hue": (0, 0)}


def unpaired(root, **changes):
    arguments = {
        "source": Cityscapes(root / "cityscapes", "train"),
        "unlabelled": ACDC(root / "ACDC", "night", "val"),
        "setting": "day",
        "target": "night",
        "transform": TrainingTransform((64, 128), None, 0.0, **STILL),
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
    return [batch for batch, _, _ in combined]


def test_both_have_batches_of_their_own_and_labels_of_the_condition_are_not_looked_at(world):
    data = unpaired(world)
    found = batches(data)
    assert len(found) == 4, "one pass over the eight scenes of the source"
    for batch in found:
        assert batch["source"]["images"]["source"].shape == batch["unlabelled"]["images"]["unlabelled"].shape
        assert (batch["source"]["mask"] != 255).any()
        assert (batch["unlabelled"]["mask"] == 255).all()
    seen = [key for batch in found for key in batch["unlabelled"]["key"]]
    assert len(seen) == 8 and len(set(seen)) == 3
    assert (data.target, data.unlabelled_name, data.describe()) == (
        "night", "acdc night val", "8 of cityscapes train, 3 of acdc night val",
    )  # fmt: skip


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
