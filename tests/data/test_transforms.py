import numpy as np
import pytest
import torch
from PIL import Image

from tests.reference import recorded
from zsda.data.transforms import MEAN, STD, EvaluationTransform, TrainingTransform, resize_mask
from zsda.errors import ConfigError

STILL = {"brightness": (1, 1), "contrast": (1, 1), "saturation": (1, 1), "hue": (0, 0)}
PUBLISHED = {"brightness": (0.5, 1.5), "contrast": (0.5, 1.5), "saturation": (0.5, 1.5), "hue": (-0.3, 0.3)}


def picture(seed: int, height: int = 40, width: int = 80) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 255, (5, 10, 3), np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def back(image: torch.Tensor) -> np.ndarray:
    return image.numpy().transpose(1, 2, 0) * STD + MEAN


def test_the_published_evaluation_transform_is_reproduced():
    reference = recorded("sdgpa_test_transform")
    image = EvaluationTransform((64, 128))(Image.fromarray(reference["image"]))
    assert np.abs(image.numpy() - reference["out_image"]).max() < 1e-5
    assert (resize_mask(reference["label"], (64, 128)) == reference["out_label"]).all()


def test_all_views_and_the_mask_share_one_geometry():
    ramp = np.tile(np.arange(80, dtype=np.uint8), (40, 1)) + np.arange(40, dtype=np.uint8)[:, None]
    image = Image.fromarray(np.stack([ramp] * 3, axis=2))
    transform = TrainingTransform((40, 80), (20, 30), 0.5, **STILL)
    mirrored = []
    for seed in range(20):
        views, mask = transform({"source": image, "target": image}, ramp, seed)
        assert mask.shape == (20, 30)
        for view in views.values():
            assert np.abs(back(view)[..., 0] * 255 - mask.numpy()).max() < 1e-2
        mirrored.append(bool(mask[0, 0] > mask[0, -1]))
    assert 3 < sum(mirrored) < 17


def test_each_view_has_its_own_jitter():
    transform = TrainingTransform((40, 80), None, 0.0, **PUBLISHED)
    image = picture(1)
    views, _ = transform({"source": image, "target": image}, np.zeros((40, 80), np.uint8), 7)
    assert (views["source"] - views["target"]).abs().mean() > 0.05


def test_equal_seeds_give_equal_samples_whatever_came_before():
    transform = TrainingTransform((40, 80), (20, 30), 0.5, **PUBLISHED)
    images, mask = {"source": picture(1), "target": picture(2)}, np.zeros((40, 80), np.uint8)
    first, _ = transform(images, mask, 11)
    other, _ = transform(images, mask, 12)
    again, _ = transform(images, mask, 11)
    assert all(torch.equal(first[name], again[name]) for name in images)
    assert not torch.equal(first["source"], other["source"])


@pytest.mark.parametrize(
    ("name", "limits", "statistic"),
    [
        ("brightness", (1.5, 1.5), lambda a: a.mean()),
        ("contrast", (1.5, 1.5), lambda a: a.std()),
        ("saturation", (1.5, 1.5), lambda a: (a.max(axis=2) - a.min(axis=2)).mean()),
    ],
)
def test_every_jitter_operation_is_applied(name, limits, statistic):
    image, mask = picture(3), np.zeros((40, 80), np.uint8)
    still, _ = TrainingTransform((40, 80), None, 0.0, **STILL)({"v": image}, mask, 0)
    jittered, _ = TrainingTransform((40, 80), None, 0.0, **{**STILL, name: limits})({"v": image}, mask, 0)
    assert statistic(back(jittered["v"])) > statistic(back(still["v"])) * 1.1


def test_hue_turns_red_to_green():
    red = Image.new("RGB", (80, 40), (200, 0, 0))
    transform = TrainingTransform((40, 80), None, 0.0, **{**STILL, "hue": (1 / 3, 1 / 3)})
    views, _ = transform({"v": red}, np.zeros((40, 80), np.uint8), 0)
    assert back(views["v"])[0, 0].argmax() == 1


def test_jitter_operations_come_in_the_published_order():
    """Brightness 1.5 saturates before contrast 0.5 pulls towards the mean; the other order would not reach 1 / 4 + 1 / 2."""
    halves = np.zeros((40, 80, 3), np.uint8)
    halves[:, 40:] = 250
    transform = TrainingTransform((40, 80), None, 0.0, **{**STILL, "brightness": (1.5, 1.5), "contrast": (0.5, 0.5)})
    views, _ = transform({"v": Image.fromarray(halves)}, np.zeros((40, 80), np.uint8), 0)
    values = np.unique(np.round(back(views["v"])[..., 0] * 255))
    assert values.tolist() == pytest.approx([64, 191], abs=1.5)


def test_a_crop_larger_than_the_image_is_refused():
    with pytest.raises(ConfigError, match=r"crop of \(50, 90\) does not fit"):
        TrainingTransform((40, 80), (50, 90), 0.5, **STILL)
