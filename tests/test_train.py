import importlib.util
import json
import logging
import os
import resource
import shutil
import signal
import subprocess
import sys
import time

import hydra
import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.conftest import SMALL_MODEL, SMALL_NETWORK, SMALL_UNET, one_line
from tests.small_hiast import write_configs
from zsda.core.config import conf_dir
from zsda.core.errors import ZsdaError, lines_of
from zsda.core.listing import check_training_data
from zsda.data.classes import find_classes
from zsda.models.deeplab import DeepLabV3Plus
from zsda.models.weights import read_weights

RUN = "night_sdgpa_seed0"


def words(own_configs, data_root, *more):
    return ["--config-dir", own_configs, "experiment=tiny", f"data_root={data_root}", *more]


def test_a_run_folder_explains_itself(trained):
    run = trained / "runs" / RUN
    record = json.loads((run / "run.json").read_text())
    assert record["phases"] == ["intermediate", "target"]
    assert record["settings"]["domain"]["prompt"] == "Make it evening"
    assert record["settings"]["model"]["backbone"] == "resnet18"
    header = record["header"]
    assert (header["method"], header["domain"], header["seed"], header["size"]) == ("sdgpa", "night", 0, [64, 128])
    assert (header["source_setting"], header["target"]) == ("day", "night")
    assert (header["world"], header["experiment"]) == ("real", "tiny")
    assert (header["source"], header["unlabelled"], header["start_weights"]) == ("cityscapes train", None, None)
    assert header["classes"] == find_classes(19).plain()
    assert header["batch_size"] == 2
    assert header["optimizer"] == {"class": "torch.optim.SGD", "lr": 0.001, "momentum": 0.9, "weight_decay": 1e-4}
    assert header["schedule"]["power"] == 0.9
    assert not {"machine", "world", "data_root", "name"} & record["settings"].keys()
    assert header["network"]["option"] == "real"
    assert header["network"]["arguments"]["backbone"] == "resnet18"
    assert "_target_" not in json.dumps(record)
    assert record["starts"][0]["versions"]["zsda"]
    for phase, steps in (("intermediate", 8), ("target", 4)):
        assert json.loads((run / phase / "phase.json").read_text())["steps"] == steps
        assert read_weights(run / phase / "weights.safetensors")
        assert "train/loss_source" in next((run / "intermediate").glob("csv/*/metrics.csv")).read_text()
        assert next((run / phase).glob("tensorboard/*/events*"))
    assert sorted(path.name for path in trained.iterdir()) == ["runs"]


@pytest.mark.parametrize(
    "more",
    [
        [],
        [
            "machine.num_workers=1",
            "data.cache=true",
            "+method.phases.target.data.cache=true",
            "machine.cache_gb=2",
            "profile=true",
            "machine.log_every_n_steps=3",
            "logger=csv",
            "world.editor.steps=3",
            "method.epochs.single=7",
            "keep=all",
        ],
    ],
    ids=["same", "nothing it reads"],
)
def test_a_second_start_skips_what_is_finished(zsda, trained, own_configs, world_with_sets, more):
    before = (trained / "runs" / RUN / "target/weights.safetensors").stat().st_mtime_ns
    result = zsda("train", *words(own_configs, world_with_sets, *more), cwd=trained)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("finished before, skipped") == 2
    assert (trained / "runs" / RUN / "target/weights.safetensors").stat().st_mtime_ns == before


def test_decoded_images_change_nothing_and_the_time_is_told(zsda, trained, own_configs, world_with_sets, tmp_path):
    kept = zsda("train", *words(own_configs, world_with_sets, "data.cache=true", "profile=true"))
    assert kept.returncode == 0, kept.stderr
    assert "decoded images and labels, about" in kept.stdout
    assert kept.stdout.count("time: ") == 2 and "of which waiting for data" in kept.stdout
    for phase in ("intermediate", "target"):
        one, other = (
            read_weights(root / "runs" / RUN / phase / "weights.safetensors") for root in (trained, tmp_path / "work")
        )
        assert all((one[key] == other[key]).all() for key in one)


@pytest.mark.parametrize(
    ("word", "change"),
    [
        ("optimizer.lr=0.5", "optimizer.lr was 0.001 and is now 0.5"),
        (
            "classes=16",
            "data.source.classes was 19 and is now 16; data.validation.classes was 19 and is now 16; "
            "model.num_classes was 20 and is now 16",
        ),
    ],
)
def test_other_settings_never_continue_a_run(zsda, trained, own_configs, world_with_sets, word, change):
    result = zsda("train", *words(own_configs, world_with_sets, word), cwd=trained)
    assert result.returncode == 2
    assert f"other settings ({change}); give the new one another name=" in one_line(result)


@pytest.mark.parametrize("how", ["moved", "relative", "linked", "sets apart"])
def test_where_the_data_lies_does_not_matter(zsda, trained, own_configs, copied_world, tmp_path, how):
    shutil.copytree(trained / "runs", tmp_path / "work/runs")
    if how == "linked":
        (tmp_path / "link").symlink_to(copied_world)
    apart = []
    if how == "sets apart":
        for place in copied_world.glob("night_*"):
            (tmp_path / "sets").mkdir(exist_ok=True)
            place.rename(tmp_path / "sets" / place.name)
        apart = ["generated_root=../sets"]
    root = {"relative": "../data", "linked": tmp_path / "link"}.get(how, copied_world)
    result = zsda("train", *words(own_configs, root, *apart))
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("finished before, skipped") == 2
    starts = json.loads((tmp_path / "work/runs" / RUN / "run.json").read_text())["starts"]
    assert len({start["data_root"] for start in starts}) == 2
    assert starts[-1]["generated_root"] == str(tmp_path / "work/../sets" if apart else starts[-1]["data_root"])


@pytest.mark.parametrize(
    ("change", "views"),
    [("target", "target"), ("source", "intermediate, source, target")],
)
def test_other_data_never_continues_a_run(zsda, trained, own_configs, copied_world, tmp_path, change, views):
    shutil.copytree(trained / "runs", tmp_path / "work/runs")
    folder = {"target": "night_target", "source": "cityscapes"}[change]
    image = next((copied_world / folder / "leftImg8bit/train").glob("*/*.png"))
    changed = [image]
    if change == "source":
        changed.append(next((copied_world / "cityscapes/gtFine/train").glob("*/*labelIds.png")))
    for path in changed:
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))  # of equal size
    result = zsda("train", *words(own_configs, copied_world))
    assert result.returncode == 2
    assert f"holds a run that was trained on other files of {views} (names or contents differ" in one_line(result)


@pytest.mark.parametrize("harm", ["all ignored", "no PNG", "12 bits"])
def test_a_training_that_can_learn_nothing_says_why_and_trains_once_its_files_are_mended(
    zsda, copied_world, tmp_path, harm
):
    root = copied_world / "cityscapes"
    folder, ending = ("leftImg8bit", "leftImg8bit") if harm == "12 bits" else ("gtFine", "labelIds")
    whole = {path: path.read_bytes() for path in sorted((root / folder / "train").glob(f"*/*{ending}.png"))}
    for path in whole:
        if harm == "all ignored":
            Image.new("L", (128, 64), 1).save(path)
        elif harm == "no PNG":
            Image.new("L", (128, 64), 7).save(path, "JPEG")
        else:
            Image.fromarray(np.full((64, 128), 4000, np.uint16)).save(path)
    words = [*ONE_STEP, f"data_root={copied_world}"]
    result = zsda("train", *words)
    assert result.returncode == 2, result.stderr
    named = f"the first is {next(iter(whole))}" if harm == "all ignored" else "cannot be decoded"
    said = one_line(result)
    assert "epoch 1: not one labelled pixel" in said and named in said and str(root / folder) in said
    run = next((tmp_path / "work/runs").iterdir())
    assert not [*run.rglob("*.safetensors"), *run.rglob("*.ckpt"), *run.rglob("phase.json")]
    for path, content in whole.items():
        path.write_bytes(content)
    result = zsda("train", *words)
    assert result.returncode == 0, result.stderr
    assert "skipped" not in result.stdout
    assert list(run.rglob("weights.safetensors"))


def test_a_rate_far_too_high_ends_with_the_step_and_leaves_no_result(zsda, world_with_sets, tmp_path):
    longer = ["method.phases.source.steps=4", "method.phases.source.horizon=4"]
    result = zsda("train", *ONE_STEP, *longer, "optimizer.lr=1e30", f"data_root={world_with_sets}")
    assert result.returncode == 2, result.stderr
    assert "lower optimizer.lr=" in one_line(result)
    assert not [*tmp_path.rglob("*.safetensors"), *tmp_path.rglob("phase.json")]


def test_start_weights_count_by_their_content(zsda, world_with_sets, tmp_path):
    torch.save(DeepLabV3Plus(20, **SMALL_NETWORK).state_dict(), tmp_path / "a.pth")
    shutil.copy(tmp_path / "a.pth", tmp_path / "b.pth")
    words = [*ONE_STEP, f"data_root={world_with_sets}"]
    assert zsda("train", *words, f"model.weights={tmp_path / 'a.pth'}").returncode == 0
    assert "finished before, skipped" in zsda("train", *words, f"model.weights={tmp_path / 'b.pth'}").stdout
    torch.save(DeepLabV3Plus(20, **SMALL_NETWORK).state_dict(), tmp_path / "b.pth")
    other = zsda("train", *words, f"model.weights={tmp_path / 'b.pth'}")
    assert "other settings (model.weights was" in one_line(other)


SLURM = {
    "JOB_ID": "4711", "JOB_NAME": "batch", "NTASKS": "1", "NTASKS_PER_NODE": "1", "PROCID": "0", "LOCALID": "0",
    "NODEID": "0", "NNODES": "1", "NODELIST": "localhost", "JOB_NODELIST": "localhost",
}  # fmt: skip


def test_under_slurm_a_phase_goes_on_from_its_own_checkpoint_alone(
    zsda, trained, own_configs, world_with_sets, tmp_path
):
    """Whatever Lightning would resume from lies in the working folder, and in those of the run and its phases."""
    folder = tmp_path / "work"
    state = torch.load(trained / "runs" / RUN / "intermediate/last.ckpt", weights_only=True)
    for place in (folder, *(folder / "runs" / RUN / phase for phase in (".", "intermediate", "target"))):
        place.mkdir(parents=True, exist_ok=True)
        torch.save(state, place / "hpc_ckpt_1.ckpt")
    env = {f"SLURM_{name}": value for name, value in SLURM.items()}
    result = zsda("train", *words(own_configs, world_with_sets), env=env)
    assert result.returncode == 0, result.stderr
    for phase in ("intermediate", "target"):
        here, straight = (
            read_weights(root / "runs" / RUN / phase / "weights.safetensors") for root in (folder, trained)
        )
        assert all((here[key] == straight[key]).all() for key in straight), phase
    scored = zsda("eval", "setting=day", f"run={RUN}", f"data_root={world_with_sets}", "trainer=cpu", env=env)
    assert scored.returncode == 0, scored.stderr


def test_a_run_that_is_told_to_end_says_so_goes_on_and_ends_the_same(
    zsda, trained, own_configs, world_with_sets, tmp_path
):
    folder = tmp_path / "told"
    folder.mkdir()
    command = [sys.executable, "-m", "zsda.train", *map(str, words(own_configs, world_with_sets))]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    checkpoint = folder / "runs" / RUN / "intermediate/last.ckpt"
    while not checkpoint.exists() and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    told = process.communicate()[1]
    assert process.returncode == 128 + signal.SIGTERM
    assert "Traceback" not in told
    assert "zsda.train: stopped at step" in told
    assert not (folder / "runs" / RUN / "target/phase.json").exists()
    result = zsda("train", *words(own_configs, world_with_sets), cwd=folder)
    assert result.returncode == 0, result.stderr
    assert "resuming from" in result.stdout
    for phase in ("intermediate", "target"):
        resumed, straight = (
            read_weights(root / "runs" / RUN / phase / "weights.safetensors") for root in (folder, trained)
        )
        assert all((resumed[key] == straight[key]).all() for key in straight)


@pytest.mark.parametrize(
    ("damage", "more", "message"),
    [
        ("", ["data_root=nowhere"], "cityscapes: no folder nowhere/cityscapes; expected leftImg8bit/train"),
        ("night_target", [], "night_target: no folder"),
        ("", ["model.weights=nothing.pth"], "no weights at nothing.pth"),
        (
            "",
            ["method.phases.target.horizon=0"],
            "method.phases.target.horizon=0; expected a whole number of at least 1",
        ),
        ("", ["trainer=gpu", "machine.accelerator=tpu"], "trainer:"),
        (
            "",
            ["machine.devices=2", "machine.strategy=ddp", "data.batch_size=3"],
            "cannot be shared by 2; give a multiple of 2",
        ),
        ("", ["machine.devices=2", "machine.strategy=ddp"], "data.batch_size=2 on 2 devices leaves one scene each"),
        ("", ["published=dusk"], "dusk"),
        ("", ["data.cache=often"], "data.cache=often; expected true or false"),
        ("", ["data.cache=true", "machine.cache_gb=0"], "machine.cache_gb=0; expected a number above 0"),
        ("", ["profile=much"], "profile=much; expected true or false"),
    ],
)
def test_bad_input_gets_one_line_and_leaves_nothing(zsda, copied_world, own_configs, tmp_path, damage, more, message):
    if damage:
        shutil.rmtree(copied_world / damage)
    result = zsda("train", *words(own_configs, copied_world, *more))
    assert result.returncode == 2, result.stderr
    assert message in one_line(result)
    assert not list((tmp_path / "work").iterdir())


def test_a_full_disk_gets_one_line_and_leaves_no_half_checkpoint(own_configs, world_with_sets, tmp_path):
    def limit_file_size():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))

    command = [sys.executable, "-m", "zsda.train", *map(str, words(own_configs, world_with_sets))]
    result = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, preexec_fn=limit_file_size, check=False, timeout=600
    )
    assert result.returncode == 2, result.stderr
    assert "no space left to write" in one_line(result)
    assert not list(tmp_path.rglob("*.ckpt"))
    assert not list(tmp_path.rglob("*.part"))


def write_scores(root, **scores):
    """Gives the images of each set of night, by the name of its recipe, their layout scores in order."""
    for recipe, of_set in scores.items():
        folder = root / f"night_{recipe}"
        images = [path.relative_to(folder).as_posix() for path in sorted(folder.glob("leftImg8bit/train/*/*.png"))]
        lines = [
            json.dumps({"source": image, "layout_score": score, "layout_network": "one"})
            for image, score in zip(images, of_set, strict=True)
        ]
        (folder / "manifest.jsonl").write_text("\n".join(lines))


def test_the_best_scenes_alone_are_trained_on(zsda, copied_world, own_configs, tmp_path):
    # The worst of all images cannot even be read, which the command would tell and end with 1.
    write_scores(copied_world, target=[0.9, 0.1, *[0.5] * 6], intermediate=[0.9, *[0.8] * 6, 0.2])
    best = words(own_configs, copied_world, "data.keep_best=0.75", "method.phases.intermediate.epochs=1")
    worst = sorted((copied_world / "night_target").glob("leftImg8bit/train/*/*.png"))[1]
    worst.write_bytes(worst.read_bytes()[:300])
    result = zsda("train", *best)
    assert result.returncode == 0, result.stdout + result.stderr
    said = " ".join(result.stdout.split())
    first = "source + intermediate, 6 scenes: the best 75 % of 8 by layout score, from 0.800"
    assert f"phase 1 of 2, intermediate: {first}, 1 epochs" in said
    both = "target + intermediate, 6 scenes: the best 75 % of 8 by layout score, from 0.500"
    assert f"phase 2 of 2, target: {both}, 1 epochs" in said
    run = tmp_path / "work/runs" / RUN
    steps = [json.loads((run / phase / "phase.json").read_text())["steps"] for phase in ("intermediate", "target")]
    assert steps == [3, 3]
    assert json.loads((run / "run.json").read_text())["settings"]["data"]["keep_best"] == 0.75
    write_scores(copied_world, target=[0.1, 0.9, *[0.5] * 6])
    again = zsda("train", *best)
    assert again.returncode == 2, "other scenes are the best, with which the run cannot go on"
    assert "target" in one_line(again)


def test_self_training_on_edits_takes_the_best_of_them(zsda, copied_world, tmp_path):
    write_scores(copied_world, target=[0.9, *[0.8] * 6, 0.2], intermediate=[0.5] * 8)
    (tmp_path / "configs").mkdir()
    configs = write_configs(tmp_path / "configs")
    words = ["--config-dir", configs, "experiment=bridge", "method=mortal_bridge", f"data_root={copied_world}"]
    result = zsda("train", *words, "data.keep_best=0.5")
    assert result.returncode == 0, result.stdout + result.stderr
    said = " ".join(result.stdout.split())
    assert said.count("night_target, 4 images: the best 50 % of 8 by layout score, from 0.800") == 1
    assert "labels1: checks the labels of 4 of night_target" in said
    assert "round3: 4 of night_target, " in said
    assert len(list((tmp_path / "work/runs").glob("*/labels1/labels/*.png"))) == 4


@pytest.mark.parametrize(("method", "sizes"), [("sdgpa", []), ("sdgpa_then_hiast", ["method.rounds.batch_size=4"])])
def test_a_choice_by_layout_score_that_cannot_be_made_is_told_before_the_training(copied_world, method, sizes, caplog):
    def told(*more):
        words = [f"data_root={copied_world}", "domain=night", f"method={method}", "data.batch_size=4", *sizes, *more]
        with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
            config = hydra.compose("train", words)
        try:
            check_training_data(config)
        except ZsdaError as error:
            return [str(one) for one in lines_of(error)]
        return []

    write_scores(copied_world, target=[0.5] * 8, intermediate=[0.5] * 8)
    for recipe in ("target", "intermediate"):
        manifest = copied_world / f"night_{recipe}/manifest.jsonl"
        manifest.write_text(manifest.read_text().partition("\n")[2])
    for option in ("keep_best=0.9", "min_layout_score=0.5"):
        lacking = told(f"data.{option}")
        assert len(lacking) == 2, "each set once"
        assert all("1 of 8 images have no layout score" in line for line in lacking)
        assert all(line.endswith(f"or give data.{option.partition('=')[0]}=null") for line in lacking)
    both = told("data.keep_best=0.9", "data.min_layout_score=0.5")
    assert "data.min_layout_score=0.5 and data.keep_best=0.9; give one of the two" in both
    caplog.set_level(logging.INFO)
    write_scores(copied_world, target=[0.5] * 8, intermediate=[0.5] * 8)
    few = told("data.keep_best=0.4")
    assert few[0] == (
        "data.batch_size=4 needs as many scenes, there are 3 with data.keep_best=0.4; "
        "raise data.keep_best, or lower data.batch_size"
    )
    shutil.copytree(copied_world / "night_oracle/leftImg8bit/val", copied_world / "night_target/leftImg8bit/val")
    assert told("data.keep_best=0.5", "data.watch=[source,target]") == [], "what is watched needs no scores"
    chosen = [record.message for record in caplog.records if "by layout score" in record.message]
    expected = ["night_target, 4 images: the best 50 % of 8 by layout score, from 0.500"]
    assert chosen == (expected if method == "sdgpa_then_hiast" else [])


def test_a_run_says_that_it_left_the_published_setting(zsda, world_with_sets):
    lengths = [f"method.epochs.{name}=1" for name in ("first", "second", "horizon")]
    words = ["experiment=night", *SMALL, *lengths, f"data_root={world_with_sets}"]
    said = " ".join(zsda("train", *words, "trainer.precision=bf16-mixed").stdout.split())
    assert "not the published setting of experiment=night: " in said
    assert "trainer.precision=bf16-mixed (published: 32-true)" in said
    assert "model.backbone=resnet18 (published: resnet50)" in said
    assert "data.seed" not in said


def test_originals_are_not_watched_as_edits(zsda, copied_world, own_configs, tmp_path):
    (copied_world / "night_target/leftImg8bit/val").symlink_to("../../cityscapes/leftImg8bit/val")
    result = zsda("train", *words(own_configs, copied_world, "data.watch=[source,target]"))
    assert result.returncode == 2
    assert "night_target: 4 of 4 images are no edits but their source itself" in one_line(result)
    assert not list((tmp_path / "work").iterdir())


def test_a_training_starts_from_a_published_checkpoint(zsda, world_with_sets, tmp_path):
    """Phase 1's result, as the authors save it: keys of a parallel training, and float64 scalars of NumPy."""
    state = DeepLabV3Plus(20, **SMALL_NETWORK).state_dict()
    beside = {"epoch": 100, "best_miou": np.float64(0.43), "metrics": {"miou": np.float64(0.4), "acc": np.float64(0.9)}}
    path = tmp_path / "checkpoint.pth.tar"
    wrapped = {f"module.{key}": value for key, value in state.items()}
    torch.save({"model_state_dict": wrapped, **beside}, path)
    start = [
        *ONE_STEP,
        f"data_root={world_with_sets}",
        "optimizer.lr=1e-12",
        "schedule.floor=1e-15",
        f"model.weights={path}",
    ]
    result = zsda("train", *start)
    assert result.returncode == 0, result.stderr
    trained = read_weights(tmp_path / "work/runs/day_source_only_seed0/source/weights.safetensors")
    assert all(torch.allclose(trained[k], state[k], atol=1e-6) for k in state if k.endswith(("weight", "bias")))
    del wrapped["module.classifier.classifier.3.bias"]
    torch.save({"model_state_dict": wrapped, **beside}, path)
    refused = zsda("train", *start, "name=other")
    assert refused.returncode == 2
    assert "does not fit DeepLabV3Plus: missing: classifier.classifier.3.bias; choose" in one_line(refused)
    torch.save({"model_state_dict": wrapped, "args": Canary(tmp_path / "canary")}, path)
    refused = zsda("train", *start, "name=other")
    assert refused.returncode == 2
    assert "it holds posix.mkdir, which is no weight, and nothing of it was executed" in one_line(refused)
    assert not (tmp_path / "canary").exists()


class Canary:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def test_source_only_needs_no_domain_and_any_library_network_trains(zsda, world, tmp_path):
    result = zsda(
        "train", "method=source_only", *SMALL_UNET, f"data_root={world}",
        "data.transform.size=[32,64]", "data.transform.crop=null", "data.batch_size=4", "machine.num_workers=1", "trainer=cpu",
        "trainer.precision=bf16-mixed", "optimizer=adamw", "schedule=one_cycle", "method.phases.source.epochs=1",
        "method.phases.source.horizon=1",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    run = tmp_path / "work/runs/day_source_only_seed0"
    assert (run / "source/weights.safetensors").is_file()
    header = json.loads((run / "run.json").read_text())["header"]
    assert (header["source_setting"], header["target"], header["domain"]) == ("day", None, None)


SWIN = [
    "model=smp", "model.architecture=unet", "model.encoder=tu-swin_tiny_patch4_window7_224", "model.pretrained=false",
    "method=source_only", "~method.phases.source.epochs", "+method.phases.source.steps=1", "method.phases.source.horizon=1",
    "data.batch_size=2", "machine.num_workers=0", "trainer=cpu",
]  # fmt: skip


def test_an_encoder_made_for_one_size_is_trained_and_scored_at_others(zsda, world):
    sizes = ["data.transform.size=[64,128]", "data.transform.crop=[32,96]"]
    result = zsda("train", *SWIN, *sizes, f"data_root={world}", "name=a")
    assert result.returncode == 0, result.stderr
    words = ["setting=day", "run=a", f"data_root={world}", "trainer=cpu", "machine.num_workers=0"]
    result = zsda("eval", *words, "size=[96,160]")
    assert result.returncode == 0, result.stderr
    refused = one_line(zsda("eval", *words, "size=[96,150]", "out=other"))
    assert "size=[96,150]: the network cannot take images of that size" in refused


@pytest.mark.parametrize(
    ("sizes", "told"),
    [
        (["data.transform.size=[64,128]", "data.transform.crop=[30,96]"], "data.transform.crop=[30,96]: "),
        (["data.transform.size=[62,128]", "data.transform.crop=[32,96]"], "data.transform.size=[62,128]: "),
    ],
)
def test_a_size_that_the_network_cannot_take_is_told_before_anything_is_begun(zsda, world, tmp_path, sizes, told):
    result = zsda("train", *SWIN, *sizes, f"data_root={world}", "name=a")
    assert result.returncode == 2
    assert told in one_line(result)
    assert not (tmp_path / "work/runs").exists()


SMALL = [
    "data.transform.size=[32,64]", "data.transform.crop=null", "machine.num_workers=0", "trainer=cpu",
    *SMALL_MODEL, "model.pretrained=false",
]  # fmt: skip
ONE_STEP = [
    *SMALL, "method=source_only", "~method.phases.source.epochs", "+method.phases.source.steps=1",
    "method.phases.source.horizon=1",
]  # fmt: skip


CONTROLS = {
    *("source_only", "source_2x", "weather", "whole", "target_only", "intermediate_only", "one_phase", "reversed"),
    *("keep_source", "sdgpa", "oracle"),
}


def test_a_sweep_over_methods_trains_all_that_fit_for_as_many_steps(zsda, world_with_sets, tmp_path):
    lengths = [
        f"++method.epochs.{name}={count}"
        for name, count in (("first", 1), ("second", 1), ("horizon", 1), ("single", 2))
    ]
    sweep = "method=glob(*,exclude=sdgpa_then_hiast)"  # which fits, and takes 24,000 steps
    watch = ["logger=csv", "data.watch=[]", f"data_root={world_with_sets}"]
    result = zsda("train", "-m", sweep, "domain=night", *SMALL, *lengths, *watch)
    assert result.returncode == 0, result.stderr
    every = {path.stem for path in (conf_dir() / "method").glob("*.yaml")} - {"sdgpa_then_hiast"}
    unpaired = {"hiast", "hiast_from_files", "hiast_source_only", "adaptsegnet", "advent", "minent"}
    assert every == CONTROLS | unpaired | {"zodi"}
    for method in unpaired:
        assert f"left out: method={method} does not fit data=cityscapes: its phase" in result.stdout
    steps = {}
    for path in (tmp_path / "work/runs").glob("*/run.json"):
        record = json.loads(path.read_text())
        phases = [json.loads((path.parent / phase / "phase.json").read_text()) for phase in record["phases"]]
        steps[record["header"]["method"]] = sum(phase["steps"] for phase in phases)
    assert steps.keys() == CONTROLS | {"zodi"}
    assert steps["sdgpa"] > 1
    assert set(steps.values()) == {steps["sdgpa"]}


def test_a_sweep_in_which_nothing_fits_fails(zsda, world, tmp_path):
    result = zsda("train", "-m", "method=hiast", "seed=0,1", "trainer=cpu", f"data_root={world}")
    assert result.returncode == 2
    assert "method=hiast does not fit data=cityscapes" in one_line(result)
    assert result.stdout.count("left out: ") == 2


def test_a_sweep_over_domains_trains_once_what_sees_none(zsda, world, tmp_path):
    result = zsda("train", "-m", "domain=night,fog", *ONE_STEP, f"data_root={world}")
    assert result.returncode == 0, result.stderr
    (run,) = (tmp_path / "work/runs").glob("*/run.json")
    assert run.parent.name == "day_source_only_seed0"
    assert len(json.loads(run.read_text())["starts"]) == 2
    assert "finished before, skipped" in result.stdout + result.stderr
    same = zsda("train", "domain=rain", "data.keep_best=0.5", *ONE_STEP, f"data_root={world}")
    assert same.returncode == 0, same.stderr
    assert "finished before, skipped" in same.stdout + same.stderr


def test_a_baseline_that_is_given_a_generated_view_belongs_to_its_domain(zsda, world_with_sets):
    words = [
        "domain=night",
        "method=source_only",
        "method.phases.source.data.views=[source,target]",
        *ONE_STEP,
        f"data_root={world_with_sets}",
    ]
    assert zsda("train", *words).returncode == 0
    message = "other settings (domain.text_guidance was 20.0 and is now 3)"
    assert message in one_line(zsda("train", *words, "domain.text_guidance=3"))


def test_a_training_shows_what_it_makes_of_the_first_scenes(trained):
    for phase, steps in (("intermediate", [3, 7]), ("target", [3])):
        (folder,) = (trained / "runs" / RUN / phase / "tensorboard").iterdir()
        events = EventAccumulator(str(folder), size_guidance={"images": 0})
        events.Reload()
        assert events.Tags()["images"] == ["panels/source"]
        assert [shown.step for shown in events.Images("panels/source")] == steps
        assert {(shown.width, shown.height > 2 * 64) for shown in events.Images("panels/source")} == {(420, True)}


def test_wandb_is_chosen_by_one_word_and_leaves_the_csv(zsda, world_with_sets, tmp_path):
    wandb = pytest.importorskip("wandb")
    words = [*ONE_STEP, f"data_root={world_with_sets}", "logger=wandb"]
    try:
        result = zsda("train", *words, env={"WANDB_MODE": "offline", "WANDB_CONSOLE": "off"})
    finally:
        wandb.teardown()
    assert result.returncode == 0, result.stderr
    phase = tmp_path / "work/runs/day_source_only_seed0/source"
    assert list(phase.glob("csv/*/metrics.csv")) and not (phase / "tensorboard").exists()
    (folder,) = phase.glob("wandb/offline-run-*")
    assert folder.name.endswith((phase / "wandb/run_id").read_text())
    (picture,) = folder.glob("files/media/images/panels/source_*.png")
    assert Image.open(picture).width == 24 + 3 * 64 + 2 * 6
    assert sorted(path.name for path in (tmp_path / "work").iterdir()) == ["runs"]


def test_a_logger_whose_package_is_missing_is_one_line_and_leaves_nothing(zsda, world_with_sets, tmp_path, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "mlflow" else find(name, *more)
    )
    result = zsda("train", *ONE_STEP, f"data_root={world_with_sets}", "logger=[csv,mlflow]")
    assert result.returncode == 2, result.stderr
    assert "logger=mlflow needs the package mlflow, not installed here; pip install 'zsda[mlflow]'" in one_line(result)
    assert not list((tmp_path / "work").iterdir())
