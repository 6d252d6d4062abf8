"""``dry_run=true``: what would happen is told, and nothing is written."""

import re
import shutil
from pathlib import Path

import pytest

from tests.conftest import one_line
from tests.generation.conftest import draw_cityscapes
from tests.pipeline import make_pipeline
from tests.small_hiast import write_configs
from zsda.core.plan import Part, Plan, in_bytes, in_time

RUN = "night_sdgpa_seed0"
UNITS = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9}
MINIATURE = [
    "world=miniature", "trainer=cpu", "machine.num_workers=0", "+world.prepare.size=[64,128]",
    *(f"world.prepare.{split}={count}" for split, count in (("train", 4), ("val", 2), ("test", 1))),
]  # fmt: skip
SMALL_EDITS = [
    "trainer=cpu",
    "canvas=[128,64]",
    "patch_size=64",
    "batch_size=4",
    "machine.num_workers=0",
    "editor.steps=2",
]


def listing(folder):
    """Everything below a folder, with its size and when it was changed."""
    states = {path: path.stat() for path in folder.rglob("*")}
    return {path: (state.st_size, state.st_mtime_ns) for path, state in states.items()}


@pytest.fixture
def dry(zsda, tmp_path, monkeypatch):
    """Runs a command with ``dry_run=true``, and fails where anything is another after it, in the folder or in the user's cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def run(command, *words, told=0, **more):
        folders = [tmp_path, *([more["cwd"]] if "cwd" in more else [])]
        before = [listing(folder) for folder in folders]
        result = zsda(command, *words, *(["dry_run=true"] if command != "check" else []), **more)
        assert result.returncode == told, result.stdout + result.stderr
        assert [listing(folder) for folder in folders] == before
        return result

    return run


def words(own_configs, data_root, *more):
    return ["--config-dir", own_configs, "experiment=tiny", f"data_root={data_root}", *more]


def row(result, name):
    """The line of the table that begins with a name."""
    return " ".join(next(line for line in result.stdout.splitlines() if line.split()[:1] == [name]).split())


def told_bytes(result):
    number, unit = re.search(r"^disk: about ([\d.]+) (\w+),", result.stdout, re.MULTILINE).groups()
    return float(number) * UNITS[unit]


def test_a_training_tells_phases_steps_disk_and_time(dry, trained, own_configs, copied_world):
    result = dry("train", *words(own_configs, copied_world, "data.cache=true"))
    assert "2 epochs x 4 = 8 steps 2 " in row(result, "intermediate")
    assert "1 epoch x 4 = 4 steps 2 " in row(result, "target")
    assert "target: as long a step as phase intermediate" in result.stdout
    assert re.search(
        r"time: about \d+ (s|min), an estimate; measured: a few steps on cpu, precision 32-true", result.stdout
    )
    assert "nothing was started or written" in result.stdout
    phases = [trained / "runs" / RUN / name for name in ("intermediate", "target")]
    kept = sum(path.stat().st_size for phase in phases for path in (phase / "last.ckpt", phase / "weights.safetensors"))
    before_the_last = (phases[0] / "last.ckpt").stat().st_size
    assert told_bytes(result) == pytest.approx(kept + before_the_last, rel=0.05)


def test_epochs_that_are_kept_count(dry, own_configs, copied_world):
    last, every = (
        told_bytes(dry("train", *words(own_configs, copied_world, f"keep={keep}"))) for keep in ("last", "all")
    )
    assert every > 1.2 * last


def test_missing_sets_are_named_with_what_makes_them(dry, own_configs, copied_world):
    shutil.rmtree(copied_world / "night_target")
    result = dry("train", *words(own_configs, copied_world), told=1)
    assert "make it with python -m zsda.generate domain=night recipe=target" in result.stdout
    assert "2 epochs x 4 = 8 steps" in row(result, "intermediate")
    assert row(result, "target") == "target target + intermediate 1 epochs 2 ? ?"
    assert "target: cannot be planned, see the faults" in result.stdout
    assert "disk: cannot be told" in result.stdout and "time: cannot be told" in result.stdout
    assert one_line(result).startswith(f"zsda.train: 1 fault of the training {RUN}")


def test_finished_phases_are_told_and_other_settings_are_a_fault(dry, trained, own_configs, world_with_sets, tmp_path):
    shutil.copytree(trained / "runs", tmp_path / "runs")
    shutil.rmtree(tmp_path / f"runs/{RUN}/target")
    own = words(own_configs, world_with_sets, f"runs_root={tmp_path}/runs", "machine.log_every_n_steps=1")
    zsda_cache = tmp_path / "cache"  # digests of the files of a run that was begun are remembered
    zsda_cache.mkdir()
    result = dry("train", *own, env={"XDG_CACHE_HOME": str(trained.parent)})
    assert row(result, "intermediate").endswith("finished before")
    assert "1 epoch x 4 = 4 steps" in row(result, "target")
    other = dry("train", *own, "optimizer.lr=0.5", told=1, env={"XDG_CACHE_HOME": str(trained.parent)})
    assert "other settings (optimizer.lr was 0.001 and is now 0.5)" in other.stdout


def test_rounds_of_self_training(dry, copied_world, tmp_path):
    configs = tmp_path / "configs"
    configs.mkdir()
    write_configs(configs)
    own = ["--config-dir", configs, "experiment=small", "method=mortal", f"data_root={copied_world}"]
    result = dry("train", *own)
    names = ["source", "warm_up", "labels1", "round1", "labels2", "round2", "labels3", "round3"]
    assert [
        line.split()[0] for line in result.stdout.splitlines() if line.split()[:1] and line.split()[0] in names
    ] == names
    assert "labels in 3 batches 1 " in row(result, "labels1")
    assert "4 steps 2 " in row(result, "round1")
    assert "round3: as long a step as phase round1" in result.stdout
    assert "?" not in result.stdout


def test_what_does_not_fit_on_the_disk_is_a_fault(dry, own_configs, copied_world, monkeypatch):
    monkeypatch.setattr(Plan, "free", 1000)
    result = dry("train", *words(own_configs, copied_world), told=1)
    assert re.search(rf"runs/{RUN}: [\d.]+ MB are needed and 1.0 kB are free; free some", result.stdout)


def test_a_world_is_not_rendered(dry, zsda, tmp_path):
    small = ["domain=night", "world.size=[64,128]", "world.crop=[48,96]", "data.batch_size=2"]
    result = dry("train", *MINIATURE, *small, "method=source_only")
    assert "world=miniature: is rendered into data/miniature first" in result.stdout
    assert "source: cannot be planned, its images are not rendered yet" in result.stdout
    result = dry("generate", *MINIATURE, "domain=night", "canvas=[128,64]", "patch_size=64")
    assert "2 x 5 steps an image ? ? ?" in row(result, "night_target")


@pytest.fixture(scope="module")
def editor(tmp_path_factory) -> Path:
    return make_pipeline(tmp_path_factory.mktemp("editor") / "tiny-ip2p")


def test_sets_tell_images_patches_steps_disk_and_time(dry, zsda, editor, tmp_path):
    draw_cityscapes(tmp_path / "work/data/cityscapes", train=6, val=1)
    own = [*SMALL_EDITS, f"editor.model={editor}", "domain=night"]
    result = dry("generate", *own)
    assert "6 images 6 images x 1 patch x 2 steps 4 " in row(result, "night_intermediate")
    assert "6 images 6 images x 2 patches x 2 steps 4 " in row(result, "night_target")
    assert re.search(r"time: about \d+ s, an estimate; measured: one batch of edits on cpu", result.stdout)
    told = told_bytes(result)
    made = zsda("generate", *own, "recipe=[target]", "limit=4")
    assert made.returncode == 0, made.stderr
    goes_on = dry("generate", *own)
    assert "6 images, 4 made 2 images x 2 patches x 2 steps" in row(goes_on, "night_target")
    assert told_bytes(goes_on) < told
    finished = dry("generate", *own, "recipe=[target]", "limit=4")
    assert row(finished, "night_target").endswith("finished before")
    refused = dry("generate", *own, "seed=3", told=1)
    assert "night_target: made with other settings: seed was 0 and is now 3" in refused.stdout


def test_an_editor_that_is_not_here_is_not_fetched(dry, tmp_path):
    draw_cityscapes(tmp_path / "work/data/cityscapes", train=2, val=1)
    result = dry(
        "generate", *SMALL_EDITS, "editor.model=nobody/nothing-at-all", "domain=night", env={"HF_HUB_OFFLINE": "1"}
    )
    assert "editor.model=nobody/nothing-at-all is not on this machine and would be fetched first" in result.stdout
    assert "2 images 2 images x 2 patches x 2 steps 4 " in row(result, "night_target")
    assert "time: cannot be told" in result.stdout


def test_a_check_of_an_experiment_tells_its_cost(dry, own_configs, copied_world):
    result = dry("check", *words(own_configs, copied_world, "decode=false"))
    cost = result.stdout.partition("disk and cost of the planned run")[2]
    assert "2 epochs x 4 = 8 steps" in cost and "time: about" in cost
    assert "night_intermediate train  8 images" in result.stdout
    shutil.rmtree(copied_world / "night_target")
    lacking = dry("check", *words(own_configs, copied_world, "decode=false"), told=1)
    assert "1 fault" in lacking.stdout and "layout: night_target: no folder" in lacking.stdout


def test_numbers_as_a_human_reads_them():
    assert [in_bytes(number) for number in (12, 1500, 2_500_000, 3 * 10**9)] == ["12 B", "1.5 kB", "2.5 MB", "3.0 GB"]
    assert [in_time(number) for number in (0.2, 99, 150, 7500)] == ["1 s", "99 s", "2 min", "2 h 05 min"]


def test_a_sum_is_known_only_if_all_of_it_is(tmp_path):
    one, done, unknown = Part("a", "", disk=5, seconds=2.0), Part("b", "", done=True), Part("c", "")
    assert Plan("", "phase", tmp_path, [one, done], passing=3).disk == 8
    assert Plan("", "phase", tmp_path, [one, done]).seconds == 2.0
    assert Plan("", "phase", tmp_path, [one, unknown]).disk is None
    assert Plan("", "phase", tmp_path, [one, unknown]).seconds is None
