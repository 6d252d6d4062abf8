from itertools import combinations

import cv2
import numpy as np
import pytest
import torch

from tests.independence import assert_independent
from zsda.core.errors import ConfigError
from zsda.core.seeds import hash32, uniform
from zsda.data import weak_strong
from zsda.data.weak_strong import StrongColours, WeakStrongTransform

DRAWS = 2000
NAMES = ("jitter", "blur", "gain", "offset", "posterise", "equalise", "solarise", "grey")
RAMP = np.repeat(np.arange(256, dtype=np.uint8).reshape(1, 256, 1), 3, axis=2)  # a pixel of each value
PHOTO = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
SEEDS = [hash32("draw", number) for number in range(DRAWS)]


def only(name, **numbers):
    """The change of this name, and no other, always."""
    strong = StrongColours(probability=1.0, **numbers)
    return strong._changes[name]


def share(found, expected):
    """Whether a share of `DRAWS` is that of a coin of this probability, within four deviations."""
    assert abs(found / DRAWS - expected) < 4 * np.sqrt(expected * (1 - expected) / DRAWS)


def is_uniform(values, low, high):
    """Whether numbers fill a range evenly: the Kolmogorov-Smirnov distance stays under its bound of one in ten thousand."""
    values = np.sort(values)
    assert low <= values[0] and values[-1] <= high
    steps = np.arange(1, len(values) + 1) / len(values)
    assert np.abs((values - low) / (high - low) - steps).max() < 2.2 / np.sqrt(len(values))


# The strong view


def test_three_of_eight_are_drawn_without_replacement_in_random_order():
    drawn = [StrongColours().drawn(seed) for seed in SEEDS]
    assert all(len(set(names)) == 3 for names in drawn)
    assert {name for names in drawn for name in names} == set(NAMES)
    for name in NAMES:
        for place in range(3):
            share(sum(names[place] == name for names in drawn), 1 / 8)
    for pair in combinations(NAMES, 2):
        share(sum(set(pair) <= set(names) for names in drawn), 3 / 28)


def test_each_drawn_change_acts_with_its_own_probability_in_the_drawn_order(monkeypatch):
    strong, done = StrongColours(), []
    for name in NAMES:
        monkeypatch.setitem(strong._changes, name, lambda image, _seed, name=name: done.append(name) or image)
    counts, acting = [], dict.fromkeys(NAMES, 0)
    for seed in SEEDS:
        done.clear()
        strong(RAMP, seed)
        order = strong.drawn(seed)
        assert [name for name in order if name in done] == done
        counts.append(len(done))
        for name in done:
            acting[name] += 1
    assert abs(np.mean(counts) - 1.5) < 4 * np.sqrt(0.75 / DRAWS)
    for number, expected in enumerate((1 / 8, 3 / 8, 3 / 8, 1 / 8)):
        share(counts.count(number), expected)
    for name in NAMES:
        share(acting[name], 3 / 16)


def test_the_gain_multiplies_and_clips_and_is_no_contrast():
    gains = [only("gain")(RAMP, seed)[0, 50, 0] / 50 for seed in SEEDS]
    is_uniform(np.array(gains) + 0.01, 1, 4.02)  # what lies between two grey levels is cut off
    brighter = only("gain", gain=(2, 2))(RAMP, 0)[0, :, 0]
    assert (brighter == np.minimum(2 * np.arange(256), 255)).all(), "black stays black, whatever the mean"


def test_the_offset_is_a_share_of_255():
    offsets = [only("offset")(RAMP, seed)[0, 128, 0] - 128.0 for seed in SEEDS]
    is_uniform((np.array(offsets) + 0.5) / 255, -0.503, 0.503)
    assert (only("offset", offset=(-0.2, -0.2))(RAMP, 0)[0, :, 0] == np.maximum(np.arange(256) - 51, 0)).all()


def test_the_blur_has_an_odd_kernel_that_its_deviation_follows_from(monkeypatch):
    kernels = []
    original = cv2.GaussianBlur
    monkeypatch.setattr(
        cv2, "GaussianBlur", lambda *given, **by: kernels.append((given[1], by)) or original(*given, **by)
    )
    for seed in SEEDS:
        only("blur")(RAMP[:, :8], seed)
    sizes = [size for (size, other), by in kernels if size == other and by == {"sigmaX": 0}]
    assert len(sizes) == DRAWS
    assert set(sizes) == set(range(3, 42, 2))
    share(sizes.count(3), 1 / 39)  # of 3 to 41, of which an even number is raised
    for size in range(5, 42, 2):
        share(sizes.count(size), 2 / 39)


def test_the_deviation_of_the_blur():
    line = np.zeros((101, 101, 3), np.uint8)
    line[:, 50] = 255
    blurred = only("blur", kernels=(21, 21))(line, 0)[50, :, 0].astype(float)
    expected = 0.3 * ((21 - 1) * 0.5 - 1) + 0.8
    places = np.arange(101) - 50
    kernel = np.where(np.abs(places) <= 10, np.exp(-(places**2) / (2 * expected**2)), 0)
    assert np.abs(blurred - 255 * kernel / kernel.sum()).max() < 1


def test_the_jitter_has_four_parts_in_random_order(monkeypatch):
    done = []
    parts = ("brightness", "contrast", "saturation", "hue")
    for part in parts:
        monkeypatch.setitem(
            weak_strong.ADJUST, part, lambda image, factor, part=part: done.append((part, factor)) or image
        )
    orders, factors = [], []
    for seed in SEEDS:
        done.clear()
        only("jitter")(RAMP, seed)
        orders.append(tuple(part for part, _ in done))
        factors.append([dict(done)[part] for part in parts])
    assert len(set(orders)) == 24
    for part in parts:
        share(sum(order[0] == part for order in orders), 1 / 4)
    columns = np.array(factors)
    for column, middle in zip(columns.T, (1, 1, 1, 0), strict=True):
        is_uniform(column, middle - 0.2, middle + 0.2)
    assert_independent(columns)


def test_the_jitter_does_what_its_parts_do():
    assert only("jitter")(PHOTO, 1).shape == PHOTO.shape
    assert (only("jitter", jitter=0)(PHOTO, 1) == PHOTO).all()
    assert (only("jitter")(PHOTO, 1) != PHOTO).any()


def test_bits_highlights_and_grey():
    values = np.arange(256)
    assert (only("posterise")(RAMP, 0)[0, :, 0] == values // 16 * 16).all()
    assert (only("solarise")(RAMP, 0)[0, :, 0] == np.where(values >= 128, 255 - values, values)).all()
    grey = only("grey")(PHOTO, 0)
    assert (grey == grey[:, :, :1]).all()
    assert np.abs(grey[:, :, 0] - PHOTO @ np.array([0.299, 0.587, 0.114])).max() <= 1


def test_each_channel_is_equalised_by_itself():
    image = np.stack([PHOTO[:, :, 0] // 4, PHOTO[:, :, 1] // 2 + 90, np.full((48, 64), 7, np.uint8)], axis=2)
    found = only("equalise")(image, 0)
    assert (found[:, :, 2] == 7).all(), "what has one value keeps it"
    for channel in range(2):
        before, after = image[:, :, channel], found[:, :, channel]
        assert (after.min(), after.max()) == (0, 255)
        pixels = np.bincount(before.ravel(), minlength=256)
        rest = pixels[before.min() + 1 :].cumsum()
        table = np.concatenate([np.zeros(before.min() + 1), rest * 255 / rest[-1]])
        assert np.abs(after - table[before]).max() <= 0.51


def test_every_decision_is_drawn_under_a_name_of_its_own(monkeypatch):
    drawn = []
    monkeypatch.setattr(weak_strong, "uniform", lambda *parts: drawn.append(parts) or uniform(*parts))
    WeakStrongTransform((24, 32), (30, 40), strong=StrongColours(count=8, probability=1.0))(PHOTO, PHOTO[:, :, 0], 3)
    assert len(drawn) == len(set(drawn))
    # Mirror and window; order and probability of 8 changes; order and factors of 4 parts; kernel, gain, offset.
    assert len(drawn) == 4 + 16 + 8 + 3
    assert {parts[0] for parts in drawn} == {3}


# The weak view


@pytest.mark.parametrize(
    ("frame", "size", "heights"),
    [
        ((1024, 2048), (512, 1024), (341, 1000)),
        ((1052, 1914), (512, 1024), (341, 950)),
        ((760, 1280), (512, 1024), (341, 640)),
        ((1024, 2048), (768, 1024), (341, 1000)),
        ((1024, 1280), (768, 1024), (341, 900)),
    ],
    ids=["cityscapes", "gta5", "synthia", "cityscapes to robotcar", "robotcar"],
)
def test_the_published_windows(frame, size, heights):
    transform = WeakStrongTransform(size, heights)
    windows = np.array([transform.window(frame, seed) for seed in SEEDS], float)
    top, left, height, width = windows.T
    assert set(height) <= set(range(heights[0], heights[1] + 1))
    is_uniform(height + 0.5, heights[0], heights[1] + 1)
    assert (width == np.floor(height * size[1] / size[0])).all()
    assert (top >= 0).all() and (top + height <= frame[0]).all()
    assert (left >= 0).all() and (left + width <= frame[1]).all()
    is_uniform((top + 0.5) / (frame[0] - height), 0, 1.03)
    places = np.stack([height, top / (frame[0] - height), left / np.maximum(frame[1] - width, 1)], axis=1)
    assert_independent(places)


def test_every_height_is_drawn_the_ends_too():
    transform = WeakStrongTransform((2, 4), (3, 5))
    heights = [transform.window((10, 20), seed)[2] for seed in SEEDS]
    for height in (3, 4, 5):
        share(heights.count(height), 1 / 3)


@pytest.mark.parametrize("frame", [(697, 1276), (341, 500), (100, 90), (1, 1), (600, 10)])
def test_of_a_frame_that_is_too_small_what_fits_is_drawn(frame):
    transform = WeakStrongTransform((512, 1024), (341, 950))
    for seed in SEEDS[:200]:
        top, left, height, width = transform.window(frame, seed)
        assert 1 <= height <= frame[0] and top + height <= frame[0]
        assert 1 <= width <= frame[1] and left + width <= frame[1]
    views, labels = transform(np.zeros((*frame, 3), np.uint8), np.zeros(frame, np.uint8), 0)
    assert views["weak"].shape == (512, 1024, 3) and labels.shape == (512, 1024)
    if frame == (697, 1276):
        heights = [transform.window(frame, seed)[2] for seed in SEEDS]
        assert (min(heights), max(heights)) == (341, 638), "half the width, which is less than the height"


def test_half_are_mirrored_whatever_their_window_is():
    transform = WeakStrongTransform((4, 8), (20, 40))
    image = np.zeros((80, 160, 3), np.uint8)
    image[:] = np.arange(160, dtype=np.uint8)[None, :, None]
    rows = []
    for seed in SEEDS:
        views, _ = transform(image, image[:, :, 0], seed)
        top, left, height, width = transform.window((80, 160), seed)
        line = views["weak"][0, :, 0]
        rows.append([float(line[0] > line[-1]), height, top / (80 - height), left / (160 - width)])
    share(sum(row[0] for row in rows), 1 / 2)
    assert_independent(np.array(rows))


def test_image_and_labels_stay_on_each_other():
    tiles = np.random.default_rng(1).integers(0, 2, (4, 8), dtype=np.uint8)
    mask = cv2.resize(tiles, (192, 96), interpolation=cv2.INTER_NEAREST) * np.uint8(18)
    image = np.repeat(mask[:, :, None] * 10, 3, axis=2)
    transform = WeakStrongTransform((64, 128), (40, 90))
    for seed in SEEDS[:30]:
        views, labels = transform(image, mask, seed)
        bright = views["weak"][..., 0] > 90
        assert (bright == (labels == 18)).float().mean() > 0.95
        assert set(labels.unique().tolist()) <= {0, 18}


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_windows_are_resized_bilinearly_and_labels_to_the_nearest_of_opencv(flip):
    image = np.random.default_rng(2).integers(0, 256, (60, 100, 3), dtype=np.uint8)
    transform = WeakStrongTransform((24, 40), (20, 50), flip=flip)
    for seed in SEEDS[:20]:
        top, left, height, width = transform.window((60, 100), seed)
        window = (image[:, ::-1] if flip else image)[top : top + height, left : left + width]
        views, labels = transform(image, image[:, :, 0], seed)
        rows, columns = (np.arange(to) * of // to for to, of in ((24, height), (40, width)))
        assert (labels.numpy() == window[rows][:, columns][:, :, 0]).all()
        down, across = ((np.arange(to) + 0.5) * of / to - 0.5 for to, of in ((24, height), (40, width)))
        expected = window.astype(float)
        for axis, places in enumerate((down, across)):
            last = expected.shape[axis] - 1
            low = np.floor(places).astype(int)
            share_of_next = (places - low).reshape([-1 if n == axis else 1 for n in range(3)])
            before, after = (np.take(expected, np.clip(low + step, 0, last), axis) for step in (0, 1))
            expected = before * (1 - share_of_next) + after * share_of_next
        found = views["weak"].numpy()
        assert np.abs(found - expected).max() < 1.01


def test_room_for_windows_of_several_heights():
    transform = WeakStrongTransform((512, 1024), (341, 950))
    assert transform.has_room((1052, 1914)) and transform.has_room((342, 684))
    assert not any(map(transform.has_room, ((341, 682), (128, 256), (480, 640))))
    assert WeakStrongTransform((64, 128), (64, 64)).has_room((64, 128)), "one height is what was asked for"


def test_the_strong_view_is_the_weak_one_in_other_colours():
    strong = StrongColours(count=1, probability=1.0)
    transform = WeakStrongTransform((24, 32), (30, 40), strong=strong)
    for seed in SEEDS[:20]:
        views, _ = transform(PHOTO, PHOTO[:, :, 0], seed)
        assert (views["strong"].numpy() == strong(views["weak"].numpy(), seed)).all()
    assert set(WeakStrongTransform((24, 32), (30, 40))(PHOTO, PHOTO[:, :, 0], 0)[0]) == {"weak"}


def test_equal_seeds_give_equal_views_and_others_other_ones():
    transform = WeakStrongTransform((24, 32), (30, 40), strong=StrongColours())
    first, second, other = (transform(PHOTO, PHOTO[:, :, 0], seed) for seed in (5, 5, 6))
    assert all(torch.equal(first[0][name], second[0][name]) for name in ("weak", "strong"))
    assert torch.equal(first[1], second[1])
    assert not torch.equal(first[0]["weak"], other[0]["weak"])


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: WeakStrongTransform((512,), (341, 950)), r"size=\[512\]"),
        (lambda: WeakStrongTransform((512, 1024), (950, 341)), r"heights=\[950,341\]; expected two whole"),
        (lambda: WeakStrongTransform((512, 1024), (341.5, 950)), "expected two whole numbers of at least 1"),
        (lambda: WeakStrongTransform((512, 1024), 341), "heights=341"),
        (lambda: WeakStrongTransform((512, 1024), (341, 950), flip=2), "flip=2"),
        (lambda: StrongColours(count=9), "strong.count=9; expected a whole number from 0 to 8"),
        (lambda: StrongColours(bits=0), "strong.bits=0"),
        (lambda: StrongColours(threshold=300), "strong.threshold=300"),
        (lambda: StrongColours(probability=-1), "strong.probability=-1"),
        (lambda: StrongColours(jitter=0.7), "strong.jitter=0.7"),
        (lambda: StrongColours(kernels=(0, 5)), r"strong.kernels=\[0,5\]"),
        (lambda: StrongColours(gain=(-1, 2)), r"strong.gain=\[-1,2\]"),
        (lambda: StrongColours(offset=(-2, 0)), r"strong.offset=\[-2,0\]; expected two numbers from -1 to 1"),
    ],
)
def test_values_that_make_no_sense_are_refused(make, said):
    with pytest.raises(ConfigError, match=said):
        make()
