"""What every training does beside training: its length, the weights that it keeps, and a line of log for each epoch."""

import logging
import math
import time
from typing import Any, cast

import lightning as L
from lightning.pytorch.callbacks import Callback, RichProgressBar

from zsda.core.runs import PhaseFolder
from zsda.models.weights import save_weights
from zsda.training.soundness import LOOK_EVERY
from zsda.training.task import TrainingTask

_log = logging.getLogger(__name__)


class AfterStep(Callback):
    """Lets the task move on what follows its optimisers, before anything looks at it or writes it down.

    Lightning calls a task's own hook at the end of a step after those of the callbacks, which is too late for a checkpoint.
    """

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,  # noqa: ANN401 - Lightning's
        batch: Any,  # noqa: ANN401
        batch_idx: int,
    ) -> None:
        """Calls the task."""
        cast(TrainingTask, pl_module).after_step()


class StepLimit(Callback):
    """Ends a training after so many steps, with a validation and an end of its epoch.

    Lightning's own limit leaves both out where it falls within an epoch, and counts every optimiser by itself.

    Args:
        steps: their number.
    """

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Ends it at once where a checkpoint was the last."""
        self._stop_if_done(trainer, pl_module)

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,  # noqa: ANN401 - Lightning's
        batch: Any,  # noqa: ANN401
        batch_idx: int,
    ) -> None:
        """Ends it if this was the last step."""
        self._stop_if_done(trainer, pl_module)

    def _stop_if_done(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        trainer.should_stop = cast(TrainingTask, pl_module).steps >= self.steps


class KeepEpochs(Callback):
    """Keeps the weights after every so many epochs, for those who must tell how good the best epoch would have been.

    A resumed phase writes an epoch that it trains again over itself.

    Args:
        folder: of the phase.
        every: number of epochs.
    """

    def __init__(self, folder: PhaseFolder, every: int) -> None:
        self._folder, self._every = folder, every

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Writes the weights if it is their turn."""
        epoch = trainer.current_epoch + 1
        if trainer.is_global_zero and epoch % self._every == 0:
            save_weights(cast(TrainingTask, pl_module).networks()["weights"], self._folder.epoch_weights(epoch))


class ProgressBar(RichProgressBar):
    """Shows losses as they are every few steps: each look at them waits for the device."""

    def __init__(self) -> None:
        super().__init__(leave=True)
        self._shown: dict[str, Any] = {}

    def get_metrics(self, trainer: L.Trainer, pl_module: L.LightningModule) -> dict[str, Any]:
        """Returns what is shown."""
        if cast(TrainingTask, pl_module).steps % LOOK_EVERY == 0 or not self._shown:
            self._shown = super().get_metrics(trainer, pl_module)
        return self._shown


class EpochLines(Callback):
    """One line of log for each epoch, for terminals that show no progress bar."""

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Starts the clock."""
        self._started, self._first_step = time.monotonic(), cast(TrainingTask, pl_module).steps

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Logs loss, scores, and the time that is left at this pace."""
        shown = {
            k: float(v) for k, v in trainer.callback_metrics.items() if k == "train/loss_epoch" or k.startswith("val/")
        }
        steps = cast(TrainingTask, pl_module).steps
        pace = (time.monotonic() - self._started) / max(1, steps - self._first_step)
        left = pace * max(0, _last_step(trainer) - steps)
        values = "  ".join(f"{name} {value:.4f}" for name, value in shown.items())
        _log.info("epoch %d  step %d  %s  %.0f s left", trainer.current_epoch + 1, steps, values, left)


def _last_step(trainer: L.Trainer) -> int:
    limits = [callback.steps for callback in trainer.callbacks if isinstance(callback, StepLimit)]  # type: ignore[attr-defined]
    in_epoch = math.ceil(trainer.num_training_batches / trainer.accumulate_grad_batches)
    return limits[0] if limits else in_epoch * cast(int, trainer.max_epochs)
