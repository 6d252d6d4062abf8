import csv
import json

import numpy as np
import torch
from PIL import Image

from zsda.data.classes import find_classes
from zsda.data.labels import CITYSCAPES, VOID
from zsda.evaluation import pictures
from zsda.evaluation.metrics import SegmentationScores, plain_scores
from zsda.evaluation.pictures import write_confusions, write_mask
from zsda.evaluation.records import write_scores


def some_scores():
    scores = SegmentationScores(19)
    scores.update(torch.tensor([0, 0, 1, 19]), torch.tensor([0, 1, 1, 2]))
    return plain_scores(scores.compute(), CITYSCAPES)


def test_an_undefined_iou_is_null_in_json_and_empty_in_csv(tmp_path):
    write_scores(tmp_path, {"night": some_scores()}, {"title": "a run"})
    write_confusions(tmp_path, {"night": some_scores()})
    stored = json.loads((tmp_path / "scores.json").read_text())
    assert stored["title"] == "a run"
    assert stored["settings"]["night"]["iou"]["road"] == 0.5
    assert stored["settings"]["night"]["iou"]["sky"] is None
    rows = {row["class"]: row["iou"] for row in csv.DictReader((tmp_path / "scores.csv").open())}
    assert rows["road"] == "0.5"
    assert rows["sky"] == ""
    assert float(rows["miou"]) == np.mean([0.5, 0.5, 0.0])
    assert Image.open(tmp_path / "confusion_night.png").size[0] > 500


def test_a_mask_holds_ids_and_shows_the_colours_of_its_classes(tmp_path):
    write_mask(tmp_path / "a/b.png", torch.tensor([[0, 10, VOID]]), CITYSCAPES)
    write_mask(tmp_path / "nine.png", torch.tensor([[0, 10, 8]]), find_classes(9))
    whole, nine = Image.open(tmp_path / "a/b.png"), Image.open(tmp_path / "nine.png")
    assert whole.mode == nine.mode == "P"
    assert np.array(whole).tolist() == [[0, 10, VOID]]
    assert np.array(nine).tolist() == [[0, 10, 8]]
    assert np.array(whole.convert("RGB")).tolist() == [[[128, 64, 128], [70, 130, 180], [0, 0, 0]]]
    assert np.array(nine.convert("RGB")).tolist() == [[[70, 130, 180], [0, 0, 0], [128, 64, 128]]]


def test_a_confusion_has_the_names_of_its_own_classes(monkeypatch, tmp_path):
    drawn = []
    monkeypatch.setattr(pictures, "confusion_picture", lambda *arguments: drawn.append(arguments) or b"")
    scores = SegmentationScores(2)
    scores.update(torch.tensor([0, 1]), torch.tensor([0, 1]))
    write_confusions(
        tmp_path, {"night": plain_scores(scores.compute(), find_classes({"way": ["road"], "air": ["sky"]}))}
    )
    ((title, confusion, names),) = drawn
    assert (title, confusion.shape, names) == ("night", (2, 3), ["way", "air"])
    monkeypatch.undo()
    assert pictures.confusion_picture(title, confusion, names).startswith(b"\x89PNG")
