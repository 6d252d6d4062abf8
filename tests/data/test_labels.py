import numpy as np
import pytest

from zsda.core.errors import DataError
from zsda.data.labels import CLASS_NAMES, CLASSES, IGNORE, LABEL_ID, colourise, to_label_ids, to_train_ids


def test_the_nineteen_classes_have_the_ids_of_cityscapes():
    assert [c.label_id for c in CLASSES] == [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33]
    assert CLASS_NAMES[:3] == ("road", "sidewalk", "building")
    assert CLASS_NAMES[18] == "bicycle"


def test_label_ids_become_train_ids():
    ids = np.array([[7, 33, 0, 29, 255]], np.uint8)
    assert to_train_ids(ids, "labelIds").tolist() == [[0, 18, IGNORE, IGNORE, IGNORE]]


def test_train_ids_stay_and_come_back_as_label_ids():
    ids = np.array([0, 18, IGNORE], np.uint8)
    assert to_train_ids(ids, "labelTrainIds").tolist() == [0, 18, IGNORE]
    assert to_label_ids(ids).tolist() == [LABEL_ID["road"], LABEL_ID["bicycle"], 0]


def test_the_licence_plates_of_gta5_are_ignored():
    assert to_train_ids(np.array([34, 7], np.uint8), "gta5Ids").tolist() == [IGNORE, 0]


@pytest.mark.parametrize(("encoding", "foreign"), [("labelIds", 34), ("gta5Ids", 35), ("labelTrainIds", 19)])
def test_an_id_outside_the_table_is_named(encoding, foreign):
    with pytest.raises(DataError, match=rf"\[{foreign}\].*expected 0-"):
        to_train_ids(np.array([0, foreign], np.uint8), encoding)


def test_colours():
    assert colourise(np.array([[0, IGNORE]], np.uint8)).tolist() == [[[128, 64, 128], [0, 0, 0]]]
