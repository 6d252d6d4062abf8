"""From images to label maps, the one way for all who predict, and a task that scores them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

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
from zsda.data.labels import ClassSet
from zsda.data.transforms import EvaluationTransform, Size
from zsda.evaluation.metrics import SetScores, plain_scores
from zsda.evaluation.pictures import write_colour_mask
from zsda.evaluation.protocols import Protocol


class Inference:
    """How a network is asked: what it sees of an image, how often, and at what size it answers.

    Args:
        size: height, width that the network sees.

    Raises:
        ConfigError: it is no height and width.
    """

    def __init__(self, size: Size) -> None:
        self._transform = EvaluationTransform(size)

    def prepare(self, image: Image.Image) -> Tensor:
        """Brings an RGB image to what the network sees, float32 [3, h, w]."""
        return self._transform(image)

    def logits(self, model: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
        """Asks the network once, for the whole image; a sliding window, several scales and mirroring belong here and nowhere else.

        Args:
            model: images -> logits [B, C, h', w'].
            images: prepared, [B, 3, h, w].
        """
        return model(images)

    def labels(
        self, model: Callable[[Tensor], Tensor], images: Tensor, sizes: Sequence[Size] | None = None
    ) -> list[Tensor]:
        """Predicts a label map for each image.

        Args:
            model: images -> logits [B, C, h', w'].
            images: prepared, [B, 3, h, w].
            sizes: height, width of each label map; logits of another size are resized bilinearly. None takes the size that the
                network sees.

        Returns:
            B maps of the most likely channel, int64 [H, W].
        """
        asked = [self._transform.size] * len(images) if sizes is None else sizes
        return [
            _resized(single, size).argmax(dim=0) for single, size in zip(self.logits(model, images), asked, strict=True)
        ]


def _resized(logits: Tensor, size: Size) -> Tensor:
    if tuple(logits.shape[-2:]) == tuple(size):
        return logits
    return F.interpolate(logits[None].float(), size=tuple(size), mode="bilinear", align_corners=False)[0]


class EvaluationTask(L.LightningModule):
    """Scores a network, and paints its predictions where asked for.

    Args:
        model: images [B, 3, H, W] -> logits [B, C, H, W]; C may exceed the scored classes.
        sets: names of the settings, in the order of their loaders.
        classes: what the network and the masks of all settings tell apart.
        protocol: by which it is scored.
        inference: how it is asked.
        masks: folder for coloured predictions, ``<masks>/<setting>/<key>.png``; None writes none.

    Attributes:
        scores: of each setting so far.
        faults: the damaged files met so far.
        final: setting -> plain scores, once the evaluation is over.
    """

    def __init__(
        self,
        model: nn.Module,
        sets: Sequence[str],
        classes: ClassSet,
        protocol: Protocol,
        inference: Inference,
        masks: Path | None = None,
    ) -> None:
        super().__init__()
        self.model = model.to(memory_format=torch.channels_last)
        self.scores = SetScores(classes, sets, protocol)
        self.faults = FaultLog()
        self.final: dict[str, dict[str, Any]] = {}
        self._classes, self._protocol, self._inference, self._masks = classes, protocol, inference, masks

    def forward(self, images: Tensor) -> Tensor:
        """Maps normalised images [B, 3, H, W] to logits."""
        return self.model(images.contiguous(memory_format=torch.channels_last))

    def test_step(self, batch: dict[str, Any], _index: int, dataloader_idx: int = 0) -> None:
        """Scores ``image`` [B, 3, h, w] against the list ``mask`` of [H, W]."""
        if not self.faults.take(batch):
            return
        sizes = [mask.shape for mask in batch["mask"]] if self._protocol.labels == "native" else None
        predictions = self._inference.labels(self, batch["image"], sizes)
        self.scores.update(dataloader_idx, predictions, batch["mask"])
        if self._masks is not None:
            folder = self._masks / self.scores.sets[dataloader_idx]
            for prediction, key in zip(predictions, batch["key"], strict=True):
                write_colour_mask(folder / f"{key}.png", prediction, self._classes)

    def on_test_epoch_end(self) -> None:
        """Computes the results while the processes can still talk to one another."""
        results = self.scores.results()
        self.final = {name: plain_scores(scores, self._classes.names) for name, scores in results.items()}
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


def predict_images(model: nn.Module, images: Sequence[Image.Image], inference: Inference) -> list[NDArray[np.uint8]]:
    """Predicts label maps of photographs, one by one, where the network is.

    Args:
        model: normalised images [1, 3, h, w] -> logits [1, C, h, w].
        images: RGB.
        inference: how it is asked.

    Returns:
        For each image its most likely channels at its own size, uint8 [H, W].
    """
    device = next(model.parameters()).device
    predictions = []
    model.eval()
    with torch.inference_mode():
        for image in images:
            prepared = inference.prepare(image)[None].to(device)
            (prediction,) = inference.labels(model, prepared, [(image.height, image.width)])
            predictions.append(prediction.cpu().numpy().astype(np.uint8))
    return predictions
