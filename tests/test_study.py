"""``python -m zsda.study`` with a list of a few tiny runs: what it makes, that it goes on, and what becomes of failures."""

import csv
import os
import signal
import subprocess
import sys
import time

import pytest
from PIL import Image

from tests.conftest import one_line, run
from tests.pipeline import make_pipeline

LIST = """
for_all: []
data_root: data/tiny
runs_root: runs/tiny
scenes: {train: 4, val: 2, test: 2}
source: day
protocol: sdgpa
size: null
score: miou_present
words:
  short: ["data.batch_size=2", "method.epochs={first: 1, second: EPOCHS, horizon: EPOCHS, single: 1}", "data.watch=[]"]
parts:
  source: {name: day, domains: [null], scored_in: [day, fog], words: [short], rows: {source_2x: []}}
  edits:
    domains: [fog]
    sets: [intermediate, target]
    words: [short]
    rows: {sdgpa: [], intermediate_only: ["start_run={domain}_sdgpa_seed{seed}"], best_half: ["method=sdgpa", "data.keep_best=0.5"]}
reports:
  main: {methods: [source_2x, sdgpa, intermediate_only], against: [source_2x]}
  gates: {methods: [sdgpa, best_half], against: [sdgpa]}
sheets: {methods: [source_2x, sdgpa], scenes: 1}
"""
WORLD = [
    "world.size=[64,128]",
    "world.crop=[48,96]",
    "world.canvas=[128,64]",
    "world.patch_size=64",
    "world.editor.steps=2",
    "+world.prepare.size=[64,128]",
]
MADE = ("data/tiny/fog_*/leftImg8bit/*/*/*.png", "runs/tiny/*/*/*.safetensors", "runs/tiny/*/eval/*/scores.json")
RUNS = ["day_source_2x_seed0", "fog_best_half_seed0", "fog_intermediate_only_seed0", "fog_sdgpa_seed0"]


@pytest.fixture(scope="module")
def editor(tmp_path_factory):
    return f"world.editor.model={make_pipeline(tmp_path_factory.mktemp('editor') / 'tiny')}"


def words_of(folder, editor, epochs=1):
    """Writes the list, and returns the words of a study of it."""
    own = folder / "own/list"
    own.mkdir(parents=True)
    (own / "tiny.yaml").write_text(LIST.replace("EPOCHS", str(epochs)))
    return [
        "--config-dir",
        str(own.parent),
        "list=tiny",
        "seeds=[0]",
        "trainer=cpu",
        editor,
        *WORLD,
    ]


@pytest.fixture(scope="module")
def made_once(editor, tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    words = words_of(folder, editor)
    result = run("study", *words, cwd=folder)
    assert result.returncode == 0, result.stdout + result.stderr
    return folder, words, result.stdout


def made(folder):
    return {path: path.stat().st_mtime_ns for pattern in MADE for path in folder.glob(pattern)}


def test_it_trains_scores_and_compares(made_once):
    folder, _, _ = made_once
    root = folder / "runs/tiny"
    assert [path.name for path in sorted(root.glob("*_seed0"))] == RUNS
    rows = list(csv.DictReader((root / "report/scores.csv").open()))
    assert {(row["run"], row["setting"]) for row in rows} == {
        (name, place) for name in RUNS for place in ("day", "fog")
    }
    main, gates = ((root / f"report/{name}/table.md").read_text() for name in ("main", "gates"))
    assert "### Against source_2x, on the target" in main
    assert "intermediate_only" in main
    assert "best_half" not in main
    assert "### Against sdgpa, on the target\n\n| method | fog |\n| --- | ---: |\n| best_half |" in gates
    assert all((root / f"report/{name}/report.html").is_file() for name in ("main", "gates"))
    sheet = Image.open(root / "report/fog.jpg")
    assert sheet.width == 12 + 7 * (256 + 6) - 6 + 12
    log = (root / "logs/fog_intermediate_only_seed0.log").read_text()
    assert "intermediate: the weights of runs/tiny/fog_sdgpa_seed0/intermediate/weights.safetensors" in log


def test_a_second_start_does_nothing_again(made_once):
    folder, words, _ = made_once
    before = made(folder)
    assert len(before) == 2 * (4 + 1) + 6 + (1 + 3 * 2) + 4, "edits, renders, weights and scores"
    result = run("study", *words, cwd=folder)
    assert result.returncode == 0, result.stdout + result.stderr
    assert made(folder) == before


def test_a_failure_leaves_out_what_needs_it_alone(editor, tmp_path):
    words = words_of(tmp_path, editor)
    named = tmp_path / "own/list/tiny.yaml"
    named.write_text(named.read_text().replace("rows: {sdgpa: []", 'rows: {sdgpa: ["optimizer.lr=high"]'))
    result = run("study", *words, "parts=[source,edits]", cwd=tmp_path)
    assert result.returncode == 1
    ended = [line for line in result.stdout.splitlines() if "failed" in line]
    assert ended[0].startswith("fog_sdgpa_seed0: failed with exit code 2, see runs/tiny/logs/fog_sdgpa_seed0.log")
    assert [line.split(":")[0] for line in ended[1:]] == [
        "fog_sdgpa_seed0_scores",
        "fog_intermediate_only_seed0",
        "fog_intermediate_only_seed0_scores",
    ]
    assert (
        "optimizer.lr=high; expected a number above 0" in (tmp_path / "runs/tiny/logs/fog_sdgpa_seed0.log").read_text()
    )
    assert one_line(result).startswith(
        "zsda.study: 4 jobs failed or left something out, fog_sdgpa_seed0, fog_sdgpa_seed0_scores, "
    )
    assert (tmp_path / "runs/tiny/report/gates/report.html").is_file(), "of what was scored"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_killed_and_started_again_it_goes_on(editor, tmp_path, number):
    words = words_of(tmp_path, editor, epochs=40)
    command = [sys.executable, "-m", "zsda.study", *words, "jobs=2", "parts=[source,edits]"]
    with (tmp_path / "said").open("w") as said:
        study = subprocess.Popen(command, cwd=tmp_path, env=os.environ, stdout=said, stderr=said)
    first = tmp_path / "runs/tiny/fog_sdgpa_seed0/intermediate/phase.json"
    checkpoint = tmp_path / "runs/tiny/fog_sdgpa_seed0/target/last.ckpt"
    until(lambda: checkpoint.is_file() or study.poll() is not None)
    study.send_signal(number)
    assert study.wait(timeout=120) == (143 if number == signal.SIGTERM else -number), (tmp_path / "said").read_text()
    before = first.stat().st_mtime_ns
    assert not (tmp_path / "runs/tiny/fog_sdgpa_seed0/target/phase.json").exists()
    again = subprocess.run(
        command, cwd=tmp_path, env=os.environ, capture_output=True, text=True, timeout=600, check=False
    )
    assert again.returncode == 0, again.stdout + again.stderr
    assert first.stat().st_mtime_ns == before
    assert "resuming" in (tmp_path / "runs/tiny/logs/fog_sdgpa_seed0.log").read_text()
    assert sorted(path.name for path in (tmp_path / "runs/tiny").glob("*_seed0")) == RUNS


def until(true, seconds=300):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["parts=[nothing]"], "parts=nothing: no part of the list; expected some of source, rendered, weather"),
        (["seeds=[]"], "seeds=[]; expected a list of seeds"),
        (["jobs=0"], "jobs=0; expected"),
        (["list=nothing"], "Could not find 'list/nothing' Available options in 'list': miniature real"),
        (["trainer=ddp"], "trainer=ddp: a study runs several trainings side by side, each on one device"),
    ],
)
def test_bad_input_gets_one_line_before_anything_is_done(zsda, tmp_path, words, message):
    result = zsda("study", *words)
    assert result.returncode == 2
    assert message in one_line(result)
    assert not list((tmp_path / "work").iterdir())
