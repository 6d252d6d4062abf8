"""The built wheel carries its configs and works in any folder, without the checkout."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The environment of a process that sees the installed wheel and not the source tree."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder / "dist"], cwd=ROOT, check=True
    )
    (wheel,) = (folder / "dist").glob("zsda-*.whl")
    assert wheel.stat().st_size <= 36e6
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--target",
        folder / "site",
        wheel,
    ]
    subprocess.run(pip, check=True)
    return {**os.environ, "PYTHONPATH": str(folder / "site")}


def test_the_wheel_holds_no_tool(installed):
    names = [path.relative_to(installed["PYTHONPATH"]).as_posix() for path in Path(installed["PYTHONPATH"]).rglob("*")]
    assert "zsda/miniature/looks/weather.py" in names
    assert "zsda/conf/scale/miniature_sdgpa.yaml" in names
    assert not [
        name for name in names if "small_editor" in name or "training_streets" in name or name.startswith("tools")
    ]


def test_the_installed_copy_is_what_runs(installed, tmp_path):
    code = "import zsda.core.config; print(zsda.core.config.__file__, zsda.core.config.conf_dir())"
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=installed, capture_output=True, text=True, check=True
    )
    assert found.stdout.count(installed["PYTHONPATH"]) == 2


ONE_AFTER_ANOTHER = """
import json, runpy, sys
for command, *words in json.loads(sys.argv[1]):
    sys.argv = [command, *words]
    try:
        runpy.run_module(f"zsda.{command}", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if end.code:
            raise
    print("ended:", command, flush=True)
"""


def run(installed, folder, *commands):
    """Runs commands of the installed copy, in one process of their own, which imports all of it once."""
    words = [sys.executable, "-c", ONE_AFTER_ANOTHER, json.dumps(commands)]
    done = subprocess.run(words, cwd=folder, env=installed, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_help(installed, tmp_path):
    commands = ("generate", "train", "eval", "report", "preview", "export", "predict", "demo", "study")
    shown = run(installed, tmp_path, *([command, "--help"] for command in commands))
    assert [text.count("Groups, each chosen by group=option") for text in shown.split("ended:")] == [1] * 9 + [0]
    assert shown.count("world       where data, editor and network come from") == 9


def test_a_miniature_adaptation_from_an_empty_folder(installed, tmp_path):
    world = [
        "world=miniature",
        "world.prepare.train=4",
        "world.prepare.val=2",
        "world.prepare.test=1",
        "trainer=cpu",
    ]
    short = [f"method.epochs.{length}=1" for length in ("first", "second", "horizon")]
    rounds = [f"method.phases.round{number}.{length}=1" for number in (1, 2, 3) for length in ("steps", "horizon")]
    images = ["unlabelled=game", "start_run=game_sdgpa_seed42", "method.rounds.batch_size=2"]
    commands = [
        ("generate", "domain=game", "editor.steps=1"),
        ("train", "experiment=game", *short),
        ("train", "experiment=game", "method=sdgpa_then_hiast", *images, *rounds),
        ("eval", "setting=[day,game]", "run='game_*'"),
    ]
    own = ([command, *world, "machine.num_workers=0", *words] for command, *words in commands)
    run(installed, tmp_path, *own, ["report"])
    assert 'class="viewer"' in (tmp_path / "runs/report/report.html").read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "runs"]
    for method in ("sdgpa", "sdgpa_then_hiast"):
        assert (tmp_path / f"runs/game_{method}_seed42/eval/day+game_sdgpa/scores.json").is_file()
