from collections import Counter
from itertools import pairwise

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from tests.independence import assert_independent
from zsda.core.errors import ConfigError, StoreError
from zsda.core.seeds import hash32
from zsda.data.classes import find_classes
from zsda.data.labels import CITYSCAPES, IGNORE
from zsda.data.reader import DamagedImageError
from zsda.data.samples import Sample, SegmentationDataset, pseudo_label
from zsda.pseudo_labels.copy_paste import HardAwareCopyPaste
from zsda.pseudo_labels.selectors import ConstantSelector
from zsda.pseudo_labels.store import PseudoLabelWriter

DRAWS = 2000
SIZE = (8, 16)
CONFIDENT = np.linspace(0.99, 0.5, 19)  # road is the easiest class, bicycle the hardest
NAMES = CITYSCAPES.names
ROAD, CAR, TRAIN, BICYCLE = (NAMES.index(name) for name in ("road", "car", "train", "bicycle"))


def grey(number):
    return 10 + 5 * number


def labelled(folder, maps, confidences=CONFIDENT, classes=CITYSCAPES, size=SIZE):
    """A folder of images, each of one grey level, and of these pseudo labels; the data set of both, and the folder."""
    selector = ConstantSelector(len(classes), 0.5)
    selector.class_mean_probabilities[:] = torch.as_tensor(confidences)
    writer = PseudoLabelWriter(folder / "round/labels", selector, classes, size, "ab12")
    folder.mkdir(exist_ok=True)
    samples = []
    for number, ids in enumerate(maps):
        path = folder / f"frame{number:03d}.png"
        Image.fromarray(np.full((*SIZE, 3), grey(number), np.uint8)).save(path)
        samples.append(Sample(path.stem, path))
        writer.write(path, ids)
    writer.finish([sample.image for sample in samples])
    images = SegmentationDataset(samples, "toy", folder, classes=classes)
    return images.relabelled(folder / "round/labels"), folder / "round/labels"


def label_map(size=SIZE, **pixels):
    """So many pixels of each class, one after the other; the rest is ignored."""
    ids = [CITYSCAPES.names.index(name) for name, count in pixels.items() for _ in range(count)]
    flat = np.full(size[0] * size[1], IGNORE)
    flat[: len(ids)] = ids
    return flat.reshape(size)


def share(found, expected, draws=DRAWS):
    assert abs(found / draws - expected) < 4 * np.sqrt(expected * (1 - expected) / draws)


def test_the_classes_of_least_confidence_are_hard(tmp_path):
    paste = HardAwareCopyPaste(*labelled(tmp_path, [label_map(road=3, bicycle=2)]))
    assert paste.hard == list(range(18, 4, -1)), "14, the hardest first"
    dataset, labels = labelled(tmp_path / "other", [label_map(road=3)], np.full(19, 0.5))
    assert HardAwareCopyPaste(dataset, labels, hard=3).hard == [0, 1, 2], "equal ones in their order"


def test_classes_are_drawn_by_their_weights_and_donors_alike(tmp_path):
    maps = [label_map(**{name: 1 + number}) for number in range(4) for name in ("road", "car", "bicycle")]
    paste = HardAwareCopyPaste(*labelled(tmp_path, maps))
    hardness = (1 - CONFIDENT[[CAR, BICYCLE]]) ** 2
    assert paste.weights == pytest.approx(dict(zip([CAR, BICYCLE], hardness / hardness.sum(), strict=True)))
    drawn = Counter(paste.draw([CAR, BICYCLE], hash32(number)) for number in range(DRAWS))
    for number, weight in paste.weights.items():
        for donor in paste.donors_of[number]:
            share(drawn[donor], weight / 4)


def test_a_draw_among_some_keeps_their_proportions(tmp_path):
    maps = [label_map(car=1), label_map(bicycle=1), label_map(train=1)]
    paste = HardAwareCopyPaste(*labelled(tmp_path, maps))
    drawn = Counter(paste.draw([TRAIN, CAR], hash32(number)) for number in range(DRAWS))
    share(drawn[2], paste.weights[TRAIN] / (paste.weights[TRAIN] + paste.weights[CAR]))
    assert drawn[1] == 0


@pytest.mark.parametrize(("count", "dropped"), [(4, 0), (5, 0), (6, 1), (15, 2), (25, 2), (35, 4)])
def test_the_tenth_with_the_fewest_pixels_are_no_donors(tmp_path, count, dropped):
    """A half is rounded to even."""
    rng = np.random.default_rng(count)
    pixels = rng.permutation(count) + 1
    paste = HardAwareCopyPaste(*labelled(tmp_path, [label_map(car=int(number)) for number in pixels]))
    assert paste.donors_of[CAR] == np.argsort(pixels)[dropped:].tolist()


def test_class_and_donor_are_independent_of_each_other_and_of_the_seed_before(tmp_path):
    maps = [label_map(**{name: 5}) for _ in range(10) for name in ("car", "bicycle")]
    paste = HardAwareCopyPaste(*labelled(tmp_path, maps, np.full(19, 0.5)), hard=19)
    rows = []
    for number in range(DRAWS):
        place = paste.draw([CAR, BICYCLE], hash32(number))
        again = paste.draw([CAR, BICYCLE], hash32(number), turn=1)
        rows.append([place % 2, place // 2, again % 2, again // 2])
    assert_independent(np.array(rows, float))


def test_all_hard_pixels_of_the_donor_are_pasted_where_they_are_and_ignored_ones_are_not(tmp_path):
    donor = label_map(road=20, car=30, bicycle=10)
    dataset, labels = labelled(tmp_path, [donor])
    image, mask = np.zeros((*SIZE, 3), np.uint8), np.full(SIZE, ROAD, np.uint8)
    pasted, ids = HardAwareCopyPaste(dataset, labels)(image, mask, 0)
    hard = np.isin(donor, [CAR, BICYCLE])
    assert (ids == np.where(hard, donor, ROAD)).all()
    assert (pasted == np.where(hard[..., None], grey(0), 0)).all()
    assert not image.any() and (mask == ROAD).all(), "what was given is not changed"
    assert (pasted.dtype, ids.dtype) == (np.uint8, np.uint8)


def test_labels_of_another_size_lie_on_the_image_by_opencvs_nearest(tmp_path):
    small = np.random.default_rng(3).choice([CAR, ROAD, IGNORE], (6, 12))
    dataset, labels = labelled(tmp_path, [small], size=(6, 12))
    image, mask = np.zeros((*SIZE, 3), np.uint8), np.full(SIZE, ROAD, np.uint8)
    pasted, ids = HardAwareCopyPaste(dataset, labels)(image, mask, 0)
    large = cv2.resize(small.astype(np.uint8), SIZE[::-1], interpolation=cv2.INTER_NEAREST)
    assert ((ids == CAR) == (large == CAR)).all()
    assert ((pasted[..., 0] == grey(0)) == (large == CAR)).all()


def test_a_donor_of_another_size_is_resized(tmp_path):
    dataset, labels = labelled(tmp_path, [label_map(car=64)])
    image, mask = np.zeros((20, 30, 3), np.uint8), np.full((20, 30), ROAD, np.uint8)
    pasted, ids = HardAwareCopyPaste(dataset, labels)(image, mask, 0)
    assert (ids[:10] == CAR).all() and (ids[10:] == ROAD).all()
    assert (pasted[:10] == grey(0)).all() and not pasted[10:].any()


def test_the_classes_that_synthia_lacks_are_never_hard(tmp_path):
    confidences = CONFIDENT.copy()
    lacking = ["terrain", "truck", "train"]
    confidences[[NAMES.index(name) for name in lacking]] = [0.01, 0.0, 0.02]
    dataset, labels = labelled(tmp_path, [label_map(train=9, car=4), label_map(terrain=9, bicycle=3)], confidences)
    paste = HardAwareCopyPaste(dataset, labels, left_out=lacking)
    assert len(paste.hard) == 14
    assert set(paste.hard).isdisjoint(NAMES.index(name) for name in lacking)
    assert set(paste.weights) == {CAR, BICYCLE}
    image, mask = np.zeros((*SIZE, 3), np.uint8), np.full(SIZE, ROAD, np.uint8)
    ids = [paste(image, mask, hash32(number))[1] for number in range(20)]
    assert {value for found in ids for value in np.unique(found)} == {ROAD, CAR, BICYCLE}


def test_a_class_never_kept_is_hard_but_not_drawn(tmp_path):
    confidences = CONFIDENT.copy()
    confidences[ROAD] = 0
    paste = HardAwareCopyPaste(*labelled(tmp_path, [label_map(car=4, bicycle=1)], confidences))
    assert paste.hard[0] == ROAD and len(paste.hard) == 14
    assert ROAD not in paste.weights and set(paste.weights) == {CAR, BICYCLE}


def test_one_donor_is_the_default_and_the_loop_of_the_paper_goes_on_until_half_are_there(tmp_path):
    hard = NAMES[5:]
    maps = [label_map(**{name: 2}) for name in hard]
    dataset, labels = labelled(tmp_path, maps)
    image, mask = np.zeros((*SIZE, 3), np.uint8), np.full(SIZE, ROAD, np.uint8)

    def pasted(donors, start=mask):
        paste, counts = HardAwareCopyPaste(dataset, labels, donors=donors), []
        original = paste.draw
        for number in range(60):
            drawn = []
            paste.draw = lambda wanted, seed, turn, drawn=drawn: (
                drawn.append((set(wanted), original(wanted, seed, turn))) or drawn[-1][1]
            )
            paste(image, start, hash32(number))
            counts.append(drawn)
        return counts

    assert {len(drawn) for drawn in pasted(1)} == {1}
    for drawn in pasted(3):
        assert len(drawn) == 3
        # All donors cover the same two pixels, so that the class of the last one alone is on the image.
        for (_, before), (wanted, donor) in pairwise(drawn):
            assert 5 + before not in wanted and donor != before and len(wanted) == 13
    half = label_map(**dict.fromkeys(("road", *hard[:7]), 3)).astype(np.uint8)
    assert {len(drawn) for drawn in pasted(3, half)} == {1}, "the first donor is pasted whatever is there"
    nearly = label_map(**dict.fromkeys(("road", *hard[:6]), 3)).astype(np.uint8)
    assert 2 <= max(len(drawn) for drawn in pasted(3, nearly)) <= 3


def test_equal_seeds_paste_equally(tmp_path):
    dataset, labels = labelled(tmp_path, [label_map(car=n + 1, bicycle=20 - n) for n in range(20)])
    image, mask = np.zeros((*SIZE, 3), np.uint8), np.full(SIZE, ROAD, np.uint8)
    first, second = HardAwareCopyPaste(dataset, labels, donors=3), HardAwareCopyPaste(dataset, labels, donors=3)
    found = [first(image, mask, hash32(number)) for number in range(20)]
    for number in reversed(range(20)):
        for one, other in zip(found[number], second(image, mask, hash32(number)), strict=True):
            assert (one == other).all()
    assert len({pixels.tobytes() for pixels, _ in found}) > 10


def test_donors_are_among_the_images_that_are_trained_on(tmp_path):
    dataset, labels = labelled(tmp_path, [label_map(car=4), label_map(car=2)])
    part = SegmentationDataset(dataset.samples[1:], "part", tmp_path)
    assert HardAwareCopyPaste(part, labels).donors_of[CAR] == [0]
    with pytest.raises(StoreError, match="nothing can be pasted, no image of nothing has labels of the hard classes"):
        HardAwareCopyPaste(SegmentationDataset([], "nothing", tmp_path), labels)


def test_the_nine_classes_are_all_hard(tmp_path):
    nine = find_classes(9)
    ids = np.full(SIZE, IGNORE)
    ids[0, :9] = range(9)
    dataset, labels = labelled(tmp_path, [ids], np.linspace(0.5, 0.9, 9), nine)
    assert HardAwareCopyPaste(dataset, labels).hard == list(range(9))


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ({"hard": 0}, "copy_paste.hard=0; expected a whole number of at least 1"),
        ({"donors": 1.5}, "copy_paste.donors=1.5"),
        ({"left_out": ["lorry"]}, r"copy_paste.left_out=\['lorry'\]; expected a list, of road, sidewalk"),
        ({"left_out": "train"}, "copy_paste.left_out=train"),
        ({"left_out": list(NAMES)}, "nothing can be pasted"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(tmp_path, numbers, said):
    with pytest.raises((ConfigError, StoreError), match=said):
        HardAwareCopyPaste(*labelled(tmp_path, [label_map(car=4)]), **numbers)


def test_a_damaged_donor_is_named(tmp_path):
    dataset, labels = labelled(tmp_path, [label_map(car=4)])
    paste = HardAwareCopyPaste(dataset, labels)
    dataset.samples[0].image.write_bytes(b"")
    with pytest.raises(DamagedImageError, match=r"frame000.png"):
        paste(np.zeros((*SIZE, 3), np.uint8), np.full(SIZE, ROAD, np.uint8), 0)
    assert pseudo_label(dataset.samples[0].image) == dataset.samples[0].label.name
