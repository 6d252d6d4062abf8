"""What a network makes of the first scenes of each watched set, as pictures beside the curves of a training."""

from collections.abc import Sequence
from typing import Any, TypedDict, cast

import lightning as L
import numpy as np
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger
from PIL import Image
from torch import Tensor

from zsda.data.colours import denormalise
from zsda.data.labels import ClassSet
from zsda.data.panels import LabelMap, Panel, fit, picture_sheet
from zsda.training.loggers import log_picture
from zsda.training.task import TrainingTask

_CAPTIONS = ("image", "prediction", "ground truth")
_SCENES = 2
_LONGEST = 384  # pixels; with two scenes of 1:2 a PNG of a quarter of a megabyte


class Watched(TypedDict):
    """What a validation step returns of a batch.

    Attributes:
        set: the watched set that it is of.
        images: normalised, float [B, 3, H, W].
        predictions: B label maps, integers [H, W].
        labels: the true ones, integers [H, W].
        classes: what the ids in both mean.
    """

    set: str
    images: Tensor
    predictions: Sequence[Tensor]
    labels: Sequence[Tensor]
    classes: ClassSet


class Panels(Callback):
    """Records a picture of the first scenes of each watched set at every validation, as ``panels/<set>``.

    The first of several processes does it alone, of its share. Nothing is predicted for it.

    Args:
        loggers: receive it.
    """

    def __init__(self, loggers: Sequence[Logger]) -> None:
        self._loggers = loggers

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,  # noqa: ANN401 - Lightning's
        batch: Any,  # noqa: ANN401
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Shows the first batch of a set, if its task returned any of it."""
        if batch_idx or outputs is None or not trainer.is_global_zero:
            return
        shown = cast(Watched, outputs)
        picture = panel(shown)
        last = cast(TrainingTask, pl_module).steps - 1  # Lightning counts from 0 where it records scores
        for logger in self._loggers:
            log_picture(logger, f"panels/{shown['set']}", picture, last)


def panel(shown: Watched) -> Image.Image:
    """Lays out the first scenes of a batch, one in a row: image, prediction, ground truth, with 384 pixels for the longest side of each."""
    images = denormalise(shown["images"][:_SCENES]).cpu().numpy()
    height, width = images.shape[1:3]
    scale = min(1.0, _LONGEST / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    rows: list[list[Panel]] = [
        [
            np.asarray(fit(image, size)),
            *(LabelMap(ids.cpu().numpy().astype(np.uint8), shown["classes"]) for ids in maps),
        ]
        for image, *maps in zip(images, shown["predictions"][:_SCENES], shown["labels"][:_SCENES], strict=True)
    ]
    return picture_sheet(_CAPTIONS, rows)
