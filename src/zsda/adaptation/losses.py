"""Losses on logits [B, C, H, W] and labels long [B, H, W] with 255 = ignored."""

import torch.nn.functional as F
from torch import Tensor

from zsda.data.labels import IGNORE


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Averages the cross entropy over labelled pixels; 0, with a gradient of 0, where none is labelled."""
    total = F.cross_entropy(logits, labels, ignore_index=IGNORE, reduction="sum")
    return total / (labels != IGNORE).sum().clamp(min=1)
