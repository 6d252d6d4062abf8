"""SDGPA's progressive adaptation: the sum of the losses on the views of one scene."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import combinations
from typing import Any

from torch import Tensor, nn

from zsda.adaptation.losses import cross_entropy, similarity
from zsda.adaptation.tasks.supervised import SupervisedTask
from zsda.core.errors import ConfigError
from zsda.core.values import SIMILARITY
from zsda.models.backbones import backbone_of


class ProgressiveAdaptation(SupervisedTask):
    """Trains on aligned views that share their labels (SDGPA, Luo et al., IROS 2025, section III-C).

    Phase 1 pairs source and intermediate, phase 2 target and intermediate; which views, the phase says.

    Args:
        similarity: weight of the similarity between the views' last features; 0 in SDGPA, 0.1 in its ancestor ZoDi
            (Azuma, Matsui and Maki, 2024, arXiv 2403.13652).
        task: the arguments of `SupervisedTask`.

    Raises:
        ConfigError: the similarity is no number, or asked for from a network without encoder.
    """

    def __init__(self, *, similarity: float = 0.0, **task: Any) -> None:  # noqa: ANN401 - those of the base
        super().__init__(**task)
        SIMILARITY.check("similarity", similarity)
        self._similarity = similarity
        if similarity and backbone_of(self.model) is None:
            raise ConfigError(
                f"similarity={similarity} needs a network with a backbone or encoder, {type(self.model).__name__} has none"
            )

    def training_loss(self, batch: dict[str, Any]) -> Tensor:
        """Sums the cross entropy of every view; each view passes the network by itself, with its own batch statistics.

        Raises:
            ConfigError: the network has fewer outputs than there are classes.
        """
        labels = batch["mask"].long()
        with _last_features(self.model, wanted=bool(self._similarity)) as features:
            losses = {
                view: cross_entropy(self.logits_of_classes(images), labels) for view, images in batch["images"].items()
            }
        for view, loss in losses.items():
            self._log_part(view, loss, len(labels))
        total = sum(losses.values(), start=labels.new_zeros((), dtype=next(iter(losses.values())).dtype))
        if self._similarity:
            for first, second in combinations(features, 2):
                term = similarity(first, second)
                self._log_part("similarity", term, len(labels))
                total = total + self._similarity * term
        return total

    def _log_part(self, name: str, loss: Tensor, count: int) -> None:
        self.log(f"train/loss_{name}", loss, on_step=False, on_epoch=True, batch_size=count, sync_dist=True)


@contextmanager
def _last_features(model: nn.Module, wanted: bool) -> Iterator[list[Tensor]]:
    """Collects the last stage of the encoder, [B, C, h, w], at every pass of the network."""
    features: list[Tensor] = []
    encoder = backbone_of(model) if wanted else None
    if encoder is None:
        yield features
        return
    handle = encoder.register_forward_hook(lambda _module, _inputs, stages: features.append(stages[-1]))
    try:
        yield features
    finally:
        handle.remove()
