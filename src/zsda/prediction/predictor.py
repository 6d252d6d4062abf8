"""From one photograph to its label map, whole or window by window."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from zsda.core.errors import ModelError
from zsda.data.labels import IGNORE
from zsda.data.resizing import Size
from zsda.evaluation.inference import Inference, of_classes
from zsda.generation.tiling import feather, spread


class Prediction(NamedTuple):
    """What a network says of a photograph.

    Attributes:
        classes: the most likely class, uint8 [H, W].
        void: where an output for "none of the classes" is likelier, bool [H, W].
        confidence: the probability of the most likely output, float32 [H, W] from 0 to 1.
    """

    classes: NDArray[np.uint8]
    void: NDArray[np.bool_]
    confidence: NDArray[np.float32]

    @property
    def ids(self) -> NDArray[np.uint8]:
        """The most likely class, `zsda.data.labels.IGNORE` where it is none, uint8 [H, W]."""
        return np.where(self.void, np.uint8(IGNORE), self.classes)


class Predictor:
    """Predicts photographs one by one, where the network is.

    Args:
        model: normalised images [1, 3, h, w] -> logits [1, C, h', w']; channels beyond the classes are void.
        inference: how it is asked, about a photograph or about each window.
        classes: how many it tells apart.
        window: height, width of the windows; None asks about whole photographs.
        overlap: share of a window that neighbours have in common at least, from 0 and below 1.
        precision: makes the context in which the network computes.
    """

    def __init__(
        self,
        model: nn.Module,
        inference: Inference,
        classes: int,
        window: Size | None,
        overlap: float,
        precision: Callable[[], AbstractContextManager[object]],
    ) -> None:
        self._model, self._inference, self._classes = model.eval(), inference, classes
        self._window, self._overlap, self._precision = window, overlap, precision
        self._device = next(model.parameters()).device

    def predict(self, pixels: NDArray[np.uint8]) -> Prediction:
        """Predicts an RGB photograph, uint8 [H, W, 3].

        Windows overlap as little as `overlap` allows, and where they do, their probabilities are averaged, each the less the nearer its
        edge. A photograph that is smaller than a window is mirrored at its right and lower edge. Whatever its size, probabilities of no
        more than one row of windows are held at a time.

        Raises:
            ConfigError: the network has fewer outputs than classes.
            ModelError: its outputs are not finite.
        """
        height, width = pixels.shape[:2]
        parts = [_decided(band, self._classes) for band in self._bands(pixels)]
        classes, void, confidence = (np.concatenate(part)[:height, :width] for part in zip(*parts, strict=True))
        return Prediction(classes, void, confidence)

    def _bands(self, pixels: NDArray[np.uint8]) -> Iterator[Tensor]:
        """Yields probabilities, [C, h, W], of as many rows as are known, from top to bottom."""
        if self._window is None:
            yield self._ask(pixels)
            return
        height, width = self._window
        pixels = _padded(pixels, self._window)
        total = pixels.shape[1]
        tops, lefts = (
            spread(length, tile, int(self._overlap * tile))
            for length, tile in zip(pixels.shape[:2], self._window, strict=True)
        )
        rows, columns = (feather(*one).float().to(self._device) for one in ((tops, height), (lefts, width)))
        carried: Tensor | None = None
        for (top, following), row in zip(pairwise([*tops, tops[-1] + height]), rows, strict=True):
            first = self._ask(pixels[top : top + height, :width])
            band = first.new_zeros(len(first), height, total)
            band[..., :width] = first * row[:, None] * columns[0]
            for left, column in zip(lefts[1:], columns[1:], strict=True):
                found = self._ask(pixels[top : top + height, left : left + width])
                band[..., left : left + width] += found * row[:, None] * column
            if carried is not None:
                band[:, : carried.shape[1]] += carried
            yield band[:, : following - top]
            carried = band[:, following - top :]

    def _ask(self, pixels: NDArray[np.uint8]) -> Tensor:
        prepared = self._inference.prepare(Image.fromarray(pixels))[None].to(self._device)
        with torch.inference_mode(), self._precision():
            (found,) = self._inference.probabilities(self._model, prepared, [pixels.shape[:2]])
        return found


def _padded(pixels: NDArray[np.uint8], window: Size) -> NDArray[np.uint8]:
    missing = [(0, max(0, least - length)) for length, least in zip(pixels.shape[:2], window, strict=True)]
    return np.pad(pixels, [*missing, (0, 0)], mode="symmetric") if any(after for _, after in missing) else pixels


def _decided(probabilities: Tensor, count: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_], NDArray[np.float32]]:
    best, channels = probabilities.max(dim=0)
    if not bool(best.isfinite().all()):
        raise ModelError(
            "the network's outputs are not finite (NaN or infinity); try trainer.precision=32-true, or other weights"
        )
    classes = of_classes(probabilities[None], count)[0].argmax(dim=0)
    # Sums over windows and sizes may exceed 1 by a rounding.
    confidence = best.float().clamp(0, 1)
    return classes.cpu().numpy().astype(np.uint8), (channels >= count).cpu().numpy(), confidence.cpu().numpy()
