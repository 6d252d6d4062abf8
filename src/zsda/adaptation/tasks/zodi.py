"""ZoDi's training: two views of a scene, each shown with the features of the other."""

from typing import Any

import torch
from torch import Tensor

from zsda.adaptation.losses import cross_entropy, similarity
from zsda.adaptation.tasks.supervised import SupervisedTask
from zsda.core.errors import ConfigError
from zsda.core.values import SIMILARITY
from zsda.models.backbones import LastFeatures


class ZoDi(SupervisedTask):
    """Trains on the source and its edits together (ZoDi, Azuma, Matsui and Maki, 2024, arXiv 2403.13652, and its code).

    The pair passes twice, as (x, y) and as (y, x). The first of the two is segmented; of the second only the features are
    calculated. So the batch statistics of the backbone move four times a step, by x, y, y and x, and those of the rest twice,
    by x and y. The similarity belongs to the first pass, and draws both views.

    Args:
        similarity: weight of the similarity of the last features.
        task: the arguments of `SupervisedTask`.

    Raises:
        ConfigError: the similarity is no number, or the network has no backbone.
    """

    def __init__(self, *, similarity: float, **task: Any) -> None:  # noqa: ANN401 - those of the base
        super().__init__(**task)
        SIMILARITY.check("similarity", similarity)
        self._similarity = similarity
        self._features = LastFeatures(self.model, "ZoDi")

    def training_loss(self, batch: dict[str, Any]) -> Tensor:
        """Sums the cross entropy of both views and their weighted similarity.

        Raises:
            ConfigError: the scene has another number of views, or the network has fewer outputs than there are classes.
        """
        names = list(batch["images"])
        if len(names) != 2:
            raise ConfigError(
                f"ZoDi trains on two views of a scene; expected two in data.views, not {', '.join(names)}"
            )
        (x, y), labels = batch["images"].values(), batch["mask"].long()
        backbone = self._features.backbone
        with self._features as features:
            loss_x = cross_entropy(self.logits_of_classes(x), labels)
            backbone(self.laid_out(y))
        alike = similarity(*features)
        loss_y = cross_entropy(self.logits_of_classes(y), labels)
        with torch.no_grad():  # only the statistics are wanted
            backbone(self.laid_out(x))
        for name, part in zip((*names, "similarity"), (loss_x, loss_y, alike), strict=True):
            self.log_part(name, part, len(labels))
        return loss_x + loss_y + self._similarity * alike
