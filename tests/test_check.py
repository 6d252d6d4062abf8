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


def tell(folder, values, **more):
    """Gives a set the files that zsda.generate leaves: values of each line, in the order of the images' paths."""
    images = sorted(folder.glob("leftImg8bit/train/*/*.png"))
    (folder / "generation.json").write_text('{"domain": {"name": "night", "prompt": "is it night?"}}')
    lines = []
    for image, found in zip(images, values, strict=True):
        path = image.relative_to(folder).as_posix()
        lines.append({"source": path, "output": path, "split": "train", **found})
    lines += more.get("lines", [])
    (folder / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return images


SCORES = [0.8, 0.5, 0.3, 0.7, None, 0.6, 0.4, 0.9]
DRIFTS = [0, 1.5, 0.5, None, 0, 0, 12, 0]


def told(copied_world, **more):
    values = [
        {"layout_score": score, "layout_network": "a" * 64, "drift": drift}
        for score, drift in zip(SCORES, DRIFTS, strict=True)
    ]
    return tell(copied_world / "night_target", values, **more)


def test_how_good_the_edits_of_a_set_are(zsda, copied_world, tmp_path):
    retries = [{"patch": 0, "seed": 1, "flaw": "noise"}, {"patch": 0, "seed": 2, "flaw": "uniform"}]
    left_out = {"source": "x.png", "output": None, "split": "train", "retries": retries}
    of_val = {"source": "z.png", "output": "z.png", "split": "val", "retries": retries}
    images = told(copied_world, lines=[left_out, {**left_out, "source": "y.png", "retries": retries[:1]}, of_val])
    out = tmp_path / "all.json"
    result = zsda("check", "set=night_target", f"data_root={copied_world}", f"out={out}")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "cityscapes" not in result.stdout.partition("disk:")[0]
    shown = [" ".join(line.split()) for line in result.stdout.splitlines()]
    for line in (
        "8 images made, 2 left out, 3 edits thrown away (noise 2, uniform 1)",
        "layout score 7 0.600 0.300 0.330 0.450 0.600 0.750 0.870 0.900",
        "drift in pixels 7 2.0 0.0 0.0 0.0 0.0 1.0 8.8 12.0",
        "layout scores by network aaaaaaaaaaaa; 1 of 8 images have none",
        "data.keep_best=0.9 takes the best 90 % of 8 by layout score, from 0.300",
        "data.keep_best=0.75 takes the best 75 % of 8 by layout score, from 0.400",
        "drift of 1 of 8 images could not be told",
        "the 8 worst of 8 edits, lowest layout score first",
    ):
        assert line in shown
    first = shown.index("the 8 worst of 8 edits, lowest layout score first") + 3
    order = [2, 6, 1, 5, 3, 0, 7, 4]
    figures = ["0.300 0.5", "0.400 12.0", "0.500 1.5", "0.600 0.0", "0.700 -", "0.800 0.0", "0.900 0.0", "- 0.0"]
    names = [images[number].name.removesuffix("_leftImg8bit.png") for number in order]
    assert shown[first : first + 8] == [f"{name} {found}" for name, found in zip(names, figures, strict=True)]
    assert "the worst edits of night_target train: runs/check/night_target.png" in shown
    with Image.open(tmp_path / "work/runs/check/night_target.png") as sheet:
        assert sheet.width == 2 * 12 + 3 * 480 + 2 * 6
        assert sheet.height > 8 * 240
    (found,) = json.loads(out.read_text())["sets"]
    edits = found["edits"]
    assert edits["picture"] == "runs/check/night_target.png"
    assert (edits["made"], edits["left_out"], edits["thrown_away"]) == (8, 2, {"noise": 2, "uniform": 1})
    assert edits["keep_best"] == {"0.9": 0.3, "0.75": 0.4}
    assert edits["layout_networks"] == {"a" * 64: 7}
    assert edits["layout_score"]["median"] == 0.6
    assert sum(one["images"] for one in edits["layout_score"]["histogram"]) == 7
    assert [one["image"] for one in edits["worst"]] == [
        images[number].relative_to(copied_world / "night_target").as_posix() for number in order
    ]
    assert edits["worst"][0] == {**edits["worst"][0], "layout_score": 0.3, "drift": 0.5}


def test_several_sets_and_those_elsewhere(zsda, copied_world, tmp_path):
    told(copied_world)
    elsewhere = tmp_path / "else where/night_whole"
    shutil.copytree(copied_world / "night_whole", elsewhere)
    values = [{"layout_score": 0.5, "layout_network": digest} for digest in "aaaabbbb"]
    images = tell(elsewhere, values)
    images[0].unlink()
    words = [f"set=[night_target,{elsewhere},night_intermediate,night_target]", f"data_root={copied_world}"]
    result = zsda("check", *words)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.count("night_target train  8 images") == 1
    assert f"night_whole train  7 images, 7 labels, 128x64  {elsewhere}" in result.stdout
    intermediate = result.stdout.partition("night_intermediate train  8 images")[2]
    assert intermediate.splitlines()[1].startswith("  no generation.json, so that nothing tells")
    assert result.stdout.count("data.keep_best cannot choose, as is told below") == 1
    assert "the layout scores are of several networks, b (4), a (3), and cannot be compared" in result.stdout
    mixed = result.stdout.partition("night_whole train")[2].partition("night_intermediate train")[0]
    assert "layout scores by network a, b\n" in mixed
    assert "median" not in mixed
    assert "worst" not in mixed
    assert f"quality: {images[0].relative_to(elsewhere)}: the first of 1 in the manifest" in result.stdout
    sheets = sorted(path.name for path in (tmp_path / "work/runs/check").iterdir())
    assert sheets == ["night_target.png"]
    refused = zsda("check", f"set=[night_whole,{elsewhere}]", f"data_root={copied_world}")
    assert refused.returncode == 2
    assert f"has the name of {copied_world / 'night_whole'}" in one_line(refused)


def test_a_generation_that_was_killed_is_told_with_what_it_made(zsda, copied_world, tmp_path):
    told(copied_world)
    folder = copied_world / "night_target"
    *lines, last = (folder / "manifest.jsonl").read_text().splitlines()
    noise = [{"patch": 0, "seed": 1, "flaw": "noise"}]
    again = json.dumps({**json.loads(lines[0]), "layout_score": 0.1, "retries": noise})
    left_out = json.dumps({"source": "x.png", "output": None, "split": "train", "retries": noise * 2})
    (folder / "manifest.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "manifest.0.jsonl.part").write_text(f'{again}\n{last}\n{left_out}\n{{"source": "leftImg8bit/tr')
    of_val = {"source": "y.png", "output": "y.png", "split": "val"}
    (folder / "manifest.1.jsonl.part").write_text(json.dumps(of_val))
    words = ["set=night_target", f"data_root={copied_world}", f"out={tmp_path / 'all.json'}"]
    result = zsda("check", *words)
    assert result.returncode == 0, result.stdout + result.stderr
    asked = "python -m zsda.generate domain=night recipe=target split=train"
    for said in (
        "  8 images made, 1 left out, 3 edits thrown away (noise 3)\n",
        f"  quality: {asked} is not finished: 3 lines still lie beside the manifest, ",
        "  data.keep_best cannot choose, as is told below\n",
        "  quality: night_target: 1 of 8 images have no layout score, the first is ",
        "the 8 worst of 8 edits, lowest layout score first",
    ):
        assert said in result.stdout
    edits = json.loads((tmp_path / "all.json").read_text())["sets"][0]["edits"]
    assert (edits["made"], edits["unfinished"], edits["worst"][0]["layout_score"]) == (8, 3, 0.1)
    (folder / "manifest.jsonl").unlink()
    result = zsda("check", *words)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "  2 images made, 1 left out, " in result.stdout


def test_a_set_of_which_every_image_was_left_out_is_a_fault(zsda, copied_world, tmp_path):
    folder = copied_world / "fog_target"
    folder.mkdir()
    (folder / "generation.json").write_text('{"domain": {"name": "fog", "prompt": "is it foggy?"}}')
    words = ["check", "set=fog_target", f"data_root={copied_world}"]
    begun = zsda(*words)
    assert begun.returncode == 1
    assert f"layout: {folder}: no image of the split train; start python -m zsda.generate again" in begun.stdout
    attempts = [{"patch": 0, "seed": seed, "flaw": flaw} for seed, flaw in enumerate(["noise", "drifted", "noise"])]
    left_out = [{"source": f"{number}", "output": None, "split": "train", "retries": attempts} for number in range(2)]
    (folder / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in left_out))
    for rest in ([], [f"set={folder}"], ["set=null"], ["set=null", "domain=fog", "recipes=[target]"]):
        result = zsda(*words, *rest, f"out={tmp_path / 'all.json'}")
        assert result.returncode == 1
        assert f"fog_target train  0 images, 0 labels  {folder}\n" in result.stdout
        assert (
            f"layout: {folder}: no image of the split train: 2 were left out, since no edit of them passed (drifted 2, noise 4); "
            "python -m zsda.generate tries them again with a larger retries=" in result.stdout
        )
        assert ("0 images made, 2 left out, 6 edits thrown away (drifted 2, noise 4)" in result.stdout) == (
            "set=null" not in rest
        )
        assert "layout scores" not in result.stdout
    (folder / "leftImg8bit/train/city").mkdir(parents=True)  # of images that a later source took away
    result = zsda(*words)
    assert "2 were left out" in result.stdout
    refused = zsda("train", "experiment=night", "domain=fog", f"data_root={copied_world}")
    assert any("fog_target: no images under" in line for line in lines(refused))


@pytest.mark.parametrize("line", ["torn {", '{"source": "leftImg8bit/a.png", "layout_score": 2}'])
def test_a_manifest_that_a_training_refuses_is_a_fault_in_the_same_words(zsda, copied_world, tmp_path, line):
    told(copied_world)
    manifest = copied_world / "night_target/manifest.jsonl"
    manifest.write_text(f"{line}\n{manifest.read_text()}")
    words = ["set=night_target", f"data_root={copied_world}"]
    result = zsda("check", *words, "decode=false")
    assert result.returncode == 1
    assert "data.keep_best cannot choose, as is told below" in result.stdout
    assert "8 images made" in result.stdout
    (fault,) = (said for said in result.stdout.rpartition(" fault\n")[2].splitlines() if "  quality: " in said)
    assert f"{manifest}: cannot be read (line 1: " in fault
    refused = zsda("train", "experiment=night", "data.keep_best=0.9", f"data_root={copied_world}")
    assert refused.returncode == 2
    assert fault.partition("  quality: ")[2] in refused.stderr


def test_where_nothing_moved_and_no_score_is_known_there_are_no_worst(zsda, copied_world, tmp_path):
    tell(copied_world / "night_target", [{"drift": 0.0}] * 7 + [{"drift": None}])
    result = zsda("check", "set=night_target", f"data_root={copied_world}", "decode=false")
    assert result.returncode == 0, result.stderr
    assert "drift of 1 of 8 images could not be told" in result.stdout
    assert "worst" not in result.stdout
    assert not (tmp_path / "work/runs").exists()


def test_where_there_are_no_scores_it_is_said_how_to_get_them(zsda, copied_world, tmp_path):
    tell(copied_world / "night_target", [{}] * 8)
    words = ["set=night_target", f"data_root={copied_world}", "decode=false"]
    result = zsda("check", *words, f"out={tmp_path / 'all.json'}")
    assert result.returncode == 0, result.stderr
    assert (
        "  no layout scores: python -m zsda.generate domain=night recipe=target split=train started again with "
        "layout.ckpt=FILE or layout.run=NAME adds them without editing anew\n" in result.stdout
    )
    assert "drift of 8 of 8 images was not measured" in result.stdout
    assert "worst" not in result.stdout
    assert not (tmp_path / "work/runs").exists()
    edits = json.loads((tmp_path / "all.json").read_text())["sets"][0]["edits"]
    assert (edits["layout_score"], edits["drift_not_measured"], edits["picture"]) == (None, 8, None)
    tell(copied_world / "night_target", [{"drift": number} for number in range(8)])
    result = zsda("check", *words)
    assert "the 8 worst of 8 edits, largest drift first" in result.stdout
    assert (tmp_path / "work/runs/check/night_target.png").exists()


def test_a_set_that_is_damaged_is_rated_as_far_as_it_can_be(zsda, copied_world, tmp_path):
    images = told(copied_world)
    images[2].write_bytes(images[2].read_bytes()[:200])
    runs = tmp_path / "file"
    runs.touch()
    words = ["set=night_target", f"data_root={copied_world}"]
    result = zsda("check", *words)
    assert result.returncode == 1
    assert f"integrity: {images[2]}: cannot be decoded" in result.stdout
    assert f"quality: {images[2]}: is not among the worst that are shown: " in result.stdout
    assert "the worst edits of night_target train: runs/check/night_target.png" in result.stdout
    result = zsda("check", *words, f"runs_root={runs}")
    assert result.returncode == 1
    assert "quality: no picture of the worst edits: cannot write or read" in result.stdout
    assert "lowest layout score first" in result.stdout
    (copied_world / "night_target/generation.json").write_text("{")
    result = zsda("check", *words)
    assert result.returncode == 1
    faults = result.stdout.rpartition(" faults\n")[2]
    assert f"quality: {copied_world / 'night_target/generation.json'}: cannot be read" in faults


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["set=fog_target"],
            "set=fog_target: neither a generated set nor a folder; there are fog_oracle, game_oracle, ",
        ),
        (["set=fog_target", "data_root=nowhere"], "fog_target: neither a generated set nor a folder; there is none; "),
        (["set=."], "set=.: expected a folder that is called <domain>_<recipe>, e.g. fog_target"),
        (["set=empty_set"], "set=empty_set: no generated set; expected leftImg8bit/train/*/*_leftImg8bit.png in it"),
        (["set=night_target", "data=gta5", "domain=night"], "without data=, domain=, or leave it out"),
        (["set=night_target", "setting=[day]"], "without setting=, or leave it out"),
        (["set=[]"], "set=[]; expected a generated set by its name or its folder"),
    ],
    ids=lambda found: " ".join(found) if isinstance(found, list) else "",
)
def test_a_set_that_cannot_be_rated_is_refused(zsda, world_with_sets, tmp_path, words, said):
    (tmp_path / "work/empty_set").mkdir()
    result = zsda("check", f"data_root={world_with_sets}", *words)
    assert result.returncode == 2
    assert said in one_line(result)


def test_names_of_sets_are_taken_as_they_stand(zsda, copied_world, tmp_path):
    for name in ("2024_05", "it's (old)_target"):
        shutil.copytree(copied_world / "night_target", copied_world / name)
        result = zsda("check", f"set={name}", f"data_root={copied_world}", "decode=false")
        assert result.returncode == 0, result.stderr
        assert f"{name} train  8 images" in result.stdout
    home = zsda("check", "set=~/night_target", f"data_root={copied_world}", env={"HOME": str(copied_world)})
    assert home.returncode == 0, home.stderr


def test_edits_are_rated_without_anything_slow(copied_world, tmp_path):
    told(copied_world)
    code = (
        "import sys\nfrom zsda.check import main\n"
        f"sys.argv[1:] = ['set=night_target', 'data_root={copied_world}']\n"
        "main()\n"
        "print('imported:', {'torch', 'lightning', 'matplotlib', 'albumentations'} & set(sys.modules))\n"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "imported: set()" in result.stdout
    assert (tmp_path / "runs/check/night_target.png").exists()
