"""Two processes do what one does: each image counted once, each file written once, damage known to both."""

import json

import torch

from tests.conftest import SMALL_MODEL, SMALL_NETWORK, one_line, run
from tests.generation.conftest import draw_cityscapes
from tests.pipeline import make_pipeline
from zsda.models.deeplab import DeepLabV3Plus
from zsda.models.weights import save_weights

TWO = ["trainer=ddp", "machine.accelerator=cpu", "machine.devices=2", "trainer.precision=32-true"]
RUN = "night_sdgpa_seed0"


def test_training_goes_on_past_a_damaged_file_and_tells_it_once(zsda, copied_world, own_configs, tmp_path):
    victim = next((copied_world / "night_target").glob("leftImg8bit/train/*/*.png"))
    victim.write_bytes(victim.read_bytes()[:300])
    result = zsda(
        "train", "--config-dir", own_configs, "experiment=tiny", f"data_root={copied_world}", *TWO, "machine.sync_batchnorm=false",
        "data.batch_size=4",
    )  # fmt: skip
    assert result.returncode == 1, result.stdout + result.stderr
    assert victim.name in one_line(result)
    assert result.stdout.count("phase 1 of 2") == 1
    run_folder = tmp_path / "work/runs" / RUN
    assert len(json.loads((run_folder / "run.json").read_text())["starts"]) == 1
    assert json.loads((run_folder / "target/phase.json").read_text())["steps"] == 2


def test_evaluation_counts_every_image_once(trained, world_with_sets, tmp_path):
    words = ["setting=[day,night]", f"data_root={world_with_sets}", "machine.num_workers=0", f"run={RUN}"]
    one = run("eval", *words, "trainer=cpu", f"out={tmp_path / 'one'}", cwd=trained)
    two = run("eval", *words, *TWO, f"out={tmp_path / 'two'}", cwd=trained)
    assert one.returncode == two.returncode == 0, one.stderr + two.stderr
    stored = [json.loads((tmp_path / out / "day+night_sdgpa/scores.json").read_text()) for out in ("one", "two")]
    assert stored[0]["settings"] == stored[1]["settings"]


def test_more_processes_than_images_are_refused(trained, copied_world, tmp_path):
    for image in list((copied_world / "ACDC/rgb_anon/night/val").glob("*/*.png"))[1:]:
        image.unlink()
    words = ["setting=night", f"data_root={copied_world}", *TWO, f"out={tmp_path}"]
    result = run("eval", *words, cwd=trained)
    assert result.returncode == 2
    assert "1 images for 2 processes; use machine.devices=1" in one_line(result)


def test_sets_have_the_same_bytes(tmp_path):
    """Of three images, four patches at a time, the target makes a group for each process, and the intermediate one in all."""
    limit = 3
    data = draw_cityscapes(tmp_path / "data/cityscapes", train=4).parent
    editor = make_pipeline(tmp_path / "editor")
    torch.manual_seed(0)
    save_weights(DeepLabV3Plus(19, **SMALL_NETWORK), tmp_path / "judge.safetensors")
    small = [
        "domain=night", f"editor.model={editor}", "editor.steps=2", "canvas=[128,64]", "patch_size=64",
        "batch_size=4", "machine.num_workers=0", f"limit={limit}", f"data_root={data}",
        f"layout.ckpt={tmp_path / 'judge.safetensors'}", *SMALL_MODEL, "model.num_classes=19", "world.size=[64,128]",
    ]  # fmt: skip
    made = []
    for words in (["trainer=cpu"], [*TWO, "machine.sync_batchnorm=false"]):
        result = run("generate", *small, *words, cwd=tmp_path)
        assert result.returncode == 0, result.stdout + result.stderr
        found = {}
        for name in ("night_intermediate", "night_target"):
            assert f"{name}: {limit} made" in result.stdout
            lines = [json.loads(line) for line in (data / name / "manifest.jsonl").read_text().splitlines()]
            assert sum(0 <= line["layout_score"] <= 1 for line in lines) == limit
            found |= {p.relative_to(data): p.read_bytes() for p in (data / name).rglob("*") if p.is_file()}
            (data / name).rename(tmp_path / f"{name}_{len(made)}")
        made.append(found)
    assert made[0] == made[1]
