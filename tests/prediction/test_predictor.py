from contextlib import nullcontext

import numpy as np
import pytest
import torch
from PIL import Image

from zsda.core.errors import ModelError
from zsda.data.labels import IGNORE
from zsda.evaluation.inference import ResizedInference, SummedInference
from zsda.prediction.predictor import Predictor


class Local(torch.nn.Module):
    """Says something of each pixel by itself."""

    def __init__(self, channels=4):
        super().__init__()
        torch.manual_seed(3)
        self.layer = torch.nn.Conv2d(3, channels, 1)
        self.layer.weight.data *= 4
        self.seen = []

    def forward(self, images):
        self.seen.append(tuple(images.shape[-2:]))
        return self.layer(images)


def predictor(model, size, window=None, overlap=0.25, classes=4):
    return Predictor(model, ResizedInference(size), classes, window, overlap, nullcontext)


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (41, 67, 3), np.uint8)


@pytest.mark.parametrize("overlap", [0, 0.25, 0.7])
@pytest.mark.parametrize("window", [(16, 24), (41, 24), (16, 67), (64, 96), (50, 20)])
def test_windows_of_a_network_that_sees_pixels_alone_change_nothing(pixels, window, overlap):
    whole = predictor(Local(), pixels.shape[:2]).predict(pixels)
    model = Local()
    found = predictor(model, window, window, overlap).predict(pixels)
    assert set(model.seen) == {window}
    assert found.classes.shape == found.void.shape == found.confidence.shape == (41, 67)
    assert (found.classes == whole.classes).all()
    assert np.allclose(found.confidence, whole.confidence, atol=1e-6)
    assert len(np.unique(found.classes)) > 1


def test_probabilities_are_averaged_where_windows_overlap():
    """The left window says 0 with certainty, the right one 1; between them it turns."""

    class Sided(Local):
        def forward(self, images):
            left = images[..., :1, :1].mean() < 0
            return torch.tensor([1.0, 0.0] if left else [0.0, 1.0])[None, :, None, None].expand(1, 2, 4, 8) * 9

    pixels = np.zeros((4, 12, 3), np.uint8)
    pixels[:, 4:] = 255
    found = predictor(Sided(), (4, 8), (4, 8), 0.5, classes=2).predict(pixels)
    assert found.classes[0].tolist() == [0] * 6 + [1] * 6
    assert np.allclose(found.confidence[0, 4:8], [0.8, 0.6, 0.6, 0.8], atol=1e-3)
    assert np.allclose(found.confidence[0, [0, 3, 8, 11]], 1, atol=1e-3)


def test_an_output_beyond_the_classes_is_void(pixels):
    found = predictor(Local(), pixels.shape[:2], classes=3).predict(pixels)
    assert 0 < found.void.mean() < 1
    assert (found.ids[found.void] == IGNORE).all()
    assert (found.ids == found.classes)[~found.void].all()
    assert found.classes.max() == 2


@pytest.mark.parametrize(
    "inference", [ResizedInference((32, 48)), SummedInference([(32, 48), (20, 40), (8, 16)], mirror=True)]
)
def test_confidence_is_a_probability(pixels, inference):
    found = Predictor(Local(), inference, 4, None, 0, nullcontext).predict(pixels)
    assert found.confidence.dtype == np.float32
    assert found.confidence.shape == (41, 67)
    assert 0.25 < found.confidence.min() < found.confidence.max() <= 1
    prepared = inference.prepare(Image.fromarray(pixels))[None]
    (probabilities,) = inference.probabilities(Local(), prepared, [(41, 67)])
    assert torch.allclose(probabilities.sum(dim=0), torch.ones(41, 67), atol=1e-5)
    (labels,) = inference.labels(Local(), prepared, [(41, 67)])
    assert (labels.numpy() == found.classes).all()


def test_outputs_that_are_not_finite_are_refused(pixels):
    model = Local()
    model.layer.bias.data[1] = torch.nan
    with pytest.raises(ModelError, match="not finite"):
        predictor(model, pixels.shape[:2]).predict(pixels)
