"""What an inspection finds in sets that were damaged, in a real layout each."""

import os
import shutil

import numpy as np
import pytest
from PIL import Image

from tests.layouts import stripes, write_image, write_robotcar, write_synthia
from zsda.data import inspection
from zsda.data.datasets.cityscapes import Cityscapes
from zsda.data.datasets.generated import GeneratedSet
from zsda.data.datasets.synthia import SYNTHIA
from zsda.data.inspection import Listed, inspect, shared_frames
from zsda.data.inventory import find_generated, find_sets


def day(root, split="train"):
    return Listed.by(f"cityscapes {split}", "train", lambda: Cityscapes(root / "cityscapes", split, needs_labels=None))


def report_of(listed, **options):
    return inspect([listed], **options)[0]


def images(root, split="train"):
    return sorted((root / f"cityscapes/leftImg8bit/{split}").glob("*/*.png"))


def label_of(image, encoding="labelIds"):
    text = str(image).replace("/leftImg8bit/", "/gtFine/").replace("_leftImg8bit.png", f"_gtFine_{encoding}.png")
    return type(image)(text)


def kinds(findings):
    return [finding.kind for finding in findings]


def test_a_sound_set_is_counted(world):
    report = report_of(day(world))
    assert (report.images, report.labels, dict(report.sizes)) == (8, 8, {(128, 64): 8})
    assert not report.faults
    masks = np.stack([Cityscapes(world / "cityscapes").mask(index) for index in range(8)])
    assert report.pixels.tolist() == [*(int((masks == i).sum()) for i in range(19)), int((masks == 255).sum())]
    assert report.occurs.tolist() == [int((masks == i).any(axis=(1, 2)).sum()) for i in range(19)]
    absent = [name for name, count in zip(report.classes.names, report.occurs, strict=True) if not count]
    told = [finding.message for finding in report.remarks if finding.kind == "classes"]
    assert [all(name in message for name in absent) for message in told] == [True] * bool(absent)


def test_all_that_is_wrong_is_told_at_once_and_by_name(copied_world):
    first, second, third, fourth, fifth, sixth, *_ = images(copied_world)
    for encoding in ("labelIds", "labelTrainIds"):  # either would do
        label_of(first, encoding).unlink()
    second.write_bytes(second.read_bytes()[:200])
    Image.open(label_of(third)).resize((64, 32), Image.Resampling.NEAREST).save(label_of(third))
    ids = np.array(Image.open(label_of(fourth)))
    ids[0, 0] = 77
    Image.fromarray(ids).save(label_of(fourth))
    shutil.copy(label_of(fifth), label_of(fifth).with_name("bergen_999999_000019_gtFine_labelIds.png"))
    sixth.unlink()
    os.mkfifo(sixth)
    found = {}
    for finding in report_of(day(copied_world)).faults:
        found.setdefault(finding.kind, []).append(finding.message)
    assert found.keys() == {"pairs", "integrity", "sizes", "ids"}
    missing, orphan = found["pairs"]
    assert missing == f"{first}: has no label; expected {label_of(first)}"
    assert "bergen_999999_000019_gtFine_labelIds.png: is a label without an image; expected" in orphan
    assert [
        message.startswith(str(path)) for path, message in zip((second, sixth), found["integrity"], strict=True)
    ] == [True] * 2
    assert "no regular file" in found["integrity"][1]
    assert found["sizes"] == [f"{third}: 128x64, but its label {label_of(third)} is 64x32; expected equal sizes"]
    assert found["ids"][0].startswith(f"{label_of(fourth)}: ids outside the table of labelIds: [77]")


def test_headers_tell_sizes_and_what_is_no_image_but_no_ids(copied_world):
    first, second, third, *_ = images(copied_world)
    Image.open(label_of(first)).resize((64, 32), Image.Resampling.NEAREST).save(label_of(first))
    second.write_bytes(b"no image")
    ids = np.array(Image.open(label_of(third)))
    ids[0, 0] = 77
    Image.fromarray(ids).save(label_of(third))
    report = report_of(day(copied_world), decode=False)
    assert sorted(kinds(report.faults)) == ["integrity", "sizes"]
    assert report.pixels is None
    assert report.sizes == {(128, 64): 7}


def test_hidden_and_unused_files_are_remarks(copied_world):
    first = images(copied_world)[0]
    for name in (f"._{first.name}", ".DS_Store"):
        first.with_name(name).touch()
    (first.parent / ".ipynb_checkpoints").mkdir()
    shutil.copy(first, first.with_suffix(".jpg"))
    shutil.copy(first, first.parent.parent / first.name)
    label_of(first).with_name("._label.png").touch()
    report = report_of(day(copied_world))
    assert not report.faults
    hidden = [finding.message for finding in report.remarks if finding.kind == "hidden"]
    unused = [finding.message for finding in report.remarks if finding.kind == "unused"]
    assert len(hidden) == 4
    expected = [first.parent.parent / first.name, first.with_suffix(".jpg")]
    assert [message.partition(": is not used")[0] for message in unused] == [str(path) for path in expected]


def test_labels_of_nothing_are_a_fault(copied_world):
    for image in images(copied_world):
        Image.new("L", (128, 64)).save(label_of(image))
    (fault,) = report_of(day(copied_world)).faults
    assert "not one labelled pixel in 8 labels" in fault.message


def test_equal_images_are_found_by_their_contents(copied_world):
    first, second, *_ = images(copied_world)
    shutil.copy(first, second)
    scored = images(copied_world, "val")[0]
    shutil.copy(first, scored)
    sets, _ = find_sets(copied_world, copied_world)
    (within,) = [f for f in inspect(sets)[0].remarks if f.kind == "duplicates"]
    assert within.message.startswith(f"{second}: is the same image as {first}")
    (shared,) = shared_frames(sets)
    assert shared.fault
    assert shared.message.startswith(
        f"{first}: of cityscapes train, which is trained on, is also {scored} of cityscapes val"
    )


def test_the_same_file_in_two_lists_is_a_remark(world):
    dataset = Cityscapes(world / "cityscapes", "train")
    found = shared_frames([Listed("trained", "train", dataset), Listed("scored", "scored", dataset)])
    assert [finding.fault for finding in found] == [False] * 8


def test_a_generated_set_is_held_against_its_source(copied_world):
    edits = sorted((copied_world / "night_target/leftImg8bit/train").glob("*/*.png"))
    source = Cityscapes(copied_world / "cityscapes", "train", needs_labels=None)
    shutil.copy(source.samples[0].image, edits[0])
    strange = edits[1].with_name("bergen_777777_000019_leftImg8bit.png")
    shutil.copy(edits[1], strange)
    of_night = {one.name: one for one in find_generated(copied_world, copied_world, "night")}
    listed = of_night["night_target train"]
    assert isinstance(listed.dataset, GeneratedSet)
    found = [finding.message for finding in report_of(listed).faults]
    assert [message.partition(":")[0] for message in found] == [str(edits[0]), str(strange)]
    assert "is its source" in found[0]
    assert "has no source image" in found[1]


def test_what_lies_under_a_root_is_found_and_the_rest_named(copied_world):
    write_synthia(copied_world)
    write_robotcar(copied_world)
    shutil.rmtree(copied_world / "cityscapes/leftImg8bit/val")
    shutil.rmtree(copied_world / "ACDC/rgb_anon/snow")
    shutil.rmtree(copied_world / "ACDC/gt/snow")
    listed, absent = find_sets(copied_world, copied_world)
    names = [one.name for one in listed]
    assert names[:4] == ["cityscapes train", "cityscapes val", "gta5", "synthia"]
    assert {"robotcar train", "robotcar val", "acdc night val", "night_target train"} <= {*names}
    assert {"acdc snow train", "acdc snow val"} <= {*absent}
    # Its labels lie there still, so its images are missing, not the set.
    reports = dict(zip(names, inspect(listed), strict=True))
    (fault,) = reports["cityscapes val"].faults
    assert (fault.kind, "leftImg8bit/val" in fault.message) == ("layout", True)
    assert not reports["synthia"].faults
    assert not reports["robotcar train"].faults
    assert reports["robotcar train"].labels == 0
    assert len(reports["robotcar val"].classes) == 9


def test_a_folder_in_which_nothing_is_in_its_place_is_a_fault(tmp_path):
    write_image(tmp_path / "cityscapes/cityscapes/leftImg8bit/train/bergen/a_leftImg8bit.png", 0)
    listed, absent = find_sets(tmp_path, tmp_path)
    assert [one.name for one in listed] == ["cityscapes train"]
    assert "cityscapes val" in absent
    assert kinds(report_of(listed[0]).faults) == ["layout"]


@pytest.mark.parametrize("worth", [0, 2**40], ids=["in processes", "in this one"])
def test_processes_find_what_one_finds(tmp_path, monkeypatch, worth):
    root = write_synthia(tmp_path)
    (root / "GT/LABELS/0000001.png").write_bytes(b"")
    monkeypatch.setattr(inspection, "_WORTH_PROCESSES", worth)
    seen = []
    listed = Listed.by("synthia", "", lambda: SYNTHIA(root, needs_labels=None))
    report = report_of(listed, progress=lambda looks, total: (seen.append(total) or look for look in looks))
    assert seen == [4] * 4
    assert kinds(report.faults) == ["integrity"]
    assert report.occurs.sum() == 3 * len(
        np.unique(listed.dataset.classes.to_ids(stripes(range(23)), "synthiaIds"))[:-1]
    )
