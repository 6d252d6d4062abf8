"""What all trainings of segmentation networks share."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from zsda.core.precision import training_format
from zsda.data.labels import CITYSCAPES, ClassSet
from zsda.evaluation.inference import ResizedInference
from zsda.evaluation.metrics import SetScores
from zsda.evaluation.protocols import PROTOCOLS
from zsda.training.panels import Watched
from zsda.training.schedules import Schedule
from zsda.training.task import TrainingTask


class SegmentationTask(TrainingTask):
    """A network, and the sets that are scored with it in between.

    Args:
        model: images [B, 3, H, W] -> logits [B, C, H, W].
        schedule: makes the learning rate schedule.
        horizon: what the schedule is laid out for, in epochs or steps.
        unit: ``epoch`` or ``step``.
        watched: names of the validation sets, in the order of their loaders.
        classes: what is told apart; there may be more outputs.
    """

    def __init__(
        self,
        model: nn.Module,
        schedule: Schedule,
        horizon: int,
        unit: str,
        watched: Sequence[str] = (),
        classes: ClassSet = CITYSCAPES,
    ) -> None:
        super().__init__(schedule, horizon, unit)
        self.model = model
        self._format = torch.contiguous_format
        self.classes = classes
        self._scores = SetScores(classes, watched, PROTOCOLS["sdgpa"])

    def setup(self, stage: str) -> None:
        """Lays out the networks as the device likes them best."""
        self._format = training_format(self.device)
        for network in self.networks().values():
            network.to(memory_format=self._format)

    def networks(self) -> Mapping[str, nn.Module]:
        """Returns the network as the result."""
        return {"weights": self.model}

    def forward(self, images: Tensor) -> Tensor:
        """Maps normalised images [B, 3, H, W] to logits."""
        return self.model(self.laid_out(images))

    def laid_out(self, images: Tensor) -> Tensor:
        """Returns images [B, 3, H, W] as the device likes them best in memory."""
        return images.contiguous(memory_format=self._format)

    def validation_step(self, batch: dict[str, Any], _index: int, dataloader_idx: int = 0) -> Watched | None:
        """Scores a batch of a watched set, and returns what can be shown of it, if it holds anything good."""
        if not self.faults.take(batch):
            return None
        images, masks = batch["image"], batch["mask"]
        predictions = ResizedInference(images.shape[-2:]).labels(self, images)
        self._scores.update(dataloader_idx, predictions, masks)
        name = self._scores.sets[dataloader_idx]
        return {"set": name, "images": images, "predictions": predictions, "labels": masks, "classes": self.classes}

    def on_validation_epoch_end(self) -> None:
        """Logs ``val/<set>/miou`` for every watched set."""
        self.watched = {f"val/{name}/miou": float(result["miou"]) for name, result in self._scores.results().items()}
        self.log_dict(self.watched, prog_bar=True, sync_dist=True)
        self._scores.reset()
