"""SDGPA's progressive adaptation: the sum of the losses on the views of one scene."""

from contextlib import AbstractContextManager, nullcontext
from itertools import combinations
from typing import Any

from torch import Tensor

from zsda.adaptation.losses import cross_entropy, similarity
from zsda.adaptation.tasks.supervised import SupervisedTask
from zsda.core.values import SIMILARITY
from zsda.models.backbones import LastFeatures


class ProgressiveAdaptation(SupervisedTask):
    """Trains on aligned views that share their labels (SDGPA, Luo et al., IROS 2025, section III-C).

    Phase 1 pairs source and intermediate, phase 2 target and intermediate; which views, the phase says.

    Args:
        similarity: weight of the similarity between the views' last features; 0 as published. ZoDi's is in `ZoDi`.
        task: the arguments of `SupervisedTask`.

    Raises:
        ConfigError: the similarity is no number, or asked for from a network without encoder.
    """

    def __init__(self, *, similarity: float = 0.0, **task: Any) -> None:  # noqa: ANN401 - those of the base
        super().__init__(**task)
        SIMILARITY.check("similarity", similarity)
        self._similarity = similarity
        self._features: AbstractContextManager[list[Tensor]] = (
            LastFeatures(self.model, f"similarity={similarity}") if similarity else nullcontext([])
        )

    def training_loss(self, batch: dict[str, Any]) -> Tensor:
        """Sums the cross entropy of every view; each view passes the network by itself, with its own batch statistics.

        Raises:
            ConfigError: the network has fewer outputs than there are classes.
        """
        labels = batch["mask"].long()
        with self._features as features:
            losses = {
                view: cross_entropy(self.logits_of_classes(images), labels) for view, images in batch["images"].items()
            }
        for view, loss in losses.items():
            self.log_part(view, loss, len(labels))
        total = sum(losses.values(), start=labels.new_zeros((), dtype=next(iter(losses.values())).dtype))
        if self._similarity:
            for first, second in combinations(features, 2):
                term = similarity(first, second)
                self.log_part("similarity", term, len(labels))
                total = total + self._similarity * term
        return total
