"""The built wheel carries its configs and works in any folder, without the checkout."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import run

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The environment of a process that sees the installed wheel and not the source tree."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder / "dist"], cwd=ROOT, check=True
    )
    (wheel,) = (folder / "dist").glob("zsda-*.whl")
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
    return {"PYTHONPATH": str(folder / "site")}


def test_the_installed_copy_is_what_runs(installed, tmp_path):
    code = "import zsda.config; print(zsda.config.__file__, zsda.config.conf_dir())"
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=installed, capture_output=True, text=True, check=True
    )
    assert found.stdout.count(installed["PYTHONPATH"]) == 2


@pytest.mark.parametrize("command", ["generate", "train", "eval"])
def test_help(installed, tmp_path, command):
    result = run(command, "--help", cwd=tmp_path, env=installed)
    assert result.returncode == 0
    assert "world       where data and editor come from" in result.stdout


def test_a_miniature_training_from_an_empty_folder(installed, tmp_path):
    small = ["+world.prepare.train=8", "+world.prepare.val=4", "+world.prepare.test=2"]
    trained = run(
        "train", "method=source_only", "world=miniature", *small, "model.backbone=resnet18", "trainer=cpu", "data.num_workers=0",
        "method.phases.source.epochs=1", "method.phases.source.horizon=1", cwd=tmp_path, env=installed,
    )  # fmt: skip
    assert trained.returncode == 0, trained.stdout + trained.stderr
    scored = run(
        "eval",
        "setting=[day,game]",
        "world=miniature",
        *small,
        "trainer=cpu",
        "num_workers=0",
        cwd=tmp_path,
        env=installed,
    )
    assert scored.returncode == 0, scored.stdout + scored.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "runs"]
    assert (tmp_path / "runs/day_source_only_seed0/eval/day+game_sdgpa/scores.json").is_file()
