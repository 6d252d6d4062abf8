"""Runs a method, which is a list of phases: finished ones are skipped, an interrupted one is resumed."""

import copy
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, LearningRateMonitor, ModelCheckpoint, RichProgressBar
from torch import nn

from zsda.adaptation.tasks.base import OptimizerFactory, SegmentationTask
from zsda.core.errors import ConfigError
from zsda.core.run_records import PhaseReport
from zsda.core.runs import PhaseFolder, RunFolder
from zsda.core.seeds import phase_seed
from zsda.data.aligned import ViewsData
from zsda.data.faults import FaultLog
from zsda.models.weights import load_weights, save_weights
from zsda.training.callbacks import AtomicCheckpoints, EpochLines, EpochSeed, KeepEpochs
from zsda.training.schedules import Schedule

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Phase:
    """One training with its own data, start weights and schedule.

    Attributes:
        name: names its folder; unique within the method.
        task: makes the task from its model, optimiser, schedule, horizon, unit and watched sets.
        views: what it trains on, ``source``, ``classical`` or names of recipes; one that is named twice is seen twice.
        epochs: its length, or
        steps: its length in optimiser steps.
        horizon: what the schedule is laid out for, in the unit of the length; None is the length itself.
        start: the earlier phase whose weights it starts from; None starts from the model as it was built.

    Raises:
        ConfigError: no views, not exactly one length, or a horizon that ends before it.
    """

    name: str
    task: Callable[..., SegmentationTask]
    views: Sequence[str]
    epochs: int | None = None
    steps: int | None = None
    horizon: int | None = None
    start: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.views, str) or not self.views:
            raise ConfigError(
                f"phase {self.name!r}: views={self.views!r}; expected a list, for example [source,target]"
            )
        if (self.epochs is None) == (self.steps is None):
            raise ConfigError(f"phase {self.name!r}: give either epochs or steps, not both and not none of them")
        numbers = [self.length, self.length if self.horizon is None else self.horizon]
        if not all(isinstance(number, int) for number in numbers) or not 1 <= numbers[0] <= numbers[1]:
            raise ConfigError(
                f"phase {self.name!r}: length {self.length} and horizon {self.horizon}; "
                "expected whole numbers, 1 <= length <= horizon"
            )

    @property
    def length(self) -> int:
        """Number of epochs or steps."""
        return self.epochs if self.epochs is not None else self.steps or 0

    @property
    def unit(self) -> str:
        """``epoch`` or ``step``."""
        return "epoch" if self.epochs is not None else "step"


@dataclass(frozen=True)
class Shared:
    """What all phases of a run are made with.

    Attributes:
        model: the network as built; its weights are those that the first phase starts from.
        data: yields the views that a phase selects.
        optimizer: makes the optimiser of a phase.
        schedule: makes its learning rate schedule.
        trainer: makes its Lightning trainer.
        loggers: makes its loggers in a folder.
        seed: with its number it seeds every phase, so that none depends on whether those before ran in this process.
        keep_every: keep the weights after every so many epochs; None keeps the last alone.

    Raises:
        ConfigError: ``keep_every`` is no number of epochs.
    """

    model: nn.Module
    data: ViewsData
    optimizer: OptimizerFactory
    schedule: Schedule
    trainer: Callable[..., L.Trainer]
    loggers: Sequence[Callable[..., Any]]
    seed: int
    keep_every: int | None = None

    def __post_init__(self) -> None:
        if self.keep_every is not None and (not isinstance(self.keep_every, int) or self.keep_every < 1):
            raise ConfigError(f"keep_every={self.keep_every}; expected a whole number of epochs of at least 1, or null")


def run_phases(phases: Sequence[Phase], shared: Shared, run: RunFolder) -> PhaseFolder:
    """Runs phases that `check_phases` found nothing wrong with, in order, and returns the folder of the last one.

    Raises:
        IncompleteError: everything is finished, but damaged files were left out.
    """
    initial = copy.deepcopy(shared.model.state_dict())
    left_out = FaultLog()
    for number, phase in enumerate(phases):
        folder = run.phase(phase.name)
        title = f"phase {number + 1} of {len(phases)}, {phase.name}"
        if folder.finished:
            _log.info("%s: finished before, skipped", title)
        else:
            shared.data.select(phase.views, number)
            shared.model.load_state_dict(initial)
            if phase.start is not None:
                load_weights(shared.model, run.phase(phase.start).weights)
            scenes = shared.data.training_set.describe()
            _log.info("%s: %s, %d %ss", title, scenes, phase.length, phase.unit)
            _train(phase, shared, phase_seed(shared.seed, number), folder)
        left_out.add(folder.report().left_out)
    left_out.conclude(f"trained, the weights are {folder.weights}")
    return folder


def check_phases(phases: Sequence[Phase], data: ViewsData) -> dict[str, str]:
    """Finds what is wrong with a list of phases before anything is started or written.

    Returns:
        View -> what tells the files that it is trained on from others.

    Raises:
        ConfigError: names are not unique, or a phase starts from one that does not come before it.
        DataError: a view of any phase is not there.
    """
    before: list[str] = []
    files: dict[str, str] = {}
    for phase in phases:
        if phase.name in before:
            raise ConfigError(f"two phases are called {phase.name!r}; expected unique names")
        if phase.start is not None and phase.start not in before:
            raise ConfigError(
                f"phase {phase.name!r} starts from {phase.start!r}; expected one of the phases before it: {before}"
            )
        before.append(phase.name)
        data.select(phase.views)
        found = data.training_set.fingerprints()
        files |= {view: found[view] for view in phase.views}
    return files


def _train(phase: Phase, shared: Shared, seed: int, folder: PhaseFolder) -> None:
    L.seed_everything(seed, workers=True, verbose=False)
    torch.backends.cudnn.deterministic = True  # as published
    task = phase.task(
        model=shared.model,
        optimizer=shared.optimizer,
        schedule=shared.schedule,
        horizon=phase.horizon or phase.length,
        unit=phase.unit,
        watched=list(shared.data.watched.settings),
    )
    trainer = _trainer(phase, shared, seed, folder)
    started = time.monotonic()
    resume = folder.checkpoint if folder.checkpoint.is_file() else None
    if resume is not None:
        _log.info("resuming from %s", resume)
    try:
        trainer.fit(task, datamodule=shared.data, ckpt_path=resume, weights_only=True)
    except torch.OutOfMemoryError as error:
        raise ConfigError("no memory for a training step; lower data.batch_size or data.transform.crop") from error
    if trainer.is_global_zero:
        save_weights(shared.model, folder.weights)
        folder.finish(
            PhaseReport(
                epochs=trainer.current_epoch,
                steps=trainer.global_step,
                seconds=round(time.monotonic() - started, 1),
                resumed=resume is not None,
                left_out=task.faults.messages,
                watched=task.watched,
            )
        )
    trainer.strategy.barrier()


def _trainer(phase: Phase, shared: Shared, seed: int, folder: PhaseFolder) -> L.Trainer:
    loggers = [make(save_dir=folder.path) for make in shared.loggers]
    checkpoint = ModelCheckpoint(
        dirpath=folder.path,
        filename=folder.checkpoint.stem,
        enable_version_counter=False,
        save_on_train_epoch_end=True,
    )
    watching: list[Callback] = [LearningRateMonitor()] if loggers else []
    if shared.keep_every is not None:
        watching.append(KeepEpochs(folder, shared.keep_every))
    return shared.trainer(
        max_epochs=phase.epochs if phase.epochs is not None else -1,
        max_steps=phase.steps if phase.steps is not None else -1,
        callbacks=[checkpoint, *watching, RichProgressBar(leave=True), EpochLines(), EpochSeed(seed)],
        logger=loggers,
        plugins=[AtomicCheckpoints()],
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
    )
