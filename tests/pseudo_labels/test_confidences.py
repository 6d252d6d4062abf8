import numpy as np
import pytest
import torch

from zsda.pseudo_labels.confidences import BINS, confidence_and_class, count_confidences, quantiles


def test_the_confidence_and_class_class_is_that_of_max():
    generator = torch.Generator().manual_seed(0)
    probabilities = torch.randn(3, 7, 20, 30, generator=generator).softmax(dim=1)
    probabilities[0, 2] = probabilities[0, 5]  # equal ones
    confidence, classes = confidence_and_class(probabilities)
    expected = probabilities.max(dim=1)
    assert torch.equal(confidence, expected.values)
    assert torch.equal(classes.long(), expected.indices)
    assert not (classes[0] == 5).any()


def test_what_is_no_number_stays_none():
    probabilities = torch.full((1, 3, 2, 2), 0.2)
    probabilities[0, 1, 0, 0] = torch.nan
    assert confidence_and_class(probabilities)[0].isnan().sum() == 1


def test_255_classes_fit():
    probabilities = torch.zeros(1, 255, 1, 1)
    probabilities[0, 254] = 1
    assert confidence_and_class(probabilities)[1].item() == 254


def test_confidences_are_counted_as_float16():
    confidence = torch.tensor([0.0, 0.5, 0.50001, 0.9997, 0.9998, 1.0, 1.0000001])
    classes = torch.tensor([0, 0, 0, 1, 1, 1, 1], dtype=torch.int32)
    counts = count_confidences(confidence, classes, 3)
    assert counts.shape == (3, BINS) == (3, 15361)
    values = np.arange(BINS, dtype=np.uint16).view(np.float16)
    found = [dict(zip(values[row > 0].tolist(), row[row > 0].tolist(), strict=True)) for row in counts.numpy()]
    assert found == [{0.0: 1, 0.5: 2}, {1 - 2**-11: 1, 1.0: 3}, {}]


@pytest.mark.parametrize("extra", [True, False])
def test_quantiles_are_those_of_numpy(extra):
    random = np.random.default_rng(0)
    for size in (0, 1, 2, 3, 10, 1000):
        values = np.round(random.random((4, size)) ** 0.2, 3).astype(np.float32)  # some of them equal
        shares = np.array([0.0, random.random(), random.random(), 1.0])
        also = (
            random.random(4) if size != 3 else values.astype(np.float16)[:, 1].astype(float)
        )  # within, and equal to one
        classes = torch.arange(4, dtype=torch.int32)[:, None].expand(4, size)
        counts = count_confidences(torch.from_numpy(values), classes, 4)
        found = quantiles(counts, shares, also if extra else None)
        for number, share in enumerate(shares):
            kept = values[number].astype(np.float16).astype(float)
            kept = np.append(kept, also[number]) if extra else kept
            expected = np.quantile(kept, share) if len(kept) else np.nan
            assert found[number] == pytest.approx(expected, abs=1e-15, nan_ok=True)


@pytest.mark.parametrize("also", [0.0, 1e-9, 0.9991234, 1.0])
def test_an_extra_value_at_the_ends_keeps_its_place(also):
    counts = count_confidences(torch.tensor([0.5, 1.0]), torch.zeros(2, dtype=torch.int32), 1)
    ordered = sorted([0.5, 1.0, also])
    for rank in range(3):
        assert quantiles(counts, np.array([rank / 2]), np.array([also]))[0] == ordered[rank]
