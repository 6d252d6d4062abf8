"""``python -m zsda.preview``, and a condition of one's own on its way through all commands."""

import csv
import json
import shlex

import pytest
from PIL import Image

from tests.conftest import SMALL_MODEL, one_line, run
from tests.pipeline import make_pipeline

SANDSTORM = ["domain=custom", "domain.prompt=make it a sandstorm"]


@pytest.fixture(scope="module")
def editor(tmp_path_factory):
    return make_pipeline(tmp_path_factory.mktemp("editor") / "tiny-ip2p")


def test_a_sentence_of_ones_own_goes_all_the_way(world_with_sets, editor, tmp_path):
    # A copy of nothing but the source: the sets are made below.
    (tmp_path / "data").mkdir()
    (tmp_path / "data/cityscapes").symlink_to(world_with_sets / "cityscapes")
    small = ["world=real", "trainer=cpu", "data_root=data"]
    edit = [*SANDSTORM, f"editor.model={editor}", "editor.steps=2", "canvas=[128,64]", "patch_size=64"]

    def call(command, *words):
        result = run(command, *small, *words, cwd=tmp_path)
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    asked = ["images=2", "text_guidance=[3,9]", "image_guidance=[1.5]"]
    shown = call("preview", *edit, *asked)
    assert "no layout scores: give layout.run=NAME" in " ".join(shown.split())
    call("generate", *edit, "machine.num_workers=0")
    tiny = ["data.transform.size=[64,128]", "data.transform.crop=[48,96]", "data.batch_size=4", "machine.num_workers=0"]
    lengths = [f"method.epochs.{name}=1" for name in ("first", "second", "horizon")]
    call("train", *SANDSTORM, *tiny, *lengths, *SMALL_MODEL, "model.pretrained=false")
    call("eval", "setting=day", "machine.num_workers=0")
    scores = json.loads((tmp_path / "runs/custom_sdgpa_seed0/eval/day_sdgpa/scores.json").read_text())
    assert scores["settings"]["day"]["miou"] is not None

    # With the run as the judge, the preview names a pair, and the command to make the set with it.
    shown = call("preview", *edit, *asked, "layout.run=custom_sdgpa_seed0", "keep=0.0")
    best = next(line for line in shown.splitlines() if "best: python" in line).split("best: ")[1]
    assert shlex.split(best)[:4] == ["python", "-m", "zsda.generate", "world=real"]
    assert {"patch_size=64", "layout.run=custom_sdgpa_seed0"} < set(shlex.split(best))
    assert not [word for word in shlex.split(best) if word.startswith(("images", "keep", "text_guidance"))]
    assert "domain.prompt=make it a sandstorm" in shlex.split(best)
    assert "domain.image_guidance=1.5" in shlex.split(best)
    sheet, rows = tmp_path / "runs/preview/custom/preview.png", tmp_path / "runs/preview/custom/preview.csv"
    assert Image.open(sheet).width > 800
    assert all(float(row["layout_score"]) >= 0 for row in csv.DictReader(rows.open()))
    manifest = [json.loads(line) for line in (tmp_path / "data/custom_target/manifest.jsonl").read_text().splitlines()]
    assert "layout_score" not in manifest[0], "there was no network yet"
    images = {path: path.read_bytes() for path in (tmp_path / "data/custom_target").rglob("*.png")}
    shown = call("generate", *edit, "machine.num_workers=0", "layout.run=custom_sdgpa_seed0")
    assert "custom_target: 0 made, 8 were there already" in shown
    assert "custom_target: layout score 0." in shown
    assert {path: path.read_bytes() for path in images} == images
    least = {}  # of a scene, over both sets; half of the scenes are left out below
    for recipe in ("intermediate", "target"):
        for line in (tmp_path / f"data/custom_{recipe}/manifest.jsonl").read_text().splitlines():
            record = json.loads(line)
            least[record["source"]] = min(record["layout_score"], least.get(record["source"], 1))
    threshold = sorted(least.values())[4]
    kept = sum(score >= threshold for score in least.values())
    shown = call(
        "train", *SANDSTORM, *tiny, *lengths, "name=best", f"data.min_layout_score={threshold}", *SMALL_MODEL,
        "model.pretrained=false",
    )  # fmt: skip
    assert 4 <= kept < 8, "scenes that score the same"
    assert f"phase 2 of 2, target: target + intermediate, {kept} scenes" in shown


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "which domain? give domain=custom, fog"),
        (["domain=custom"], 'domain=custom needs domain.prompt="..."'),
        (["domain=snow", "recipe=[target,whole]"], "a preview shows one, expected for example recipe=[target]"),
        (["domain=snow", "keep=60"], "keep=60; expected a number from 0 to 1"),
        (
            ["domain=snow", "text_guidance=[9,0.5]", "data_root=DATA", "canvas=[128,64]", "patch_size=64"],
            "expected a number above 1",
        ),
        (["domain=snow", "steps=0", "data_root=DATA", "canvas=[128,64]", "patch_size=64"], "steps=0"),
        (["domain=snow", "layout.run=nothing", "data_root=DATA"], "runs/nothing holds no run of zsda.train"),
    ],
)
def test_bad_input_gets_one_line(zsda, world, words, message, editor):
    words = [word.replace("DATA", str(world)) for word in words]
    result = zsda("preview", "trainer=cpu", f"editor.model={editor}", *words)
    assert result.returncode == 2, result.stderr
    assert message in one_line(result)
