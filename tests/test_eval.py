import csv
import json
import re
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from tests.conftest import SMALL_MODEL, SMALL_NETWORK, one_line
from zsda.core.runs import PhaseFolder
from zsda.models.deeplab import DeepLabV2, DeepLabV3Plus
from zsda.models.discriminator import Discriminator

RUN = "night_sdgpa_seed0"


@pytest.fixture(scope="module")
def evaluated(trained, world_with_sets):
    """What ``eval setting=[day,night]`` printed about the latest run."""
    from tests.conftest import run

    result = run(
        "eval",
        "setting=[day,night]",
        f"data_root={world_with_sets}",
        "trainer=cpu",
        "masks=true",
        "machine.num_workers=0",
        cwd=trained,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def scores(trained, folder):
    return json.loads((trained / "runs" / RUN / "eval" / folder / "scores.json").read_text())


def test_the_table_names_run_and_protocol_and_agrees_with_the_files(trained, evaluated):
    stored = scores(trained, "day+night_sdgpa")
    assert f"{RUN} - protocol sdgpa, input 64x128" in evaluated
    assert "was trained on" not in evaluated
    assert stored["images"] == {"day": 4, "night": 3}
    rows = list(csv.DictReader((trained / "runs" / RUN / "eval/day+night_sdgpa/scores.csv").open()))
    for setting in ("day", "night"):
        result = stored["settings"][setting]
        assert f"{100 * result['miou']:.1f}" in evaluated
        assert np.mean([v for v in result["iou"].values() if v is not None]) == pytest.approx(result["miou"])
        assert sum(map(sum, result["confusion"])) > 10_000
        written = {row["class"]: row["iou"] for row in rows if row["setting"] == setting}
        assert float(written["road"]) == result["iou"]["road"]
        assert Image.open(trained / "runs" / RUN / f"eval/day+night_sdgpa/confusion_{setting}.png").size[0] > 500


def test_masks_are_painted_on_request(trained, evaluated):
    masks = sorted((trained / "runs" / RUN / "eval/day+night_sdgpa/masks/night").glob("*/*.png"))
    assert len(masks) == 3
    mask = Image.open(masks[0])
    assert (mask.mode, mask.size) == ("P", (128, 64))
    assert len(np.unique(mask)) > 1, "class ids"


def test_training_and_evaluation_agree(trained, evaluated):
    watched = json.loads((trained / "runs" / RUN / "target/phase.json").read_text())["watched"]["val/source/miou"]
    assert scores(trained, "day+night_sdgpa")["settings"]["day"]["miou"] == pytest.approx(watched, abs=1e-6)


def test_a_file_of_weights_scores_as_its_run(zsda, trained, evaluated, world_with_sets, tmp_path):
    """At another input size, where the two protocols differ."""
    folder = tmp_path / "elsewhere"
    shutil.copytree(trained / "runs" / RUN, folder / "runs" / RUN)
    weights = folder / "runs" / RUN / "target/weights.safetensors"
    common = [
        "setting=night",
        f"data_root={world_with_sets}",
        "trainer=cpu",
        "machine.num_workers=0",
        "size=[32,64]",
        "protocol=full",
    ]
    by_run = zsda("eval", *common, f"run={RUN}", cwd=folder)
    by_file = zsda("eval", *common, f"ckpt={weights}", *SMALL_MODEL, "out=by_file", cwd=folder)
    assert by_run.returncode == by_file.returncode == 0, by_run.stderr + by_file.stderr
    one, other = (
        json.loads((folder / path / "night_full/scores.json").read_text()) for path in (f"runs/{RUN}/eval", "by_file")
    )
    assert one["settings"] == other["settings"]
    assert sum(map(sum, one["settings"]["night"]["confusion"])) > 3 * 32 * 64
    assert one["weights_digest"] == other["weights_digest"]


def test_several_runs_are_scored_each_once(zsda, trained, evaluated, world_with_sets, tmp_path):
    """Of three runs that match, one was scored before, one was not, and one is unfinished."""
    folder = tmp_path / "several"
    scored, fresh, unfinished, _ = runs = [folder / f"runs/night_sdgpa_seed{seed}" for seed in ("0", "1", "2", "10")]
    for run in runs:
        shutil.copytree(trained / "runs" / RUN, run, ignore=None if run == scored else shutil.ignore_patterns("eval"))
    shutil.copy(fresh / "intermediate/weights.safetensors", fresh / "target/weights.safetensors")
    PhaseFolder(fresh / "target").finish(PhaseFolder(fresh / "target").report())
    (unfinished / "target/phase.json").unlink()
    files = [run / "eval/day+night_sdgpa/scores.json" for run in runs]
    before = files[0].stat().st_mtime_ns
    words = ["setting=[day,night]", f"data_root={world_with_sets}", "trainer=cpu", "machine.num_workers=0"]
    result = zsda("eval", "run=*_seed?", *words, cwd=folder)
    assert result.returncode == 0, result.stderr
    assert f"scored before, read from {files[0].parent.relative_to(folder)}" in result.stdout
    assert f"written: {files[1].parent.relative_to(folder)}" in result.stdout
    assert "skipped: phase 'target' of runs/night_sdgpa_seed2 is not finished" in result.stdout
    assert [path.exists() for path in files] == [True, True, False, False]
    assert files[0].stat().st_mtime_ns == before
    rows = {line.split()[1]: line.split()[3::2] for line in result.stdout.splitlines() if line.startswith("│ night")}
    stored = [json.loads(path.read_text())["settings"] for path in files[:2]]
    assert stored[0] != stored[1]
    assert rows == {
        run.name: [f"{100 * settings[name]['miou']:.1f}" for name in ("day", "night")]
        for run, settings in zip(runs, stored, strict=False)
    }


SPOIL = {
    "run.json: holds no JSON object": lambda run: (run / "run.json").write_text("[]"),
    "target/phase.json: it names no": lambda run: (run / "target/phase.json").write_text("{}"),
    "target/weights.safetensors is gone": lambda run: (run / "target/weights.safetensors").unlink(),
    "target/weights.safetensors is not what its training wrote": lambda run: (
        run / "target/weights.safetensors"
    ).write_bytes(b"x"),
}


@pytest.mark.parametrize("said", SPOIL)
def test_a_damaged_run_does_not_keep_the_others_from_being_scored(
    zsda, trained, evaluated, world_with_sets, tmp_path, said
):
    folder = tmp_path / "several"
    spoilt, _ = runs = [folder / f"runs/night_sdgpa_seed{seed}" for seed in (1, 2)]
    for run in runs:
        shutil.copytree(trained / "runs" / RUN, run)
    SPOIL[said](spoilt)
    words = ["setting=[day,night]", f"data_root={world_with_sets}", "trainer=cpu", "machine.num_workers=0"]
    result = zsda("eval", "run=*", *words, cwd=folder)
    assert result.returncode == 0, result.stderr
    assert re.search(f"skipped: \\S*night_sdgpa_seed1/{re.escape(said)}", result.stdout)
    assert "scored before, read from runs/night_sdgpa_seed2" in result.stdout
    shutil.rmtree(runs[1])
    assert "none of the" in one_line(zsda("eval", "run=*", *words, cwd=folder))


def test_the_best_kept_epoch_is_named_as_oracle_selection_and_reported_so(zsda, trained, world_with_sets, tmp_path):
    """Of two runs that match, one kept an epoch; here it holds what its first phase left."""
    folder = tmp_path / "epochs"
    keeping, _ = runs = [folder / f"runs/night_sdgpa_seed{seed}" for seed in (0, 1)]
    for run in runs:
        shutil.copytree(trained / "runs" / RUN, run, ignore=shutil.ignore_patterns("eval"))
    report = json.loads((keeping / "target/phase.json").read_text())
    (keeping / "target/phase.json").write_text(json.dumps({**report, "epochs": 7}))
    (keeping / "target/epochs").mkdir()
    shutil.copy(keeping / "intermediate/weights.safetensors", keeping / "target/epochs/0004.safetensors")
    words = [
        "setting=[day,night]",
        f"data_root={world_with_sets}",
        "trainer=cpu",
        "machine.num_workers=0",
        "epochs=all",
    ]
    result = zsda("eval", "run=*", *words, cwd=folder)
    assert result.returncode == 0, result.stderr
    assert "skipped: night_sdgpa_seed1 kept only its last epoch; train it with keep=all" in result.stdout
    assert "* oracle selection: the best, of equals the first" in result.stdout
    stored = json.loads((keeping / "eval/day+night_sdgpa/epochs.json").read_text())["epochs"]
    assert list(stored) == ["0004", "0007"]
    scores = {
        name: {int(epoch): settings[name]["miou"] for epoch, settings in stored.items()} for name in ("day", "night")
    }
    best = {name: max(of_epochs, key=of_epochs.get) for name, of_epochs in scores.items()}
    rows = {
        line.split("│")[1].strip(): line.split("│")[2:-1] for line in result.stdout.splitlines() if line.startswith("│")
    }
    assert {epoch: [cell.strip() for cell in cells] for epoch, cells in rows.items()} == {
        str(epoch): [f"{100 * scores[name][epoch]:.1f}{' *' * (best[name] == epoch)}" for name in ("day", "night")]
        for epoch in (4, 7)
    }
    listed = list(csv.DictReader((keeping / "eval/day+night_sdgpa/epochs.csv").open()))
    assert {(row["setting"], int(row["epoch"])) for row in listed if row["oracle selection"] == "best"} == set(
        best.items()
    )
    assert Image.open(keeping / "eval/day+night_sdgpa/epochs.png").size == (770, 495)
    reported = zsda("report", f"runs={keeping.name}", "selection=best_on_target", cwd=folder)
    assert reported.returncode == 0, reported.stderr
    assert (
        f"{100 * scores['night'][best['night']]:.1f}" in (folder / "runs/report/table_oracle_selection.md").read_text()
    )


def test_a_damaged_image_is_named_and_the_rest_is_scored(zsda, trained, copied_world, tmp_path):
    victim = sorted((copied_world / "ACDC/rgb_anon/night/val").glob("*/*.png"))[1]
    victim.write_bytes(victim.read_bytes()[:200])
    result = zsda(
        "eval",
        "setting=night",
        f"data_root={copied_world}",
        "trainer=cpu",
        f"out={tmp_path}",
        "machine.num_workers=1",
        cwd=trained,
    )
    assert result.returncode == 1
    assert f"1 image was left out: {victim}" in one_line(result)
    stored = json.loads((tmp_path / "night_sdgpa/scores.json").read_text())
    assert victim.name in stored["left_out"][0]
    assert stored["settings"]["night"]["miou"] > 0


def test_a_foreign_label_id_ends_the_evaluation(zsda, trained, copied_world, tmp_path):
    label = next((copied_world / "ACDC/gt/night/val").glob("*/*_labelIds.png"))
    Image.fromarray(np.full((64, 128), 99, np.uint8)).save(label)
    result = zsda(
        "eval",
        "setting=night",
        f"data_root={copied_world}",
        "trainer=cpu",
        f"out={tmp_path / 'scores'}",
        "machine.num_workers=1",
        cwd=trained,
    )
    assert result.returncode == 2
    assert f"{label.name}: ids outside the table of labelIds: [99]; expected 0-33 and 255" in one_line(result)
    assert not (tmp_path / "scores").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["+settings={my day:1}"], "setting=my day; expected a name for a folder"),
        (["run=nothing"], "holds no run of zsda.train"),
        (["run=[night_*,snow_*]"], f"no run under runs matches snow_*; there is {RUN}"),
        (["run=*", "phase=third"], "none of the runs that match * could be used"),
        (["run=*", "model=smp"], "model= goes with ckpt=FILE only"),
        (["epochs=all"], f"{RUN} kept only its last epoch; train with keep=all"),
        (["epochs=all", "masks=true"], "it goes with neither ckpt= nor masks=true"),
        (["phase=third"], "has no phase 'third'; expected one of intermediate, target"),
        (["ckpt=nothing.safetensors"], "no weights at nothing.safetensors"),
        (["ckpt=nothing.safetensors", "run=any"], "give either ckpt= or run= and phase="),
        (["size=64"], "size=64; expected height and width in pixels"),
        (["protocol=mine"], "unknown protocol 'mine'; expected one of sdgpa, full"),
        (["data_root=nowhere"], "acdc: no folder nowhere/ACDC; expected rgb_anon/night/val"),
    ],
)
def test_bad_input_gets_one_line(zsda, trained, world_with_sets, more, message):
    result = zsda("eval", "setting=night", f"data_root={world_with_sets}", "trainer=cpu", *more, cwd=trained)
    assert result.returncode == 2, result.stderr
    assert message in one_line(result)


def test_the_rendered_setting_belongs_to_a_domain(zsda, trained, world_with_sets):
    common = [
        "eval",
        "setting=[day,rendered]",
        f"data_root={world_with_sets}",
        "trainer=cpu",
        "machine.num_workers=0",
        f"run={RUN}",
    ]
    assert "belong to a domain; give edits_of=night" in one_line(zsda(*common, cwd=trained))
    result = zsda(*common, "edits_of=night", cwd=trained)
    assert result.returncode == 0, result.stderr
    stored = scores(trained, "day+rendered_sdgpa")
    assert stored["images"] == {"day": 4, "rendered": 4}
    # The same scenes and labels, shown otherwise.
    labelled = [np.sum(stored["settings"][name]["confusion"], axis=1).tolist() for name in ("day", "rendered")]
    assert labelled[0] == labelled[1]
    assert stored["settings"]["day"]["iou"] != stored["settings"]["rendered"]["iou"]


def test_originals_are_not_scored_as_edits(zsda, trained, copied_world):
    (copied_world / "night_target/leftImg8bit/val").symlink_to("../../cityscapes/leftImg8bit/val")
    words = [f"data_root={copied_world}", "trainer=cpu", f"run={RUN}", "edits_of=night"]
    result = zsda("eval", "setting=edited", *words, cwd=trained)
    assert result.returncode == 2
    assert "night_target: 4 of 4 images are no edits but their source itself" in one_line(result)


def test_a_checkpoint_of_hiast_is_scored(zsda, world, tmp_path):
    """A warm-up of before the representation came, with its discriminator; and one of another network."""
    state = {f"seg_model.{key}": value for key, value in DeepLabV2(19, "resnet50").state_dict().items()}
    older = {key: value for key, value in state.items() if "representation" not in key}
    discriminator = {f"D.{key}": value for key, value in Discriminator(19).state_dict().items()}
    torch.save({**older, **discriminator}, tmp_path / "warm_up.pth")
    common = ["setting=night", f"data_root={world}", "size=[64,128]", "trainer=cpu", "machine.num_workers=0"]
    result = zsda("eval", f"ckpt={tmp_path / 'warm_up.pth'}", *common, "model=deeplabv2", "model.backbone=resnet50")
    assert result.returncode == 0, result.stderr
    assert f"{len(older)} tensors; not used: D" in " ".join(result.stdout.split())
    refused = zsda("eval", f"ckpt={tmp_path / 'warm_up.pth'}", *common)
    assert refused.returncode == 2
    assert "choose the model= that the file was made with: model=deeplabv2" in one_line(refused)
    torch.save({**state, "ema.aspp.weight": torch.zeros(1)}, tmp_path / "foreign.pth")
    refused = zsda("eval", f"ckpt={tmp_path / 'foreign.pth'}", *common, "model=deeplabv2", "model.backbone=resnet50")
    assert refused.returncode == 2
    assert "foreign.pth holds ema.aspp.weight; expected names under seg_model. and D. only" in one_line(refused)


def test_a_published_checkpoint_is_scored(zsda, world, tmp_path):
    """Keys of a parallel training, 20 outputs, and what the training left beside the weights."""
    state = {f"module.{key}": value for key, value in DeepLabV3Plus(20, **SMALL_NETWORK).state_dict().items()}
    beside = {"epoch": 65, "best_miou": np.float64(0.43), "optimizer_state_dict": {"state": {}, "param_groups": []}}
    torch.save({"model_state_dict": state, **beside}, tmp_path / "weights_65.pth.tar")
    del state["module.classifier.classifier.3.bias"]
    torch.save({"model_state_dict": state, **beside}, tmp_path / "incomplete.pth.tar")
    common = [
        "setting=night",
        f"data_root={world}",
        "size=[64,128]",
        "trainer=cpu",
        "machine.num_workers=0",
        *SMALL_MODEL,
    ]
    published = tmp_path / "weights_65.pth.tar"
    result = zsda("eval", f"ckpt={published}", *common)
    assert result.returncode == 0, result.stderr
    # The authors give the files of all domains this name, so some of a digest is in that of the folder.
    (folder,) = (tmp_path / "work/runs").glob("weights_65_????????")
    stored = json.loads((folder / "eval/night_sdgpa/scores.json").read_text())
    assert f"{100 * stored['settings']['night']['miou']:.1f}" in result.stdout
    confusion = np.array(stored["settings"]["night"]["confusion"])
    assert confusion.sum() > 3 * 64 * 128 / 2
    assert "epoch 65; not used: epoch, best_miou, optimizer_state_dict" in " ".join(result.stdout.split())
    other = zsda("eval", f"ckpt={published}", *common, "model.rates=[1,2,3]")
    assert other.returncode == 0, other.stderr
    assert len(list(folder.parent.glob("weights_65_*"))) == 2, "the same file for another network"
    refused = zsda("eval", f"ckpt={tmp_path / 'incomplete.pth.tar'}", *common)
    assert refused.returncode == 2
    assert "does not fit DeepLabV3Plus: missing: classifier.classifier.3.bias; choose" in one_line(refused)
