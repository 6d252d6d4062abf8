"""The state of a training on disk: written often and whole, and taken up again to the bit."""

import io
import logging
import random
import signal
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any, cast

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, Checkpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import distributed

from zsda.core.errors import StoppedError, StoreError
from zsda.core.files import write_atomic
from zsda.core.reasons import reason
from zsda.core.runs import PhaseFolder
from zsda.core.seeds import hash32
from zsda.core.signals import ENDING
from zsda.training.soundness import Soundness, in_any_process
from zsda.training.task import TrainingTask

_ANEW = "delete it to start this phase anew"
_PARTS = {
    "state_dict",
    "loops",
    "optimizer_states",
    "lr_schedulers",
    "callbacks",
    "epoch",
    "global_step",
    "pytorch-lightning_version",
}

_log = logging.getLogger(__name__)


class DamagedCheckpointError(StoreError):
    """A checkpoint cannot be read, or lacks a part."""


class RotatingCheckpoints(TorchCheckpointIO):
    """Writes checkpoints whole, on any file system, keeps the one before, and falls back on it where the newest is damaged.

    Args:
        folder: of the phase.
    """

    def __init__(self, folder: PhaseFolder) -> None:
        super().__init__()
        self._folder = folder

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:  # noqa: ANN401
        """Writes a checkpoint whole or not at all; the newest so far becomes the one before."""
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        newest = self._folder.checkpoint
        if newest.is_file():
            newest.replace(self._folder.checkpoint_before)
        write_atomic(Path(path), buffer.getvalue())

    def load_checkpoint(self, path: Any, *arguments: Any, **options: Any) -> dict[str, Any]:  # noqa: ANN401 - Lightning's
        """Reads a checkpoint, or the one before it.

        Raises:
            StoreError: both are damaged, or there is but one.
        """
        before = self._folder.checkpoint_before
        try:
            return self._read(Path(path), *arguments, **options)
        except DamagedCheckpointError as error:
            if Path(path) == before or not before.is_file():
                raise
            _log.warning("%s; going on from %s, the one before it", str(error).removesuffix(f"; {_ANEW}"), before.name)
            return self._read(before, *arguments, **options)

    def _read(self, path: Path, *arguments: Any, **options: Any) -> dict[str, Any]:  # noqa: ANN401 - Lightning's
        try:
            checkpoint = super().load_checkpoint(path, *arguments, **options)
        except Exception as error:
            # What a damaged file makes the reader stumble over is not enumerable.
            raise DamagedCheckpointError(f"{path} cannot be read ({reason(error)}); {_ANEW}") from error
        lacking = sorted(_PARTS - checkpoint.keys()) if isinstance(checkpoint, dict) else sorted(_PARTS)
        if not lacking and not isinstance(_random_states(checkpoint), list):
            lacking = ["the state of its random numbers"]
        if lacking:
            raise DamagedCheckpointError(
                f"{path} is no checkpoint of a training, it lacks {', '.join(lacking)}; {_ANEW}"
            )
        # What other callbacks kept may tell which file to delete, or to look up on the network.
        own = {Resumption.__name__: {"random": _random_states(checkpoint)}}
        return {**checkpoint, "callbacks": own}

    def remove_checkpoint(self, path: Any) -> None:  # noqa: ANN401 - Lightning's
        """Removes a file, and never a folder."""
        Path(path).unlink(missing_ok=True)


class Checkpoints(Checkpoint):
    """Writes a checkpoint at the end of each epoch, every so often between, and before a signal ends the process; none of nothing.

    SIGINT, SIGTERM and SIGUSR1 let the running step, and a running validation, end first. Under several processes one that is
    told, or whose time has come, speaks for all.

    Args:
        folder: of the phase.
        soundness: says whether the training is one to go on with.
        every_steps: between two checkpoints within an epoch; None looks at the time alone.
        every_minutes: the same in minutes; None looks at the steps alone.
    """

    def __init__(
        self,
        folder: PhaseFolder,
        soundness: Soundness,
        every_steps: int | None = None,
        every_minutes: float | None = None,
    ) -> None:
        self._folder, self._soundness = folder, soundness
        self._every_steps, self._every_minutes = every_steps, every_minutes
        self._told: signal.Signals | None = None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Starts to count, and to listen to signals."""
        self._saved = self._seen = trainer.global_step
        self._clock = time.monotonic()
        if threading.current_thread() is threading.main_thread():
            self._before = signal.getsignal(signal.SIGINT)
            for number in ENDING:  # Lightning puts back those of before at the end of the fit
                signal.signal(number, self._tell)

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,  # noqa: ANN401 - Lightning's
        batch: Any,  # noqa: ANN401
        batch_idx: int,
    ) -> None:
        """Writes one if it is due."""
        # Accumulated gradients are in no checkpoint, and at the end of an epoch one is written anyway.
        if trainer.global_step == self._seen or trainer.is_last_batch or trainer.should_stop:
            return
        self._seen = trainer.global_step
        if in_any_process(trainer, self._told is not None or self._is_due(trainer)):
            self._save(trainer, cast(TrainingTask, pl_module))

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Writes one."""
        self._save(trainer, cast(TrainingTask, pl_module))

    def _is_due(self, trainer: L.Trainer) -> bool:
        by_steps = self._every_steps is not None and trainer.global_step - self._saved >= self._every_steps
        passed = (time.monotonic() - self._clock) / 60
        return by_steps or (self._every_minutes is not None and passed >= self._every_minutes)

    def _save(self, trainer: L.Trainer, task: TrainingTask) -> None:
        self._soundness.check(trainer, task)
        keeps = self._soundness.has_learnt(trainer, task)
        if keeps:
            trainer.save_checkpoint(self._folder.checkpoint, weights_only=False)
        self._saved, self._clock = trainer.global_step, time.monotonic()
        if in_any_process(trainer, self._told is not None):
            goes_on = "which goes on from there" if keeps else "which had learnt nothing yet and starts anew"
            raise StoppedError(
                self._told or signal.SIGTERM,
                f"stopped at step {trainer.global_step} of the phase {self._folder.path.name}, {goes_on} when it is started again with the "
                "same words",
            )

    def end_if_told(self, trainer: L.Trainer) -> None:
        """Ends what follows a training that was told to end after its last checkpoint.

        Raises:
            StoppedError: it was, or another process of it.
        """
        if in_any_process(trainer, self._told is not None):
            raise StoppedError(
                self._told or signal.SIGTERM,
                f"stopped after the phase {self._folder.path.name}, which is finished; started again with the same words it makes what is "
                "missing",
            )

    def _tell(self, number: int, frame: FrameType | None) -> None:
        impatient = self._told is not None and number == signal.SIGINT
        if impatient and callable(self._before):
            self._before(number, frame)
        self._told = signal.Signals(number)


class Resumption(Callback):
    """Lets an interrupted training go on as if it had not been: with the same next batch, and the same random numbers.

    Every epoch starts from random numbers of its own, so one that is resumed between two epochs needs nothing else. Loaders must
    draw from samplers that can start in the middle (`zsda.data.samplers`).

    Args:
        seed: of the phase.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._states: list[Any] | None = None

    @property
    def state_key(self) -> str:
        """How its state is called in a checkpoint."""
        return type(self).__name__

    def state_dict(self) -> dict[str, Any]:
        """Returns the state of the random numbers of every process."""
        own = _random_state()
        if not (distributed.is_available() and distributed.is_initialized()):
            return {"random": [own]}
        everyones: list[Any] = [None] * distributed.get_world_size()
        distributed.all_gather_object(everyones, own)
        return {"random": everyones}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes up a state, once the training starts."""
        self._states = state_dict["random"]

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Goes to where the checkpoint was written.

        Raises:
            StoreError: the checkpoint is that of another number of processes.
        """
        if self._states is None:
            return
        loop = trainer.fit_loop
        epoch, done = trainer.current_epoch, loop.epoch_loop.batch_progress.current.ready
        if not loop.restarted_mid_epoch:
            done = 0
        loaders = loop._combined_loader.flattened  # type: ignore[union-attr]
        for loader in loaders:
            loader.sampler.set_epoch(epoch)
            loader.sampler.resume(epoch, done * loader.batch_size)
        iter(loop._data_fetcher)  # type: ignore[arg-type]
        if len(self._states) == trainer.world_size:
            _set_random_state(self._states[trainer.global_rank])
        elif done:
            raise StoreError(
                f"last.ckpt was written within an epoch by {len(self._states)} processes, this training has {trainer.world_size}; give as "
                "many machine.devices=, or delete it to start this phase anew"
            )
        self._states = None

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Seeds torch for this epoch and process."""
        torch.manual_seed(hash32(self._seed, trainer.current_epoch, trainer.global_rank))


def _random_states(checkpoint: dict[str, Any]) -> Any:  # noqa: ANN401 - whatever stands there
    try:
        return checkpoint["callbacks"][Resumption.__name__]["random"]
    except (KeyError, TypeError):
        return None


def _random_state() -> dict[str, Any]:
    numbers = np.random.get_state(legacy=False)
    numbers = {
        **numbers,
        "state": {**numbers["state"], "key": numbers["state"]["key"].tolist()},
    }  # no array, which is no plain data
    state = {"torch": torch.get_rng_state(), "python": random.getstate(), "numpy": numbers}
    return {**state, "cuda": torch.cuda.get_rng_state()} if torch.cuda.is_available() else state


def _set_random_state(state: dict[str, Any]) -> None:
    try:
        torch.set_rng_state(state["torch"])
        random.setstate(state["python"])
        inner = state["numpy"]["state"]
        np.random.set_state({**state["numpy"], "state": {**inner, "key": np.array(inner["key"], np.uint32)}})
        if "cuda" in state and torch.cuda.is_available():
            torch.cuda.set_rng_state(state["cuda"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise StoreError(
            f"the random numbers of last.ckpt cannot be taken up ({reason(error)}); delete it to start this phase anew"
        ) from error
