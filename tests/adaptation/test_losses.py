import pytest
import torch
import torch.nn.functional as F

from zsda.adaptation.losses import cross_entropy
from zsda.data.labels import IGNORE


def test_cross_entropy_averages_over_labelled_pixels():
    logits = torch.randn(2, 5, 3, 4)
    labels = torch.randint(0, 5, (2, 3, 4))
    labels[0, 0] = IGNORE
    assert cross_entropy(logits, labels).item() == pytest.approx(
        F.cross_entropy(logits, labels, ignore_index=IGNORE).item()
    )


def test_a_batch_without_labels_gives_zero_and_no_nan():
    logits = torch.randn(1, 5, 2, 2, requires_grad=True)
    loss = cross_entropy(logits, torch.full((1, 2, 2), IGNORE))
    loss.backward()
    assert loss.item() == 0
    assert (logits.grad == 0).all()
