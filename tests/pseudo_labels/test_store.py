import json
import os
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image

from tests.reference import recorded
from zsda.core.errors import ConfigError, DataError, StoreError
from zsda.data.classes import find_classes
from zsda.data.labels import CITYSCAPES, IGNORE
from zsda.data.samples import Sample, SegmentationDataset
from zsda.pseudo_labels import store
from zsda.pseudo_labels.reader import PseudoLabels
from zsda.pseudo_labels.selectors import AllSelector, ConstantSelector, InstanceAdaptiveSelector
from zsda.pseudo_labels.store import PseudoLabelWriter

IMAGES = ["night/train/a_rgb_anon.png", "night/train/b_rgb_anon.png", "night/train/c_rgb_anon.png"]


def selector(threshold=0.5, number=19):
    found = ConstantSelector(number, threshold)
    found.class_mean_probabilities[0] = 0.875
    return found


def writer(folder, **changes):
    return PseudoLabelWriter(
        folder, **{"selector": selector(), "classes": CITYSCAPES, "size": [4, 6], "network": "ab12", **changes}
    )


def label_map(*ids):
    """The ids in the first row, one pixel each; the rest is ignored."""
    labels = np.full((4, 6), IGNORE)
    labels[0, : len(ids)] = ids
    return labels


LABELS = dict(zip(IMAGES, [label_map(0, 0, 13), label_map(13), label_map()], strict=True))


@pytest.fixture
def folder(tmp_path):
    written = writer(tmp_path / "round" / "labels")
    for image, labels in LABELS.items():
        written.write(image, labels)
    written.finish(IMAGES)
    return tmp_path / "round" / "labels"


def test_the_published_files_are_written(folder):
    beside = folder.parent
    assert sorted(path.name for path in folder.iterdir()) == [f"{n}_rgb_anon_pseudo_label.png" for n in "abc"]
    with Image.open(folder / "a_rgb_anon_pseudo_label.png") as image:
        assert image.mode == "L"
        assert (np.asarray(image) == LABELS[IMAGES[0]]).all()
    assert np.load(beside / "class_threshold.npy").tolist() == [0.5] * 19
    assert np.load(beside / "class_threshold.npy").dtype == np.float64
    assert np.load(beside / "class_mean_probabilities.npy").tolist() == [0.875] + [0.0] * 18
    pixels = np.load(beside / "statics_class.npy")
    assert (pixels[0], pixels[13], pixels.sum(), pixels.shape, pixels.dtype) == (2, 2, 4, (19,), np.int64)
    assert json.loads((beside / "sample_class_stats.json").read_text()) == [
        {"0": 2, "13": 1, "file": IMAGES[0]}, {"13": 1, "file": IMAGES[1]}, {"file": IMAGES[2]},
    ]  # fmt: skip
    assert json.loads((beside / "samples_with_class.json").read_text()) == {
        "0": [[IMAGES[0], 2]], "13": [[IMAGES[0], 1], [IMAGES[1], 1]],
    }  # fmt: skip
    header = PseudoLabels(folder, CITYSCAPES).header
    assert (header.selector, header.options, header.images) == ("ConstantSelector", {"threshold": 0.5}, 3)
    assert (header.classes.name, header.size, header.network) == ("19", [4, 6], "ab12")


def check(labels, folder):
    a, b = (folder / f"{n}_rgb_anon_pseudo_label.png" for n in "ab")
    found = labels.samples_with_class()
    assert (found[0], found[13]) == ([(a, 2)], [(a, 1), (b, 1)])
    assert sorted(found) == list(range(19))
    assert sum(map(len, found.values())) == 3
    assert labels.thresholds().tolist() == [0.5] * 19
    assert labels.class_mean_probabilities()[0] == 0.875
    assert labels.class_pixels()[[0, 13]].tolist() == [2, 2]
    assert len(labels) == 3
    assert labels.path("elsewhere/b_rgb_anon.png") == b


@pytest.mark.parametrize("named_by", ["images", "absolute images", "labels", "no file"])
def test_a_folder_of_the_published_code_is_read(folder, named_by):
    (folder.parent / "pseudo_labels.json").unlink()
    path = folder.parent / "samples_with_class.json"
    if named_by == "no file":
        path.unlink()
    else:
        # What its paths look like is not known: images or labels, relative or absolute; it may also list what was not kept.
        named = {
            "images": lambda image: image,
            "absolute images": lambda image: f"/data/{image}",
            "labels": lambda image: f"work/labels/{image.split('/')[-1].removesuffix('.png')}_pseudo_label.png",
        }[named_by]
        listed = {k: [[named(i), n] for i, n in v] for k, v in json.loads(path.read_text()).items()}
        path.write_text(json.dumps({**listed, "7": [[named(IMAGES[2]), 0]]}))
    np.save(folder.parent / "class_threshold.npy", np.full(19, 0.5, np.float32))
    labels = PseudoLabels(folder, CITYSCAPES)
    assert labels.header is None
    check(labels, folder)


def test_our_own_folder_is_read(folder):
    check(PseudoLabels(folder, CITYSCAPES), folder)


def test_a_data_set_takes_its_labels_from_the_folder(folder, tmp_path):
    samples = []
    for image in IMAGES[:2]:
        (tmp_path / image).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (6, 4)).save(tmp_path / image)
        samples.append(Sample(image, tmp_path / image))
    images = SegmentationDataset(samples, "ACDC night", tmp_path).relabelled(folder)
    assert (images.mask(0) == LABELS[IMAGES[0]]).all()
    twice = SegmentationDataset([samples[0], Sample("x", tmp_path / "x" / "a_rgb_anon.jpg")], "mine", tmp_path)
    with pytest.raises(
        DataError, match=r"mine: .*a_rgb_anon.png and .*a_rgb_anon.jpg would share the label .*expected a name"
    ):
        twice.relabelled(folder)


def test_a_labelling_goes_on_where_it_ended(tmp_path):
    folder = tmp_path / "labels"
    first = writer(folder)
    first.write(IMAGES[0], LABELS[IMAGES[0]])
    with pytest.raises(StoreError, match=r"labels is not complete; start again what makes it"):
        PseudoLabels(folder, CITYSCAPES)
    second = writer(folder)
    assert [second.has(image) for image in IMAGES] == [True, False, False]
    with pytest.raises(DataError, match=r"b_rgb_anon_pseudo_label.png: cannot be decoded"):
        second.finish(IMAGES)
    for image in IMAGES[1:]:
        second.write(image, LABELS[image])
    second.finish(IMAGES)
    check(PseudoLabels(folder, CITYSCAPES), folder)
    writer(folder).finish(IMAGES)  # as after a crash just before its end was noted
    check(PseudoLabels(folder, CITYSCAPES), folder)
    assert not list(tmp_path.rglob("*.part"))


def test_a_complete_folder_that_is_written_to_is_no_longer_complete(folder):
    again = writer(folder)
    again.write(IMAGES[0], LABELS[IMAGES[1]])
    with pytest.raises(StoreError, match="labels is not complete"):
        PseudoLabels(folder, CITYSCAPES)
    again.finish(IMAGES)
    assert PseudoLabels(folder, CITYSCAPES).class_pixels()[[0, 13]].tolist() == [0, 2]


@pytest.mark.parametrize("last", ["class_threshold", "statics_class", "samples_with_class"])
def test_it_is_complete_only_when_all_is_written(tmp_path, monkeypatch, last):
    written, original = writer(tmp_path / "labels"), store.write_atomic
    written.write(IMAGES[0], LABELS[IMAGES[0]])

    def fails(path, content):
        if path.stem == last:
            raise StoreError("no space left")
        original(path, content)

    monkeypatch.setattr(store, "write_atomic", fails)
    with pytest.raises(StoreError, match="no space left"):
        written.finish(IMAGES[:1])
    with pytest.raises(StoreError, match="labels is not complete"):
        PseudoLabels(tmp_path / "labels", CITYSCAPES)


def test_lists_keep_the_order_of_the_images(tmp_path):
    images, written = ["c.png", "a.png", "b.png"], writer(tmp_path / "labels")
    for image in sorted(images):
        written.write(image, label_map(3))
    written.finish(images)
    listed = PseudoLabels(tmp_path / "labels", CITYSCAPES).samples_with_class()[3]
    assert [path.name[0] for path, _ in listed] == ["c", "a", "b"]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"size": [8, 12]}, "size"),
        ({"selector": selector(0.6)}, "options"),
        ({"network": "cd34", "selector": AllSelector(19)}, "selector and options and network"),
        ({"classes": find_classes(9), "selector": selector(number=9)}, "classes"),
    ],
)
def test_other_labels_are_not_mixed_in(folder, changes, named):
    with pytest.raises(
        StoreError, match=rf"pseudo_labels.json: other labels than these, with another {named}; delete it"
    ):
        writer(folder, **changes)


def test_a_folder_that_nothing_tells_of_is_not_written_to(folder):
    (folder.parent / "pseudo_labels.json").unlink()
    with pytest.raises(
        StoreError, match=r"labels is not empty, and no pseudo_labels.json beside it says what it holds"
    ):
        writer(folder)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros((6, 4), int), r"labels of a.png: \[6, 4\], ids \[0\]; expected \[4, 6\], ids below 19 and 255"),
        (np.full((4, 6), 19), r"ids \[19\]; expected"),
        (np.full((4, 6), -1), r"ids \[-1\]; expected"),
        (np.full((4, 6), 256), r"ids \[256\]; expected"),
    ],
)
def test_labels_of_another_size_or_class_are_refused(tmp_path, labels, message):
    written = writer(tmp_path / "labels")
    with pytest.raises(StoreError, match=message):
        written.write("a.png", labels)
    assert not written.has("a.png")


def test_a_selector_of_other_classes_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="a selector of 9 classes for labels of 19; expected as many"):
        writer(tmp_path / "labels", selector=selector(number=9))


def test_an_interrupted_selection_goes_on_to_the_same_folder(tmp_path):
    """A selector whose thresholds move: its state and the folder are kept together, and taken up together."""
    batches = torch.from_numpy(recorded("hiast_ias")["probabilities"]).view(6, 2, 19, 24, 40)

    def label(folder, chosen, numbers):
        written = writer(folder, selector=chosen, size=[24, 40])
        for number in numbers:
            for image, labels in enumerate(chosen.select(batches[number]).numpy()):
                written.write(f"{number}_{image}.png", labels)
        return written

    images = [f"{number}_{image}.png" for number in range(6) for image in range(2)]
    label(tmp_path / "whole/labels", InstanceAdaptiveSelector(19), range(6)).finish(images)
    first, second = InstanceAdaptiveSelector(19), InstanceAdaptiveSelector(19)
    label(tmp_path / "parts/labels", first, range(4))
    second.load_state_dict(first.state_dict())
    label(tmp_path / "parts/labels", second, range(4, 6)).finish(images)
    whole, parts = (
        {path.name: path.read_bytes() for path in (tmp_path / name).rglob("*.*")} for name in ("whole", "parts")
    )
    assert len(whole) == 12 + 6
    assert whole == parts


def test_names_that_are_no_utf8_are_read_back(tmp_path):
    image = os.fsdecode(b"night/train/k\xf6ln_rgb_anon.png")
    written = writer(tmp_path / "labels")
    written.write(image, label_map(0, 0, 13))
    written.finish([image])
    (label,) = (tmp_path / "labels").glob("*.png")
    found = PseudoLabels(tmp_path / "labels", CITYSCAPES).samples_with_class()
    assert (found[0], found[13], found[1]) == ([(label, 2)], [(label, 1)], [])


def test_images_of_one_name_are_refused(folder):
    with pytest.raises(
        StoreError, match=r"2 images for .*, of which some have one name; expected a name of its own for each"
    ):
        writer(folder).finish(["x/a_rgb_anon.png", "y/a_rgb_anon.jpg"])


def appended(path):
    path.write_text(path.read_text() * 2)  # what a second labelling by the published code leaves


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (appended, "samples_with_class.json: invalid JSON.*; delete it, and the labels are counted anew"),
        (lambda p: p.write_text('{"19": []}'), "a class 19; expected 0 to 18; delete it, and"),
        (lambda p: p.write_text('{"-1": []}'), "a class -1; expected 0 to 18; delete it, and"),
        (lambda p: p.write_text('{"0": [["z.png", 3]]}'), "z.png has no pseudo labels in .*; delete it, and"),
        (lambda p: p.write_text('{"0": [["../../secret", 3]]}'), "secret has no pseudo labels in"),
        (lambda p: p.write_text('{"0": [["a\\u001b[31m", 3]]}'), r"a\\x1b\[31m has no pseudo labels"),
        (lambda p: p.write_text('{"0": [["a.png", -3]]}'), "greater than or equal to 0, found -3; delete it, and"),
        (lambda p: p.write_text('{"0": [[["a"], 3]]}'), "valid string.*; delete it, and"),
        (lambda p: p.write_text("[" * 100_000), "; delete it, and"),
        (lambda p: (p.unlink(), os.mkfifo(p)), "cannot be read .*no regular file.*; delete it, and"),
        (lambda p: (p.unlink(), p.touch(), os.truncate(p, 2**40)), "1099511627776 bytes; expected at most"),
    ],
)
def test_a_damaged_list_is_named_with_the_way_out(folder, change, message):
    path = folder.parent / "samples_with_class.json"
    change(path)
    with pytest.raises(StoreError, match=message) as refused:
        PseudoLabels(folder, CITYSCAPES).samples_with_class()
    assert "\n" not in str(refused.value)
    path.unlink()
    check(PseudoLabels(folder, CITYSCAPES), folder)


HEADERS = [
    "{'descr': '<,8', 'fortran_order': False, 'shape': (19,)}",
    "{'descr': '<f8', b'fortran_order': False, 'shape': (19,)}",
    "{'descr': '<f8', 'fortran_order': False, 'sha)e': (19,)}",
    "{'descr': '<f8', 'fortran_order': False, 'shape': (True,)}",
    "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000000000000,)}",
    "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,)}",
    "[" * 90,
]


def with_header(header, path):
    """Writes what NumPy takes for one of its files until it reads the header."""
    content = header.encode().ljust(117) + b"\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(content).to_bytes(2, "little") + content + bytes(19 * 8))


def pickled(path):
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (pickled, "Object arrays cannot be loaded"),
        (lambda p: p.write_bytes(b""), "cannot be read"),
        (lambda p: p.write_bytes(p.read_bytes()[:-9]), "cannot be read"),
        (
            lambda p: np.save(p, np.zeros(20)),
            r"float64 of shape \(20,\); expected 19 finite numbers, one for each class",
        ),
        (lambda p: np.save(p, np.full(19, np.nan)), "expected 19 finite numbers"),
        (lambda p: np.save(p, np.full(19, "a")), "expected 19 finite numbers"),
        (lambda p: p.unlink(), "cannot be read .*No such file"),
        *((partial(with_header, header), "") for header in HEADERS),
    ],
)
def test_damaged_numbers_are_named(folder, change, message):
    for name, read in (
        ("class_threshold", PseudoLabels.thresholds),
        ("class_mean_probabilities", PseudoLabels.class_mean_probabilities),
        ("statics_class", PseudoLabels.class_pixels),
    ):
        change(folder.parent / f"{name}.npy")
        with pytest.raises(
            StoreError, match=rf"{name}.npy: .*{message}.*; delete it and the labels, and make them anew"
        ) as e:
            read(PseudoLabels(folder, CITYSCAPES))
        assert "\n" not in str(e.value)


def test_labels_of_other_classes_or_gone_are_refused(folder):
    with pytest.raises(StoreError, match="labels of the classes '19', expected '9'; choose their classes="):
        PseudoLabels(folder, find_classes(9))
    with pytest.raises(StoreError, match=r"d.png has no pseudo labels; expected .*d_pseudo_label.png"):
        PseudoLabels(folder, CITYSCAPES).path("d.png")
    next(folder.iterdir()).unlink()
    with pytest.raises(StoreError, match="labels holds 2 pseudo labels, expected 3; delete it"):
        PseudoLabels(folder, CITYSCAPES)
    with pytest.raises(StoreError, match=r"no pseudo labels in .*; expected IMAGE_pseudo_label.png"):
        PseudoLabels(folder / "nowhere", CITYSCAPES)


def test_labels_that_were_put_beside_are_not_taken(folder):
    Image.fromarray(label_map(1).astype(np.uint8)).save(folder / "d_pseudo_label.png")
    with pytest.raises(StoreError, match="labels holds 4 pseudo labels, expected 3; delete it"):
        PseudoLabels(folder, CITYSCAPES)


def test_a_label_that_is_none_is_named(folder):
    (folder.parent / "samples_with_class.json").unlink()
    Image.fromarray(np.full((4, 6), 19, np.uint8)).save(folder / "a_rgb_anon_pseudo_label.png")
    with pytest.raises(DataError, match=r"a_rgb_anon_pseudo_label.png: ids outside the table of classIds: \[19\]"):
        PseudoLabels(folder, CITYSCAPES).samples_with_class()
