"""SYNTHIA, RobotCar and lists of frames, through the commands."""

import json

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import save_file

from tests.conftest import SMALL_MODEL, SMALL_NETWORK, one_line
from tests.layouts import stripes, write_image, write_list, write_robotcar, write_robotcar_label, write_synthia
from zsda.models.deeplab import DeepLabV3Plus

CPU = ["trainer=cpu", "machine.num_workers=0"]
TRAIN = [
    "method=source_only", *CPU, *SMALL_MODEL, "model.pretrained=false", "data.transform.size=[64,128]",
    "data.transform.crop=[48,96]", "data.batch_size=2", "method.phases.source.epochs=1", "method.phases.source.horizon=1",
]  # fmt: skip


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A network of 9 classes."""
    path = tmp_path_factory.mktemp("weights") / "nine.safetensors"
    save_file(DeepLabV3Plus(9, **SMALL_NETWORK).state_dict(), path)
    return path


def test_a_network_learns_from_synthia_and_is_scored_on_it(zsda, tmp_path):
    root = write_synthia(tmp_path / "data")
    subset = write_list(tmp_path / "a.json", *((f"RGB/{n:07d}.png", f"GT/LABELS/{n:07d}.png") for n in (0, 2, 3)))
    words = [f"data_root={tmp_path / 'data'}"]
    trained = zsda("train", "data=synthia", "classes=16", f"data.source.subset={subset}", *words, *TRAIN)
    assert trained.returncode == 0, trained.stdout + trained.stderr
    runs = tmp_path / "work/runs"
    header = json.loads((runs / "synthia_source_only_seed0/run.json").read_text())["header"]
    assert (header["source"], header["source_setting"], len(header["classes"]["classes"])) == ("synthia", "synthia", 16)
    assert "source: source, 3 scenes" in trained.stdout
    scored = zsda("eval", "setting=synthia", *words, *CPU)
    assert scored.returncode == 0, scored.stdout + scored.stderr
    stored = json.loads((runs / "synthia_source_only_seed0/eval/synthia_sdgpa/scores.json").read_text())
    labelled = np.sum(stored["settings"]["synthia"]["confusion"], axis=1)
    assert (labelled > 0).all(), "all of the 16 classes are there"

    Image.fromarray(np.zeros((64, 128, 3), np.uint8)).save(root / "GT/LABELS/0000001.png")
    for result in (
        zsda("train", "data=synthia", "name=again", *words, *TRAIN),
        zsda("eval", "setting=synthia", "out=again", *words, *CPU),
    ):
        assert result.returncode == 2
        said = one_line(result)
        assert (
            "0000001.png: a label in 3 channels of 8 bits; expected 3 channels of 16 bits, as synthiaIds are stored"
            in said
        )
        assert "neither GT/COLOR nor copies in 8 bits" in said


def test_robotcar_is_scored_in_nine_classes(zsda, weights, tmp_path):
    root = write_robotcar(tmp_path / "data")
    words = ["setting=robotcar", f"data_root={tmp_path / 'data'}", "size=[64,128]", "out=scores", *CPU, *SMALL_MODEL]
    scored = zsda("eval", f"ckpt={weights}", "classes=9", *words)
    assert scored.returncode == 0, scored.stdout + scored.stderr
    stored = json.loads((tmp_path / "work/scores/robotcar_sdgpa/scores.json").read_text())
    assert stored["images"] == {"robotcar": 2}
    labelled = np.sum(stored["settings"]["robotcar"]["confusion"], axis=1)
    columns = np.bincount(stripes(range(19))[0], minlength=19)
    assert labelled.tolist() == [2 * 64 * columns[ids].sum() for ids in (1, 2, 3, 4, 5, 6, 7, 10, [11, 12, 13, 14, 17])]

    label = root / "anno/val_1.png"
    write_robotcar_label(label, stripes(range(19), (32, 64)))
    unequal = zsda("eval", f"ckpt={weights}", "classes=9", *words)
    assert unequal.returncode == 2
    assert "val_1.png: 128x64, but its label" in one_line(unequal)
    assert "is 64x32; expected equal sizes" in one_line(unequal)
    Image.fromarray(stripes(range(19)).astype(np.uint8)).save(label)
    wrong = zsda("eval", f"ckpt={weights}", "classes=9", *words)
    assert wrong.returncode == 2
    assert "val_1.png: a label in 1 channel of 8 bits; expected 4 channels of 8 bits, as robotcarIds" in one_line(wrong)


def test_robotcar_is_not_scored_in_nineteen(zsda, tmp_path):
    write_robotcar(tmp_path / "data")
    save_file(DeepLabV3Plus(20, **SMALL_NETWORK).state_dict(), tmp_path / "nineteen.safetensors")
    words = ["setting=robotcar", f"data_root={tmp_path / 'data'}", "size=[64,128]", *CPU, *SMALL_MODEL]
    result = zsda("eval", f"ckpt={tmp_path / 'nineteen.safetensors'}", *words)
    assert result.returncode == 2
    assert "labels in robotcarIds do not tell person from rider; expected classes=9, a run of these, or" in one_line(
        result
    )


def test_a_setting_may_be_the_frames_of_a_list(zsda, world, weights, tmp_path):
    images = sorted((world / "cityscapes/leftImg8bit/val").glob("*/*.png"))[1:3]
    names = [image.relative_to(world / "cityscapes").as_posix() for image in images]
    masks = [n.replace("leftImg8bit/val", "gtFine/val").replace("leftImg8bit", "gtFine_labelTrainIds") for n in names]
    subset = write_list(tmp_path / "val.json", *zip(names, masks, strict=True))
    words = [
        f"ckpt={weights}",
        "classes=9",
        "setting=day",
        f"data_root={world}",
        "size=[64,128]",
        "out=.",
        *CPU,
        *SMALL_MODEL,
    ]
    scored = zsda("eval", f"settings.day.subset={subset}", *words)
    assert scored.returncode == 0, scored.stdout + scored.stderr
    assert json.loads((tmp_path / "work/day_sdgpa/scores.json").read_text())["images"] == {"day": 2}
    subset.write_text("[]")
    refused = zsda("eval", f"settings.day.subset={subset}", *words)
    assert refused.returncode == 2
    assert f"{subset}: the list is empty; expected a JSON array" in one_line(refused)


def test_a_damaged_label_of_synthia_is_left_out_and_counted(zsda, weights, tmp_path):
    root = write_synthia(tmp_path / "data")
    label = root / "GT/LABELS/0000002.png"
    label.write_bytes(label.read_bytes()[:1000])
    write_image(root / "RGB/._0000001.png", 0)
    words = ["setting=synthia", f"data_root={tmp_path / 'data'}", "size=[64,128]", "out=scores", *CPU, *SMALL_MODEL]
    result = zsda("eval", f"ckpt={weights}", "classes=9", *words)
    assert result.returncode == 1, result.stderr
    assert f"1 image was left out: {label}: cannot be decoded" in one_line(result)
