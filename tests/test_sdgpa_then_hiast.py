"""SDGPA and then self-training, in one command or from a finished run, killed on the way."""

import csv
import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import one_line, run
from tests.small_hiast import write_configs
from tests.starting import spawn
from tests.test_methods import files_of
from zsda.data.labels import CITYSCAPES, IGNORE
from zsda.data.reader import FROM_DISK

ROOT = Path(__file__).parents[1]
PHASES = ["intermediate", "target", "labels1", "round1", "labels2", "round2", "labels3", "round3"]


@pytest.fixture(scope="module")
def words(tmp_path_factory, world_with_sets):
    configs = write_configs(tmp_path_factory.mktemp("configs"))
    return ["--config-dir", configs, "experiment=bridge", f"data_root={world_with_sets}"]


@pytest.fixture(scope="module")
def whole(words, tmp_path_factory):
    """On the generated set, which is what there is where nothing else is said."""
    folder = tmp_path_factory.mktemp("whole")
    result = run("train", *words, "method=mortal_bridge", "name=bridge", cwd=folder)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "labels1: checks the labels of 8 of night_target" in result.stdout
    return folder


def header_of(run):
    return json.loads((run / "run.json").read_text())["header"]


def test_its_header_tells_what_it_was_trained_on(whole):
    record = json.loads((whole / "runs/bridge/run.json").read_text())
    assert record["phases"] == PHASES
    found = {key: record["header"][key] for key in ("method", "domain", "target", "unlabelled", "source")}
    assert found == {
        "method": "sdgpa_then_hiast_generated",
        "domain": "night",
        "target": "night",
        "unlabelled": "night_target",
        "source": "cityscapes train",
    }


def test_the_labels_of_edits_stay_but_where_the_network_is_sure_of_something_else(whole, world_with_sets):
    kept = given = 0
    for path in sorted((world_with_sets / "cityscapes/gtFine/train").glob("*/*_labelTrainIds.png")):
        label = FROM_DISK.label(path, "labelTrainIds", CITYSCAPES)
        (checked,) = (whole / "runs/bridge/labels1/labels").glob(f"{path.name.split('_gtFine')[0]}*")
        found = np.asarray(Image.open(checked))
        assert ((found == label) | (found == IGNORE)).all()
        kept, given = kept + (found != IGNORE).sum(), given + (label != IGNORE).sum()
    assert 0.2 * given < kept < given
    *_, rows = csv.DictReader((whole / "runs/bridge/labels1/pseudo_labels.csv").open())
    assert (int(rows["given_pixels"]), int(rows["kept_pixels"])) == (given, kept)
    assert rows["accuracy"] == ""


def test_killed_in_each_kind_of_phase_it_ends_with_the_same_weights(words, whole, tmp_path):
    texts = [str(word) for word in (*words, "method=mortal_bridge", "name=bridge")]
    for place in ("progress:2", "labels:3", "round:1"):
        environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "KILL_AT": place}
        killed = spawn("zsda.train", texts, tmp_path, environment)
        assert killed.returncode == -signal.SIGKILL, killed.stdout + killed.stderr
    ended = run("train", *texts, cwd=tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert files_of(tmp_path / "runs/bridge") == files_of(whole / "runs/bridge")
    reports = [tmp_path / "runs/bridge" / phase / "phase.json" for phase in ("intermediate", "labels1", "round2")]
    assert all(json.loads(report.read_text())["resumed"] for report in reports)


@pytest.fixture(scope="module")
def sdgpa(words, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sdgpa")
    result = run("train", *words, "method=sdgpa", "name=zero_shot", cwd=folder)
    assert result.returncode == 0, result.stdout + result.stderr
    return folder


def test_from_a_finished_run_it_ends_with_the_weights_of_one_command(words, whole, sdgpa):
    start = [*words, "method=mortal_bridge", "start_run=zero_shot", "name=later"]
    result = run("train", *start, cwd=sdgpa)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "starts from zero_shot, method=sdgpa seed=0" in result.stdout
    assert "trained otherwise" not in result.stdout
    for phase in PHASES:
        if not phase.startswith("labels"):
            later, before = (
                root / phase / "weights.safetensors" for root in (sdgpa / "runs/later", whole / "runs/bridge")
            )
            assert later.read_bytes() == before.read_bytes(), phase
    assert header_of(sdgpa / "runs/later") == header_of(whole / "runs/bridge")
    again = run("train", *start, cwd=sdgpa)
    assert again.returncode == 0 and "round3: finished before, skipped" in again.stdout


def test_on_unlabelled_images_it_predicts_their_labels(words, sdgpa):
    images = ["unlabelled=night", "unlabelled.images.split=val"]
    result = run("train", *words, "method=mortal_bridge", *images, "start_run=zero_shot", "name=real", cwd=sdgpa)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "labels1: labels for 3 of acdc night val" in result.stdout
    found = header_of(sdgpa / "runs/real")
    assert (found["method"], found["unlabelled"]) == ("sdgpa_then_hiast", "acdc night val")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["start_run=nothing"], "holds no run of zsda.train"),
        (["start_run=zero_shot", "method=sdgpa"], "expected a run that has the first of these, and not all"),
        (["start_run=zero_shot", "method=one_phase"], "expected a run that has the first of these, and not all"),
        (["start_run=zero_shot", "classes=16", "model.num_classes=16"], "start_run=zero_shot is of another network"),
        (["start_run=zero_shot", "classes=16"], "start_run=zero_shot is of another classes"),
    ],
)
def test_a_run_that_it_cannot_start_from_is_refused(words, sdgpa, more, said):
    result = run("train", *words, "method=mortal_bridge", *more, "name=refused", cwd=sdgpa)
    assert result.returncode == 2
    assert said in one_line(result)
    assert not (sdgpa / "runs/refused/run.json").exists()


def test_a_run_that_was_trained_otherwise_is_taken_and_told(words, sdgpa):
    weightless = [f"method.phases.round1.task.{name}_weight=0" for name in ("pseudo", "kld", "entropy", "consistency")]
    more = ["start_run=zero_shot", "name=other", "optimizer.lr=0.5", *weightless]
    result = run("train", *words, "method=mortal_bridge", *more, cwd=sdgpa)
    assert result.returncode == 2 and "expected one above" in one_line(result)
    assert "start_run=zero_shot was trained otherwise: optimizer.lr was" in result.stdout
