"""What all trainings share."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from zsda.core.errors import StoreError
from zsda.evaluation.inference import ScoringTask
from zsda.training.schedules import Horizon, Schedule

OptimizerFactory = Callable[[Iterable[nn.Parameter]], Optimizer]


class SegmentationTask(ScoringTask, ABC):
    """The base of all trainings: optimiser, schedule, watched sets; a subclass says what the loss is.

    Args:
        model: images [B, 3, H, W] -> logits [B, C, H, W].
        optimizer: makes the optimiser of the parameters.
        schedule: makes the learning rate schedule.
        horizon: what the schedule is laid out for, in epochs or steps.
        unit: ``epoch`` or ``step``.
        watched: names of the validation sets, in the order of their loaders.

    Attributes:
        watched: ``val/<set>/miou`` -> the last score of that set.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: OptimizerFactory,
        schedule: Schedule,
        horizon: int,
        unit: str,
        watched: Sequence[str] = (),
    ) -> None:
        super().__init__(model, watched)
        self._optimizer, self._schedule = optimizer, schedule
        self._horizon, self._unit = horizon, unit
        self.watched: dict[str, float] = {}

    @abstractmethod
    def training_loss(self, batch: dict[str, Any]) -> Tensor:
        """Returns the loss of a batch, ``images`` (view -> [B, 3, h, w]) and ``mask`` [B, h, w]."""

    def training_step(self, batch: dict[str, Any], _index: int) -> Tensor:
        """Takes ``images`` (view -> [B, 3, h, w]) and ``mask`` [B, h, w]; a batch of damaged files only teaches nothing."""
        if not self.faults.take(batch):
            # Not None: under several processes, each must go backwards through every parameter.
            return sum(
                (0 * parameter.sum() for parameter in self.parameters()), start=torch.zeros((), device=self.device)
            )
        loss = self.training_loss(batch)
        count = len(batch["mask"])
        self.log("train/loss", loss, on_step=True, on_epoch=True, prog_bar=True, batch_size=count, sync_dist=True)
        return loss

    def validation_step(self, batch: dict[str, Any], _index: int, dataloader_idx: int = 0) -> None:
        """Scores a batch of a watched set."""
        self.score(batch, dataloader_idx)

    def on_validation_epoch_end(self) -> None:
        """Logs ``val/<set>/miou`` for every watched set."""
        self.watched = {f"val/{name}/miou": float(result["miou"]) for name, result in self.results().items()}
        self.log_dict(self.watched, prog_bar=True, sync_dist=True)
        for scores in self.scores:
            scores.reset()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keeps what a resumed phase reports at its end."""
        checkpoint["report"] = {"watched": self.watched, "left_out": self.faults.messages}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Takes up the report of the interrupted phase.

        Raises:
            StoreError: the checkpoint is that of another training.
        """
        found, own = (
            {key: tuple(v.shape) for key, v in s.items()} for s in (checkpoint["state_dict"], self.state_dict())
        )
        report = checkpoint.get("report")
        if found != own or not isinstance(report, dict) or report.keys() != {"watched", "left_out"}:
            raise StoreError("last.ckpt is not the checkpoint of this phase; delete it to start this phase anew")
        self.watched = dict(report["watched"])
        self.faults.messages = []
        self.faults.add([str(message) for message in report["left_out"]])

    def configure_optimizers(self) -> Any:  # noqa: ANN401 - Lightning's union
        """Builds optimiser and schedule for the phase."""
        optimizer = self._optimizer(self.model.parameters())
        self.trainer.fit_loop.setup_data()
        batches = self.trainer.num_training_batches
        steps = math.ceil(batches / self.trainer.accumulate_grad_batches)
        return {
            "optimizer": optimizer,
            "lr_scheduler": self._schedule(optimizer, Horizon(self._horizon, self._unit, steps)),
        }
