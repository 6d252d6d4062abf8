"""Losses on logits [B, C, H, W] and labels long [B, H, W] with 255 = ignored.

None of them is calculated in less than float32. Those that look at a region of the labels are 0, with a gradient of 0, where it is
empty. Under several processes such a region is that of all their batches together, as if one process had seen them: the mean of what
they return, and of its gradients, is the mean over the whole region. So all of them must call these functions equally often.

The regularisation of HIAST (Zhu et al., TPAMI 2025, arXiv 2302.06992) is averaged over pixels *and* classes in its published code, and
over pixels alone in the formulas of the paper; the weights that were published belong to the code. ``over`` chooses.
"""

import math
from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, distributed

from zsda.core.errors import ConfigError
from zsda.data.labels import IGNORE

Over = Literal["entries", "pixels"]
"""What a mean is taken over: entries of the maps, pixels times classes, or pixels alone."""

Region = Literal["all", "ignored", "confident"]
"""All pixels, those whose label is 255, or those with a label."""

SOURCE, UNLABELLED = 0.0, 1.0
"""What a discriminator shall say of maps of either domain."""

Distance = Callable[[Tensor, float], Tensor]
"""Compares the logits of a discriminator with `SOURCE` or `UNLABELLED`."""

_TINY = 1e-30  # keeps the logarithm of a probability of 0 finite


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Averages the cross entropy over labelled pixels."""
    total = F.cross_entropy(precise(logits), labels, ignore_index=IGNORE, reduction="sum")
    return total / _share((labels != IGNORE).sum())


def kld_on_confident(logits: Tensor, labels: Tensor, over: Over = "entries") -> Tensor:
    """Draws the prediction of labelled pixels towards the uniform distribution (region-adaptive regularisation of HIAST).

    The sum of -(1/C) log p over labelled pixels and classes. As published it lacks the constant log C, so it is not 0 where the
    prediction is uniform.
    """
    terms = -F.log_softmax(precise(logits), dim=1) / logits.shape[1]
    return _mean(terms, labels != IGNORE, over)


def entropy_on_ignored(logits: Tensor, labels: Tensor, over: Over = "entries") -> Tensor:
    """Sharpens the prediction of ignored pixels (region-adaptive regularisation of HIAST).

    The sum of -p log p over ignored pixels and classes.
    """
    log_p = F.log_softmax(precise(logits), dim=1)
    return _mean(-log_p.exp() * log_p, labels == IGNORE, over)


def soft_cross_entropy(
    logits: Tensor,
    probabilities: Tensor,
    labels: Tensor | None = None,
    region: Region = "all",
    over: Over = "entries",
) -> Tensor:
    """Compares a prediction with that of a teacher: the sum of -q log p over a region and all classes (HIAST, consistency).

    As published, entries that are exactly 0 do not count, so where probabilities underflow the mean is over fewer than pixels times
    classes.

    Args:
        logits: of the student.
        probabilities: q of the teacher, [B, C, H, W]; no gradient reaches them.
        labels: say where the region is.
        region: where the two are compared.
        over: ``entries`` or ``pixels``.

    Raises:
        ConfigError: the region is unknown, or needs labels; or shapes differ.
    """
    _check_shape("probabilities", probabilities, logits.shape)
    terms = -precise(probabilities.detach()) * F.log_softmax(precise(logits), dim=1)
    inside = _inside(region, labels, terms)
    if over != "entries":
        return _mean(terms, inside, over)
    counted = (terms.detach() != 0) & inside[:, None]
    return torch.where(counted, terms, 0).sum() / _share(counted.sum())


def weighted_self_information(logits: Tensor) -> Tensor:
    """Returns -p log p, divided by log C, for every pixel and class (AdvEnt, Vu et al., CVPR 2019, section 3.2), [B, C, H, W]."""
    p = F.softmax(precise(logits), dim=1)
    return -p * torch.log2(p + _TINY) / math.log2(logits.shape[1])


def normalised_entropy(logits: Tensor) -> Tensor:
    """Averages the entropy of all pixels, 1 where the prediction is uniform (MinEnt in AdvEnt, Vu et al., CVPR 2019, equation 3)."""
    return weighted_self_information(logits).sum(dim=1).mean()


def least_squares(logits: Tensor, domain: float) -> Tensor:
    """Averages the squared distance of a discriminator's logits from a domain (LSGAN, Mao et al., ICCV 2017); HIAST's and IAST's."""
    return (precise(logits) - domain).square().mean()


def binary_cross_entropy(logits: Tensor, domain: float) -> Tensor:
    """Averages the cross entropy of a discriminator's logits (AdaptSegNet, Tsai et al., CVPR 2018; AdvEnt, Vu et al., CVPR 2019)."""
    return F.binary_cross_entropy_with_logits(precise(logits), precise(torch.full_like(logits, domain)))


def adversarial_loss(unlabelled: Tensor, distance: Distance = least_squares) -> Tensor:
    """The network's half of adversarial training: its maps of unlabelled images shall pass for maps of the source.

    Args:
        unlabelled: logits of the discriminator for these maps, any shape.
        distance: `least_squares` or `binary_cross_entropy`.
    """
    return distance(unlabelled, SOURCE)


def discriminator_loss(source: Tensor, unlabelled: Tensor, distance: Distance = least_squares) -> Tensor:
    """The discriminator's half of adversarial training: the mean of its losses on maps of the two domains.

    Args:
        source: its logits for maps of the source, which must be detached from the network that made them.
        unlabelled: the same for maps of unlabelled images.
        distance: `least_squares` or `binary_cross_entropy`.
    """
    return (distance(source, SOURCE) + distance(unlabelled, UNLABELLED)) / 2


def similarity(first: Tensor, second: Tensor) -> Tensor:
    """Minus the mean cosine between the pooled features of two views (ZoDi, Azuma, Matsui and Maki, 2024, arXiv 2403.13652).

    Args:
        first: features [B, C, h, w].
        second: features of the same scenes, same shape.

    Returns:
        A scalar in [-1, 1], lower where the views look more alike to the network.
    """
    return -F.cosine_similarity(first.mean(dim=(2, 3)), second.mean(dim=(2, 3))).mean()


def precise(values: Tensor) -> Tensor:
    """Returns values in float32, or in more where they come in more."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _inside(region: str, labels: Tensor | None, terms: Tensor) -> Tensor:
    if region == "all":
        return torch.ones_like(terms[:, 0], dtype=torch.bool)
    if region not in ("ignored", "confident") or labels is None:
        raise ConfigError(
            f"region={region} with{'out' if labels is None else ''} labels; expected all, or ignored or confident and labels"
        )
    _check_shape("labels", labels, terms[:, 0].shape)
    return labels == IGNORE if region == "ignored" else labels != IGNORE


def _mean(terms: Tensor, inside: Tensor, over: str) -> Tensor:
    """Averages terms [B, C, H, W] over a region, bool [B, H, W]."""
    _check_shape("labels", inside, terms[:, 0].shape)
    if over not in ("entries", "pixels"):
        raise ConfigError(f"over={over}; expected entries or pixels")
    count = _share(inside.sum()) * (terms.shape[1] if over == "entries" else 1)
    return torch.where(inside[:, None], terms, 0).sum() / count


def _check_shape(name: str, found: Tensor, expected: torch.Size) -> None:
    if found.shape != expected:  # which would be stretched, and mix images
        raise ConfigError(f"{name} of shape {tuple(found.shape)}; expected {tuple(expected)}")


def _share(count: Tensor) -> Tensor:
    """Returns what a process divides its sum over ``count`` values by; at least 1 in all processes together."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return count.clamp(min=1)
    total = count.clone()
    distributed.all_reduce(total)
    return total.clamp(min=1) / distributed.get_world_size()
