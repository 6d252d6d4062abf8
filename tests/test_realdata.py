"""On real photographs in the real layouts; ZSDA_REALDATA names their data_root."""

import csv
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import SMALL_UNET
from tests.pipeline import make_pipeline
from zsda.data.datasets.acdc import ACDC
from zsda.data.datasets.cityscapes import Cityscapes
from zsda.data.datasets.described import DescribedData
from zsda.data.labels import IGNORE

ROOT = os.environ.get("ZSDA_REALDATA")
pytestmark = [pytest.mark.realdata, pytest.mark.skipif(ROOT is None, reason="ZSDA_REALDATA is not set")]


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """A data_root with 24 day photographs to train, 8 to validate and 8 at dusk, which sets may be added to."""
    root = tmp_path_factory.mktemp("photographs")
    chosen = [
        (Cityscapes(f"{ROOT}/cityscapes", "train"), 24),
        (Cityscapes(f"{ROOT}/cityscapes", "val"), 8),
        (ACDC(f"{ROOT}/ACDC", "night"), 8),
    ]
    for dataset, count in chosen:
        for sample in dataset.samples[:: len(dataset) // count][:count]:
            for path in (sample.image, sample.label):
                copy = root / path.relative_to(ROOT)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, copy)
    return root


def test_every_photograph_has_a_label_of_the_table():
    for dataset in (Cityscapes(f"{ROOT}/cityscapes", "val"), ACDC(f"{ROOT}/ACDC", "night")):
        seen = set()
        for index in range(0, len(dataset), 10):
            seen |= set(np.unique(dataset[index]["mask"]).tolist())
        assert {0, 2, 10, 13} <= seen <= {*range(19), 255}


def test_the_photographs_have_the_eleven_classes_that_are_named_after_them():
    whole = Cityscapes(f"{ROOT}/cityscapes", "val")
    eleven = Cityscapes(f"{ROOT}/cityscapes", "val", 11)
    seen = set()
    for index in range(0, len(whole), 5):
        mask, of_all = eleven.mask(index), whole.mask(index)
        assert ((mask == IGNORE) == (of_all == IGNORE)).all(), "none of the labelled pixels is left out"
        seen |= set(np.unique(mask).tolist())
    assert seen == {*range(11), IGNORE}


def test_from_a_sentence_to_a_table(zsda, photographs, tmp_path):
    work = tmp_path / "work"
    make_pipeline(work / "editor")
    made = zsda(
        "generate", "domain=night", f"data_root={photographs}", f"editor.model={work / 'editor'}", "editor.steps=2", "canvas=[128,64]",
        "patch_size=64", "trainer=cpu", "machine.num_workers=0",
    )  # fmt: skip
    assert made.returncode == 0, made.stdout + made.stderr
    for recipe in ("intermediate", "target"):
        images = sorted((photographs / f"night_{recipe}/leftImg8bit/train").glob("*/*_leftImg8bit.png"))
        assert len(images) == 24
        assert Image.open(images[0]).size == (128, 64)
    trained = zsda(
        "train", "experiment=night", f"data_root={photographs}", *SMALL_UNET, "data.transform.size=[64,96]",
        "data.transform.crop=null", "data.batch_size=8", "machine.num_workers=1", "trainer=cpu",
        "optimizer=adamw", "schedule=one_cycle", "method.phases.intermediate.epochs=4", "method.phases.intermediate.horizon=4",
        "method.phases.target.epochs=2", "method.phases.target.horizon=4",
    )  # fmt: skip
    assert trained.returncode == 0, trained.stdout + trained.stderr
    scored = zsda(
        "eval",
        "setting=[day,night]",
        f"data_root={photographs}",
        "trainer=cpu",
        "machine.num_workers=1",
        "protocol=full",
    )
    assert scored.returncode == 0, scored.stdout + scored.stderr
    table = work / "runs/night_sdgpa_seed42/eval/day+night_full/scores.csv"
    scores = {(row["setting"], row["class"]): row["iou"] for row in csv.DictReader(table.open())}
    # 18 steps from random weights tell road from sky, which chance does not.
    assert float(scores["day", "accuracy"]) > 0.3
    assert {setting for setting, _ in scores} == {"day", "night"}


def test_camvid_by_a_file_is_camvid_in_the_layout_of_cityscapes(tmp_path):
    said = (
        (Path(__file__).parents[1] / "docs/own_data.md")
        .read_text(encoding="utf-8")
        .split("```yaml\n")[2]
        .split("```")[0]
    )
    file = tmp_path / "camvid.yaml"
    file.write_text(f"root: {ROOT}\n{said}", encoding="utf-8")
    described, as_cityscapes = DescribedData(file, "val"), Cityscapes(Path(ROOT) / "cityscapes", "val", "11")
    assert [sample.key for sample in described.samples] == [sample.key for sample in as_cityscapes.samples]
    for place in range(3):
        np.testing.assert_array_equal(described.mask(place), as_cityscapes.mask(place))
        np.testing.assert_array_equal(described.pixels(place), as_cityscapes.pixels(place))
    assert len(DescribedData(file, "night")) == 62
