"""Which predictions become pseudo labels.

A selector takes images batch by batch in one order and keeps nothing of them but numbers for each class, so its memory does not grow
with the images. It calculates where the probabilities are, on a CPU or with CUDA, and gives the same labels on both.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from zsda.core.errors import ConfigError, ModelError, StoreError
from zsda.core.values import COUNT, NOT_NEGATIVE, SHARE, whole
from zsda.data.labels import IGNORE
from zsda.pseudo_labels.confidences import BINS, confidence_and_class, count_confidences, quantiles

_MEMORY = 0.99  # share of itself that the mean confidence of a class keeps, in HIAST


class Selector(ABC):
    """Keeps the prediction of a pixel whose confidence reaches the threshold of its class, and ignores the rest.

    Labels that are there already are checked in the same way: where a prediction would be kept that is another class, the label goes.

    Args:
        num_classes: C.

    Attributes:
        thresholds: that the last batch was labelled with, float64 [C]; all of these are on the CPU.
        class_mean_probabilities: mean confidence of what was kept of a class, a moving mean over batches that keeps 0.99 of itself;
            0 for a class that was never kept. Float64 [C].
        class_pixels: how many pixels of a class were kept, int64 [C].
        predicted_pixels: how many were predicted to be of it, kept or not, int64 [C]; of labels that are checked, how many there were.

    Raises:
        ConfigError: more classes than a byte holds.
    """

    observes: ClassVar[bool] = False
    """Whether `observe` must see every batch once before the first is selected."""

    _tensors: ClassVar[tuple[str, ...]] = ("thresholds", "class_mean_probabilities", "class_pixels", "predicted_pixels")

    def __init__(self, num_classes: int) -> None:
        whole(1, IGNORE).check("num_classes", num_classes)
        self.num_classes = num_classes
        self.thresholds = torch.zeros(num_classes, dtype=torch.float64)
        self.class_mean_probabilities = torch.zeros(num_classes, dtype=torch.float64)
        self.class_pixels = torch.zeros(num_classes, dtype=torch.long)
        self.predicted_pixels = torch.zeros(num_classes, dtype=torch.long)

    @torch.no_grad()
    def select(self, probabilities: Tensor, given: Tensor | None = None) -> Tensor:
        """Labels a batch, or checks its labels.

        Args:
            probabilities: softmax of a network, [B, C, H, W], any device and floating type.
            given: labels to check, class or 255, long [B, H, W], on the same device; None labels anew.

        Returns:
            Class or 255 = ignored, long [B, H, W], on the same device.

        Raises:
            ModelError: what is given are no probabilities of C classes, or they are not finite.
        """
        confidence, predicted = self._prediction(probabilities)
        self._adapt(confidence, predicted)
        thresholds = _rounded_up(self.thresholds).to(confidence.device)
        needed = thresholds.index_select(0, predicted.flatten()).view_as(confidence)
        labels = predicted.masked_fill(confidence < needed, IGNORE)
        if given is not None:
            labels = given.masked_fill((labels != IGNORE) & (labels != given), IGNORE)
            # Of a label that stays, what counts is how sure the network is of it, whether or not it would have predicted it.
            of_label = given.masked_fill(given == IGNORE, 0).unsqueeze(1)
            confidence, predicted = probabilities.float().gather(1, of_label).squeeze(1), given
        self._note(confidence, predicted, labels)
        return labels.long()

    def observe(self, probabilities: Tensor) -> None:  # noqa: B027 - most need not
        """Looks at a batch before the first is selected, where `observes` asks for it."""

    def options(self) -> dict[str, Any]:
        """Returns the numbers that it was made with, by name."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """Returns all that it knows, tensors and plain values, from which another one goes on."""
        tensors = {name: getattr(self, name).clone() for name in self._tensors}
        return {"selector": type(self).__name__, "options": self.options(), **tensors}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on from what `state_dict` of another one returned.

        Raises:
            StoreError: it is not the state of such a selector with the same options.
        """
        if _outline(state) != _outline(self.state_dict()):
            expected = f"{type(self).__name__} of {self.num_classes} classes with {self.options()}"
            raise StoreError(f"the state of another selector; expected that of {expected}")
        for name in self._tensors:
            setattr(self, name, state[name].cpu().clone())

    def _prediction(self, probabilities: Tensor) -> tuple[Tensor, Tensor]:
        if probabilities.ndim != 4 or probabilities.shape[1] != self.num_classes or not probabilities.numel():
            found = tuple(probabilities.shape)
            raise ModelError(f"probabilities of shape {found}; expected [B, {self.num_classes}, H, W], none of them 0")
        confidence, predicted = confidence_and_class(probabilities.float())
        low, high = (float(bound) for bound in torch.aminmax(confidence))
        if not (low >= 0 and high < 1.0001):  # a softmax may round beyond 1
            raise ModelError(
                f"confidences from {low:g} to {high:g}; expected probabilities, the softmax of finite logits"
            )
        return confidence, predicted

    @abstractmethod
    def _adapt(self, confidence: Tensor, predicted: Tensor) -> None:
        """Sets the thresholds that a batch is labelled with, of which confidence and class are [B, H, W]."""

    def _note(self, confidence: Tensor, predicted: Tensor, labels: Tensor) -> None:
        flat = labels.flatten()
        pixels = torch.bincount(flat, minlength=IGNORE + 1)[: self.num_classes].cpu()
        # In float64 the sum of four million float32 between 1/255 and 1 is exact, so that their order does not matter.
        sums = torch.zeros(IGNORE + 1, dtype=torch.float64, device=labels.device)
        sums.index_add_(0, flat, confidence.flatten().double())
        means, before = sums[: self.num_classes].cpu() / pixels, self.class_mean_probabilities
        moved = torch.where(before > 0, _MEMORY * before + (1 - _MEMORY) * means, means)
        # None of the state is changed in place, which torch forbids once it was made in inference mode.
        self.class_mean_probabilities = torch.where(pixels > 0, moved, before)
        self.class_pixels = self.class_pixels + pixels
        self.predicted_pixels = (
            self.predicted_pixels + torch.bincount(predicted.flatten(), minlength=IGNORE + 1)[: self.num_classes].cpu()
        )


class InstanceAdaptiveSelector(Selector):
    """Thresholds that follow the images: the instance-adaptive selector of IAST (Mei et al., ECCV 2020) and HIAST (Zhu et al., TPAMI 2025).

    Of each class the confidences of a batch and the threshold so far make a list, whose quantile 1 - alpha * threshold ** gamma draws
    the threshold on by 1 - beta. The batch is then labelled with the thresholds that it has just moved. The papers move them after each
    single image, the published code after each batch of two: the batches that are given decide.

    The published numbers come from rounding, which is kept: confidences of the list are float16, the quantile and its share of the
    move float32, the threshold float64. A threshold that reaches 1 falls back to 0.999, and those between the two stay.

    Args:
        num_classes: C.
        alpha: share of the pixels that is kept of a class with a threshold of 1.
        beta: share of itself that a threshold keeps.
        gamma: how much less is kept of classes with low thresholds.
        start: threshold of all classes before the first batch.

    Raises:
        ConfigError: one of them is out of its range.
    """

    def __init__(
        self, num_classes: int, alpha: float = 0.5, beta: float = 0.9, gamma: float = 8.0, start: float = 0.9
    ) -> None:
        super().__init__(num_classes)
        _check_shares(alpha=alpha, beta=beta, start=start)
        NOT_NEGATIVE.check("gamma", gamma)
        self.alpha, self.beta, self.gamma, self.start = alpha, beta, gamma, start
        self.thresholds = torch.full((num_classes,), start, dtype=torch.float64)

    def options(self) -> dict[str, Any]:
        """See `Selector`."""
        return {"alpha": self.alpha, "beta": self.beta, "gamma": self.gamma, "start": self.start}

    def _adapt(self, confidence: Tensor, predicted: Tensor) -> None:
        counts = count_confidences(confidence, predicted, self.num_classes)
        before = self.thresholds.numpy()
        found = quantiles(counts, 1 - self.alpha * before**self.gamma, also=before)
        moved = self.beta * before + np.float32(1 - self.beta) * found.astype(np.float32)
        self.thresholds = torch.from_numpy(np.where(moved >= 1, 0.999, moved))


class ClassBalancedSelector(Selector):
    """One threshold for each class, at the same share of its pixels in all images (CBST, Zou et al., ECCV 2018).

    Every batch is first observed, then selected. A class that is never predicted, for which the published code fails, has the
    threshold 1.

    Args:
        num_classes: C.
        portion: share of the pixels of a class that is kept.
        interval: of the pixels of a class in a batch every so many is observed.

    Raises:
        ConfigError: one of them is out of its range, or a batch is selected before any was observed.
    """

    observes = True
    _tensors = (*Selector._tensors, "counts")

    def __init__(self, num_classes: int, portion: float = 0.2, interval: int = 4) -> None:
        super().__init__(num_classes)
        _check_shares(portion=portion)
        COUNT.check("interval", interval)
        self.portion, self.interval = portion, interval
        self.counts = torch.zeros(num_classes, BINS, dtype=torch.long)

    def options(self) -> dict[str, Any]:
        """See `Selector`."""
        return {"portion": self.portion, "interval": self.interval}

    @torch.no_grad()
    def observe(self, probabilities: Tensor) -> None:
        """Counts confidences of a batch.

        Raises:
            ModelError: as `select`.
        """
        confidence, predicted = self._prediction(probabilities)
        classes, order = predicted.flatten().sort(stable=True)
        begins = torch.searchsorted(classes, torch.arange(self.num_classes, device=classes.device))
        sampled = (torch.arange(len(classes), device=classes.device) - begins[classes]) % self.interval == 0
        counted = count_confidences(confidence.flatten()[order[sampled]], classes[sampled], self.num_classes)
        self.counts = self.counts + counted

    def _adapt(self, confidence: Tensor, predicted: Tensor) -> None:
        if not self.counts.any():
            raise ConfigError("a class-balanced selector selects what it has observed; observe every batch first")
        shares = np.full(self.num_classes, 1 - self.portion)
        self.thresholds = torch.from_numpy(quantiles(self.counts, shares)).nan_to_num(nan=1.0)


class ConstantSelector(Selector):
    """One threshold for all classes and images.

    Args:
        num_classes: C.
        threshold: lowest confidence that is kept.

    Raises:
        ConfigError: it is no share.
    """

    def __init__(self, num_classes: int, threshold: float = 0.9) -> None:
        super().__init__(num_classes)
        _check_shares(threshold=threshold)
        self.threshold = threshold
        self.thresholds = torch.full((num_classes,), threshold, dtype=torch.float64)

    def options(self) -> dict[str, Any]:
        """See `Selector`."""
        return {"threshold": self.threshold}

    def _adapt(self, confidence: Tensor, predicted: Tensor) -> None:
        """Leaves the thresholds as they are."""


class AllSelector(Selector):
    """Keeps every prediction: all thresholds are 0.

    Args:
        num_classes: C.
    """

    def _adapt(self, confidence: Tensor, predicted: Tensor) -> None:
        """Leaves the thresholds as they are."""


def _outline(state: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a state with each tensor's shape and type in its place."""
    return {name: (v.shape, v.dtype) if isinstance(v, Tensor) else v for name, v in state.items()}


def _rounded_up(thresholds: Tensor) -> Tensor:
    """Returns the smallest float32 that is not below each threshold: the same float32 reach it."""
    nearest = thresholds.float()
    return torch.where(nearest < thresholds, nearest.nextafter(torch.tensor(torch.inf)), nearest)


def _check_shares(**shares: float) -> None:
    for name, share in shares.items():
        SHARE.check(name, share)
