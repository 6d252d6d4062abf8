import json
import os
import re

import numpy as np
import pytest

from tests.layouts import write_list, write_robotcar, write_synthia
from zsda.core.errors import DataError
from zsda.data.datasets.cityscapes import Cityscapes
from zsda.data.datasets.gta5 import GTA5
from zsda.data.datasets.lists import read_list
from zsda.data.datasets.robotcar import RobotCar
from zsda.data.datasets.synthia import SYNTHIA


def listed(path, dataset, places, label=lambda path: path):
    """Writes frames of a data set into a list."""
    samples = [dataset.samples[place] for place in places]
    pairs = [(s.image.relative_to(dataset.root), label(s.label.relative_to(dataset.root))) for s in samples]
    return write_list(path, *((str(image), str(mask)) for image, mask in pairs))


@pytest.mark.parametrize("encoding", ["labelIds", "labelTrainIds"])
def test_of_cityscapes_the_name_of_the_mask_says_how_it_counts(world, tmp_path, encoding):
    whole = Cityscapes(world / "cityscapes", "train")
    subset = listed(tmp_path / "a.json", whole, [5, 2], lambda p: str(p).replace("labelIds", encoding))
    few = Cityscapes(world / "cityscapes", "train", subset=subset)
    assert [sample.key for sample in few.samples] == [whole.samples[place].key for place in (5, 2)]
    assert {sample.encoding for sample in few.samples} == {encoding}
    assert (few[0]["mask"] == whole[5]["mask"]).all()


def test_names_that_are_no_utf8_may_stand_in_a_list(copied_world, tmp_path):
    root, odd = copied_world / "cityscapes", os.fsdecode(b"k\xf6ln")
    for split in (root / "leftImg8bit/val", root / "gtFine/val"):
        next(split.iterdir()).rename(split / odd)
    whole = Cityscapes(root, "val")
    subset = listed(tmp_path / "a.json", whole, [1])
    assert [sample.key for sample in Cityscapes(root, "val", subset=subset).samples] == [whole.samples[1].key]


def test_a_mask_of_cityscapes_that_counts_otherwise_is_named(world, tmp_path):
    subset = listed(
        tmp_path / "a.json", Cityscapes(world / "cityscapes"), [0], lambda p: str(p).replace("label", "instance")
    )
    with pytest.raises(DataError, match=r"a.json: the mask .*_instanceIds.png; expected .* _gtFine_labelIds.png or"):
        Cityscapes(world / "cityscapes", subset=subset)


def test_frames_of_gta5_and_synthia_are_found_as_in_their_folders(world, tmp_path):
    for whole in (GTA5(world / "GTA5", None), SYNTHIA(write_synthia(tmp_path))):
        subset = listed(tmp_path / f"{whole.name}.json", whole, [2, 0])
        few = type(whole)(whole.root, str(subset))
        assert few.samples == [whole.samples[2], whole.samples[0]]
        assert (few[1]["mask"] == whole[0]["mask"]).all()


def test_robotcar_needs_labels_where_it_is_scored_alone(tmp_path):
    root = write_robotcar(tmp_path)
    subset = write_list(tmp_path / "a.json", ("train/train_1.png", ""), ("val/val_0.png", "anno/val_0.png"))
    mixed = RobotCar(root, "train", subset)
    assert [sample.label for sample in mixed.samples] == [None, root / "anno/val_0.png"]
    assert set(np.unique(mixed[0]["mask"])) == {255}
    with pytest.raises(DataError, match=r"a.json: 1 of 2 images have no mask_name, the first is train/train_1.png"):
        RobotCar(root, "val", subset)


def test_other_keys_are_let_pass_and_has_target_may_be_anything(tmp_path):
    frame = {"image_name": "a/b.png", "mask_name": ""}
    (tmp_path / "a.json").write_text(json.dumps([frame, {**frame, "has_target": 0, "weather": ["sun"]}]))
    assert [(one.image_name, one.mask_name) for one in read_list(tmp_path / "a.json")] == [("a/b.png", "")] * 2


def test_missing_files_are_counted_and_the_first_is_named(world, tmp_path):
    root = world / "GTA5"
    subset = write_list(tmp_path / "a.json", *((f"images/{n:05d}.png", f"labels/{n:05d}.png") for n in (2, 7, 8)))
    with pytest.raises(
        DataError, match=r"gta5: 2 of the 3 images that .*a.json lists are not under .*images/00007.png; see"
    ):
        GTA5(root, subset)
    subset = write_list(
        tmp_path / "a.json", ("images/00001.png", "labels/00001.png"), ("images/00002.png", "masks/2.png")
    )
    with pytest.raises(DataError, match=r"gta5: 1 of 2 images have no label, .*00002.png; expected .*masks/2.png"):
        GTA5(root, subset)


@pytest.mark.parametrize("second", ["images/00001.png", "images/./00001.png", "elsewhere/00001.png"])
def test_a_frame_is_there_once(world, tmp_path, second):
    subset = write_list(tmp_path / "a.json", ("images/00001.png", "labels/00001.png"), (second, "labels/00001.png"))
    message = rf"a.json: images/00001.png and {re.escape(second)} would both be 00001; expected each frame once"
    with pytest.raises(DataError, match=message):
        GTA5(world / "GTA5", subset)


FRAME = {"image_name": "a.png", "mask_name": "b.png"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "the list is empty; expected a JSON array"),
        ("{}", "input should be a valid array"),
        ("images/a.png", "invalid JSON"),
        ("[" * 10_000, "invalid JSON: recursion limit"),
        ([{"image_name": "a.png"}], "it names no 0.mask_name"),
        ([FRAME, {**FRAME, "image_name": ""}], "1.image_name: string should have at least 1 character"),
        ([{**FRAME, "mask_name": None}], "0.mask_name: input should be a valid string, found null"),
        ([{**FRAME, "image_name": 3}], "0.image_name: input should be a valid string, found 3"),
        ([{**FRAME, "image_name": "/etc/a.png"}], "/etc/a.png lies outside the set; expected paths from its root"),
        ([{**FRAME, "mask_name": "x/../../b.png"}], "x/../../b.png lies outside the set"),
        ([{**FRAME, "image_name": "../\x1b[2J.png"}], "../\\x1b[2J.png lies outside the set"),
    ],
)
def test_what_is_no_list_is_named(tmp_path, content, message):
    (tmp_path / "a.json").write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(DataError, match=f"^{re.escape(str(tmp_path / 'a.json'))}: {re.escape(message)}"):
        read_list(tmp_path / "a.json")


def test_neither_a_pipe_nor_a_giant_nor_nothing_is_read(tmp_path):
    os.mkfifo(tmp_path / "pipe.json")
    with (tmp_path / "giant.json").open("wb") as file:
        file.truncate(2**40)
    for name, found in (
        ("pipe", "no regular file"),
        ("giant", f"{2**40} bytes; expected at most 67108864"),
        ("no", "No such file"),
    ):
        with pytest.raises(DataError, match=rf"{name}.json: .*{found}.*expected a JSON array"):
            read_list(tmp_path / f"{name}.json")


def test_a_mark_of_windows_and_another_case_of_the_ending_are_let_pass(world, tmp_path):
    subset = tmp_path / "A.JSON"
    frame = {"image_name": "images/00002.png", "mask_name": "labels/00002.png"}
    subset.write_bytes(b"\xef\xbb\xbf" + json.dumps([frame]).encode())
    assert [sample.key for sample in GTA5(world / "GTA5", subset).samples] == ["00002"]


def test_names_that_no_file_can_have_are_missing_files(world, tmp_path):
    long = f"images/{'x' * 300}.png"
    with pytest.raises(DataError, match="gta5: 1 of the 1 images that"):
        GTA5(world / "GTA5", write_list(tmp_path / "a.json", (long, "labels/00002.png")))
    with pytest.raises(DataError, match="gta5: 1 of 1 images have no label"):
        GTA5(world / "GTA5", write_list(tmp_path / "b.json", ("images/00002.png", long)))


def test_a_list_of_names_that_is_none_gets_one_line(world, tmp_path):
    (tmp_path / "binary.txt").write_bytes(bytes(range(256)))
    (tmp_path / "empty.txt").write_text("\n")
    for name, said in (
        (tmp_path / "binary.txt", "binary.txt: cannot be read \\(no text\\); expected train, val, or a file"),
        (tmp_path / "empty.txt", "empty.txt: the list is empty"),
        ("trian", "trian: cannot be read \\(No such file or directory\\); expected train, val, or a file"),
    ):
        with pytest.raises(DataError, match=said):
            GTA5(world / "GTA5", name)
