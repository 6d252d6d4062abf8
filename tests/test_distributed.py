"""Two processes do what one does: each image counted once, each file written once, damage known to both."""

import json

import pytest
import torch

from tests.conftest import one_line, run
from tests.generation.conftest import draw_cityscapes
from tests.pipeline import make_pipeline
from zsda.models.deeplab import DeepLabV3Plus
from zsda.models.weights import save_weights

TWO = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "trainer.precision=32-true"]
RUN = "night_sdgpa_seed0"


def test_training_goes_on_past_a_damaged_file_and_tells_it_once(zsda, copied_world, own_configs, tmp_path):
    victim = next((copied_world / "night_target").glob("leftImg8bit/train/*/*.png"))
    victim.write_bytes(victim.read_bytes()[:300])
    result = zsda(
        "train", "--config-dir", own_configs, "experiment=tiny", f"data_root={copied_world}", *TWO, "trainer.sync_batchnorm=false",
        "data.batch_size=4",
    )  # fmt: skip
    assert result.returncode == 1, result.stdout + result.stderr
    assert victim.name in one_line(result)
    assert result.stdout.count("phase 1 of 2") == 1
    run_folder = tmp_path / "work/runs" / RUN
    assert len(json.loads((run_folder / "run.json").read_text())["starts"]) == 1
    assert json.loads((run_folder / "target/phase.json").read_text())["steps"] == 2


def test_evaluation_counts_every_image_once(trained, world_with_sets, tmp_path):
    words = ["setting=[day,night]", f"data_root={world_with_sets}", "num_workers=0", f"run={RUN}"]
    one = run("eval", *words, "trainer=cpu", f"out={tmp_path / 'one'}", cwd=trained)
    two = run("eval", *words, *TWO, f"out={tmp_path / 'two'}", cwd=trained)
    assert one.returncode == two.returncode == 0, one.stderr + two.stderr
    stored = [json.loads((tmp_path / out / "day+night_sdgpa/scores.json").read_text()) for out in ("one", "two")]
    assert stored[0]["settings"] == stored[1]["settings"]


def test_more_processes_than_images_are_refused(trained, world_with_sets, tmp_path):
    words = ["setting=night", f"data_root={world_with_sets}", *TWO, "trainer.devices=4", f"out={tmp_path}"]
    result = run("eval", *words, cwd=trained)
    assert result.returncode == 2
    assert "3 images for 4 processes; use trainer.devices=1" in one_line(result)


@pytest.mark.parametrize("limit", [3, 2], ids=["a group each", "one idle"])
def test_a_set_has_the_same_bytes(tmp_path, limit):
    data = draw_cityscapes(tmp_path / "data/cityscapes", train=4).parent
    editor = make_pipeline(tmp_path / "editor")
    torch.manual_seed(0)
    save_weights(DeepLabV3Plus(19, "resnet18"), tmp_path / "judge.safetensors")
    small = [
        "domain=night", "recipe=[target]", f"editor.model={editor}", "editor.steps=2", "canvas=[128,64]", "patch_size=64",
        "batch_size=4", "num_workers=0", f"limit={limit}", f"data_root={data}",
        f"layout.ckpt={tmp_path / 'judge.safetensors'}", "model.backbone=resnet18", "model.num_classes=19", "world.size=[64,128]",
    ]  # fmt: skip
    made = []
    for words in (["trainer=cpu"], [*TWO, "trainer.sync_batchnorm=false"]):
        result = run("generate", *small, *words, cwd=tmp_path)
        assert result.returncode == 0, result.stdout + result.stderr
        assert f"night_target: {limit} made" in result.stdout
        lines = [json.loads(line) for line in (data / "night_target/manifest.jsonl").read_text().splitlines()]
        assert sum(0 <= line["layout_score"] <= 1 for line in lines) == limit
        made.append({p.relative_to(data): p.read_bytes() for p in (data / "night_target").rglob("*") if p.is_file()})
        (data / "night_target").rename(tmp_path / f"made_{len(made)}")
    assert made[0] == made[1]
