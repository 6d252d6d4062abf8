import io

import numpy as np
import pytest
from PIL import Image

from zsda.core.errors import ConfigError, DataError
from zsda.data.classes import find_classes
from zsda.data.samples import Sample
from zsda.prediction.outputs import Painter, chosen_layout
from zsda.prediction.predictor import Prediction


def written(kind, classes, values, void=(False, False)):
    ids = np.array([values], np.uint8)
    prediction = Prediction(ids, np.array([void]), np.array([[0.0, 1.0]], np.float32))
    content = Painter(find_classes(classes), [kind]).png(kind, prediction, np.full((1, 2, 3), 255, np.uint8))
    return np.array(Image.open(io.BytesIO(content))).tolist()


def test_ids_are_those_of_the_set_or_of_cityscapes():
    # The 11th class of the 16 is the rider, the 9th the sky.
    assert written("train_ids", 16, [9, 11]) == [[9, 11]]
    assert written("label_ids", 16, [9, 11], (False, True)) == [[23, 0]]
    assert written("labelTrainIds", 16, [9, 11], (False, True)) == [[10, 12]]
    assert written("labelTrainIds_invalid", 16, [9, 11], (False, True)) == [[10, 255]]
    assert written("label_ids", {"far": ["sky"], "lots": ["parking"]}, [0, 1]) == [[23, 9]]


def test_confidence_has_sixteen_bits():
    assert written("confidence", 19, [0, 0]) == [[0, 65535]]


def test_an_overlay_is_half_of_each():
    assert written("overlay", 19, [0, 10]) == [[[(255 + c) // 2 for c in (128, 64, 128)], [162, 192, 217]]]


@pytest.mark.parametrize(
    ("kind", "classes"),
    [("label_ids", 9), ("labelTrainIds", {"lots": ["parking"]}), ("label_ids", {"plate": ["license plate"]})],
)
def test_classes_that_are_none_of_cityscapes_are_refused(kind, classes):
    with pytest.raises(ConfigError, match=r"is not exactly one class of Cityscapes"):
        Painter(find_classes(classes), [kind])


def places(benchmark, *keys):
    return chosen_layout(["overlay"], benchmark).places([Sample(key, None) for key in keys])


def test_places_are_those_of_the_benchmarks():
    assert places(None, "a/b") == {"a/b": {"overlay": "overlay/a/b.png"}}
    frame = "ulm/ulm_000001_000019"
    assert places("cityscapes", f"{frame}_leftImg8bit") == {
        f"{frame}_leftImg8bit": {"label_ids": f"{frame}_pred_labelIds.png"}
    }
    kinds = ("labelTrainIds", "labelTrainIds_invalid", "confidence")
    assert places("acdc", "x/f_rgb_anon") == {"x/f_rgb_anon": {kind: f"{kind}/f_rgb_anon.png" for kind in kinds}}


def test_two_photographs_for_one_file_are_refused():
    with pytest.raises(DataError, match=r"a/f and b/f would both be labelTrainIds/f.png"):
        places("acdc", "a/f", "b/f")


def test_a_file_in_the_place_of_a_folder_is_refused():
    with pytest.raises(
        DataError, match=r"a would be the file overlay/a.png, and a.png/b would lie in a folder of that"
    ):
        places(None, "a", "a.png/b")
