import json

import pytest

from zsda.core.errors import RecordError
from zsda.data.manifest import read_manifest
from zsda.reporting.edits import EditedImage, Edits, read_edits
from zsda.reporting.quality import Bin, Distribution, EditQuality, bins


def image(name, score=None, drift=None, network="a", measured=True):
    return EditedImage(name, "train", score, network, drift, measured)


def quality(*images, gone=(), **more):
    asked = "python -m zsda.generate domain=fog recipe=target"
    return EditQuality(Edits({}, images, 0, {}), images, gone, asked, **more)


def test_the_figures_of_five_values_by_hand():
    found = Distribution.of([0.5, 0.1, 0.3, 0.2, 0.4])
    assert found == pytest.approx((5, 0.3, 0.1, 0.12, 0.2, 0.3, 0.4, 0.48, 0.5))
    assert Distribution.of([0.7]) == pytest.approx((1, *[0.7] * 8))
    assert Distribution.of([]) is None


def test_bins_are_of_round_widths_and_hold_their_lower_edge():
    found = bins([0.3, 0.31, 0.35, 0.4, 0.61])
    assert [one.images for one in found] == [2, 1, 1, 0, 0, 0, 1]
    assert [one.low for one in found] == pytest.approx([0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6])
    assert found[-1].high == pytest.approx(0.65)
    assert [one.images for one in bins([0.0] * 5 + [16.0, 3.9])] == [5, 1, 0, 0, 0, 0, 0, 0, 1]
    assert bins([0.25, 0.25]) == [Bin(0.25, 0.25, 2)]


@pytest.mark.parametrize("power", [1e-6, 1e-3, 1, 1e5])
def test_there_are_ten_bins_at_most_and_no_value_is_lost(power):
    for last in range(1, 200):
        found = bins([0.0, last * power, last * power / 3])
        assert 2 <= len(found) <= 10
        assert sum(one.images for one in found) == 3


def test_the_ten_worst_have_the_lowest_scores_and_none_is_last():
    scores = [0.9, 0.2, None, 0.5, 0.2, 0.4]
    drifts = [9.0, 0.1, 9.0, None, 0.3, 0.0]
    rated = quality(*(image(name, *found) for name, *found in zip("abcdef", scores, drifts, strict=True)))
    assert [one.path for one in rated.worst()] == ["e", "b", "f", "d", "a", "c"], "of equals that which moved farther"
    assert rated.order == "lowest layout score"
    many = quality(*(image(f"{number:02d}", 1 - number / 100) for number in range(30)))
    assert [one.path for one in many.worst()] == [f"{number:02d}" for number in range(29, 19, -1)]


def test_without_scores_those_are_the_worst_that_moved_farthest():
    rated = quality(image("a", drift=0.5), image("b"), image("c", drift=2), image("d", measured=False))
    assert [one.path for one in rated.worst()] == ["c", "a"]
    assert rated.order == "largest drift"
    assert not quality(image("a"), image("b", measured=False)).worst()
    assert not quality(image("a", drift=0.0), image("b", drift=0.0)).worst(), "none moved"
    assert not quality().worst()


def test_what_is_not_known_is_counted():
    rated = quality(image("a", 0.5), image("b", drift=1), image("c", measured=False), image("d"))
    found = rated.plain()
    assert (found["layout_score"]["images"], found["without_layout_score"]) == (1, 3)
    assert (found["drift"]["images"], found["drift_not_told"], found["drift_not_measured"]) == (1, 2, 1)
    empty = quality(image("a", measured=False)).plain()
    assert (empty["layout_score"], empty["drift"], empty["keep_best"], empty["worst"]) == (None, None, {}, [])


def test_scores_of_several_networks_and_images_that_are_gone_are_remarks():
    sound = quality(image("a", 0.5), image("b", None, network="other"))
    assert not sound.findings(), "that network gave no score"
    mixed = quality(image("a", 0.5), image("b", 0.6), image("c", 0.7, network=""), gone=["x", "y"])
    networks, gone = mixed.findings()
    assert "of several networks, a (2), unknown (1), and cannot be compared" in networks.message
    assert gone.message.startswith("x: the first of 2 in the manifest that are not there")
    assert not networks.fault
    assert not gone.fault


def test_scores_of_several_networks_are_neither_ranked_nor_averaged():
    images = [image("a", 0.1, 1), image("b", 0.9, 3, network="b"), image("c", None, 2), image("d", 0.2)]
    mixed = quality(*images)
    assert ([one.path for one in mixed.worst()], mixed.order) == (["b", "c", "a"], "largest drift")
    found = mixed.plain()
    assert (found["layout_score"], found["without_layout_score"]) == (None, 1)
    assert found["layout_networks"] == {"a": 2, "b": 1}
    alike = quality(images[0], *images[2:])
    assert [one.path for one in alike.worst()] == ["a", "d", "c"]


def test_what_keep_best_cannot_choose_by_is_told_once():
    scored, unscored = image("a", 0.5), image("b")
    (missing,) = quality(scored, unscored, refusal="1 of 2 images have no layout score").findings()
    assert (missing.message, missing.fault) == ("1 of 2 images have no layout score", False)
    (torn,) = quality(scored, refusal="it is torn", damage="it is torn").findings()
    assert (torn.kind, torn.message, torn.fault) == ("quality", "it is torn", True)
    assert not quality(unscored, refusal="1 of 1 images have no layout score").findings(), "there are none to compare"
    (mixed,) = quality(scored, image("b", 0.6, network="b"), refusal="of different networks").findings()
    assert "of several networks, a (1), b (1)" in mixed.message


def test_what_a_manifest_tells_is_read_and_what_is_no_line_is_none(tmp_path):
    (tmp_path / "generation.json").write_text('{"domain": {"prompt": "fog"}}')
    noise = {"patch": 0, "seed": 1, "flaw": "noise"}
    lines = [
        {"source": "a", "output": "a", "split": "train", "layout_score": 0.25, "layout_network": "n", "drift": 3},
        {"source": "b", "output": "b", "split": "train", "layout_score": None, "drift": None},
        {"source": "c", "output": "c", "split": "val", "layout_score": 0.5, "retries": [noise]},
        {"source": "d", "output": "d", "split": "train", "layout_score": 2},
        {"source": "e", "output": None, "split": "train", "retries": [noise] * 2},
        {"source": "f", "output": None, "split": "val", "retries": [{**noise, "flaw": "uniform"}]},
    ]
    (tmp_path / "manifest.jsonl").write_text("torn {\n" + "".join(json.dumps(line) + "\n" for line in lines))
    manifest = read_manifest(tmp_path)
    found = read_edits(tmp_path, manifest, "", "train")
    assert found.images == [EditedImage("a", "train", 0.25, "n", 3, True), EditedImage("b", "train", measured=True)]
    assert (found.left_out, found.retried, found.settings["domain.prompt"]) == (1, {"noise": 2}, "fog")
    whole = read_edits(tmp_path, manifest, "")
    assert (whole.made, whole.left_out, whole.retried) == ({"train": 2, "val": 1}, 2, {"noise": 3, "uniform": 1})
    (tmp_path / "generation.json").write_text("[]")
    with pytest.raises(RecordError, match=r"holds no JSON object; make it anew"):
        read_edits(tmp_path, manifest, "make it anew")
