"""A network, batches and a training of three steps in float64, and parts of published loops in plain PyTorch to compare them with."""

import copy
import math
from functools import partial

import lightning as L
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader

from zsda.core.errors import DataError
from zsda.core.runs import PhaseFolder
from zsda.data.faults import Fault
from zsda.training.fit import Engine, Length, fit
from zsda.training.schedules import Cosine

SIZE = (32, 64)  # the least that the discriminator's five strides leave anything of
STEPS, HORIZON = 3, 5
LR, DECAY = 1e-3, 5e-4


class SmallNetwork(nn.Module):
    """Backbone with batch normalisation, a dilated classifier, and maps as large as the images."""

    def __init__(self, outputs=19, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        # No bias before a normalisation: its gradient is rounding alone, which Adam makes a whole step of.
        self.backbone = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.aspp = nn.Conv2d(8, outputs, 3, padding=2, dilation=2)

    def forward(self, images):
        maps = self.aspp(self.backbone(images))
        return F.interpolate(maps, size=images.shape[-2:], mode="bilinear", align_corners=True)


def part_of(seed, views=("weak",), classes=19, ignored=0.3):
    """Two images of a part of a batch, in views of their own, and labels a share of which is 255."""
    generator = torch.Generator().manual_seed(seed)
    mask = torch.randint(0, classes, (2, *SIZE), generator=generator, dtype=torch.uint8)
    mask[torch.rand(mask.shape, generator=generator) < ignored] = 255
    images = {view: torch.randn(2, 3, *SIZE, generator=generator, dtype=torch.float64) for view in views}
    return {"images": images, "mask": mask, "key": ["a", "b"], "faults": []}


def source_and_unlabelled(seed):
    return {"source": part_of(2 * seed), "unlabelled": part_of(2 * seed + 1, ignored=1.0)}


def without(part, batch):
    """The batch with nothing but damaged files in a part."""
    return {**batch, part: {"faults": [Fault("a.png: cannot be decoded", fatal=False)]}}


UNSWAYED = partial(torch.optim.SGD, lr=LR)
"""An optimiser that a loss of 0 leaves everything as it is with: no decay, no memory."""


class Data(L.LightningDataModule):
    """The same batches in every epoch."""

    def __init__(self, batches):
        super().__init__()
        self.batches = batches

    def train_dataloader(self):
        # A step takes the faults out of what it is given.
        return DataLoader(self.batches, batch_size=None, collate_fn=copy.deepcopy)


def arguments(network, lr=LR, **more):
    """What a task is made of, as in the published rounds but for a rate at which three steps tell something."""
    return {
        "model": network,
        "optimizer": partial(torch.optim.Adam, lr=lr, betas=(0.9, 0.999), weight_decay=DECAY),
        "schedule": Cosine(),
        "horizon": HORIZON,
        "unit": "step",
        **more,
    }


def trained(kind, network, batches, folder, prepare=None, **more):
    """Trains a copy of a network as a phase does; returns the task as it ended, and what it logged at each step.

    Args:
        prepare: is given the task before it starts.
    """
    logged = []

    def make():
        task = kind(**arguments(copy.deepcopy(network), **more))
        note = task.note

        def noting(name, loss, *others, **how):
            if task.steps == len(logged):
                logged.append({})
            logged[task.steps][name.removeprefix("train/")] = loss.item()
            note(name, loss, *others, **how)

        task.note = noting
        if prepare is not None:
            prepare(task)
        return task

    engine = Engine(
        partial(L.Trainer, accelerator="cpu", precision="64-true", enable_model_summary=False, enable_progress_bar=True)
    )
    task = fit(make, Data(batches), Length(STEPS, "step"), 1, engine, PhaseFolder(folder))
    return task, logged


def untaught(kind, network, batches, folder, prepare=None, **more):
    """Trains on batches of which each lacks a part, which ends with the epoch; returns the task as it ended, after as many steps."""
    tasks = []

    def keep(task):
        tasks.append(task)
        if prepare is not None:
            prepare(task)

    with pytest.raises(DataError, match=r"epoch 1: not one labelled pixel could be read: a.png: cannot be decoded"):
        trained(kind, network, batches, folder, keep, **more)
    (task,) = tasks
    assert task.steps == STEPS
    assert not any(name.startswith("train/") for name in task.trainer.callback_metrics)
    return task


def published_adam(network, lr=LR):
    """The optimiser of the published loops: the rest learns ten times faster than the backbone."""
    groups = [
        {"params": list(network.backbone.parameters()), "lr": lr},
        {"params": list(network.aspp.parameters()), "lr": 10 * lr},
    ]
    return torch.optim.Adam(groups, betas=(0.9, 0.999), weight_decay=DECAY)


def published_rates(optimizers, bases, step, lowest=0.001 * LR):
    """Sets the rates of all groups for a step, counted from 0: a cosine from their own to one for all."""
    groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    for group, base in zip(groups, bases, strict=True):
        group["lr"] = lowest + (base - lowest) * (1 + math.cos(math.pi * step / HORIZON)) / 2


def reference_of(network, frozen):
    """A copy in float64 in training mode, scale and shift of its normalisation frozen where it is asked for."""
    reference = copy.deepcopy(network).double().train()
    for parameter in reference.backbone[1].parameters():
        parameter.requires_grad_(not frozen)
    return reference


def same(found, expected):
    """Whether two networks have the same parameters and buffers, but for rounding in float64."""
    one, other = found.state_dict(), expected.state_dict()
    assert list(one) == list(other)
    return all(torch.allclose(one[key], other[key], rtol=0, atol=1e-11) for key in one)


def moved(found, start):
    """Names of the parameters and buffers in which a trained network differs from one in float32."""
    before = start.state_dict()
    return {key for key, value in found.state_dict().items() if not torch.equal(value, before[key].to(value.dtype))}
