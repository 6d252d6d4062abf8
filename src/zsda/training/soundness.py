"""Ends a training that learns nothing, or whose numbers are none any more, before a result is made of it."""

import math
from typing import Any, cast

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from zsda.core.errors import DataError, DivergedError
from zsda.core.runs import PhaseFolder
from zsda.data.training import TrainingData
from zsda.models.weights import not_finite
from zsda.training.task import TrainingTask

LOOK_EVERY = 10
"""Steps between two looks at the losses, each of which waits for the device."""

_WAY_OUT = "lower optimizer.lr=, which needs another name=, or look for what is odd in the data"


class Soundness(Callback):
    """Looks at every rate and loss, at the weights before they are written, and after each epoch at whether anything was learnt in it.

    Losses are judged where they are calculated and asked for every few steps; the message names the first that was bad. What is so in
    one of several processes ends them all.

    Args:
        folder: of the phase.
    """

    def __init__(self, folder: PhaseFolder) -> None:
        self._phase = folder.path.name
        self._bad_step: Tensor | None = None  # of the first loss that was not finite, 0 while there is none
        self._rates: dict[int, list[float]] = {}
        self._learnt = False

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Looks whether there was a checkpoint, which is written of nothing but a training that learns."""
        self._learnt = self._within = trainer.global_step > 0

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Begins to look for what is learnt; an epoch that is resumed in its middle does not come here."""
        self._within = False
        cast(TrainingTask, pl_module).learnt = None

    def on_before_backward(self, trainer: L.Trainer, pl_module: L.LightningModule, loss: Tensor) -> None:
        """Notes the loss and the rates of a step.

        Raises:
            DivergedError: a rate is not finite.
        """
        step = cast(TrainingTask, pl_module).steps + 1
        self._rates[step] = [float(group["lr"]) for optimizer in trainer.optimizers for group in optimizer.param_groups]
        if not all(map(math.isfinite, self._rates[step])):
            raise DivergedError(
                f"phase {self._phase}: step {step} has {self._rate(step)}; see optimizer.lr and schedule"
            )
        now = torch.where(loss.detach().isfinite(), 0, step)
        self._bad_step = now if self._bad_step is None else torch.where(self._bad_step > 0, self._bad_step, now)

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,  # noqa: ANN401 - Lightning's
        batch: Any,  # noqa: ANN401
        batch_idx: int,
    ) -> None:
        """Asks for the losses every few steps; see `check`."""
        if cast(TrainingTask, pl_module).steps % LOOK_EVERY == 0:
            self._check_losses(trainer)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Looks at everything.

        Raises:
            DivergedError: see `check`.
            DataError: nothing was learnt in this epoch.
        """
        task = cast(TrainingTask, pl_module)
        self.check(trainer, task)
        if task.learnt is not None and not self._within and not in_any_process(trainer, bool(task.learnt)):
            raise DataError(f"phase {self._phase}, epoch {trainer.current_epoch + 1}: {_why_nothing(trainer, task)}")

    def check(self, trainer: L.Trainer, task: TrainingTask) -> None:
        """Refuses a training whose numbers are not finite.

        Raises:
            DivergedError: a loss since the last look, or a weight, is NaN or infinite.
        """
        self._check_losses(trainer)
        # What is trained first, then what follows it.
        bad = sorted(not_finite(task.state_dict()), key=lambda name: name.startswith("averages."))
        if in_any_process(trainer, bool(bad)):
            which = f" {bad[0]}" if bad else ""
            raise DivergedError(
                f"phase {self._phase}: after step {task.steps} the weights{which} are no longer finite, at "
                f"{self._rate(task.steps)}; {_WAY_OUT}"
            )

    def has_learnt(self, trainer: L.Trainer, task: TrainingTask) -> bool:
        """Tells whether anything was learnt so far, by any process: a training that did not is not begun."""
        if not self._learnt:
            self._learnt = in_any_process(trainer, task.learnt is None or bool(task.learnt))
        return self._learnt

    def _check_losses(self, trainer: L.Trainer) -> None:
        step = 0 if self._bad_step is None else int(self._bad_step)
        if in_any_process(trainer, step > 0):
            where = f"at step {step}, at {self._rate(step)}" if step else "in another process"
            raise DivergedError(f"phase {self._phase}: the loss is not finite {where}; {_WAY_OUT}")
        newest = max(self._rates, default=0)
        self._rates = {number: rates for number, rates in self._rates.items() if number == newest}

    def _rate(self, step: int) -> str:
        rates = dict.fromkeys(self._rates.get(step, []))
        return (
            f"a learning rate of {' and '.join(f'{rate:g}' for rate in rates)}" if rates else "an unknown learning rate"
        )


def in_any_process(trainer: L.Trainer, own: bool) -> bool:
    """Tells whether something is so in any of the processes; to be called by all of them."""
    return own if trainer.world_size == 1 else trainer.strategy.reduce_boolean_decision(own, all=False)


def _why_nothing(trainer: L.Trainer, task: TrainingTask) -> str:
    if task.faults.messages:
        return f"not one labelled pixel could be read: {task.faults.first()}"
    data = trainer.datamodule  # type: ignore[attr-defined]  # set by fit(datamodule=...)
    labels = data.label_files() if isinstance(data, TrainingData) else []
    first = f", the first is {labels[0]}" if labels else ""
    return f"not one labelled pixel was seen of {len(labels)} labels{first}; expected ids of the classes in them"
