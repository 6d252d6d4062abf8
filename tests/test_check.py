"""``python -m zsda.check``, and what other commands look at before they import anything slow."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tests.conftest import one_line
from tests.layouts import write_image

LAYOUT = ("leftImg8bit", "gtFine")


def images(root, split="train"):
    return sorted((root / f"cityscapes/leftImg8bit/{split}").glob("*/*.png"))


def labels_of(image):
    folder = type(image)(str(image.parent).replace("/leftImg8bit/", "/gtFine/"))
    return sorted(folder.glob(f"{image.name.removesuffix('_leftImg8bit.png')}_gtFine_*.png"))


def label_of(image):
    return next(label for label in labels_of(image) if label.name.endswith("_labelIds.png"))


def lines(result):
    assert "Traceback" not in result.stderr, result.stderr
    return [line for line in result.stderr.splitlines() if line.startswith("zsda.")]


def test_a_sound_world_has_no_fault(zsda, world_with_sets):
    result = zsda("check", f"data_root={world_with_sets}")
    assert result.returncode == 0, result.stderr
    for said in (
        "cityscapes train  8 images, 8 labels, 128x64", "acdc snow val  3 images, 3 labels", "night_target train  8 images",
        "not there: synthia, acdc fog train", "GB free", "no fault in", "vegetation", "█",
    ):  # fmt: skip
        assert said in result.stdout
    assert max(map(len, result.stdout.partition("not there")[0].splitlines())) <= 140


def test_what_was_damaged_in_eight_ways_is_told_at_once(zsda, copied_world, tmp_path):
    first, second, third, fourth, fifth, sixth, seventh, _ = images(copied_world)
    for label in labels_of(first):
        label.unlink()
    second.unlink()
    third.write_bytes(third.read_bytes()[:300])
    Image.open(label_of(fourth)).resize((64, 32), Image.Resampling.NEAREST).save(label_of(fourth))
    ids = np.array(Image.open(label_of(fifth)))
    ids[:2] = 99
    Image.fromarray(ids).save(label_of(fifth))
    shutil.copy(sixth, images(copied_world, "val")[0])
    edits = copied_world / "night_target/leftImg8bit/train/bergen"
    shutil.copy(seventh, edits / seventh.name)
    shutil.rmtree(copied_world / "ACDC/rgb_anon/rain")
    seventh.with_name(f"._{seventh.name}").touch()
    shutil.copy(seventh, seventh.with_suffix(".jpg"))
    runs = tmp_path / "file"
    runs.touch()
    out = tmp_path / "all.json"
    result = zsda("check", f"data_root={copied_world}", f"runs_root={runs}", f"out={out}")
    assert result.returncode == 1
    faults = result.stdout.rpartition(" faults\n")[2]
    for said in (
        f"pairs: {first}: has no label; expected {first.parent.parent.parent.parent}/gtFine/train/",
        f"pairs: {label_of(second)}: is a label without an image; expected {second}",
        f"integrity: {third}: cannot be decoded",
        f"sizes: {fourth}: 128x64, but its label {label_of(fourth)} is 64x32",
        f"ids: {label_of(fifth)}: ids outside the table of labelIds: [99]",
        f"duplicates: {sixth}: of cityscapes train, which is trained on, is also",
        f"edits: {edits / seventh.name}: is its source {seventh}, not an edit of it",
        f"edits: {edits / second.name}: has no source image",
        "layout: acdc: no images under",
        f"disk: {runs} cannot be written",
    ):
        assert f"  {said}" in faults
    remarks = result.stdout.rpartition(" remarks\n")[2].partition(" faults\n")[0]
    assert f"hidden: {seventh.with_name(f'._{seventh.name}')}: is hidden" in remarks
    assert f"unused: {seventh.with_suffix('.jpg')}: is not used" in remarks
    found = json.loads(out.read_text())
    told = [f["fault"] for one in found["sets"] for f in one["findings"]]
    told += [f["fault"] for key in ("between_sets", "disk") for f in found[key]]
    assert one_line(result).startswith(f"zsda.check: {sum(told)} faults in ")
    assert f"and in {out}" in one_line(result)


def test_a_long_list_is_cut_on_the_screen_and_whole_in_the_file(zsda, copied_world, tmp_path):
    folder = images(copied_world)[0].parent
    for number in range(12):
        write_image(folder / f"extra_{number:02d}.png", number)
    result = zsda(
        "check", f"data_root={copied_world}", "data=cityscapes", "decode=false", f"out={tmp_path / 'all.json'}"
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("  unused: ") == 9
    assert "  unused: and 4 more" in result.stdout
    first = json.loads((tmp_path / "all.json").read_text())["sets"][0]
    assert sum(finding["kind"] == "unused" for finding in first["findings"]) == 12
    assert first["classes"] == []


def test_what_is_named_must_be_there(zsda, world):
    words = ["data=synthia", "setting=[day,robotcar]", "domain=dusk", "unlabelled=snow"]
    refused = zsda("check", f"data_root={world}", *words)
    assert refused.returncode == 2
    assert "dusk" in one_line(refused)
    words[2] = "domain=snow"
    result = zsda("check", f"data_root={world}", *words)
    assert result.returncode == 1
    assert "cityscapes val  4 images" in result.stdout
    assert "snow_oracle train  8 images" in result.stdout
    for said in ("synthia: no folder", "robotcar: no folder", "snow_intermediate: no folder", "acdc: no images under"):
        assert f"  layout: {said}" in result.stdout
    assert one_line(result).startswith("zsda.check: 5 faults in 5 of 8 sets")


def test_an_empty_place_is_a_fault(zsda, tmp_path):
    result = zsda("check", f"data_root={tmp_path / 'nowhere'}")
    assert result.returncode == 1
    assert f"layout: {tmp_path / 'nowhere'}: no data set in it" in result.stdout


@pytest.mark.parametrize("word", ["decode=perhaps", "limit=3"])
def test_wrong_words_are_refused(zsda, word):
    assert zsda("check", word).returncode == 2


def test_a_training_tells_all_that_is_missing(zsda, copied_world):
    shutil.rmtree(copied_world / "night_target")
    for label in labels_of(images(copied_world, "val")[1]):
        label.unlink()
    words = ["experiment=night", "method=sdgpa_then_hiast", "unlabelled=night", f"data_root={copied_world}"]
    result = zsda("train", *words)
    assert result.returncode == 2
    unlabelled, validation, target = sorted(lines(result))
    assert unlabelled.startswith("zsda.train: acdc: no images under")
    assert "rgb_anon/night/train" in unlabelled
    assert validation.startswith("zsda.train: cityscapes: 1 of 4 images have no label, the first is")
    assert validation.endswith("nothing needs to be watched: data.watch=[] trains without it")
    assert target.startswith("zsda.train: night_target: no folder")
    assert not (copied_world.parent / "work/runs/night_sdgpa_then_hiast_seed42/run.json").exists()


def test_what_is_not_watched_need_not_be_there(zsda, copied_world, own_configs):
    for folder in LAYOUT:
        shutil.rmtree(copied_world / "cityscapes" / folder / "val")
    words = ["--config-dir", own_configs, "experiment=tiny", "method=source_only", f"data_root={copied_world}"]
    words += ["~method.phases.intermediate", "~method.phases.target", "method.epochs.single=1"]
    refused = zsda("train", *words)
    assert refused.returncode == 2
    assert one_line(refused).endswith("nothing needs to be watched: data.watch=[] trains without it")
    result = zsda("train", *words, "data.watch=[]")
    assert result.returncode == 0, result.stdout + result.stderr
    report = next((copied_world.parent / "work/runs").glob("*/source/phase.json"))
    assert json.loads(report.read_text())["watched"] == {}


def test_other_commands_tell_all_as_well(zsda, world, tmp_path):
    run, *missing = lines(zsda("eval", "setting=[robotcar,synthia,day]", f"data_root={world}"))
    assert run.startswith("zsda.eval: no finished run under runs")
    assert [line.split(":")[1] for line in missing] == [" robotcar", " synthia"]
    for command in ("generate", "preview"):
        words = ["domain=night", f"data_root={tmp_path / 'nowhere'}", "layout.run=missing"]
        source, layout = lines(zsda(command, *words))
        assert source.startswith(f"zsda.{command}: cityscapes: no folder")
        assert "missing" in layout


@pytest.mark.parametrize(
    "words",
    [["train", "experiment=night"], ["train", "experiment=hiast_gta5_to_cityscapes"], ["generate", "domain=night"],
     ["preview", "domain=night"], ["eval", "setting=[day,night]"], ["check", "data=gta5"]],
    ids=" ".join,
)  # fmt: skip
def test_a_wrong_folder_is_told_before_anything_slow_is_imported(words, tmp_path):
    command, *rest = words
    code = (
        "import sys\n"
        f"from zsda.{command} import main\n"
        f"sys.argv[1:] = {[*rest, 'data_root=nowhere']!r}\n"
        "try:\n    main()\nfinally:\n"
        "    print('imported:', {'torch', 'lightning', 'albumentations'} & set(sys.modules))\n"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == (1 if command == "check" else 2), result.stderr
    assert "imported: set()" in result.stdout
    assert "no folder nowhere/" in result.stdout + result.stderr
