"""Losses on logits [B, C, H, W] and labels long [B, H, W] with 255 = ignored."""

import torch.nn.functional as F
from torch import Tensor

from zsda.data.labels import IGNORE


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Averages the cross entropy over labelled pixels; 0, with a gradient of 0, where none is labelled."""
    total = F.cross_entropy(logits, labels, ignore_index=IGNORE, reduction="sum")
    return total / (labels != IGNORE).sum().clamp(min=1)


def similarity(first: Tensor, second: Tensor) -> Tensor:
    """Minus the mean cosine between the pooled features of two views (ZoDi, Azuma, Matsui and Maki, 2024, arXiv 2403.13652).

    Args:
        first: features [B, C, h, w].
        second: features of the same scenes, same shape.

    Returns:
        A scalar in [-1, 1], lower where the views look more alike to the network.
    """
    return -F.cosine_similarity(first.mean(dim=(2, 3)), second.mean(dim=(2, 3))).mean()
