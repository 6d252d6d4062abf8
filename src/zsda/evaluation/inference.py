"""From images to label maps, and a task that scores them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zsda.data.faults import FaultLog
from zsda.data.labels import NUM_CLASSES
from zsda.evaluation.exports import write_colour_mask
from zsda.evaluation.metrics import SegmentationScores


def predict_labels(model: Callable[[Tensor], Tensor], images: Tensor, masks: Sequence[Tensor]) -> list[Tensor]:
    """Predicts a label map of each mask's size.

    Args:
        model: images -> logits [B, C, h, w].
        images: normalised, [B, 3, h, w].
        masks: B label maps [H, W]; where their size differs from the images', logits are upsampled bilinearly.

    Returns:
        B maps of the most likely channel, int64 [H, W].
    """
    logits = model(images)
    predictions = []
    for single, mask in zip(logits, masks, strict=True):
        if single.shape[-2:] != mask.shape:
            single = F.interpolate(single[None].float(), size=mask.shape, mode="bilinear", align_corners=False)[0]  # noqa: PLW2901
        predictions.append(single.argmax(dim=0))
    return predictions


class EvaluationTask(L.LightningModule):
    """Scores a network on any number of settings.

    Args:
        model: images -> logits.
        settings: names, in the order of the loaders.
        masks: folder for coloured predictions, ``<masks>/<setting>/<key>.png``; None writes none.
    """

    def __init__(self, model: nn.Module, settings: Sequence[str], masks: Path | None = None) -> None:
        super().__init__()
        self.model = model.to(memory_format=torch.channels_last)
        self.settings = list(settings)
        self.faults = FaultLog()
        self.scores = nn.ModuleList(SegmentationScores(NUM_CLASSES) for _ in settings)
        self._masks = masks

    def forward(self, images: Tensor) -> Tensor:
        """Maps normalised images [B, 3, H, W] to logits."""
        return self.model(images.contiguous(memory_format=torch.channels_last))

    def test_step(self, batch: dict[str, Any], _index: int, dataloader_idx: int = 0) -> None:
        """Scores ``image`` [B, 3, h, w] against the list ``mask`` of [H, W]."""
        if not self.faults.take(batch):
            return
        predictions = predict_labels(self, batch["image"], batch["mask"])
        for prediction, mask, key in zip(predictions, batch["mask"], batch["key"], strict=True):
            self.scores[dataloader_idx].update(prediction, mask)
            if self._masks is not None:
                write_colour_mask(self._masks / self.settings[dataloader_idx] / f"{key}.png", prediction)

    def results(self) -> dict[str, dict[str, Tensor]]:
        """Returns setting -> scores, over all processes."""
        return {name: scores.compute() for name, scores in zip(self.settings, self.scores, strict=True)}
