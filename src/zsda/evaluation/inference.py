"""From images to label maps, and a task that scores them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import lightning as L
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from zsda.core.errors import DataError
from zsda.data.evaluation import EvaluationData
from zsda.data.faults import FaultLog
from zsda.data.labels import NUM_CLASSES
from zsda.data.transforms import EvaluationTransform
from zsda.evaluation.metrics import SegmentationScores, plain_scores
from zsda.evaluation.pictures import write_colour_mask


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


class ScoringTask(L.LightningModule):
    """A network with one score for each of several labelled sets; the base of training and evaluation.

    Args:
        model: images [B, 3, H, W] -> logits [B, C, H, W]; C may exceed the scored classes.
        sets: names of the labelled sets, in the order of their loaders.

    Attributes:
        faults: the damaged files met so far.
    """

    def __init__(self, model: nn.Module, sets: Sequence[str]) -> None:
        super().__init__()
        self.model = model.to(memory_format=torch.channels_last)
        self.sets = list(sets)
        self.faults = FaultLog()
        self._scores = nn.ModuleList(SegmentationScores(NUM_CLASSES) for _ in sets)

    @property
    def scores(self) -> list[SegmentationScores]:
        """One accumulated score for each set."""
        return [cast(SegmentationScores, scores) for scores in self._scores]

    def forward(self, images: Tensor) -> Tensor:
        """Maps normalised images [B, 3, H, W] to logits."""
        return self.model(images.contiguous(memory_format=torch.channels_last))

    def score(self, batch: dict[str, Any], index: int) -> list[Tensor]:
        """Adds a batch to the scores of set ``index``; returns the predictions, none if all files are damaged."""
        if not self.faults.take(batch):
            return []
        predictions = predict_labels(self, batch["image"], batch["mask"])
        for prediction, mask in zip(predictions, batch["mask"], strict=True):
            self.scores[index].update(prediction, mask)
        return predictions

    def on_fit_end(self) -> None:
        """Lets every process know the damaged files of all."""
        self.faults.gather()

    def results(self) -> dict[str, dict[str, Tensor]]:
        """Returns set -> scores, over all processes."""
        return {name: scores.compute() for name, scores in zip(self.sets, self.scores, strict=True)}


class EvaluationTask(ScoringTask):
    """Scores a network, and paints its predictions where asked for.

    Args:
        model: images -> logits.
        sets: names of the settings, in the order of their loaders.
        masks: folder for coloured predictions, ``<masks>/<setting>/<key>.png``; None writes none.

    Attributes:
        final: setting -> plain scores, once the evaluation is over.
    """

    def __init__(self, model: nn.Module, sets: Sequence[str], masks: Path | None = None) -> None:
        super().__init__(model, sets)
        self._masks = masks
        self.final: dict[str, dict[str, Any]] = {}

    def test_step(self, batch: dict[str, Any], _index: int, dataloader_idx: int = 0) -> None:
        """Scores ``image`` [B, 3, h, w] against the list ``mask`` of [H, W]."""
        for prediction, key in zip(self.score(batch, dataloader_idx), batch.get("key", []), strict=True):
            if self._masks is not None:
                write_colour_mask(self._masks / self.sets[dataloader_idx] / f"{key}.png", prediction)

    def on_test_epoch_end(self) -> None:
        """Computes the results while the processes can still talk to one another."""
        self.final = {name: plain_scores(scores) for name, scores in self.results().items()}
        self.faults.gather()


def evaluate(task: EvaluationTask, data: EvaluationData, trainer: L.Trainer) -> dict[str, dict[str, Any]]:
    """Runs an evaluation and returns setting -> plain scores.

    Args:
        task: the network; its ``faults`` tell afterwards what was left out.
        data: the settings.
        trainer: built with ``use_distributed_sampler=False``, so that every image counts once.

    Raises:
        DataError: a setting without a single labelled pixel that could be scored.
    """
    trainer.test(task, datamodule=data, verbose=False)
    for name, scores in task.final.items():
        if scores["accuracy"] is None:
            reasons = "; ".join(task.faults.messages[:3]) or "all pixels are ignored"
            raise DataError(f"setting {name}: not one labelled pixel could be scored ({reasons})")
    return task.final


def predict_images(model: nn.Module, images: Sequence[Image.Image], size: Sequence[int]) -> list[NDArray[np.uint8]]:
    """Predicts label maps of photographs, one by one, where the network is.

    Args:
        model: normalised images [1, 3, h, w] -> logits [1, C, h, w].
        images: RGB.
        size: height, width that the network sees.

    Returns:
        For each image its most likely channels at its own size, uint8 [H, W].
    """
    transform = EvaluationTransform(size)
    device = next(model.parameters()).device
    predictions = []
    model.eval()
    with torch.inference_mode():
        for image in images:
            own_size = torch.empty(image.height, image.width)
            (prediction,) = predict_labels(model, transform(image)[None].to(device), [own_size])
            predictions.append(prediction.cpu().numpy().astype(np.uint8))
    return predictions
