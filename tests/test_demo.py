"""``python -m zsda.demo`` from an empty folder: a city of a few pixels, an editor and networks that learn next to nothing."""

import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from tests.conftest import one_line, run
from tests.pipeline import make_pipeline
from tests.starting import call

TRAINING = Path(__file__).parents[1] / "tools/small_editor/conf"
WORLD = [
    "trainer=cpu", "world.size=[64,128]", "world.crop=[48,96]", "world.canvas=[128,64]", "world.patch_size=64", "world.editor.steps=2",
    "scenes={train: 4, val: 2, test: 9}", "world.prepare.test=2", "+world.prepare.size=[64,128]",
    "machine.num_workers=0",
]  # fmt: skip
WORDS = [
    *WORLD,
    "rows=2",
    'generate_options=["batch_size=4"]',
    'train_options=["model=smp","model.architecture=unet","model.encoder=tu-resnet10t","data.batch_size=2",'
    '"method.epochs={single: 2, first: 1, second: 1, horizon: 1}"]',
    'eval_options=["batch_size=2"]',
]
MADE = ("data/demo/fog_*/leftImg8bit/*/*/*.png", "runs/demo/*/*/*.safetensors", "runs/demo/*/eval/*/scores.json")


@pytest.fixture(scope="module", autouse=True)
def steps_in_process():
    """The demo starts a process for each step; which command that is, and what becomes of its exit code, is what matters here."""

    def start(words, check):
        done = call(words[2], words[3:], Path.cwd(), os.environ)
        sys.stdout.write(done.stdout)
        sys.stderr.write(done.stderr)
        return done

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("zsda.demo.subprocess", SimpleNamespace(run=start))
        yield


@pytest.fixture(scope="module")
def editor(tmp_path_factory):
    return f"world.editor.model={make_pipeline(tmp_path_factory.mktemp('editor') / 'tiny')}"


@pytest.fixture(scope="module")
def shown(editor, tmp_path_factory):
    """An empty folder, and what the first demo in it printed."""
    folder = tmp_path_factory.mktemp("demo")
    result = run("demo", *WORDS, editor, cwd=folder)
    assert result.returncode == 0, result.stdout + result.stderr
    return folder, result.stdout


def made(folder):
    return {path: path.stat().st_mtime_ns for pattern in MADE for path in folder.glob(pattern)}


def test_the_commands_are_shown_as_one_would_type_them(shown):
    _, output = shown
    commands = [line for line in output.splitlines() if line.startswith("python -m zsda.")]
    assert [line.split()[2] for line in commands] == [
        "zsda.generate",
        "zsda.generate",
        "zsda.train",
        "zsda.train",
        "zsda.eval",
        "zsda.report",
    ]
    start = " world=miniature data_root=data/demo world.prepare.train=4 world.prepare.val=2 trainer=cpu 'world.size=[64,128]'"
    assert all(start in line and " world.prepare.test=2 " in line for line in commands[:-1])
    assert commands[1].endswith("domain=fog seed=0 batch_size=4 split=val limit=2")
    assert commands[3].endswith("'method.epochs={single: 2, first: 1, second: 1, horizon: 1}' experiment=fog")


def test_sheet_and_summary(shown):
    folder, output = shown
    summary = json.loads((folder / "runs/demo/summary.json").read_text())
    steps = ["eval", "generate", "generate_val", "report", "sheet", "train_sdgpa", "train_source_2x", "world"]
    assert sorted(summary["seconds"]) == steps
    assert all(seconds > 0 for seconds in summary["seconds"].values())
    for method, name in (("source_2x", "day_source_2x_seed0"), ("sdgpa", "fog_sdgpa_seed0")):
        scores = json.loads((folder / f"runs/demo/{name}/eval/day+fog+edited_sdgpa/scores.json").read_text())[
            "settings"
        ]
        expected = {"target": scores["fog"]["miou"], "source": scores["day"]["miou"]}
        assert summary["miou"][method] == expected
        points = [f"{100 * expected[where]:.1f}" for where in ("target", "source")]
        assert [method, *points] in [line.split() for line in output.splitlines()]
    assert ["method", "fog", "day"] in [line.split() for line in output.splitlines()]
    assert "mIoU in %, protocol sdgpa, input 64x128, one seed." in output
    width, height = Image.open(folder / "runs/demo/sheet.png").size
    assert width == 12 + 7 * (256 + 6) - 6 + 12
    assert 2 * (128 + 6) < height < 2 * (128 + 6) + 70
    assert sorted(path.name for path in (folder / "runs").iterdir()) == ["demo"]
    assert "not trained equally long" not in output


def test_it_ends_in_a_page_with_every_station(shown):
    folder, output = shown
    page = (folder / "runs/demo/report/report.html").read_text()
    assert "look at runs/demo/report/report.html" in output
    views = ("source", "intermediate", "target edit", "ground truth", "sdgpa predicts", "errors of sdgpa")
    assert {view: page.count(f'data-title="{view}"') for view in views[:3]} == dict.fromkeys(views[:3], 2)
    assert {view: page.count(f'data-title="{view}"') for view in views[3:]} == dict.fromkeys(views[3:], 4)


def test_a_second_start_does_nothing_again(shown, editor):
    folder, _ = shown
    before = made(folder)
    assert len(before) == 2 * (4 + 2) + 6 + 3 + 2, "edits, renders, weights and scores"
    result = run("demo", *WORDS, editor, cwd=folder)
    assert result.returncode == 0, result.stdout + result.stderr
    assert made(folder) == before
    assert result.stdout.count("0 made") == 4
    assert result.stdout.count("finished before, skipped") == 3
    assert result.stdout.count("scored before, read from") == 2


def test_a_step_that_fails_ends_the_demo_with_its_exit_code(zsda, tmp_path):
    result = zsda("demo", *WORLD, 'generate_options=["nonsense=1"]')
    assert result.returncode == 2
    step, demo = [line for line in result.stderr.splitlines() if line.startswith("zsda.")]
    assert step.startswith("zsda.generate: no option 'nonsense'")
    assert demo.startswith("zsda.demo: zsda.generate ended with exit code 2")
    assert not (tmp_path / "work/runs").exists()


def test_configs_of_ones_own_reach_every_step(zsda, tmp_path):
    own = tmp_path / "own"
    (own / "trainer").mkdir(parents=True)
    (own / "trainer/mine.yaml").write_text("defaults:\n  - cpu\n")
    result = zsda("demo", "--config-dir", own, *WORLD[1:], "trainer=mine", 'generate_options=["nonsense=1"]')
    assert f"python -m zsda.generate --config-dir {own} world=miniature" in result.stdout
    assert "zsda.generate: no option 'nonsense'" in result.stderr, "and not 'mine'"


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("domain.name=dusk", "domain=dusk has no images to compare with; expected fog, game, night, rain, snow"),
        ("world=real", "world=real has no renders or no editor; expected world=miniature"),
        (f"--config-dir {TRAINING} world=training_streets", "world=training_streets has no renders or no editor"),
        ("rows=0", "rows=0; expected a whole number of at least 1"),
    ],
)
def test_bad_input_gets_one_line_before_anything_is_done(zsda, tmp_path, word, message):
    result = zsda("demo", *word.split())
    assert result.returncode == 2
    assert message in one_line(result)
    assert not list((tmp_path / "work").iterdir())
