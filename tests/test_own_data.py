"""A foreign folder, from one file to an adapted network, by the commands of docs/own_data.md and nothing else."""

import csv
import json
import re
import shlex

import numpy as np
import pytest
from PIL import Image

from tests.conftest import one_line
from tools.foreign_folder import documented, write_foreign_folder
from zsda.data.datasets.cityscapes import Cityscapes
from zsda.data.datasets.described import DescribedData

FILE = "Neue Stadt/neustadt.yaml"
DATA = ("data=folder", f"data.file={FILE}", "world=miniature")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("somewhere")
    write_foreign_folder(place / "Neue Stadt", train=17, val=3, size=(64, 128))
    description = place / FILE
    description.write_text(f"size: [64, 128]\n{description.read_text(encoding='utf-8')}", encoding="utf-8")
    return place


def commands():
    lines = documented("bash").replace("\\\n", " ").splitlines()
    return [shlex.split(line)[2:] for line in lines if line]


def test_the_five_commands_of_the_docs(folder, zsda):
    assert [words[0] for words in commands()] == [
        "zsda.check",
        "zsda.train",
        "zsda.generate",
        "zsda.train",
        "zsda.eval",
    ]
    for module, *words in commands():
        result = zsda(module.removeprefix("zsda."), *words, cwd=folder)
        assert result.returncode == 0, result.stderr
    runs = {path.name for path in (folder / "runs").iterdir()}
    assert {"neustadt_source_only_seed0", "neustadt_night_sdgpa_seed42"} <= runs
    for run in ("neustadt_source_only_seed0", "neustadt_night_sdgpa_seed42"):
        (scores,) = (folder / "runs" / run / "eval").glob("*/scores.json")
        found = json.loads(scores.read_text())
        assert set(found["settings"]) == {"neustadt", "night"}
        with (scores.parent / "scores.csv").open() as file:
            assert {"Fahrbahn", "Auto"} <= {cell for row in csv.reader(file) for cell in row}
    edits = sorted((folder / "data/miniature/neustadt/night_target/leftImg8bit/train").glob("*/*_leftImg8bit.png"))
    assert len(edits) == 17
    with Image.open(edits[0]) as edit:
        assert edit.size == (128, 64)
    assert not (folder / "data/miniature/cityscapes").exists(), "a world that nothing reads was rendered"


def test_labels_are_those_that_were_painted(folder, world):
    described = DescribedData(folder / FILE, "train")
    assert described.classes.names[:2] == ("Fahrbahn", "Gehweg")
    assert len(described.classes) == 11
    nineteen = described.with_classes(Cityscapes(world / "cityscapes").classes)
    own, theirs = described.mask(0), nineteen.mask(0)
    assert set(np.unique(own)) - {255} <= set(range(11))
    assert (theirs[own == 0] == 0).all()  # road
    assert (theirs[own == 10] == 13).all()  # car
    assert (theirs == 255).sum() == (own == 255).sum()


def test_check_tells_every_fault_of_a_file_at_once(folder, zsda, tmp_path):
    place = tmp_path / "Neue Stadt"
    write_foreign_folder(place, train=4, val=2, size=(64, 128))
    photographs = sorted((place / "Fotos/Lernen").rglob("*.JPG"))
    labels = sorted((place / "Masken/Fotos/Lernen").rglob("*.PNG"))
    labels[0].unlink()
    photographs[1].write_bytes(photographs[1].read_bytes()[:200])
    Image.new("RGB", (128, 64), (1, 2, 3)).save(labels[2])
    Image.open(photographs[3]).resize((64, 64)).save(photographs[3])
    result = zsda("check", "data=folder", f"data.file={place / 'neustadt.yaml'}", "world=miniature")
    assert result.returncode == 1
    told = " ".join(result.stdout.split())
    for fault in ("has no label", "cannot be decoded", "#010203 (8192 pixels)", "expected equal sizes"):
        assert fault in told


def test_all_splits_are_looked_at_and_the_edits_are_compared_with_their_own_source(folder, zsda):
    result = zsda("check", *DATA, "decode=false", cwd=folder)
    assert result.returncode == 0, result.stderr
    for split in ("train", "val", "night"):
        assert f"neustadt {split}" in result.stdout


@pytest.mark.parametrize("command", ["train", "generate", "preview", "check"])
def test_a_file_that_is_not_there_is_named_by_every_command(command, zsda):
    domain = (
        ["domain=night"] if command in ("generate", "preview") else ["method=source_only"] if command == "train" else []
    )
    result = zsda(command, *domain, "data=folder", "data.file=none.yaml", "world=miniature")
    assert result.returncode == 2
    assert one_line(result).startswith(f"zsda.{command}: none.yaml: cannot be read")


def test_data_without_a_file_ask_for_one(zsda):
    for command, words in (
        ("train", ["method=source_only", "data=folder"]),
        ("eval", ["setting=folder", "ckpt=pkg://zsda/miniature/weights/segmentation.safetensors"]),
    ):
        result = zsda(command, *words, "world=miniature")
        assert result.returncode == 2
        assert "which data? give data.file=FILE.yaml" in result.stderr


def test_gta5_cannot_be_edited_as_it_has_no_splits(zsda):
    result = zsda("generate", "domain=night", "data=gta5", "world=miniature", "world.prepare=null")
    assert result.returncode == 2
    assert "no split of it can be edited; give data=cityscapes, or data=folder" in one_line(result)


@pytest.mark.parametrize("dry_run", ["true", "false"])
def test_a_cityscapes_root_is_made_of_cityscapes_alone(folder, zsda, dry_run):
    words = ("domain=night", "cityscapes_root=true", f"dry_run={dry_run}")
    result = zsda("generate", *words, *DATA, f"generated_root=linked_{dry_run}", cwd=folder)
    told = "cityscapes_root=true links edits beside the labels of Cityscapes, and these are of neustadt train; expected data=cityscapes"
    assert told in result.stdout + result.stderr
    assert result.returncode != 0
    assert not list(folder.glob("linked_*/*"))


def test_photographs_of_one_name_are_no_images_to_label(folder, zsda, tmp_path):
    """Their pseudo labels would have one name as well; it is told before anything is trained."""
    for place in ("north", "south"):
        (tmp_path / "photographs" / place).mkdir(parents=True)
        for name in ("frame 1", *(f"{place} {number}" for number in range(4))):
            Image.new("RGB", (128, 64)).save(tmp_path / f"photographs/{place}/{name}.png")
    unlabelled = ("unlabelled=folder", f"unlabelled.images.root={tmp_path / 'photographs'}", "name=same")
    experiment = ("experiment=hiast_game_to_day", "data=folder_unpaired", *DATA[1:], "unlabelled.setting=north")
    result = zsda("train", *experiment, *unlabelled, "trainer=cpu", cwd=folder)
    assert result.returncode == 2
    assert re.search(
        r"north/frame 1\.png and \S*south/frame 1\.png would share the label labels1/frame 1_pseudo_label\.png; expected a name",
        result.stderr,
    )
    assert not (folder / "runs/same").exists()


def test_a_file_of_weights_keeps_its_own_classes(folder, zsda):
    weights = "ckpt=pkg://zsda/miniature/weights/segmentation.safetensors"
    result = zsda("eval", "setting=folder", *DATA[1:], weights, "out=scores", cwd=folder)
    assert result.returncode == 0, result.stderr
    assert "motorcycle" in result.stdout
    assert "Fahrbahn" not in result.stdout


def test_the_label_of_an_image_at_the_root_is_below_the_root(tmp_path):
    for name, mode in (("a.jpg", "RGB"), ("a.png", "L")):
        Image.new(mode, (8, 8)).save(tmp_path / name)
    file = tmp_path / "own.yaml"
    file.write_text('classes: {road: 0}\nsplits: {train: {images: "**/*.jpg", labels: "**/*.png"}}\n')
    (sample,) = DescribedData(file).samples
    assert sample.label == tmp_path / "a.png"
