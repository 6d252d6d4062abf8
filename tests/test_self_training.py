"""HIAST through the command: from the source to the last round, killed on the way, and shared by two processes."""

import csv
import json
import os
import signal
from pathlib import Path

import pytest
import torch

from tests.conftest import one_line, run
from tests.small_hiast import PlainNetwork, write_configs
from tests.starting import spawn
from tests.test_methods import files_of
from zsda.models.weights import read_weights, save_weights

ROOT = Path(__file__).parents[1]
TWO = [
    "trainer=ddp",
    "machine.accelerator=cpu",
    "machine.devices=2",
    "trainer.precision=32-true",
]
PATHS = {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}


@pytest.fixture(scope="module")
def configs(tmp_path_factory):
    return write_configs(tmp_path_factory.mktemp("configs"))


@pytest.fixture(scope="module")
def words(configs, world):
    return ["--config-dir", configs, "experiment=small", f"data_root={world}"]


@pytest.fixture(scope="module")
def whole(words, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    result = run("train", *words, "method=mortal", "name=mortal", cwd=folder)
    assert result.returncode == 0, result.stdout + result.stderr
    return folder / "runs/mortal"


def losses(phase):
    """The loss of every step, by name."""
    (metrics,) = phase.glob("csv/*/metrics.csv")
    rows = list(csv.DictReader(metrics.open()))
    steps = {key for key in rows[0] if key.startswith("train/loss") and key.endswith("_step")}
    return {key: [float(row[key]) for row in rows if row[key]] for key in steps}


def test_every_phase_leaves_what_the_next_one_needs(whole):
    phases = ["source", "warm_up", "labels1", "round1", "labels2", "round2", "labels3", "round3"]
    assert json.loads((whole / "run.json").read_text())["phases"] == phases
    for number in (1, 2, 3):
        header = json.loads((whole / f"labels{number}/pseudo_labels.json").read_text())
        assert (header["images"], header["size"]) == (3, [64, 128])
        rows = list(csv.DictReader((whole / f"labels{number}/pseudo_labels.csv").open()))
        assert len(rows) == 20 and rows[-1]["class"] == "all"
        assert 0 < float(rows[-1]["kept_share"]) < 1 and 0 <= float(rows[-1]["accuracy"]) <= 1
        assert {*losses(whole / f"round{number}")} == {
            f"train/loss{name}_step" for name in ("", "_pseudo", "_kld", "_entropy", "_consistency")
        }
    assert {*losses(whole / "warm_up")} == {
        f"train/loss{name}_step" for name in ("", "_source", "_adversarial", "_discriminator")
    }


def test_a_round_starts_from_the_student_and_its_teacher_with_it(whole):
    """In the last round the teacher moves by a thousandth at a step, so it is still where the student began."""
    student, before, teacher = (
        read_weights(whole / name)
        for name in ("round3/weights.safetensors", "round2/weights.safetensors", "round3/teacher.safetensors")
    )
    far = {key: (student[key] - before[key]).abs().max() for key in before}
    assert all((teacher[key] - before[key]).abs().max() < 0.01 * far[key] + 1e-7 for key in before)
    assert max(far.values()) > 1e-5


def test_killed_in_warm_up_labelling_and_round_it_ends_with_the_same_weights(words, whole, tmp_path):
    texts = [str(word) for word in (*words, "method=mortal", "name=mortal")]
    for place in ("warm_up:2", "labels:2", "round:3"):
        killed = spawn("zsda.train", texts, tmp_path, {**os.environ, **PATHS, "KILL_AT": place})
        assert killed.returncode == -signal.SIGKILL, killed.stdout + killed.stderr
    ended = run("train", *texts, cwd=tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert files_of(tmp_path / "runs/mortal") == files_of(whole)
    phases = ("warm_up", "labels1", "round2")
    reports = [json.loads((tmp_path / "runs/mortal" / phase / "phase.json").read_text()) for phase in phases]
    assert all(report["resumed"] for report in reports)


@pytest.mark.parametrize("method", ["adaptsegnet", "round"])
def test_two_processes_calculate_what_one_does(words, tmp_path, method):
    torch.manual_seed(3)
    save_weights(PlainNetwork(19), tmp_path / "start.safetensors")
    more = {
        "adaptsegnet": [
            f"method.phases.{p}.{key}" for p in ("source", "warm_up") for key in ("epochs=1", "data.batch_size=2")
        ],
        "round": [f"method.phases.file.file={tmp_path / 'start.safetensors'}"],
    }[method]
    found = {}
    for name, trainer in (("one", ["trainer.precision=32-true"]), ("two", TWO)):
        result = run(
            "train",
            *words,
            f"method={method}",
            f"name={name}",
            *more,
            *trainer,
            "method.batch_size=2",
            cwd=tmp_path,
            env=PATHS,
        )
        assert result.returncode == 0, result.stdout + result.stderr
        found[name] = tmp_path / "runs" / name
    for phase in {"adaptsegnet": ["source", "warm_up"], "round": ["round"]}[method]:
        one, two = (losses(found[name] / phase) for name in found)
        assert one.keys() == two.keys()
        for key, values in one.items():
            assert len(values) == 4 and two[key] == pytest.approx(values, abs=1e-5), (phase, key)
    if method == "round":
        labels = [{p.name: p.read_bytes() for p in (found[name] / "labels/labels").iterdir()} for name in found]
        assert labels[0] == labels[1] and len(labels[0]) == 3
        numbers = [(found[name] / "labels/pseudo_labels.csv").read_text() for name in found]
        assert numbers[0] == numbers[1]


def test_a_damaged_image_is_left_out_to_the_end(words, copied_world, tmp_path):
    victim = sorted((copied_world / "ACDC/rgb_anon/night/val").glob("*/*.png"))[0]
    victim.write_bytes(victim.read_bytes()[:300])
    result = run("train", *words, "method=mortal", f"data_root={copied_world}", cwd=tmp_path)
    assert result.returncode == 1, result.stdout + result.stderr
    assert victim.name in one_line(result)


def test_a_labelling_without_a_good_image_is_not_finished_and_is_made_once_they_are_mended(
    words, copied_world, tmp_path
):
    torch.manual_seed(3)
    save_weights(PlainNetwork(19), tmp_path / "start.safetensors")
    images = sorted((copied_world / "ACDC/rgb_anon/night/val").glob("*/*.png"))
    whole = {image: image.read_bytes() for image in images}
    for image in images:
        image.write_bytes(b"version https://git-lfs.github.com/spec/v1")
    small = ["method=round", "name=round", f"method.phases.file.file={tmp_path / 'start.safetensors'}"]
    small = [*words, *small, f"data_root={copied_world}"]
    result = run("train", *small, cwd=tmp_path)
    assert result.returncode == 2, result.stdout + result.stderr
    assert f"phase labels: not one pixel could be labelled: {images[0]}: cannot be decoded" in one_line(result)
    folder = tmp_path / "runs/round/labels"
    assert not [path for path in folder.rglob("*") if path.is_file()]
    for image, content in whole.items():
        image.write_bytes(content)
    result = run("train", *small, cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert len(list((folder / "labels").iterdir())) == 3


def test_a_source_without_unlabelled_images_is_refused(zsda, world):
    result = zsda("train", "method=hiast", "data=cityscapes", f"data_root={world}", "trainer=cpu")
    assert result.returncode == 2
    expected = "its phase 'source' expects unlabelled images beside the source; give data=NAME_unpaired unlabelled=NAME"
    assert f"method=hiast does not fit data=cityscapes: {expected}" in one_line(result)
    other = zsda("train", "method=sdgpa", "data=gta5_unpaired", "unlabelled=night", f"data_root={world}", "trainer=cpu")
    assert "method=sdgpa does not fit data=gta5_unpaired: its phase 'intermediate' expects views of" in one_line(other)


def test_a_training_that_does_not_look_at_the_condition_takes_it_or_not(words, tmp_path):
    small = [
        "method=hiast_source_only",
        "name=same",
        "method.phases.source.data.batch_size=2",
        "method.phases.source.epochs=1",
    ]
    first = run("train", *words, *small, cwd=tmp_path)
    assert first.returncode == 0, first.stdout + first.stderr
    again = run("train", *words, *small, "unlabelled=rain", cwd=tmp_path)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "finished before, skipped" in again.stdout
