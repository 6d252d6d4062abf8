"""What every training does beside training: checkpoints, seeds and a line of log for each epoch."""

import io
import logging
import pickle
import time
from pathlib import Path
from typing import Any, cast

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO

from zsda.core.errors import StoreError
from zsda.core.files import write_atomic
from zsda.core.runs import PhaseFolder
from zsda.core.seeds import hash32
from zsda.evaluation.inference import ScoringTask
from zsda.models.weights import save_weights

_ANEW = "delete it to start this phase anew"
_PARTS = {
    "state_dict",
    "loops",
    "optimizer_states",
    "lr_schedulers",
    "epoch",
    "global_step",
    "pytorch-lightning_version",
}

_log = logging.getLogger(__name__)


class AtomicCheckpoints(TorchCheckpointIO):
    """Writes checkpoints beside their place and renames them, on any file system, and names one that cannot be read."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:  # noqa: ANN401
        """Writes a checkpoint whole or not at all."""
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        write_atomic(Path(path), buffer.getvalue())

    def load_checkpoint(self, path: Any, *arguments: Any, **options: Any) -> dict[str, Any]:  # noqa: ANN401 - Lightning's
        """Reads a checkpoint.

        Raises:
            StoreError: it is damaged.
        """
        try:
            checkpoint = super().load_checkpoint(path, *arguments, **options)
        except (RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
            reason = " ".join(str(error).split())[:200]
            raise StoreError(f"{path} cannot be read ({reason}); {_ANEW}") from error
        lacking = sorted(_PARTS - checkpoint.keys()) if isinstance(checkpoint, dict) else sorted(_PARTS)
        if lacking:
            raise StoreError(f"{path} is no checkpoint of a training, it lacks {', '.join(lacking)}; {_ANEW}")
        states = checkpoint.get("callbacks", {})
        # Of itself it tells which file to delete next, or to look up on the network; there is one for each phase, so it need not.
        kept = {name: state for name, state in states.items() if not str(name).startswith(ModelCheckpoint.__name__)}
        return {**checkpoint, "callbacks": kept}

    def remove_checkpoint(self, path: Any) -> None:  # noqa: ANN401 - Lightning's
        """Removes a file, and never a folder."""
        Path(path).unlink(missing_ok=True)


class EpochSeed(Callback):
    """Seeds dropout by epoch, so that a phase resumed at an epoch draws what an uninterrupted one draws.

    Args:
        seed: of the phase.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Seeds torch for this epoch and process."""
        torch.manual_seed(hash32(self._seed, trainer.current_epoch, trainer.global_rank))


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
            save_weights(cast(ScoringTask, pl_module).model, self._folder.epoch_weights(epoch))


class EpochLines(Callback):
    """One line of log for each epoch, for terminals that show no progress bar."""

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Starts the clock."""
        self._started, self._first_step = time.monotonic(), trainer.global_step

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Logs loss, scores, and the time that is left at this pace."""
        shown = {
            k: float(v) for k, v in trainer.callback_metrics.items() if k == "train/loss_epoch" or k.startswith("val/")
        }
        pace = (time.monotonic() - self._started) / max(1, trainer.global_step - self._first_step)
        left = pace * max(0, int(trainer.estimated_stepping_batches) - trainer.global_step)
        values = "  ".join(f"{name} {value:.4f}" for name, value in shown.items())
        _log.info("epoch %d  step %d  %s  %.0f s left", trainer.current_epoch + 1, trainer.global_step, values, left)
