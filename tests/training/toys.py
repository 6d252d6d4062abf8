"""A training of seconds in which everything that can be lost is there: dropout, momentum, averages, schedules, two optimisers."""

import functools
import os
import random

import lightning as L
import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from zsda.core.runs import PhaseFolder
from zsda.core.seeds import hash32
from zsda.data.samplers import EpochSampler
from zsda.models.weights import read_weights
from zsda.training.fit import Engine, Length, fit
from zsda.training.schedules import Poly
from zsda.training.task import TrainingTask


class Numbers(Dataset):
    """Vectors that are a function of (epoch, index)."""

    def __init__(self, count):
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, place):
        return torch.randn(4, generator=torch.Generator().manual_seed(hash32(*place)))


class NumbersData(L.LightningDataModule):
    """Batches of two, and some to watch."""

    def __init__(self, count=10, workers=0, watched=True):
        super().__init__()
        self.count, self.workers, self.watched = count, workers, watched

    def train_dataloader(self):
        sampler = EpochSampler(Numbers(self.count), 1, 0, shuffle=True, seed=3, drop_last=True)
        options = {"num_workers": self.workers, "persistent_workers": self.workers > 0}
        return DataLoader(Numbers(self.count), 2, sampler=sampler, generator=torch.Generator(), **options)

    def val_dataloader(self):
        return [DataLoader([torch.ones(4)] * 2)] if self.watched else []


class KilledError(Exception):
    """Stands for whatever kills a process."""


class ToyTask(TrainingTask):
    """Draws from all generators; before a step it is interrupted, or sent a signal, if asked to."""

    artefacts = ("weights", "teacher")

    def __init__(self, optimizers=1, unit="epoch", horizon=6, dies_at=None, told=None, seen=None, schedule=None):
        super().__init__(schedule or Poly(), horizon, unit)
        self.automatic_optimization = optimizers == 1
        self.model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 1))
        self.teacher = self.average(self.model, decay=0.9)
        self.dies_at, self.told = dies_at, told
        self.seen, self.validations = [] if seen is None else seen, 0

    def networks(self):
        return {"weights": self.model, "teacher": self.teacher.module}

    def make_optimizers(self):
        first = torch.optim.Adam(self.model[0].parameters(), lr=0.01)
        rest = torch.optim.SGD(self.model[1:].parameters(), lr=0.01, momentum=0.9)
        both = torch.optim.SGD(self.model.parameters(), lr=0.01, momentum=0.9)
        return [both] if self.automatic_optimization else [first, rest]

    def training_step(self, batch, _index):
        if self.steps == self.dies_at:
            if self.told is None:
                raise KilledError
            os.kill(os.getpid(), self.told)
        self.seen.append(batch[:, 0].tolist())
        noise = random.random() + float(np.random.rand()) + float(torch.rand(()))
        loss = (self.model(batch) - noise).square().mean() + (self.teacher(batch) - self.model(batch)).abs().mean()
        self.log("train/loss", loss, on_step=True, on_epoch=True)
        if self.automatic_optimization:
            return loss
        for optimizer in self.optimizers():
            optimizer.zero_grad()
        self.manual_backward(loss)
        for optimizer in self.optimizers():
            optimizer.step()
        return None

    def validation_step(self, batch, _index):
        self.validations += 1
        self.watched = {"val/toy": float(self.model(batch).mean())}


def trainer(**more):
    return functools.partial(L.Trainer, accelerator="cpu", enable_model_summary=False, enable_progress_bar=True, **more)


def train(
    path,
    length=None,
    data=None,
    seed=1,
    every_steps=1,
    every_minutes=None,
    accumulate=1,
    validate=1,
    loggers=(),
    **task,
):
    """Fits the toy in a folder; returns the task and the folder."""
    folder = PhaseFolder(path)
    engine = Engine(
        trainer(accumulate_grad_batches=accumulate, check_val_every_n_epoch=validate, log_every_n_steps=1),
        loggers,
        every_steps=every_steps,
        every_minutes=every_minutes,
    )
    ended = fit(lambda: ToyTask(**task), data or NumbersData(), length or Length(3, "epoch"), seed, engine, folder)
    return ended, folder


def ends_as(folder, other):
    """Whether two trainings left equal networks, bit by bit."""
    for name in ("weights", "teacher"):
        one, two = read_weights(folder.network(name)), read_weights(other.network(name))
        if one.keys() != two.keys() or not all(torch.equal(one[key], two[key]) for key in one):
            return False
    return True
