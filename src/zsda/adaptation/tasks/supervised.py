"""Trainings with one loss on labelled batches."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from zsda.adaptation.tasks.base import SegmentationTask
from zsda.evaluation.inference import of_classes
from zsda.training.optimizers import OptimizerFactory


class SupervisedTask(SegmentationTask):
    """One optimiser, one loss; a subclass says what the loss is.

    Args:
        optimizer: makes the optimiser of the network's parameters.
        task: the arguments of `SegmentationTask`.
    """

    def __init__(self, *, optimizer: OptimizerFactory, **task: Any) -> None:  # noqa: ANN401 - those of the base
        super().__init__(**task)
        self._optimizer = optimizer

    @abstractmethod
    def training_loss(self, batch: dict[str, Any]) -> Tensor:
        """Returns the loss of a batch, ``images`` (view -> [B, 3, h, w]) and ``mask`` [B, h, w]."""

    def make_optimizers(self) -> Sequence[Optimizer]:
        """Returns the optimiser of all parameters."""
        return [self._optimizer(self.model.parameters())]

    def training_step(self, batch: dict[str, Any], _index: int) -> Tensor:
        """Takes ``images`` (view -> [B, 3, h, w]) and ``mask`` [B, h, w]; a batch of damaged files only teaches nothing."""
        if not self.take(batch):
            return self.nothing()
        loss = self.training_loss(batch)
        count = len(batch["mask"])
        self.log("train/loss", loss, on_step=True, on_epoch=True, prog_bar=True, batch_size=count, sync_dist=True)
        return loss

    def log_part(self, name: str, loss: Tensor, count: int) -> None:
        """Logs a part of the loss of ``count`` scenes, by epoch."""
        self.log(f"train/loss_{name}", loss, on_step=False, on_epoch=True, batch_size=count, sync_dist=True)

    def logits_of_classes(self, images: Tensor) -> Tensor:
        """Maps images to logits.

        Raises:
            ConfigError: the network has fewer outputs than there are classes.
        """
        logits: Tensor = self(images)
        of_classes(logits, len(self.classes))  # which refuses too few; void is learnt as published
        return logits
