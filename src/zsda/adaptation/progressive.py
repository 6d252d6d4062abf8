"""SDGPA's progressive adaptation: the sum of the losses on two views of one scene."""

from typing import Any

from torch import Tensor

from zsda.adaptation.losses import cross_entropy
from zsda.adaptation.task import SegmentationTask


class ProgressiveAdaptation(SegmentationTask):
    """Trains on aligned views that share their labels (SDGPA, Luo et al., IROS 2025, section III-C).

    Phase 1 pairs source and intermediate, phase 2 target and intermediate; the pairs are chosen by the phase.
    """

    def training_loss(self, batch: dict[str, Any]) -> Tensor:
        """Sums the cross entropy of every view; each view passes the network by itself, with its own batch statistics."""
        labels = batch["mask"].long()
        losses = {view: cross_entropy(self(images), labels) for view, images in batch["images"].items()}
        for view, loss in losses.items():
            self.log(f"train/loss_{view}", loss, on_step=False, on_epoch=True, batch_size=len(labels), sync_dist=True)
        return sum(losses.values(), start=labels.new_zeros((), dtype=next(iter(losses.values())).dtype))
