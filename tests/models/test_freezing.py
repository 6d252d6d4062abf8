import copy
import io

import pytest
import torch
from torch import nn

from zsda.models.deeplab import DeepLabV2
from zsda.models.freezing import freeze_batch_norm
from zsda.training.ema import Average


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Sequential(nn.ReLU(), nn.BatchNorm2d(4)), nn.Dropout(0.5)
    )


def passed(model):
    """Trains a step; returns how far statistics and parameters of the first normalisation moved."""
    norm, before = model[1], copy.deepcopy(model[1].state_dict())
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1, weight_decay=0.1)
    model(torch.randn(8, 3, 5, 5, generator=torch.Generator().manual_seed(1)) + 3).square().sum().backward()
    optimizer.step()
    return {key: not torch.equal(value, before[key]) for key, value in norm.state_dict().items()}


def test_the_published_freezing_stops_scale_and_shift_alone():
    model = network().train()
    freeze_batch_norm(model)
    moved = passed(model)
    assert moved == {
        "weight": False, "bias": False, "running_mean": True, "running_var": True, "num_batches_tracked": True,
    }  # fmt: skip
    assert model[0].weight.grad is not None
    assert model[2][1].weight.grad is None


@pytest.mark.parametrize("set_again", [True, False])
def test_frozen_statistics_normalise_in_every_mode(set_again):
    model = network().train()
    freeze_batch_norm(model, statistics=True)
    if set_again:
        model.eval()
        model.train()
    assert model.training
    assert model[3].training
    assert not any(passed(model).values())
    images = torch.randn(4, 3, 5, 5) + 3
    normalised = nn.functional.batch_norm(model[0](images), torch.zeros(4), torch.ones(4), eps=model[1].eps)
    assert torch.allclose(model[1](model[0](images)), normalised)


@pytest.mark.parametrize("change", [copy.deepcopy, nn.SyncBatchNorm.convert_sync_batchnorm])
def test_frozen_statistics_survive_copies_and_conversions(change):
    model = network()
    freeze_batch_norm(model, statistics=True)
    other = change(model)
    other.train()
    assert other[3].training
    assert not other[1].training
    assert not other[2][1].training
    assert not any(parameter.requires_grad for parameter in (other[1].weight, other[2][1].bias))
    other.eval()
    assert not other[3].training


@pytest.mark.parametrize("reached", ["alone", "as a part", "pickled", "with a train of its own"])
def test_frozen_statistics_stay_wherever_the_network_is(reached):
    class Own(nn.Sequential):
        def train(self, mode=True):
            super().train(mode)
            self[0].train(mode=False)
            return self

    model = {"alone": nn.BatchNorm2d(4), "with a train of its own": Own(nn.Dropout(), nn.BatchNorm2d(4))}.get(reached)
    model = network() if model is None else model
    freeze_batch_norm(model, statistics=True)
    if reached == "pickled":
        buffer = io.BytesIO()
        torch.save(model, buffer)
        model = torch.load(io.BytesIO(buffer.getvalue()), weights_only=False)
    (nn.ModuleList([model]) if reached == "as a part" else model).train()
    modes = {type(module).__name__: module.training for module in model.modules()}
    assert not modes["BatchNorm2d"]
    assert modes.get("Dropout", True) != (reached == "with a train of its own")


def test_an_average_follows_a_frozen_network():
    model = network().train()
    freeze_batch_norm(model)
    average = Average(model, decay=0.5)
    passed(model)
    average.follow(1)
    assert not average.module[1].training
    assert torch.equal(average.module[1].running_mean, model[1].running_mean)
    assert torch.equal(average.module[1].weight, model[1].weight)
    assert not torch.equal(average.module[0].weight, model[0].weight)


def test_the_published_network_is_frozen_as_a_whole():
    with torch.device("meta"):
        model = DeepLabV2(19)
    freeze_batch_norm(model)
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad and "representation" not in name}
    assert len(frozen) == 2 * 104
    assert not any(".conv" in name or "aspp" in name for name in frozen)


def test_a_copy_does_not_steer_the_original():
    model = network()
    freeze_batch_norm(model, statistics=True)
    copy.deepcopy(model).eval()
    assert model.training
