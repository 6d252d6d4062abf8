"""How long a training would take: a few of its real steps, of which nothing is kept."""

import copy
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn

from zsda.core.errors import ConfigError
from zsda.training.callbacks import AfterStep
from zsda.training.task import TrainingTask

STEPS = 3
"""Steps that are measured, after one that warms up."""


@dataclass(frozen=True)
class Pace:
    """What was measured of a training.

    Attributes:
        batch: seconds of a training batch, data included.
        scoring: seconds of a batch of the watched sets; 0 where nothing is watched.
        checkpoint: bytes of a checkpoint: networks, averages and the state of the optimisers.
        weights: bytes of each network that it leaves.
    """

    batch: float
    scoring: float
    checkpoint: int
    weights: int


def measure_pace(task: TrainingTask, data: L.LightningDataModule, make_trainer: Callable[..., L.Trainer]) -> Pace:
    """Takes the first steps of a training and nothing more: no logger, no checkpoint, no folder.

    Args:
        task: the task, which is trained by that much.
        data: what it reads; must have no cache, which would be written.
        make_trainer: makes Lightning trainers on the device and in the precision of the run.

    Raises:
        ConfigError: there is no memory for a step.
    """
    torch.backends.cudnn.deterministic = True  # as `fit` trains, which takes longer
    clock = _Clock()
    trainer = make_trainer(
        max_epochs=1,
        limit_train_batches=1 + STEPS,
        limit_val_batches=1 + STEPS,
        check_val_every_n_epoch=1,
        num_sanity_val_steps=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        use_distributed_sampler=False,
        callbacks=[AfterStep(), clock],
    )
    try:
        trainer.fit(task.train(), datamodule=data)
    except torch.OutOfMemoryError as error:
        raise ConfigError("no memory for a training step; lower data.batch_size or data.transform.crop") from error
    return Pace(
        _mean(clock.steps),
        _mean(clock.scorings),
        clock.checkpoint,
        max(bytes_of(network) for network in task.networks().values()),
    )


def bytes_of(network: nn.Module) -> int:
    """Returns how many bytes the parameters and buffers of a network take."""
    return _bytes(network.state_dict().values())


def seconds_of_pass(network: nn.Module, shape: Sequence[int], device: torch.device) -> float:
    """Returns the seconds of a pass through a network without gradients, in fp32.

    Args:
        network: a copy of it is moved and measured.
        shape: of the images, [B, 3, h, w].
        device: where.

    Raises:
        ConfigError: there is no memory for it.
    """
    times, images = list[float](), torch.zeros(*shape, device=device)
    network = copy.deepcopy(network).to(device).eval()
    try:
        with torch.no_grad():
            for _ in range(1 + STEPS):
                started = _now()
                network(images)
                times.append(_now() - started)
    except torch.OutOfMemoryError as error:
        raise ConfigError("no memory to predict a batch; lower its batch_size or size") from error
    return _mean(times)


class _Clock(Callback):
    """Takes the time from one batch to the next, so that waiting for data counts."""

    def __init__(self) -> None:
        self.steps: list[float] = []
        self.scorings: list[float] = []
        self.checkpoint = 0

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Starts."""
        self._last = _now()

    def on_validation_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Starts."""
        self._last = _now()

    def on_train_batch_end(self, *_: Any) -> None:  # noqa: ANN401 - Lightning's
        """Notes a step."""
        self._note(self.steps)

    def on_validation_batch_end(self, *_: Any) -> None:  # noqa: ANN401 - Lightning's
        """Notes a batch of a watched set."""
        self._note(self.scorings)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Looks how large a checkpoint would be."""
        states = [state for optimizer in trainer.optimizers for state in optimizer.state.values()]
        values = [value for state in states for value in state.values() if isinstance(value, Tensor)]
        self.checkpoint = _bytes([*cast(TrainingTask, pl_module).state_dict().values(), *values])

    def _note(self, times: list[float]) -> None:
        now = _now()
        times.append(now - self._last)
        self._last = now


def _now() -> float:
    if torch.accelerator.is_available():
        torch.accelerator.synchronize()  # a step is over when the device has done it
    return time.monotonic()


def _mean(times: list[float]) -> float:
    measured = times[1:] or times  # the first one warms up
    return sum(measured) / len(measured) if measured else 0.0


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
