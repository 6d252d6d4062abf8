import json
import re

import numpy as np
import pytest

from zsda.core.errors import ConfigError, DataError
from zsda.data.classes import find_classes
from zsda.data.labels import CITYSCAPES, CLASS_SETS, CLASSES, IGNORE, LABEL_ID, ClassSet, SetClass, to_label_ids

_ = IGNORE
NINE = [
    # road, sidewalk, building, wall, fence, pole, traffic light, traffic sign, vegetation, terrain, sky, person, rider
    *(8, 7, 6, _, _, _, 5, 4, _, _, 0, 1, 1),
    # car, truck, bus, train, motorcycle, bicycle
    *(3, 3, 3, _, 2, 2),
]


def ids(*values):
    return np.array(values, np.uint8)


def test_the_nineteen_classes_have_the_ids_of_cityscapes():
    assert [c.label_id for c in CLASSES] == [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33]
    assert len(CITYSCAPES) == 19
    assert CITYSCAPES.names[:3] == ("road", "sidewalk", "building")
    assert CITYSCAPES.names[18] == "bicycle"
    assert CITYSCAPES.colours[13] == (0, 0, 142)


def test_label_ids_become_train_ids():
    assert CITYSCAPES.to_ids(ids(7, 33, 0, 29, 255)[None], "labelIds").tolist() == [[0, 18, _, _, _]]
    found = CITYSCAPES.to_ids(np.arange(34, dtype=np.uint8), "labelIds")
    assert found.dtype == np.uint8
    assert [int(stored) for stored in np.flatnonzero(found != _)] == [c.label_id for c in CLASSES]


def test_train_ids_stay_and_come_back_as_label_ids():
    stored = ids(0, 18, IGNORE)
    assert CITYSCAPES.to_ids(stored, "labelTrainIds").tolist() == [0, 18, IGNORE]
    assert to_label_ids(stored).tolist() == [LABEL_ID["road"], LABEL_ID["bicycle"], 0]


def test_the_licence_plates_of_gta5_are_ignored():
    assert CITYSCAPES.to_ids(ids(34, 7), "gta5Ids").tolist() == [IGNORE, 0]


@pytest.mark.parametrize(
    ("name", "encoding", "foreign", "expected"),
    [
        ("19", "labelIds", 34, "0-33 and 255"),
        ("19", "gta5Ids", 35, "0-34 and 255"),
        ("19", "labelTrainIds", 19, "0-18 and 255"),
        ("19", "classIds", 254, "0-18 and 255"),
        ("16", "synthiaIds", 23, "0-22 and 255"),
        ("9", "labelTrainIds", 19, "0-18 and 255"),
        ("9", "classIds", 9, "0-8 and 255"),
    ],
)
def test_an_id_outside_the_table_is_named(name, encoding, foreign, expected):
    message = rf"^ids outside the table of {encoding}: \[{foreign}\]; expected {expected}$"
    with pytest.raises(DataError, match=message):
        find_classes(name).to_ids(ids(0, foreign, foreign), encoding)


@pytest.mark.parametrize(
    ("name", "lacks"),
    [
        ("16", {"terrain", "truck", "train"}),
        ("13", {"terrain", "truck", "train", "wall", "fence", "pole"}),
        ("11", {"wall", "traffic light", "terrain", "truck", "bus", "train", "motorcycle", "bicycle"}),
    ],
)
def test_what_smaller_sets_leave_out_is_ignored_and_the_rest_moves_up(name, lacks):
    classes = CLASS_SETS[name]
    assert len(classes) == int(name)
    assert classes.names == tuple(n for n in CITYSCAPES.names if n not in lacks)
    found = classes.to_ids(np.arange(19, dtype=np.uint8), "labelTrainIds").tolist()
    assert {CITYSCAPES.names[place] for place, one in enumerate(found) if one == IGNORE} == lacks
    assert [one for one in found if one != IGNORE] == [*range(int(name))]


def test_sixteen_thirteen_and_eleven_by_hand():
    # vegetation, terrain, sky, car, bus, bicycle; and road, wall, pole, sign of fewer classes
    assert CLASS_SETS["16"].to_ids(ids(21, 22, 23, 26, 28, 33), "labelIds").tolist() == [8, _, 9, 12, 13, 15]
    assert CLASS_SETS["16"].to_ids(ids(34, 27, 31, 32), "gta5Ids").tolist() == [_, _, _, 14]
    assert CLASS_SETS["13"].to_ids(ids(7, 12, 17, 20, 33), "gta5Ids").tolist() == [0, _, _, 4, 12]
    assert CLASS_SETS["13"].to_ids(ids(0, 3, 6, 15), "labelTrainIds").tolist() == [0, _, 3, 10]
    assert CLASS_SETS["11"].to_ids(ids(13, 17, 19, 20, 26), "labelIds").tolist() == [3, 4, _, 5, 10]
    assert CLASS_SETS["11"].to_ids(ids(10, 11, 13, 18), "labelTrainIds").tolist() == [7, 8, 10, _]


def test_nine_classes_by_hand():
    nine = CLASS_SETS["9"]
    assert nine.names == (
        "sky", "person", "two-wheelers", "automobile", "sign", "light", "building", "sidewalk", "road",
    )  # fmt: skip
    assert nine.to_ids(np.arange(19, dtype=np.uint8), "labelTrainIds").tolist() == NINE
    label_ids = ids(*(c.label_id for c in CLASSES))
    for encoding in ("labelIds", "gta5Ids"):
        assert nine.to_ids(label_ids, encoding).tolist() == NINE
        assert (nine.to_ids(ids(0, 4, 9, 29, 30, 255), encoding) == IGNORE).all()
    like = ["sky", "person", "bicycle", "car", "traffic sign", "traffic light", "building", "sidewalk", "road"]
    assert list(nine.colours) == [CITYSCAPES.colours[CITYSCAPES.names.index(name)] for name in like]


# The published maps: of SYNTHIA's ids to the 19, as HIAST has it, and of RobotCar's to the 9.
SYNTHIA = {
    3: 0, 4: 1, 2: 2, 21: 3, 5: 4, 7: 5, 15: 6, 9: 7, 6: 8, 16: 9, 1: 10, 10: 11, 17: 12, 8: 13, 18: 14, 19: 15, 20: 16, 12: 17,
    11: 18,
}  # fmt: skip
ROBOTCAR = {1: 0, 2: 1, 3: 2, 4: 3, 5: 4, 6: 5, 7: 6, 10: 7, 11: 8, 12: 8, 13: 8, 14: 8, 17: 8}


@pytest.mark.parametrize("name", ["19", "16", "13", "9"])
def test_ids_of_synthia_become_those_of_a_set_by_way_of_the_nineteen(name):
    stored = ids(*range(23), IGNORE)
    nineteen = ids(*(SYNTHIA.get(one, _) for one in stored.tolist()))
    expected = CLASS_SETS[name].to_ids(nineteen, "labelTrainIds")
    assert CLASS_SETS[name].to_ids(stored, "synthiaIds").tolist() == expected.tolist()
    assert CLASS_SETS[name].to_ids(stored.astype(np.uint16), "synthiaIds").tolist() == expected.tolist()


def test_parking_slots_of_synthia_can_be_counted():
    own = find_classes({"way": ["road", "parking"], "rest": ["unlabeled"]})
    assert own.to_ids(ids(13, 3, 0, 14, 22, 8), "synthiaIds").tolist() == [0, 0, 1, 1, 1, _]


def test_ids_of_robotcar_become_the_nine_and_every_other_byte_is_ignored():
    found = CLASS_SETS["9"].to_ids(np.arange(256, dtype=np.uint8), "robotcarIds").tolist()
    assert {stored: one for stored, one in enumerate(found) if one != _} == ROBOTCAR


PEOPLE = {"people": ["person", "rider"]}
WHEELS = {"wheels": ["bicycle", "motorcycle"]}


@pytest.mark.parametrize(
    ("chosen", "untold"),
    [
        ("9", None),
        ({"sky": ["sky"], "wall": ["wall"]}, None),
        ({"moving": ["car", "person", "truck", "rider", "bus"], **WHEELS}, None),
        ("19", "person from rider"),
        ("11", "person from rider"),
        ({**PEOPLE, "two": ["bicycle"], "one": ["motorcycle"]}, "motorcycle from bicycle"),
        ({**PEOPLE, **WHEELS, "cars": ["car", "truck"]}, "car from bus"),
        ({"cars": ["truck"]}, "car from truck"),
    ],
)
def test_what_labels_do_not_tell_apart_is_no_set_for_them(chosen, untold):
    classes = find_classes(chosen)
    for encoding in ("labelIds", "labelTrainIds", "gta5Ids", "synthiaIds", "classIds"):
        classes.check_encoding(encoding)
    if untold is None:
        classes.check_encoding("robotcarIds")
        return
    expected = (
        "expected classes=9, a run of these, or a set that takes in person + rider, motorcycle + bicycle, car + truck + bus each as "
        "one class"
    )
    with pytest.raises(ConfigError, match=re.escape(f"labels in robotcarIds do not tell {untold}; {expected}")):
        classes.check_encoding("robotcarIds")


@pytest.mark.parametrize("name", CLASS_SETS)
def test_its_own_ids_stay(name):
    classes = CLASS_SETS[name]
    own = ids(*range(len(classes)), IGNORE)
    assert classes.to_ids(own, "classIds").tolist() == own.tolist()


def test_colours():
    stored = ids(0, IGNORE)[None]
    assert CITYSCAPES.colourise(stored).tolist() == [[[128, 64, 128], [0, 0, 0]]]
    assert CLASS_SETS["9"].colourise(stored).tolist() == [[[70, 130, 180], [0, 0, 0]]]
    assert CLASS_SETS["9"].colourise(ids(9)).tolist() == [[0, 0, 0]], "a channel beyond the classes"


def test_sets_are_found_by_name_and_number():
    assert find_classes("13") is find_classes(13) is CLASS_SETS["13"]
    assert find_classes(CITYSCAPES) is CITYSCAPES


@pytest.mark.parametrize("name", CLASS_SETS)
def test_plain_values_make_the_same_set(name):
    plain = CLASS_SETS[name].plain()
    assert find_classes(json.loads(json.dumps(plain))) == CLASS_SETS[name]
    assert plain["name"] == name


def test_a_set_of_ones_own():
    own = find_classes({"way": ["road", "parking"], "moving": ["car", "license plate", "person"]})
    assert own == ClassSet(
        "own",
        (
            SetClass("way", ("road", "parking"), (128, 64, 128)),
            SetClass("moving", ("car", "license plate", "person"), (0, 0, 142)),
        ),
    )
    assert own.to_ids(ids(7, 9, 24, 26, 8, 255), "labelIds").tolist() == [0, 0, 1, 1, _, _]
    assert own.to_ids(ids(34, 7), "gta5Ids").tolist() == [1, 0]
    assert find_classes(own.plain()) == own
    assert find_classes({"name": ["road"], "classes": ["sky"]}).names == ("name", "classes"), "not the plain form"


PLAIN = {"name": "mine", "classes": [{"name": "way", "takes": ["road"], "colour": [1, 2, 3]}]}


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ("20", "classes=20; expected one of 19, 16, 13, 11, 9, or your own as {name: [names of classes]}"),
        (None, "classes=None; expected one of 19, 16"),
        ({}, "classes: 0 classes; expected 1 to 255"),
        ({f"c{n}": ["road"] for n in range(256)}, "classes: 256 classes; expected 1 to 255"),
        ({"way": ["street"]}, "no class is called street; expected some of unlabeled, "),
        ({"way": "road"}, "classes.way=road; expected a list of classes, one or more of unlabeled, "),
        ({"way": []}, "classes.way=[]; expected a list of classes"),
        ({"way": [7]}, "classes.way=[7]; expected a list of classes"),
        ({"way": ["road"], "path": ["sidewalk", "road"]}, "classes: road taken in twice"),
        ({"_target_": ["road"]}, "classes: '_target_'; expected names of letters"),
        ({**PLAIN, "classes": [{"name": "way"}]}, "classes: cannot be read (KeyError('takes'))"),
        ({**PLAIN, "classes": [{**PLAIN["classes"][0], "colour": [1, 2, 256]}]}, "the colour [1, 2, 256]"),
        ({**PLAIN, "classes": PLAIN["classes"] * 2}, "classes: way called twice"),
        ({"name": "mine"}, "classes: cannot be read (KeyError('classes'))"),
    ],
)
def test_what_is_no_set_of_classes_is_refused(chosen, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        find_classes(chosen)
