import numpy as np
import pytest
import torch
import torchvision.transforms.functional as F
from PIL import Image

from zsda.data.colours import ADJUST, MEAN, STD, denormalise, finish, jitter, jitter_in_floats, normalise

LOWEST, HIGHEST = np.array([0.5, 0.5, 0.5, -0.3]), np.array([1.5, 1.5, 1.5, 0.3])


def pictures(count, seed=0):
    """Smooth coloured pictures, uint8 [N, 24, 48, 3], and the factors of a published jitter for each, float64 [N, 4]."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (count, 4, 8, 3), np.uint8)
    images = np.stack([np.asarray(Image.fromarray(c).resize((48, 24), Image.Resampling.BICUBIC)) for c in coarse])
    return torch.from_numpy(images), torch.from_numpy(LOWEST + (HIGHEST - LOWEST) * random.random((count, 4)))


def grey_levels(scaled):
    """Undoes the scale that networks expect: float [N, H, W, 3], 0-255."""
    return (scaled.permute(0, 2, 3, 1).numpy() * STD + MEAN) * 255


def published(image, factors):
    """The jitter on an 8-bit image of Pillow, as SDGPA's code has it."""
    picture = Image.fromarray(image.numpy())
    for name, factor in zip(ADJUST, factors.tolist(), strict=True):
        picture = getattr(F, f"adjust_{name}")(picture, factor)
    return np.asarray(picture, np.float32)


def in_floats(images, factors):
    return jitter_in_floats(images.permute(0, 3, 1, 2).float().contiguous(), factors).permute(0, 2, 3, 1).numpy()


def test_every_colour_is_found_again_behind_its_scale():
    every = torch.arange(256, dtype=torch.uint8)
    images = torch.stack([every, every.flip(0), every.roll(100)], dim=-1).view(1, 16, 16, 3)
    assert (denormalise(normalise(images)) == images).all()
    beyond = torch.tensor([-9.0, 9.0]).view(1, 1, 2).expand(3, 1, 2)
    assert denormalise(beyond).tolist() == [[[0] * 3, [255] * 3]]


def test_the_scale_is_that_of_imagenet():
    images, _ = pictures(2)
    expected = ((images.numpy() / np.float32(255) - MEAN) / STD).transpose(0, 3, 1, 2)
    assert (normalise(images).numpy() == expected).all()
    assert (normalise(images[0]).numpy() == expected[0]).all()


@pytest.mark.parametrize("change", [lambda *batch: grey_levels(jitter(*batch)), in_floats])
def test_on_every_device_the_colours_have_the_published_distribution(change):
    """Every image is close to the published one, and so are mean, spread and saturation over all."""
    images, factors = pictures(300)
    found = change(images, factors)
    expected = np.stack([published(*pair) for pair in zip(images, factors, strict=True)])
    assert np.abs(found - expected).mean() < 2.5
    for statistic in (np.mean, np.std, lambda values: np.ptp(values, axis=-1).mean()):
        assert statistic(found) == pytest.approx(statistic(expected), rel=0.01)
    for channel in range(3):
        assert np.percentile(found[..., channel], [5, 25, 50, 75, 95]) == pytest.approx(
            np.percentile(expected[..., channel], [5, 25, 50, 75, 95]), abs=2.5
        )


@pytest.mark.parametrize("part", range(4))
def test_each_part_by_itself_is_the_published_one_in_floats(part):
    images, drawn = pictures(40, seed=1)
    factors = torch.tensor([[1.0, 1.0, 1.0, 0.0]]).repeat(40, 1).double()
    factors[:, part] = drawn[:, part]
    adjust = getattr(F, f"adjust_{[*ADJUST][part]}")
    pictures_of_pillow = [Image.fromarray(image) for image in images.numpy()]
    expected = [adjust(*pair) for pair in zip(pictures_of_pillow, factors[:, part].tolist(), strict=True)]
    apart = np.abs(in_floats(images, factors) - np.stack([np.asarray(one, np.float32) for one in expected]))
    assert apart.max() < 1.01 if part < 3 else apart.mean() < 1.5  # Pillow has 256 hues


def test_grey_stays_grey_and_extremes_stay_in_range():
    images = torch.tensor([0, 128, 255], dtype=torch.uint8).view(3, 1, 1, 1).repeat(1, 4, 4, 3)
    changed = in_floats(images, torch.tensor([[1.5, 1.5, 1.5, 0.3]]).repeat(3, 1))
    assert np.isfinite(changed).all()
    assert np.ptp(changed, axis=-1).max() < 1e-3
    assert changed.min() >= 0 and changed.max() <= 255.001


@pytest.mark.parametrize("change", [jitter, lambda *batch: torch.from_numpy(in_floats(*batch))])
def test_an_image_does_not_depend_on_its_batch(change):
    images, factors = pictures(5)
    together = change(images, factors)
    alone = torch.cat([change(images[n : n + 1], factors[n : n + 1]) for n in range(5)])
    assert torch.allclose(together, alone, atol=1e-3)


def test_batches_within_batches_are_finished():
    images, factors = pictures(2)
    plain = {"images": {"weak": images}, "mask": 1}
    batch = finish({"source": {**plain, "colours": {"weak": factors}}, "unlabelled": plain, "faults": []})
    assert torch.equal(batch["source"]["images"]["weak"], jitter(images, factors))
    assert torch.equal(batch["unlabelled"]["images"]["weak"], normalise(images))
    assert "colours" not in batch["source"] and batch["faults"] == []
    assert [one.shape for one in finish({"image": [images[0], images[1]]})["image"]] == [(3, 24, 48)] * 2
    assert finish({"faults": ["all of it"]}) == {"faults": ["all of it"]}
