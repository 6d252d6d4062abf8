import csv

import numpy as np
import pytest
import torch
from PIL import Image

from zsda.core.errors import DataError
from zsda.data.classes import find_classes
from zsda.data.labels import IGNORE
from zsda.data.samples import Sample, SegmentationDataset, pseudo_label
from zsda.pseudo_labels.selectors import ConstantSelector
from zsda.pseudo_labels.summary import Accuracy, compare, write_summary

CLASSES = find_classes({"flat": ["road"], "sky": ["sky"], "rest": ["car"], "none": ["bus"]})


def write(path, ids):
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(np.array(ids, np.uint8)).save(path)


def truth_of(folder, **real):
    """Images with real labels, those without one None."""
    samples = []
    for name, ids in real.items():
        label = folder / f"real/{name}.png"
        write(label, [[0]] if ids is None else ids)
        samples.append(Sample(name, folder / f"{name}.png", None if ids is None else label, "classIds", "own"))
    return SegmentationDataset(samples, "mine", folder, classes=CLASSES)


def pseudo(folder, **labels):
    for name, ids in labels.items():
        write(folder / "labels" / pseudo_label(f"{name}.png"), ids)
    return folder / "labels"


def test_what_has_both_labels_is_compared_by_the_class_that_was_predicted(tmp_path):
    truth = truth_of(tmp_path, a=[[0, 0, 1, IGNORE]], b=[[2, 2, 2, 2]])
    accuracy = compare(pseudo(tmp_path, a=[[0, 1, IGNORE, 2]], b=[[2, 2, 0, IGNORE]]), truth)
    # Of flat one is right and one, which is rest, wrong; sky was flat; one of rest has no real label.
    assert accuracy.compared.tolist() == [2, 1, 2, 0]
    assert accuracy.right.tolist() == [1, 0, 2, 0]
    assert accuracy.compared.dtype == accuracy.right.dtype == np.int64


def test_real_labels_are_brought_to_the_size_of_the_pseudo_labels(tmp_path):
    real = np.kron([[0, 1], [2, 0]], np.ones((3, 3)))
    accuracy = compare(pseudo(tmp_path, a=[[0, 1], [2, 0]]), truth_of(tmp_path, a=real))
    assert accuracy.right.tolist() == accuracy.compared.tolist() == [2, 1, 1, 0]


def test_an_image_without_a_label_is_not_compared_nor_its_pseudo_label_read(tmp_path):
    accuracy = compare(pseudo(tmp_path, a=[[0, 1]]), truth_of(tmp_path, a=[[0, 0]], b=None))
    assert (accuracy.right.sum(), accuracy.compared.sum()) == (1, 2)


def test_a_damaged_real_label_is_told_and_costs_no_other(tmp_path, caplog):
    truth = truth_of(tmp_path, a=[[0, 1]], b=[[0, 1]], c=[[0, 9]])
    (tmp_path / "real/a.png").write_bytes(b"no image")
    accuracy = compare(pseudo(tmp_path, a=[[0, 0]], b=[[0, 0]], c=[[0, 0]]), truth)
    assert (accuracy.right.tolist(), accuracy.compared.tolist()) == ([1, 0, 0, 0], [2, 0, 0, 0])
    told = [message for message in caplog.messages if message.startswith("not compared: ")]
    assert len(told) == 2 and "a.png" in told[0] and "c.png" in told[1]


def test_a_damaged_pseudo_label_is_an_error(tmp_path):
    labels, truth = pseudo(tmp_path, a=[[0, 1]]), truth_of(tmp_path, a=[[0, 1]])
    (labels / "a_pseudo_label.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"a_pseudo_label\.png"):
        compare(labels, truth)


@pytest.fixture
def selector():
    """Two batches' worth: half of flat is kept, nothing of sky, all of rest; none is not predicted."""
    made = ConstantSelector(4, 0.75)
    probabilities = torch.full((1, 4, 1, 6), 0.0, dtype=torch.float64)
    for pixel, (number, confidence) in enumerate([(0, 0.875), (0, 0.5), (1, 0.5), (1, 0.625), (2, 1.0), (2, 1.0)]):
        probabilities[0, :, 0, pixel] = (1 - confidence) / 3
        probabilities[0, number, 0, pixel] = confidence
    made.select(probabilities)
    return made


def rows(path):
    return {row.pop("class"): row for row in csv.DictReader(path.open())}


def test_shares_of_each_class_and_of_all(tmp_path, selector):
    accuracy = Accuracy(right=np.array([3, 0, 1, 0]), compared=np.array([4, 0, 1, 0]))
    said = write_summary(tmp_path / "a.csv", selector, CLASSES, accuracy)
    assert said == "kept 50.0 % of the pixels, 80.0 % of those with a real label are right"
    columns = ("predicted_pixels", "kept_pixels", "kept_share", "threshold", "mean_confidence", "accuracy")
    assert {name: tuple(row[key] for key in columns) for name, row in rows(tmp_path / "a.csv").items()} == {
        "flat": ("2", "1", "0.5", "0.75", "0.875", "0.75"),
        "sky": ("2", "0", "0.0", "0.75", "", ""),
        "rest": ("2", "2", "1.0", "0.75", "1.0", "1.0"),
        "none": ("0", "0", "", "0.75", "", ""),
        "all": ("6", "3", "0.5", "", "", "0.8"),
    }


def test_of_checked_labels_it_says_how_many_were_given(tmp_path, selector):
    assert write_summary(tmp_path / "a.csv", selector, CLASSES, None, checked=True) == "kept 50.0 % of the given labels"
    assert rows(tmp_path / "a.csv")["flat"]["given_pixels"] == "2"
    assert "predicted_pixels" not in rows(tmp_path / "a.csv")["flat"]


@pytest.mark.parametrize("accuracy", [None, Accuracy(np.zeros(4, np.int64), np.zeros(4, np.int64))])
def test_without_real_labels_nothing_is_said_of_them(tmp_path, selector, accuracy):
    assert write_summary(tmp_path / "a.csv", selector, CLASSES, accuracy) == "kept 50.0 % of the pixels"
    assert {row["accuracy"] for row in rows(tmp_path / "a.csv").values()} == {""}


def test_where_nothing_was_predicted_nothing_is_a_share(tmp_path):
    assert write_summary(tmp_path / "a.csv", ConstantSelector(4, 0.75), CLASSES, None) == "kept 0.0 % of the pixels"
    assert {row["kept_share"] for row in rows(tmp_path / "a.csv").values()} == {""}
