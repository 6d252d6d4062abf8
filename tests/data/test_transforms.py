import re

import numpy as np
import pytest
import torch
import torchvision.transforms.functional
from PIL import Image

from tests.independence import assert_independent
from tests.reference import recorded
from zsda.core.errors import ConfigError
from zsda.data.colours import MEAN, STD, finish, normalise
from zsda.data.labels import IGNORE
from zsda.data.resizing import resize_image, resize_mask
from zsda.data.transforms import TrainingTransform, Weather

STILL = {"brightness": (1, 1), "contrast": (1, 1), "saturation": (1, 1), "hue": (0, 0)}
PUBLISHED = {"brightness": (0.5, 1.5), "contrast": (0.5, 1.5), "saturation": (0.5, 1.5), "hue": (-0.3, 0.3)}


def picture(seed: int, height: int = 40, width: int = 80) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 255, (5, 10, 3), np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def back(image: torch.Tensor) -> np.ndarray:
    return image.numpy().transpose(1, 2, 0) * STD + MEAN


def augment(transform: TrainingTransform, images: dict[str, Image.Image], mask: np.ndarray, seed: int):
    """What a training makes of a scene, from its whole images at the transform's size: views, float32 [3, h, w], and mask."""
    views, labels = transform({name: np.asarray(image) for name, image in images.items()}, mask, seed)
    colours = {name: transform.colours(seed, name)[None] for name in views}
    batch = finish({"images": {name: view[None] for name, view in views.items()}, "colours": colours})
    return {name: view[0] for name, view in batch["images"].items()}, labels


def test_the_published_evaluation_transform_is_reproduced():
    reference = recorded("sdgpa_test_transform")
    image = normalise(torch.tensor(resize_image(Image.fromarray(reference["image"]), (64, 128))))
    assert np.abs(image.numpy() - reference["out_image"]).max() < 1e-5
    assert (resize_mask(reference["label"], (64, 128)) == reference["out_label"]).all()


def test_all_views_and_the_mask_share_one_geometry():
    ramp = np.tile(np.arange(80, dtype=np.uint8), (40, 1)) + np.arange(40, dtype=np.uint8)[:, None]
    image = Image.fromarray(np.stack([ramp] * 3, axis=2))
    transform = TrainingTransform((40, 80), (20, 30), 0.5, **STILL)
    mirrored = []
    for seed in range(20):
        views, mask = augment(transform, {"source": image, "target": image}, ramp, seed)
        assert mask.shape == (20, 30)
        for view in views.values():
            assert np.abs(back(view)[..., 0] * 255 - mask.numpy()).max() < 1e-2
        mirrored.append(bool(mask[0, 0] > mask[0, -1]))
    assert 3 < sum(mirrored) < 17


@pytest.mark.parametrize("scale", [None, (1.0, 2.0)])
def test_no_decision_about_a_scene_depends_on_another(scale):
    """Scale, top, left, mirroring, and each factor of each view, over 500 seeds."""
    rows, columns = np.mgrid[:40, :80].astype(np.uint8)
    scene = np.stack([rows, columns, rows], axis=2)
    transform = TrainingTransform((40, 80), (20, 30), 0.5, **PUBLISHED, scale=scale)
    drawn = []
    for seed in range(500):
        seen = transform({"source": scene}, rows, seed)[0]["source"].numpy().astype(float)
        height, width = np.ptp(seen[..., 0]), np.ptp(seen[..., 1])
        place = [seen[..., 0].min() / (39 - height), seen[..., 1].min() / (79 - width)]
        factors = [factor for view in ("source", "target") for factor in transform.colours(seed, view).tolist()]
        drawn.append([*place, seen[0, 0, 1] > seen[0, -1, 1], *factors, *([height] if scale else [])])
    values = np.array(drawn, float)
    assert values.shape[1] == 3 + 8 + bool(scale)
    assert_independent(values)


def test_the_scenes_of_neighbouring_seeds_have_nothing_in_common():
    ramp = np.arange(80, dtype=np.uint8)[None] + np.arange(40, dtype=np.uint8)[:, None]
    transform = TrainingTransform((40, 80), (20, 30), 0.5, **STILL)
    scene = Image.fromarray(np.stack([ramp] * 3, axis=2))
    least = np.array([augment(transform, {"view": scene}, ramp, seed)[1].min() for seed in range(501)], float)
    assert_independent(np.stack([least[:-1], least[1:]], axis=1))


def test_blur_and_cutout_are_drawn_apart():
    white = {"source": Image.new("RGB", (80, 40), "white")}
    edge = np.zeros((40, 80, 3), np.uint8)
    edge[:, 40:] = 255
    found = []
    for seed in range(300):
        transform = TrainingTransform((40, 80), None, 0.0, **STILL, blur=0.5, cutout=0.5)
        mask = np.zeros((40, 80), np.uint8)
        cut = back(augment(transform, white, mask, seed)[0]["source"]).min() < 0.9
        # What the rectangle misses shows whether the edge is soft.
        views, labels = augment(transform, {"source": Image.fromarray(edge)}, mask, seed)
        pixels = back(views["source"])[..., 0][labels.numpy() == 0]
        soft = ((pixels > 0.001) & (pixels < 0.999)).any()
        found.append([cut, soft])
    cut, soft = np.array(found).T
    assert 0.4 < cut.mean() < 0.6
    assert 0.4 < soft.mean() < 0.6
    assert 0.4 < (cut == soft).mean() < 0.6


def test_each_view_has_its_own_jitter():
    transform = TrainingTransform((40, 80), None, 0.0, **PUBLISHED)
    image = picture(1)
    views, _ = augment(transform, {"source": image, "target": image}, np.zeros((40, 80), np.uint8), 7)
    assert (views["source"] - views["target"]).abs().mean() > 0.05


def test_equal_seeds_give_equal_samples_whatever_came_before():
    transform = TrainingTransform((40, 80), (20, 30), 0.5, **PUBLISHED)
    images, mask = {"source": picture(1), "target": picture(2)}, np.zeros((40, 80), np.uint8)
    first, _ = augment(transform, images, mask, 11)
    other, _ = augment(transform, images, mask, 12)
    again, _ = augment(transform, images, mask, 11)
    assert all(torch.equal(first[name], again[name]) for name in images)
    assert not torch.equal(first["source"], other["source"])


def test_the_jitter_is_the_published_sequence():
    factors = {"brightness": 1.4, "contrast": 0.6, "saturation": 1.5, "hue": 0.25}
    transform = TrainingTransform((40, 80), None, 0.0, **{name: (value, value) for name, value in factors.items()})
    expected = picture(3)
    for name, value in factors.items():
        expected = getattr(torchvision.transforms.functional, f"adjust_{name}")(expected, value)
    for seed in range(20):  # rounding leaves 1.7 grey levels in this order, and at least 6.3 in any other
        views, _ = augment(transform, {"view": picture(3)}, np.zeros((40, 80), np.uint8), seed)
        assert np.abs(back(views["view"]) * 255 - np.asarray(expected)).mean() < 3


def test_factors_are_drawn_from_the_whole_range():
    grey = Image.new("RGB", (80, 40), (100, 100, 100))
    transform = TrainingTransform((40, 80), None, 0.0, **{**STILL, "brightness": PUBLISHED["brightness"]})
    mask = np.zeros((40, 80), np.uint8)
    drawn = [back(augment(transform, {"view": grey}, mask, seed)[0]["view"]).mean() * 2.55 for seed in range(100)]
    assert 0.49 < min(drawn) < 0.55
    assert 1.45 < max(drawn) < 1.51


def test_crops_are_drawn_at_random():
    ramp = np.arange(80, dtype=np.uint8)[None] + np.arange(40, dtype=np.uint8)[:, None]
    transform = TrainingTransform((40, 80), (20, 30), 0.5, **STILL)
    image = Image.fromarray(np.stack([ramp] * 3, axis=2))
    assert len({int(augment(transform, {"view": image}, ramp, seed)[1].min()) for seed in range(20)}) > 10


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
    still, _ = augment(TrainingTransform((40, 80), None, 0.0, **STILL), {"v": image}, mask, 0)
    jittered, _ = augment(TrainingTransform((40, 80), None, 0.0, **{**STILL, name: limits}), {"v": image}, mask, 0)
    assert statistic(back(jittered["v"])) > statistic(back(still["v"])) * 1.1


def test_hue_turns_red_to_green():
    red = Image.new("RGB", (80, 40), (200, 0, 0))
    transform = TrainingTransform((40, 80), None, 0.0, **{**STILL, "hue": (1 / 3, 1 / 3)})
    views, _ = augment(transform, {"v": red}, np.zeros((40, 80), np.uint8), 0)
    assert back(views["v"])[0, 0].argmax() == 1


def test_jitter_operations_come_in_the_published_order():
    """Brightness 1.5 saturates before contrast 0.5 pulls towards the mean; the other order would not reach 1 / 4 + 1 / 2."""
    halves = np.zeros((40, 80, 3), np.uint8)
    halves[:, 40:] = 250
    transform = TrainingTransform((40, 80), None, 0.0, **{**STILL, "brightness": (1.5, 1.5), "contrast": (0.5, 0.5)})
    views, _ = augment(transform, {"v": Image.fromarray(halves)}, np.zeros((40, 80), np.uint8), 0)
    values = np.unique(np.round(back(views["v"])[..., 0] * 255))
    assert values.tolist() == pytest.approx([64, 191], abs=1.5)


def test_a_crop_larger_than_the_image_is_refused():
    with pytest.raises(ConfigError, match=r"crop of \(50, 90\) does not fit"):
        TrainingTransform((40, 80), (50, 90), 0.5, **STILL)


def test_scaling_keeps_views_and_mask_together_and_fills_up_what_is_not_labelled():
    ramp = np.tile(np.arange(80, dtype=np.uint8), (40, 1))
    image = Image.fromarray(np.stack([ramp] * 3, axis=2))
    transform = TrainingTransform((40, 80), None, 0.0, **STILL, scale=(0.5, 2.0))
    widths, ignored = [], 0
    for seed in range(12):
        views, mask = augment(transform, {"v": image}, ramp, seed)
        assert mask.shape == (40, 80)
        inside = mask.numpy() != IGNORE
        ignored += int((~inside).any())
        assert np.abs(back(views["v"])[..., 0] * 255 - mask.numpy())[inside].max() < 2
        widths.append(int(mask.numpy()[inside].max()) - int(mask.numpy()[inside].min()))
    assert min(widths) < 60
    assert 0 < ignored < 12


def test_a_blur_touches_the_picture_only():
    image, mask = picture(4), np.zeros((40, 80), np.uint8)
    plain, _ = augment(TrainingTransform((40, 80), None, 0.0, **STILL), {"v": image}, mask, 0)
    changed, labels = augment(TrainingTransform((40, 80), None, 0.0, **STILL, blur=1.0), {"v": image}, mask, 0)
    assert not torch.equal(changed["v"], plain["v"])
    assert (labels == 0).all()


def test_what_is_cut_out_is_noise_without_label_in_all_views():
    mask = np.zeros((40, 80), np.uint8)
    views = {"source": Image.new("RGB", (80, 40), "white"), "target": Image.new("RGB", (80, 40), "black")}
    transform = TrainingTransform((40, 80), None, 0.0, **STILL, cutout=1.0)
    areas = []
    for seed in range(100):
        changed, labels = augment(transform, views, mask, seed)
        hole = labels.numpy() == 255
        source, target = (back(changed[name]) for name in ("source", "target"))
        assert np.abs(source[~hole] - 1).max() < 1e-3
        assert np.abs(target[~hole]).max() < 1e-3
        rows, columns = np.nonzero(hole)
        assert (labels.numpy()[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1] == 255).all()
        assert source[hole].std() > 0.15
        areas.append(hole.mean())
    assert 0.015 < min(areas) < 0.1
    assert 0.3 < max(areas) < 0.41


@pytest.mark.parametrize("name", ["fog", "rain", "snow", "night", "game"])
def test_weather_depends_on_the_seed_alone(name):
    image = np.asarray(picture(5))
    weather = Weather(name)
    first, other, again = weather(image, 3), weather(image, 4), weather(image, 3)
    assert first.shape == image.shape
    assert first.dtype == np.uint8
    assert (first == again).all()
    assert (first != other).any()
    assert (first != image).any()


def test_weather_looks_like_its_name():
    image = np.asarray(picture(5))
    means = {name: np.mean([Weather(name)(image, s).mean() for s in range(5)]) for name in ("night", "snow", "fog")}
    assert means["night"] < 0.65 * image.mean()
    assert means["snow"] > image.mean()
    edges = np.abs(np.diff(Weather("fog")(image, 0).astype(int), axis=1)).mean()
    assert edges < np.abs(np.diff(image.astype(int), axis=1)).mean()


def test_a_domain_without_weather_is_refused():
    with pytest.raises(ConfigError, match=r"matches data.weather=dusk; give data.weather=fog\|rain\|snow\|night\|game"):
        Weather("dusk")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"size": 128}, "data.transform.size=128; expected height and width"),
        ({"crop": (0, 0)}, "data.transform.crop=[0,0]; expected height and width"),
        ({"brightness": 1}, "data.transform.brightness=1; expected two numbers of at least 0"),
        (
            {"contrast": (1.5, 0.5)},
            "data.transform.contrast=[1.5,0.5]; expected two numbers of at least 0, the lower one first",
        ),
        ({"hue": (-1, 1)}, "data.transform.hue=[-1,1]; expected two numbers from -0.5 to 0.5"),
        ({"scale": (2, 1)}, "data.transform.scale=[2,1]; expected two numbers"),
        ({"flip": 2}, "data.transform.flip=2; expected a probability"),
        ({"blur": "often"}, "data.transform.blur=often; expected a probability"),
    ],
)
def test_values_that_make_no_sense_are_named(value, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        TrainingTransform(**{"size": (40, 80), "crop": None, "flip": 0.5, **STILL, **value})
