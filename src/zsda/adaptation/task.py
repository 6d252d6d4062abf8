"""What all trainings share."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from zsda.adaptation.losses import cross_entropy
from zsda.adaptation.schedules import Horizon, Schedule
from zsda.evaluation.inference import ScoringTask

OptimizerFactory = Callable[[Iterable[nn.Parameter]], Optimizer]


class SegmentationTask(ScoringTask):
    """Supervised training on one view; the base of the other tasks.

    Args:
        model: images [B, 3, H, W] -> logits [B, C, H, W].
        optimizer: makes the optimiser of the parameters.
        schedule: makes the learning rate schedule.
        horizon: what the schedule is laid out for, in epochs or steps.
        unit: ``epoch`` or ``step``.
        watched: names of the validation sets, in the order of their loaders.
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

    def training_loss(self, batch: dict[str, Any]) -> Tensor:
        """Cross entropy of the batch's one view."""
        (images,) = batch["images"].values()
        return cross_entropy(self(images), batch["mask"].long())

    def training_step(self, batch: dict[str, Any], _index: int) -> Tensor | None:
        """Takes ``images`` (view -> [B, 3, h, w]) and ``mask`` [B, h, w]; a batch of damaged files only is skipped."""
        if not self.faults.take(batch):
            return None
        loss = self.training_loss(batch)
        self.log("train/loss", loss, on_step=True, on_epoch=True, prog_bar=True, batch_size=len(batch["mask"]))
        return loss

    def validation_step(self, batch: dict[str, Any], _index: int, dataloader_idx: int = 0) -> None:
        """Scores a batch of a watched set."""
        self.score(batch, dataloader_idx)

    def on_validation_epoch_end(self) -> None:
        """Logs ``val/<set>/miou`` for every watched set."""
        for name, result in self.results().items():
            self.log(f"val/{name}/miou", result["miou"].float(), prog_bar=True)
        for scores in self.scores:
            scores.reset()

    def configure_optimizers(self) -> Any:  # noqa: ANN401 - Lightning's union
        """Builds optimiser and schedule for the phase."""
        optimizer = self._optimizer(self.model.parameters())
        self.trainer.fit_loop.setup_data()
        batches = self.trainer.num_training_batches
        steps = max(1, int(batches) // self.trainer.accumulate_grad_batches)
        return {
            "optimizer": optimizer,
            "lr_scheduler": self._schedule(optimizer, Horizon(self._horizon, self._unit, steps)),
        }
