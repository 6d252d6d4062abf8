"""From images to label maps, the one way for all who predict, and a task that scores them."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from zsda.core.errors import ConfigError, DataError, ModelError
from zsda.core.values import SIZE
from zsda.data.colours import normalise
from zsda.data.evaluation import EvaluationData
from zsda.data.faults import FaultLog
from zsda.data.labels import ClassSet
from zsda.data.resizing import Size, resize_image
from zsda.evaluation.metrics import SetScores, plain_scores
from zsda.evaluation.pictures import write_mask
from zsda.evaluation.protocols import Protocol
from zsda.evaluation.scene_log import SceneLog


class Inference(ABC):
    """How a network is asked: what it sees of an image, how often, and at what size it answers.

    Attributes:
        size: height, width that an image is resized to first; None leaves it at its own.
    """

    size: Size | None

    def prepare(self, image: Image.Image) -> Tensor:
        """Brings an RGB image to what `labels` takes, float32 [3, h, w]."""
        return normalise(torch.tensor(resize_image(image, self.size or (image.height, image.width))))

    def labels(
        self,
        model: Callable[[Tensor], Tensor],
        images: Sequence[Tensor] | Tensor,
        sizes: Sequence[Size] | None = None,
    ) -> list[Tensor]:
        """Predicts a label map for each image.

        Args:
            model: images [B, 3, h, w] -> logits [B, C, h', w'].
            images: prepared, B of [3, h, w], a list where their sizes differ.
            sizes: height, width of each label map; None takes the sizes of the prepared images.

        Returns:
            B maps of the most likely channel, int64 [H, W].
        """
        return [answer.argmax(dim=0) for answer in self._answers(model, images, sizes)]

    def probabilities(
        self,
        model: Callable[[Tensor], Tensor],
        images: Sequence[Tensor] | Tensor,
        sizes: Sequence[Size] | None = None,
    ) -> list[Tensor]:
        """Predicts how likely each channel is, B of float32 [C, H, W] that sum to 1 at each pixel; for the arguments see `labels`."""
        return [self._as_probabilities(answer.float()) for answer in self._answers(model, images, sizes)]

    @abstractmethod
    def _answers(
        self, model: Callable[[Tensor], Tensor], images: Sequence[Tensor] | Tensor, sizes: Sequence[Size] | None
    ) -> Iterator[Tensor]:
        """Yields what the network says of each image, [C, H, W], the largest channel being the most likely."""

    @abstractmethod
    def _as_probabilities(self, answer: Tensor) -> Tensor:
        """Brings one of the answers to probabilities."""


class ResizedInference(Inference):
    """Asks the network once about the resized image, and brings its logits to the size of the label map.

    Args:
        size: height, width that the network sees.

    Raises:
        ConfigError: it is no height and width.
    """

    def __init__(self, size: Size) -> None:
        SIZE.check("size", size)
        self.size = size

    def _answers(
        self, model: Callable[[Tensor], Tensor], images: Sequence[Tensor] | Tensor, sizes: Sequence[Size] | None
    ) -> Iterator[Tensor]:
        logits = model(images if isinstance(images, Tensor) else torch.stack([*images]))
        asked = [image.shape[-2:] for image in images] if sizes is None else sizes
        return (_resized(single, size, align_corners=False) for single, size in zip(logits, asked, strict=True))

    def _as_probabilities(self, answer: Tensor) -> Tensor:
        return answer.softmax(dim=0)


class SummedInference(Inference):
    """Sums the probabilities of an image at several sizes, as the published evaluation of HIAST (Zhu et al., TPAMI 2025) does.

    The normalised image is resized, and so are the probabilities to the size of the label map, with aligned corners. One sum is kept
    for each image, whatever the number of sizes.

    Args:
        scales: heights, widths that the network sees.
        mirror: ask about the mirrored image, too.
    """

    def __init__(self, scales: Sequence[Size], mirror: bool = False) -> None:
        self.size = None
        self._scales, self._mirror = scales, mirror

    def _answers(
        self, model: Callable[[Tensor], Tensor], images: Sequence[Tensor] | Tensor, sizes: Sequence[Size] | None
    ) -> Iterator[Tensor]:
        asked = [image.shape[-2:] for image in images] if sizes is None else sizes
        sums: list[Tensor] = []
        for scale in self._scales:
            seen = torch.stack([_resized(image, scale, align_corners=True) for image in images])
            probabilities = model(seen).float().softmax(dim=1)
            if self._mirror:
                probabilities += model(seen.flip(-1)).float().softmax(dim=1).flip(-1)
            for number, (single, size) in enumerate(zip(probabilities, asked, strict=True)):
                at_size = _resized(single, size, align_corners=True)
                if number < len(sums):
                    sums[number] += at_size
                else:
                    sums.append(at_size)
        return iter(sums)

    def _as_probabilities(self, answer: Tensor) -> Tensor:
        return answer / answer.sum(dim=0)


def inference_by(protocol: Protocol, size: Size) -> Inference:
    """Returns how a protocol asks a network that sees ``size``, height and width."""
    return SummedInference(protocol.scales or [size], protocol.mirror) if protocol.summed else ResizedInference(size)


def of_classes(logits: Tensor, count: int) -> Tensor:
    """Returns the logits of the classes, the first ``count`` channels of [B, C, H, W]; an output for void is left out.

    Raises:
        ConfigError: there are fewer.
    """
    if logits.shape[1] < count:
        raise ConfigError(
            f"the network has {logits.shape[1]} outputs; expected at least {count}, see model.num_classes"
        )
    return logits[:, :count]


def _resized(maps: Tensor, size: Size, align_corners: bool) -> Tensor:
    if tuple(maps.shape[-2:]) == tuple(size):
        return maps
    return F.interpolate(maps[None].float(), size=tuple(size), mode="bilinear", align_corners=align_corners)[0]


class EvaluationTask(L.LightningModule):
    """Scores a network, and paints its predictions where asked for.

    Args:
        model: images [B, 3, H, W] -> logits [B, C, H, W]; C may exceed the scored classes.
        sets: names of the settings, in the order of their loaders.
        classes: what the network and the masks of all settings tell apart.
        protocol: by which it is scored.
        inference: how it is asked.
        masks: folder for predictions as palette PNGs, ``<masks>/<setting>/<key>.png``; None writes none.
        scenes: collects every image by itself; None leaves that out.

    Attributes:
        scores: of each setting so far.
        faults: the damaged files met so far.
        final: setting -> plain scores, once the evaluation is over.
        finite: whether all outputs of the network were, once the evaluation is over.
    """

    def __init__(
        self,
        model: nn.Module,
        sets: Sequence[str],
        classes: ClassSet,
        protocol: Protocol,
        inference: Inference,
        masks: Path | None = None,
        scenes: SceneLog | None = None,
    ) -> None:
        super().__init__()
        self.model = model.to(memory_format=torch.channels_last)
        self.scores = SetScores(classes, sets, protocol)
        self.faults = FaultLog()
        self.final: dict[str, dict[str, Any]] = {}
        self.finite = True
        self._all_finite: Tensor | None = None  # on the device, which is not waited for at every image
        self._classes, self._protocol, self._inference, self._masks = classes, protocol, inference, masks
        self._scenes = scenes

    def forward(self, images: Tensor) -> Tensor:
        """Maps normalised images [B, 3, H, W] to logits."""
        logits: Tensor = self.model(images.contiguous(memory_format=torch.channels_last))
        finite = logits.isfinite().all()
        self._all_finite = finite if self._all_finite is None else self._all_finite & finite
        return logits

    def test_step(self, batch: dict[str, Any], _index: int, dataloader_idx: int = 0) -> None:
        """Scores ``image``, [B, 3, h, w] or a list of [3, h, w], against the list ``mask`` of [H, W]."""
        if not self.faults.take(batch):
            return
        sizes = [mask.shape for mask in batch["mask"]]
        predictions = self._inference.labels(self, batch["image"], sizes)
        own = self.scores.update(dataloader_idx, predictions, batch["mask"])
        if self._scenes is not None:
            for counts, prediction, key, mask in zip(own, predictions, batch["key"], batch["mask"], strict=True):
                self._scenes.add(dataloader_idx, key, counts, prediction, mask)
        if self._masks is not None:
            folder = self._masks / self.scores.sets[dataloader_idx]
            for prediction, key in zip(predictions, batch["key"], strict=True):
                write_mask(folder / f"{key}.png", prediction, self._classes)

    def on_test_epoch_end(self) -> None:
        """Computes the results while the processes can still talk to one another."""
        results = self.scores.results()
        self.final = {
            name: plain_scores(scores, self._classes, self._protocol.absent) for name, scores in results.items()
        }
        self.faults.gather()
        if self._scenes is not None:
            self._scenes.gather()
        own = self._all_finite is None or bool(self._all_finite)
        self.finite = self.trainer.strategy.reduce_boolean_decision(own, all=True)


def evaluate(task: EvaluationTask, data: EvaluationData, trainer: L.Trainer) -> dict[str, dict[str, Any]]:
    """Runs an evaluation and returns setting -> plain scores.

    Args:
        task: the network; its ``faults`` tell afterwards what was left out.
        data: the settings.
        trainer: built with ``use_distributed_sampler=False``, so that every image counts once.

    Raises:
        DataError: a setting without a single labelled pixel that could be scored.
        ModelError: outputs of the network are not finite.
    """
    trainer.test(task, datamodule=data, verbose=False)
    if not task.finite:
        raise ModelError(
            f"the network's outputs are not finite (NaN or infinity) at precision {trainer.precision}; try trainer.precision=32-true, or "
            "other weights"
        )
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
