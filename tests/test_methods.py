"""Methods of other phases, sources and classes than SDGPA's, through the commands."""

import json
import os
import shutil
import signal
from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import SMALL_MODEL, one_line, run
from tests.layouts import stripes, write_image, write_list, write_robotcar, write_synthia
from tests.made_method import CONFIG, METHOD, UNPAIRED
from tests.starting import spawn

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def configs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("configs")
    for path, text in (("experiment/made", CONFIG), ("method/made", METHOD), ("method/unpaired", UNPAIRED)):
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / f"{path}.yaml").write_text(text)
    return folder


def files_of(run_folder):
    """What all phases left, by name; logs, checkpoints and reports tell times."""
    left = [path for path in run_folder.rglob("*") if path.suffix in (".safetensors", ".png")]
    return {path.relative_to(run_folder).as_posix(): path.read_bytes() for path in left}


def test_three_phases_killed_in_each_end_as_if_they_had_not_been(configs, world_with_sets, tmp_path):
    words = ["--config-dir", configs, "experiment=made", "method=made", f"data_root={world_with_sets}"]
    whole = run("train", *words, f"runs_root={tmp_path / 'whole'}", cwd=tmp_path)
    assert whole.returncode == 0, whole.stdout + whole.stderr
    texts = [str(word) for word in (*words, f"runs_root={tmp_path / 'killed'}")]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    # Within the second epoch; after one label; within the second pass, of a phase that is counted in steps.
    for place in ("first:7", "labels:1", "second:6"):
        killed = spawn("zsda.train", texts, tmp_path, {**environment, "KILL_AT": place})
        assert killed.returncode == -signal.SIGKILL, killed.stdout + killed.stderr
    ended = run("train", *texts, cwd=tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    name = "night_made_seed0"
    expected = files_of(tmp_path / "whole" / name)
    assert {*expected} == {
        *(f"first/{network}.safetensors" for network in ("weights", "teacher")),
        *(key for key in expected if key.startswith("labels/labels/")),
        "second/weights.safetensors",
    }
    assert sum(key.startswith("labels/labels/") for key in expected) == 3
    assert files_of(tmp_path / "killed" / name) == expected
    reports = {p: json.loads((tmp_path / "killed" / name / p / "phase.json").read_text()) for p in ("first", "second")}
    assert [(report["steps"], report["resumed"]) for report in reports.values()] == [(8, True), (7, True)]

    words = [f"runs_root={tmp_path / 'killed'}", f"data_root={world_with_sets}", "trainer=cpu", "machine.num_workers=0"]
    scored = run("eval", "setting=[day,night]", f"run={name}", *words, cwd=tmp_path)
    assert scored.returncode == 0, scored.stdout + scored.stderr
    assert run("eval", "setting=day", f"run={name}", "phase=labels", *words, cwd=tmp_path).returncode == 2
    told = run("report", f"runs_root={tmp_path / 'killed'}", f"out={tmp_path / 'report'}", cwd=tmp_path)
    assert told.returncode == 0, told.stdout + told.stderr
    assert "| made |" in (tmp_path / "report/table.md").read_text()
    header = json.loads((tmp_path / "killed" / name / "run.json").read_text())["header"]
    assert (header["source_setting"], header["target"], header["unlabelled"]) == ("day", "night", "acdc night val")


@pytest.mark.parametrize("classes", [19, 9])
def test_a_network_learns_from_gta5_and_is_scored_on_cityscapes(world, tmp_path, classes):
    words = [f"data_root={world}", f"runs_root={tmp_path / 'runs'}", "trainer=cpu"]
    trained = run(
        "train", "method=source_only", "data=gta5", f"classes={classes}", *words, "machine.num_workers=0", *SMALL_MODEL,
        "model.pretrained=false", "data.transform.size=[64,128]", "data.transform.crop=[48,96]", "data.batch_size=2",
        "method.phases.source.epochs=2", "method.phases.source.horizon=2", cwd=tmp_path,
    )  # fmt: skip
    assert trained.returncode == 0, trained.stdout + trained.stderr
    name = "game_source_only_seed0"
    header = json.loads((tmp_path / "runs" / name / "run.json").read_text())["header"]
    assert (header["source"], header["source_setting"], header["target"]) == ("gta5", "game", None)
    assert len(header["classes"]["classes"]) == classes
    scored = run("eval", "setting=[game,day]", "masks=true", "world.gta5_subset=null", *words, cwd=tmp_path)
    assert scored.returncode == 0, scored.stdout + scored.stderr
    warned = [line for line in scored.stdout.splitlines() if "was trained on" in line]
    assert len(warned) == 1
    assert f"{name} was trained on gta5, so the frames of setting=game are not new to it" in warned[0]
    stored = json.loads((tmp_path / "runs" / name / "eval/game+day_sdgpa/scores.json").read_text())["settings"]
    assert len(stored["day"]["iou"]) == classes
    assert ("two-wheelers" in stored["day"]["iou"]) == (classes == 9)
    assert len(stored["day"]["confusion"]) == classes
    told = run("report", f"runs_root={tmp_path / 'runs'}", f"out={tmp_path / 'report'}", cwd=tmp_path)
    assert told.returncode == 0, told.stdout + told.stderr
    table = (tmp_path / "report/table.md").read_text()
    assert "| method | day | game |" in table


UNPAIRED_SETS = {
    "gta5": (["data=gta5_unpaired", "unlabelled=cityscapes"], ("gta5", "game", "cityscapes train", "day")),
    "synthia": (
        ["data=synthia_unpaired", "unlabelled=folder", "unlabelled.images.root=frames", "unlabelled.setting=night"],
        ("synthia", "synthia", "folder frames", "night"),
    ),
    "cityscapes": (
        ["data=cityscapes_unpaired", "unlabelled=robotcar", "classes=9", "data.transform.size=[48,64]"],
        ("cityscapes train", "day", "robotcar train", "robotcar"),
    ),
}


@pytest.fixture(scope="module")
def sources(world, tmp_path_factory):
    """Cityscapes, SYNTHIA and RobotCar in one folder; in ``bare`` below it Cityscapes without any label, and GTA5.

    A frame of GTA5 has a label of another size, and one is smaller than the windows that are cut.
    """
    root = tmp_path_factory.mktemp("sources")
    (root / "bare/cityscapes").mkdir(parents=True)
    for place, name in (("", "cityscapes"), ("bare", "cityscapes/leftImg8bit")):
        (root / place / name).symlink_to(world / name)
    game = shutil.copytree(world / "GTA5", root / "bare/GTA5")
    for name, size, label_size in (("15188", (64, 128), (50, 107)), ("00099", (14, 50), (14, 50))):
        write_image(game / f"images/{name}.png", 0, size)
        Image.fromarray(stripes([7, 11, 23, 34], label_size).astype("uint8")).save(game / f"labels/{name}.png")
    write_synthia(root)
    write_robotcar(root)
    return root


@pytest.mark.parametrize("name", UNPAIRED_SETS)
def test_a_source_beside_unlabelled_images(configs, sources, tmp_path, name):
    words, (source, source_setting, unlabelled, target) = UNPAIRED_SETS[name]
    for number in range(3):
        write_image(tmp_path / f"frames/drive {number}/Frame_{number}.PNG", number, (50, 90))
    trained = run(
        "train", "--config-dir", configs, "method=unpaired", *words, "trainer=cpu",
        f"data_root={sources / 'bare' if name == 'gta5' else sources}",
        "machine.num_workers=0", *SMALL_MODEL, "model.pretrained=false", "data.transform.heights=[20,60]",
        *([] if "classes=9" in words else ["data.transform.size=[48,96]"]), cwd=tmp_path,
    )  # fmt: skip
    assert trained.returncode == 0, trained.stdout + trained.stderr
    (record,) = (tmp_path / "runs").glob("*/run.json")
    header = json.loads(record.read_text())["header"]
    found = tuple(header[key] for key in ("source", "source_setting", "unlabelled", "target"))
    assert found == (source, source_setting, unlabelled, target)


def test_a_frame_of_gta5_with_a_label_of_another_size_is_named(configs, sources, tmp_path):
    root = tmp_path / "data"
    shutil.copytree(sources / "bare", root, symlinks=True)
    Image.fromarray(stripes([7, 11], (50, 107)).astype("uint8")).save(root / "GTA5/labels/00099.png")
    result = run(
        "train", "--config-dir", configs, "method=unpaired", *UNPAIRED_SETS["gta5"][0], f"data_root={root}", "trainer=cpu",
        "machine.num_workers=0", *SMALL_MODEL, "model.pretrained=false", "data.transform.size=[48,96]", cwd=tmp_path,
    )  # fmt: skip
    assert result.returncode == 2
    assert "00099.png: 50x14, but its label" in one_line(result) and "is 107x50" in one_line(result)


def test_unlabelled_images_that_no_phase_reads_are_refused(zsda, world):
    words = ["method=source_only", f"data_root={world}", "trainer=cpu", "model=smp", "model.encoder=none_such"]
    result = zsda("train", *words, "data=gta5", "data.batch_size=2", "unlabelled=fog")
    assert result.returncode == 2
    assert "unlabelled= names images that no phase reads; give data=NAME_unpaired" in one_line(result)
    result = zsda("train", *words, "data=gta5_unpaired", "unlabelled=fog", "unlabelled.images.split=val")
    assert result.returncode == 2
    said = "method=source_only does not fit data=gta5_unpaired: its phase 'source' expects views of labelled scenes"
    assert said in one_line(result)
    result = zsda("train", *words, "+method.phases.source.data.none_such=1")
    assert result.returncode == 2
    assert "unexpected keyword argument 'none_such'; is this the data= that the method is made for?" in one_line(result)


def test_what_labels_of_unlabelled_images_tell_apart_does_not_matter(configs, sources, tmp_path):
    frames = write_list(
        tmp_path / "frames.json", ("val/val_0.png", "anno/val_0.png"), ("val/val_1.png", "anno/val_1.png")
    )
    trained = run(
        "train", "--config-dir", configs, "method=unpaired", "data=cityscapes_unpaired", "unlabelled=robotcar",
        f"unlabelled.images.subset={frames}", f"data_root={sources}", "trainer=cpu", "machine.num_workers=0", *SMALL_MODEL,
        "model.pretrained=false", "data.transform.size=[48,64]", "data.transform.heights=[20,60]", cwd=tmp_path,
    )  # fmt: skip
    assert trained.returncode == 0, trained.stdout + trained.stderr
    assert "2 of robotcar train" in trained.stdout


def test_unlabelled_images_are_asked_for(configs, sources, tmp_path):
    words = ["--config-dir", configs, "method=unpaired", f"data_root={sources / 'bare'}", "trainer=cpu", *SMALL_MODEL]
    for more, said in (
        (["data=gta5_unpaired"], "which unlabelled images? give unlabelled=NAME"),
        (
            ["data=gta5_unpaired", "unlabelled=folder", "domain=night"],
            "which folder? give unlabelled.images.root=FOLDER",
        ),
        (
            ["data=gta5_unpaired", "unlabelled=folder", f"unlabelled.images.root={sources}"],
            "give unlabelled.setting=NAME",
        ),
    ):
        result = run("train", *words, *more, cwd=tmp_path)
        assert result.returncode == 2
        assert said in one_line(result)


def test_a_method_of_edits_is_refused_for_gta5_before_its_network_is_built(zsda, world, tmp_path):
    words = ["method=sdgpa", "domain=night", "data=gta5", f"data_root={world}", "trainer=cpu"]
    result = zsda("train", *words, "model=smp", "model.encoder=none_such")
    assert result.returncode == 2
    said = one_line(result)
    assert (
        "the view 'intermediate' needs a generated set, which Cityscapes and own data have, and the source is gta5"
        in said
    )
    assert "give data=cityscapes, data=folder, method=source_only, or in method.phases.NAME.data.views" in said
    assert not list((tmp_path / "work").iterdir())


def test_a_run_brings_its_own_classes(trained, world_with_sets):
    result = run("eval", "setting=day", "classes=9", f"data_root={world_with_sets}", cwd=trained)
    assert result.returncode == 2
    assert "a run brings its own network and classes; classes= goes with ckpt=FILE only" in one_line(result)
