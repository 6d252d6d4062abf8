"""The one way to train: from where it was, to its end, into a folder."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, LearningRateMonitor

from zsda.core.errors import ConfigError
from zsda.core.reasons import reason
from zsda.core.run_records import PhaseReport
from zsda.core.runs import PhaseFolder
from zsda.core.values import COUNT, FLAG, KEEP, POSITIVE
from zsda.models.weights import save_weights
from zsda.training.callbacks import AfterStep, EpochLines, KeepEpochs, ProgressBar, StepLimit
from zsda.training.checkpoints import Checkpoints, Resumption, RotatingCheckpoints
from zsda.training.loggers import shows_pictures
from zsda.training.panels import Panels
from zsda.training.soundness import Soundness
from zsda.training.task import TrainingTask

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Length:
    """How long a training is.

    Attributes:
        count: number of units.
        unit: ``epoch`` or ``step``.
    """

    count: int
    unit: str


@dataclass(frozen=True)
class Engine:
    """What trainings are run with, which none of their results depends on.

    Attributes:
        trainer: makes Lightning trainers.
        loggers: make loggers in the folder of a phase.
        every_steps: between two checkpoints within an epoch; see `Checkpoints`.
        every_minutes: the same in minutes.
        keep: which epochs' weights stay: ``last``, ``all``, or a number N, those after every N-th and the last.
        compile: let torch compile the networks, which changes results by rounding.

    Raises:
        ConfigError: one of the numbers is none.
    """

    trainer: Callable[..., L.Trainer]
    loggers: Sequence[Callable[..., Any]] = field(default_factory=list)
    every_steps: int | None = None
    every_minutes: float | None = None
    keep: int | str = "last"
    compile: bool = False

    def __post_init__(self) -> None:
        KEEP.check("keep", self.keep)
        COUNT.or_none().check("checkpoint.every_steps", self.every_steps)
        POSITIVE.or_none().check("checkpoint.every_minutes", self.every_minutes)
        FLAG.check("compile", self.compile)


def fit(
    make_task: Callable[[], TrainingTask],
    data: L.LightningDataModule,
    length: Length,
    seed: int,
    engine: Engine,
    folder: PhaseFolder,
) -> TrainingTask:
    """Trains, from the last checkpoint if there is one, and finishes the folder with weights and a report.

    A training that was interrupted anywhere ends with the weights of one that was not, bit by bit where the device computes so.

    Args:
        make_task: makes the task; called once everything random is seeded.
        data: whose loaders draw from samplers that can start in the middle (`zsda.data.samplers`).
        length: of the training.
        seed: of everything random in it but the data's own.
        engine: what it is run with.
        folder: receives checkpoints, logs, weights and, at last, the report.

    Returns:
        The task as it ended.

    Raises:
        ConfigError: there is no memory for a step, a learning rate that makes no sense, or networks that cannot be compiled.
        DivergedError: a loss, a rate or a weight is NaN or infinite.
        DataError: there was an epoch without one labelled pixel in a good file.
        StoreError: the checkpoint cannot be taken up, or the folder cannot be written.
        StoppedError: a signal ended it.
    """
    L.seed_everything(seed, workers=True, verbose=False)
    torch.backends.cudnn.deterministic = True  # as published
    task = make_task().train()  # a phase before may have left the network in evaluation mode
    started = time.monotonic()
    soundness = Soundness(folder)
    checkpoints = Checkpoints(folder, soundness, engine.every_steps, engine.every_minutes)
    trainer = _trainer(length, seed, engine, folder, [soundness, checkpoints])
    resume = next((path for path in (folder.checkpoint, folder.checkpoint_before) if path.is_file()), None)
    if resume is not None:
        _log.info("resuming from %s", resume)
    elif trainer.is_global_zero:
        folder.start_anew()
    try:
        with _compiled(task) if engine.compile else nullcontext():
            trainer.fit(task, datamodule=data, ckpt_path=resume, weights_only=True)
    except torch.OutOfMemoryError as error:
        raise ConfigError("no memory for a training step; lower data.batch_size or data.transform.crop") from error
    soundness.check(trainer, task)  # a checkpoint may have been the last of it already
    if trainer.is_global_zero:
        for name, network in task.networks().items():
            save_weights(network, folder.network(name))
        folder.finish(
            PhaseReport(
                epochs=trainer.current_epoch,
                steps=task.steps,
                seconds=round(time.monotonic() - started, 1),
                resumed=resume is not None,
                left_out=task.faults.messages,
                watched=task.watched,
                leaves=list(task.artefacts),
            )
        )
    trainer.strategy.barrier()
    checkpoints.end_if_told(trainer)
    return task


@contextmanager
def _compiled(task: TrainingTask) -> Iterator[None]:
    """Lets torch compile the networks of a task at their first pass."""
    from torch._dynamo.exc import TorchDynamoException  # of no use to others, and takes a second

    for network in task.networks().values():
        network.compile()
    try:
        yield
    except TorchDynamoException as error:
        raise ConfigError(
            f"compile=true: torch cannot compile the network here ({reason(error)}); give compile=false"
        ) from error


def _trainer(length: Length, seed: int, engine: Engine, folder: PhaseFolder, watching: Sequence[Callback]) -> L.Trainer:
    loggers = [make(save_dir=folder.path) for make in engine.loggers]
    callbacks: list[Callback] = [LearningRateMonitor()] if loggers else []
    showing = [logger for logger in loggers if shows_pictures(logger)]
    if showing:
        callbacks.append(Panels(showing))
    if engine.keep != "last":
        callbacks.append(KeepEpochs(folder, 1 if engine.keep == "all" else int(engine.keep)))
    if length.unit == "step":
        callbacks.append(StepLimit(length.count))
    return engine.trainer(
        max_epochs=length.count if length.unit == "epoch" else -1,
        callbacks=[
            AfterStep(),
            *watching,
            *callbacks,
            ProgressBar(),
            EpochLines(),
            Resumption(seed),
        ],
        logger=loggers,
        plugins=[RotatingCheckpoints(folder)],
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
    )
