import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from zsda.core.trained import TrainedNetwork
from zsda.data.classes import find_classes
from zsda.data.labels import CITYSCAPES, IGNORE
from zsda.evaluation.layout import LayoutJudge
from zsda.models.weights import save_weights


class Bright(nn.Module):
    """Says class 1 where the picture is bright and class 0 where it is dark."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, images):
        bright = images.mean(dim=1, keepdim=True) * self.weight
        return torch.cat([-bright, bright, *[torch.full_like(bright, -9)] * 17], dim=1)


@pytest.fixture
def judge():
    return LayoutJudge(Bright(), (4, 8), "digest", CITYSCAPES)


def halves(boundary: int, width: int = 8) -> Image.Image:
    pixels = np.zeros((4, width, 3), np.uint8)
    pixels[:, boundary:] = 255
    return Image.fromarray(pixels)


MASK = np.zeros((4, 8), np.uint8)
MASK[:, 4:] = 1


def test_the_score_is_the_mean_iou_of_the_labelled_classes(judge):
    assert judge.score(*judge.prepare(halves(4), MASK)) == 1.0
    # Columns 4 and 5 are called 0: IoU 4 / 6 of class 0, 2 / 4 of class 1.
    assert judge.score(*judge.prepare(halves(6), MASK)) == pytest.approx((4 / 6 + 2 / 4) / 2, abs=1e-4)


def test_what_is_not_labelled_does_not_count(judge):
    mask = MASK.copy()
    mask[:, 4:6] = IGNORE
    assert judge.score(*judge.prepare(halves(6), mask)) == 1.0
    assert judge.score(*judge.prepare(halves(4), np.full((4, 8), IGNORE, np.uint8))) is None


def test_a_trained_network_judges_in_its_own_classes(tmp_path):
    save_weights(Bright(), tmp_path / "weights.safetensors")
    trained = TrainedNetwork("bright", tmp_path / "weights.safetensors", [4, 8], tmp_path, Bright, classes=13)
    judge = LayoutJudge.of(trained)
    assert judge.classes is find_classes(13)
    assert judge.score(*judge.prepare(halves(4), MASK)) == 1.0
    assert LayoutJudge.of(None) is None


def test_image_and_mask_may_have_any_size(judge):
    large = MASK.repeat(3, axis=0).repeat(3, axis=1)
    assert judge.score(*judge.prepare(halves(8, width=16), large)) == 1.0


def test_an_autocast_around_it_changes_nothing(judge):
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (4, 8, 3), np.uint8))
    plain = judge.score(*judge.prepare(picture, MASK))
    with torch.autocast("cpu", torch.bfloat16):
        assert judge.score(*judge.prepare(picture, MASK)) == plain
