import numpy as np
import pytest
import torch

from tests.asked import Asked
from tests.reference import recorded
from zsda.core.errors import DataError
from zsda.data.classes import find_classes
from zsda.data.labels import CITYSCAPES, IGNORE, VOID
from zsda.evaluation import metrics
from zsda.evaluation.metrics import SegmentationScores, SetScores, confusion_matrix, plain_scores, subset_means
from zsda.evaluation.protocols import Protocol


def published():
    reference = recorded("sdgpa_iou")
    labels = torch.from_numpy(reference["gt"]).long()
    labels[labels == VOID] = IGNORE
    return reference, torch.from_numpy(reference["pred"]).long(), labels


def test_the_published_scores_are_reproduced():
    reference, predictions, labels = published()
    scores = SegmentationScores(19)
    scores.update(predictions, labels)
    result = scores.compute()
    np.testing.assert_array_equal(result["iou"], reference["iou"])
    assert result["miou"] == reference["miou"]
    np.testing.assert_array_equal(result["confusion"], reference["confusion"][:19])


def test_batches_add_up_to_the_whole():
    _, predictions, labels = published()
    whole, parts = SegmentationScores(19), SegmentationScores(19)
    whole.update(predictions, labels)
    for prediction, label in zip(predictions, labels, strict=True):
        parts.update(prediction, label)
    assert torch.equal(whole.compute()["confusion"], parts.compute()["confusion"])


def test_a_case_worked_out_by_hand():
    scores = SegmentationScores(4)
    scores.update(torch.tensor([0, 0, 1, 1, 2, 0]), torch.tensor([0, 0, 0, 1, 1, IGNORE]))
    result = scores.compute()
    # class 0: 2 of 3, class 1: 1 of 3, class 2 is predicted but never labelled, class 3 is neither
    assert result["iou"].tolist() == pytest.approx([2 / 3, 1 / 3, 0, float("nan")], nan_ok=True)
    assert result["miou"] == pytest.approx(1 / 3)
    assert result["miou_present"] == pytest.approx(1 / 2)
    assert result["accuracy"] == pytest.approx(3 / 5)


def test_a_void_prediction_is_an_error_of_the_label_alone():
    scores = SegmentationScores(2)
    scores.update(torch.tensor([0, VOID, 1]), torch.tensor([0, 0, 1]))
    result = scores.compute()
    assert result["iou"].tolist() == [0.5, 1.0]
    assert result["confusion"].tolist() == [[1, 0, 1], [0, 1, 0]]


@pytest.mark.parametrize("kind", [torch.uint8, torch.int32, torch.int64])
def test_pixels_are_counted_as_one_by_one(monkeypatch, kind):
    monkeypatch.setattr(metrics, "_EXACT", 50)  # so that the count is made of several parts
    random = torch.Generator().manual_seed(0)
    predictions = torch.randint(0, 7, (3, 11, 13), generator=random)
    labels = torch.randint(0, 6, (3, 11, 13), generator=random)
    labels[labels == 5] = IGNORE
    expected = torch.zeros(5, 6, dtype=torch.int64)
    for label, prediction in zip(labels.flatten().tolist(), predictions.flatten().tolist(), strict=True):
        if label != IGNORE:
            expected[label, min(prediction, 5)] += 1
    assert torch.equal(confusion_matrix(predictions.to(kind), labels.to(kind), 5), expected)


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_pairs_are_counted_alike_everywhere(device):
    rows, columns = (torch.randint(0, 256, (5000,), dtype=torch.uint8) for _ in range(2))
    expected = torch.bincount(rows.long() * 256 + columns, minlength=2**16).view(256, 256)
    assert torch.equal(metrics._count_pairs(rows.to(device), columns.to(device)).cpu().long(), expected)


@pytest.mark.parametrize("prediction", [-1, 2, 255, 256, 300])
def test_whatever_is_no_class_is_an_error(prediction):
    assert confusion_matrix(torch.tensor([prediction, 1]), torch.tensor([0, 1]), 2).tolist() == [[0, 0, 1], [0, 1, 0]]


@pytest.mark.parametrize("label", [2, 200, -3, 256])
def test_a_label_of_no_class_is_refused(label):
    with pytest.raises(DataError, match="labels outside 0-1 and 9"):
        confusion_matrix(torch.tensor([0, 1]), torch.tensor([label, 1]), 2, ignore_index=9)


def test_a_score_refuses_it_when_it_is_computed_and_waits_for_no_device_before():
    score = SegmentationScores(2)
    with Asked() as asked:
        score.update(torch.tensor([0, 1]), torch.tensor([2, 1]))
    assert not asked.where
    with pytest.raises(DataError, match="labels outside 0-1 and 255"):
        score.compute()
    score.reset()
    score.update(torch.tensor([0, 1]), torch.tensor([IGNORE, 1]))
    assert score.compute()["miou"] == 1


def test_nothing_scored_is_nan_and_not_zero():
    result = SegmentationScores(2).compute()
    assert all(result[key].isnan() for key in ("miou", "miou_present", "accuracy"))


def test_an_absent_class_can_count_nothing_in_the_mean():
    predictions, labels = torch.tensor([0, 0, 1, 1, 2, 0]), torch.tensor([0, 0, 0, 1, 1, IGNORE])
    left_out, zero = SegmentationScores(4), SegmentationScores(4, absent="zero")
    for scores in (left_out, zero):
        scores.update(predictions, labels)
    # 2 of 3, 1 of 3, predicted but not labelled, and neither: 1 / 3 is the mean of three, 1 / 4 that of four.
    assert left_out.compute()["miou"] == pytest.approx(1 / 3)
    assert zero.compute()["miou"] == pytest.approx(1 / 4)
    for key in ("miou_present", "accuracy"):
        assert zero.compute()[key] == left_out.compute()[key]
    assert zero.compute()["iou"].isnan().tolist() == [False, False, False, True], "tables leave it open"


def test_each_set_has_a_score_of_its_own():
    two = find_classes({"way": ["road"], "air": ["sky"]})
    scores = SetScores(two, ["day", "night"], Protocol("mine", None, "input", "zero"))
    ways = torch.zeros(1, 4, dtype=torch.int64)
    scores.update(0, [ways, ways], [ways, torch.tensor([[0, 0, IGNORE, IGNORE]])])
    scores.update(1, [ways], [torch.tensor([[0, 1, 1, 1]])])
    found = {name: plain_scores(result, two) for name, result in scores.results().items()}
    assert found["day"]["iou"] == {"way": 1.0, "air": None}
    assert found["day"]["miou"] == 0.5, "by the rule of the protocol"
    assert found["night"]["iou"] == {"way": 0.25, "air": 0.0}
    assert found["night"]["confusion"] == [[1, 0, 0], [3, 0, 0]]
    with pytest.raises(ValueError, match="shorter"):
        scores.update(0, [ways], [])
    scores.reset()
    assert all(result["accuracy"].isnan() for result in scores.results().values())
    assert not scores.state_dict(), "checkpoints hold the network alone"


def test_means_of_sixteen_and_thirteen_classes_by_hand():
    names = CITYSCAPES.names
    labels, predictions = [], []
    for number, name in enumerate(names):  # two pixels each, the second of some of them void
        if name not in ("motorcycle", "bicycle"):
            labels += [number, number]
            predictions += [number, VOID if name in ("terrain", "truck", "train", "pole") else number]
    scores = SegmentationScores(19)
    scores.update(torch.tensor(predictions), torch.tensor(labels))
    # Terrain, truck, train and pole reach 1/2; motorcycle and bicycle are absent; the 13 others reach 1.
    left_out = plain_scores(scores.compute(), CITYSCAPES)["means"]
    assert left_out == pytest.approx({"16": 13.5 / 14, "13": 1.0})
    zero = plain_scores(scores.compute(), CITYSCAPES, "zero")["means"]
    assert zero == pytest.approx({"16": 13.5 / 16, "13": 11 / 13, "16_published": 15 / 16, "13_published": 12.5 / 13})


def test_the_published_mean_of_thirteen_can_exceed_one():
    all_right = dict.fromkeys(CITYSCAPES.names, 1.0)
    assert subset_means(all_right, CITYSCAPES, "zero") == {
        "16": 1,
        "13": 1,
        "16_published": 19 / 16,
        "13_published": 16 / 13,
    }


def test_means_need_all_classes_of_a_larger_set():
    sixteen = {name: 0.5 if name in ("wall", "fence", "pole") else None for name in find_classes(16).names}
    assert subset_means(sixteen, find_classes(16)) == {"13": None}
    assert subset_means(sixteen, find_classes(16), "zero") == {"13": 0}
    for name in (13, 9):
        assert subset_means(dict.fromkeys(find_classes(name).names, 1.0), find_classes(name), "zero") == {}


def test_a_class_that_takes_in_more_is_another_one():
    takes = {name: [name] for name in CITYSCAPES.names if name != "truck"}
    own = find_classes({**takes, "car": ["car", "truck"]})
    assert subset_means(dict.fromkeys(own.names, 1.0), own) == {}
    assert subset_means(dict.fromkeys(own.names, 1.0), find_classes(takes)) == {"16": 1, "13": 1}
