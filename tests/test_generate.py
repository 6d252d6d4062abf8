"""``python -m zsda.generate`` as a user runs it: photographs in the Cityscapes layout, a genuine tiny pipeline."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torchvision
from hydra import compose, initialize_config_dir
from PIL import Image
from safetensors.torch import load_file, save_file

from tests.conftest import SMALL_MODEL, one_line, run
from tests.generation.conftest import draw_cityscapes, truncate
from tests.pipeline import make_pipeline
from zsda.core.config import build, conf_dir
from zsda.core.errors import ConfigError
from zsda.core.files import digest
from zsda.data.datasets.cityscapes import Cityscapes
from zsda.data.datasets.generated import GeneratedSet

SMALL = ["trainer=cpu", "editor.steps=6", "canvas=[128,64]", "patch_size=64", "batch_size=4", "machine.num_workers=0"]
SETS = ("night_intermediate", "night_target")


@pytest.fixture(scope="module")
def editor(tmp_path_factory) -> Path:
    return make_pipeline(tmp_path_factory.mktemp("editor") / "tiny-ip2p")


@pytest.fixture(scope="module")
def photographs(tmp_path_factory) -> Path:
    """A read-only Cityscapes folder: 12 images to train, 2 to validate."""
    return draw_cityscapes(tmp_path_factory.mktemp("photographs") / "cityscapes", train=12, val=2)


@pytest.fixture(scope="module")
def reference(photographs, editor, tmp_path_factory) -> Path:
    """A folder in which ``generate domain=night`` ran without interruption."""
    folder = work_in(tmp_path_factory.mktemp("reference"), photographs)
    result = generate(folder, editor, "domain=night")
    assert result.returncode == 0, result.stdout + result.stderr
    for name in SETS:
        assert f"{name}: 12 made, 0 were there already, in data/{name}" in result.stdout
        assert f"{name}: the newest edits are shown in data/{name}/contact_sheet.jpg" in result.stdout
    return folder


def test_the_fast_editor_is_another_setting(folder, editor):
    words = ["domain=night", "recipe=[target]", "limit=1"]
    fast = [word for word in SMALL if not word.startswith("editor.steps")]
    quick = [
        "editor=fast",
        "world.editor.fast={scheduler: UniPCMultistepScheduler, steps: 2, guidance_interval: [0, 0.5]}",
    ]
    result = run("generate", *fast, f"editor.model={editor}", *words, *quick, cwd=folder)
    assert result.returncode == 0, result.stdout + result.stderr
    made = json.loads((folder / "data/night_target/generation.json").read_text())["editor"]
    assert made["scheduler"]["name"] == "UniPCMultistepScheduler"
    assert (made["steps"], made["guidance_interval"]) == (2, [0.0, 0.5])
    refused = generate(folder, editor, *words)
    assert refused.returncode == 2
    assert "editor.guidance_interval was [0.0, 0.5] and is now" in refused.stderr


@pytest.fixture
def folder(tmp_path, photographs) -> Path:
    return work_in(tmp_path, photographs)


def work_in(folder: Path, photographs: Path) -> Path:
    shutil.copytree(photographs, folder / "data/cityscapes")
    return folder


def generate(folder: Path, editor: Path, *words: str):
    return run("generate", *SMALL, f"editor.model={editor}", *words, cwd=folder)


def digests(data: Path) -> dict[str, str]:
    files = [path for path in data.rglob("*") if path.is_file() and data / "cityscapes" not in path.parents]
    return {path.relative_to(data).as_posix(): digest(path.read_bytes()) for path in sorted(files)}


def digests_below(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): digest(path.read_bytes()) for path in folder.rglob("*") if path.is_file()
    }


def test_both_sets_are_complete_and_in_the_published_layout(reference):
    data = reference / "data"
    source = Cityscapes(data / "cityscapes", "train")
    images = [sample.image.relative_to(source.root).as_posix() for sample in source.samples]
    others = ("generation.json", "manifest.jsonl", "contact_sheet.jpg")
    files = [f"{name}/{file}" for name in SETS for file in (*images, *others)]
    assert sorted(digests(data)) == sorted(files)
    for name in SETS:
        generated = GeneratedSet(data, *name.split("_"), source)
        assert [sample.key for sample in generated.samples] == [sample.key for sample in source.samples]
        assert generated[0]["image"].shape == (64, 128, 3)
    assert sorted(path.name for path in reference.iterdir()) == ["data"]


def test_the_sets_say_what_they_were_made_with(reference, editor):
    for recipe in ("intermediate", "target"):
        made_with = json.loads((reference / f"data/night_{recipe}/generation.json").read_text())
        assert made_with["domain"]["prompt"] == "Make it evening"
        assert made_with["recipe"] == {"name": recipe, "canvas": [128, 64], "resampling": "bicubic", "patch": [64, 64]}
        assert made_with["editor"]["model"] == editor.name
        assert made_with["editor"]["steps"] == 6


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGUSR1])
def test_a_killed_run_started_again_ends_in_the_same_bytes(reference, editor, folder, number):
    words = [*SMALL, f"editor.model={editor}", "domain=night", "machine.num_workers=2"]
    command = [sys.executable, "-m", "zsda.generate", *words]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    moment = random.randrange(1, 17)  # of 24 images
    while len(list(folder.glob("data/night_*/leftImg8bit/*/*/*.png"))) < moment and process.poll() is None:
        time.sleep(0.002)
    process.send_signal(number)
    _, said = process.communicate()
    if number == signal.SIGKILL:
        assert process.returncode == -number
    else:
        assert process.returncode == 128 + number
        line = f"zsda.generate: {number.name}; started again with the same words it makes what is missing"
        assert said.splitlines().count(line) == 1 and "Traceback" not in said
    assert digests(folder / "data") != digests(reference / "data"), f"it was finished before it was killed at {moment}"
    result = generate(folder, editor, "domain=night")
    assert result.returncode == 0, result.stderr
    assert digests(folder / "data") == digests(reference / "data"), f"killed after {moment} images"


def test_a_set_is_a_cityscapes_root_for_other_code(editor, folder, tmp_path):
    words = ["domain=night", "recipe=[target]", "editor.steps=1", "cityscapes_root=true"]
    result = generate(folder, editor, *words)
    assert result.returncode == 0, result.stderr
    assert "a Cityscapes root: data/night_target_cityscapes" in result.stdout
    moved = (folder / "data").rename(tmp_path / "moved")
    originals = digests_below(moved / "cityscapes")
    for split, images in (("train", moved / "night_target"), ("val", moved / "cityscapes")):
        found = torchvision.datasets.Cityscapes(moved / "night_target_cityscapes", split, target_type="semantic")
        expected = sorted((images / "leftImg8bit" / split).glob("*/*.png"))
        assert len(found) == len(expected) == {"train": 12, "val": 2}[split]
        shown = {image.tobytes(): label.tobytes() for image, label in found}
        for path in expected:
            name = path.name.replace("_leftImg8bit", "_gtFine_labelIds")
            label = moved / "cityscapes/gtFine" / split / path.parent.name / name
            assert shown[Image.open(path).convert("RGB").tobytes()] == Image.open(label).tobytes()

    # Edits of another split are made after that, and nothing is written to where the links lead.
    moved.rename(folder / "data")
    result = generate(folder, editor, *words, "split=val")
    assert result.returncode == 0, result.stderr
    assert "night_target: 2 made" in result.stdout
    assert digests_below(folder / "data/cityscapes") == originals
    assert len(GeneratedSet(folder / "data", "night", "target", Cityscapes(folder / "data/cityscapes", "val"))) == 2


def test_sets_lie_where_generated_root_says_and_their_links_hold(editor, folder):
    """Also behind a link, from where the way to the data is another one."""
    (folder / "disk/of/its/own").mkdir(parents=True)
    (folder / "sets").symlink_to(folder / "disk/of/its/own")
    words = ["domain=night", "recipe=[target]", "editor.steps=1", "cityscapes_root=true", "generated_root=sets"]
    result = generate(folder, editor, *words)
    assert result.returncode == 0, result.stderr
    assert "night_target: 12 made, 0 were there already, in sets/night_target" in result.stdout
    assert [path.name for path in (folder / "data").iterdir()] == ["cityscapes"]
    for split, count in (("train", 12), ("val", 2)):
        root = folder / "sets/night_target_cityscapes"
        assert len(torchvision.datasets.Cityscapes(root, split, target_type="semantic")) == count
    again = generate(folder, editor, *words)
    assert again.returncode == 0, again.stderr


def test_names_that_are_no_utf8_and_hidden_twins_go_through_all_commands(editor, tmp_path):
    """As an old archive unpacks them, and as a Mac leaves them beside every file."""
    city = os.fsdecode(b"k\xf6ln")
    root = draw_cityscapes(tmp_path / "data/cityscapes", train=4, val=2)
    for split in root.glob("*/*"):
        first = min(split.iterdir())
        first.rename(first.with_name(city))
    for path in list(root.rglob("*.png")):
        path.with_name(f"._{path.name}").write_bytes(b"\0\5\x16\7" + bytes(100))
    (root / "leftImg8bit/train/.hidden").mkdir()

    def call(command, *words):
        result = run(command, "trainer=cpu", *words, cwd=tmp_path)
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    edit = [word for word in SMALL if word not in ("editor.steps=6", "trainer=cpu")]
    edit += [f"editor.model={editor}", "domain=night", "editor.steps=1", "recipe=[target]"]
    assert "night_target: 4 made" in call("generate", *edit)
    assert "night_target: 0 made, 4 were there already" in call("generate", *edit)
    call("generate", *edit, "split=val")
    train = ["data.transform.size=[32,64]", "data.transform.crop=null", "data.batch_size=2", "machine.num_workers=0"]
    one = ["method=target_only", "domain=night", "~method.phases.target.epochs", "+method.phases.target.steps=1"]
    told = call(
        "train", *one, "method.phases.target.horizon=1", *train, *SMALL_MODEL, "model.pretrained=false", "name=a"
    )
    assert "4 scenes" in told
    words = ["machine.num_workers=0", "masks=true", "edits_of=night"]
    call("eval", "setting=[day,edited]", "run=a", *words)
    scores = json.loads((tmp_path / "runs/a/eval/day+edited_sdgpa/scores.json").read_text())
    assert scores["images"] == {"day": 2, "edited": 2}
    report = run("report", "runs=a", "against=[]", cwd=tmp_path)
    assert report.returncode == 0, report.stdout + report.stderr
    seen = ["images=4", "text_guidance=[3]", "image_guidance=[1.5]", "layout.run=a", "keep=0.0"]
    call("preview", *edit, *seen)
    assert "k\\udcf6ln" in (tmp_path / "runs/preview/night/preview.csv").read_text(encoding="utf-8")


@pytest.mark.parametrize("link", ["leftImg8bit/val", "leftImg8bit/val/aachen"])
def test_nothing_is_written_through_a_link(editor, folder, link):
    """A set whose val was linked to the originals by hand, as the published code does."""
    words = ["domain=night", "recipe=[target]", "editor.steps=1", "limit=1"]
    assert generate(folder, editor, *words).returncode == 0
    made = folder / "data/night_target" / link
    made.parent.mkdir(parents=True, exist_ok=True)
    made.symlink_to((folder / "data/cityscapes" / link).resolve())
    originals = digests_below(folder / "data/cityscapes")
    result = generate(folder, editor, *words, "split=val", "recipe=[intermediate,target]")
    assert result.returncode == 2
    assert f"night_target/{link} is a link to" in one_line(result)
    assert digests_below(folder / "data/cityscapes") == originals
    assert not (folder / "data/night_intermediate").exists(), "all sets are checked before the first is begun"
    assert generate(folder, editor, *words, "limit=2").returncode == 0, "the train split is not linked"


def test_what_is_no_link_of_ours_stays(editor, folder):
    words = ["domain=night", "recipe=[target]", "editor.steps=1", "limit=1", "cityscapes_root=true"]
    (folder / "data/night_target_cityscapes/gtFine").mkdir(parents=True)
    result = generate(folder, editor, *words)
    assert result.returncode == 2
    assert "gtFine: expected nothing, or a link to ../cityscapes/gtFine; move it away" in one_line(result)
    assert not (folder / "data/night_target").exists(), "it is said before anything is made"
    (folder / "data/night_target_cityscapes/gtFine").rmdir()
    result = generate(folder, editor, *words, "split=val")
    assert result.returncode == 2
    assert "no edits for cityscapes_root=true; make them first, with split=train" in one_line(result)
    (folder / "elsewhere").mkdir()
    (folder / "data/night_target_cityscapes/leftImg8bit").symlink_to(folder / "elsewhere")
    result = generate(folder, editor, *words)
    assert "leftImg8bit is a link to" in one_line(result)
    assert not list((folder / "elsewhere").iterdir())
    (folder / "data/night_target_cityscapes/leftImg8bit").unlink()
    for _ in range(2):  # made, and found as it is
        assert generate(folder, editor, *words).returncode == 0


def test_another_split_joins_the_same_set_and_damage_is_mended(reference, editor, tmp_path):
    folder = shutil.copytree(reference, tmp_path / "again")
    before = digests(folder / "data")
    truncate(next((folder / "data/night_target").glob("leftImg8bit/train/*/*.png")))
    result = generate(folder, editor, "domain=night")
    assert "night_target: 1 made, 11 were there already" in result.stdout
    assert digests(folder / "data") == before
    result = generate(folder, editor, "domain=night", "split=val", "recipe=target")
    assert result.returncode == 0, result.stderr
    assert "night_target: 2 made, 0 were there already" in result.stdout
    manifest = (folder / "data/night_target/manifest.jsonl").read_text().splitlines()
    assert [json.loads(line)["split"] for line in manifest] == ["train"] * 12 + ["val"] * 2
    changed = {name for name, value in digests(folder / "data").items() if before.get(name) != value}
    assert len(changed) == 4  # two images, the manifest and the contact sheet


@pytest.mark.parametrize("what", ["edit", "source"])
def test_edits_of_another_source_are_counted_until_they_are_made_anew(reference, editor, tmp_path, caplog, what):
    root = Path(shutil.copytree(reference, tmp_path / "again")) / "data"

    def warned():
        caplog.clear()
        GeneratedSet(root, "night", "target", Cityscapes(root / "cityscapes", "train"))
        return [said for said in caplog.messages if "is not" in said or "are not" in said]

    assert not warned()
    folder = root / {"edit": "night_target", "source": "cityscapes"}[what] / "leftImg8bit/train"
    first, second = sorted(folder.glob("*/*.png"))[:2]
    shutil.copy(second, first)
    (said,) = warned()
    assert said.startswith(
        "night_target: 1 of 12 images are not what python -m zsda.generate made of their source as it is now, "
    )
    assert f"the first is {root / 'night_target/leftImg8bit/train' / first.relative_to(folder)}; started again" in said
    result = generate(tmp_path / "again", editor, "domain=night", "recipe=target")
    assert "night_target: 1 made, 11 were there already" in result.stdout
    assert not warned()


def test_a_damaged_photograph_is_named_and_the_rest_goes_on(editor, folder):
    victim = sorted(folder.glob("data/cityscapes/leftImg8bit/train/*/*.png"))[3]
    truncate(victim)
    words = ["domain=custom", "domain.name=dusk", "domain.prompt=make it dusk", "limit=6"]
    result = generate(folder, editor, *words)
    assert result.returncode == 1, result.stderr
    line = one_line(result)
    assert victim.name in line
    assert "1 image was left out" in line
    for name in ("dusk_intermediate", "dusk_target"):
        images = sorted(path.name for path in (folder / "data" / name).glob("leftImg8bit/train/*/*.png"))
        assert len(images) == 5
        assert victim.name not in images
    made_with = json.loads((folder / "data/dusk_target/generation.json").read_text())
    assert made_with["domain"] == {
        "name": "dusk",
        "prompt": "make it dusk",
        "text_guidance": 7.5,
        "image_guidance": 1.5,
    }


def test_an_editor_that_overflows_leaves_no_black_images_behind(editor, folder):
    broken = shutil.copytree(editor, folder / "broken")
    weights = broken / "vae/diffusion_pytorch_model.safetensors"
    tensors = load_file(weights)
    tensors["decoder.conv_in.weight"] *= 1e38  # no precision can hold what comes out
    save_file(tensors, weights)
    result = generate(
        folder, broken, "domain=night", "recipe=[target]", "editor.precision=bf16", "limit=2", "retries=1"
    )
    assert result.returncode == 1, result.stdout + result.stderr
    assert "night_target: 0 made, 0 were there already, 2 left out, in data/night_target" in result.stdout
    line = one_line(result)
    assert line.count("whose patch 0 came out non-finite in 2 attempts (raise retries=, or try another prompt") == 2
    assert sorted(digests(folder / "data")) == ["night_target/generation.json", "night_target/manifest.jsonl"]
    manifest = (folder / "data/night_target/manifest.jsonl").read_text().splitlines()
    assert [json.loads(line)["output"] for line in manifest] == [None, None]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["domain=nihgt"], "Could not find 'domain/nihgt'"),
        (["domain=night", "recipe=[]"], "which recipe? give recipe=intermediate, target, whole"),
        (["domain=night", "canvas=256"], "canvas=256; expected width and height in pixels"),
        (["domain=night", "domain.text_guidance=abc"], "domain.text_guidance=abc; expected a number above 1"),
        (["domain=night", "seed=abc"], "seed=abc; expected a whole number"),
        (["domain=custom", "domain.prompt=' '"], 'expected a sentence, domain.prompt="..."'),
        (
            ["domain=custom", "domain.prompt=it's dark, and wet", "data_root=elsewhere"],
            "no folder elsewhere/cityscapes",
        ),
        ([], "which domain? give domain=custom, fog, game, night, rain, snow"),
        (["domain=custom"], 'domain=custom needs domain.prompt="..."'),
        (["domain=night", "data_root=elsewhere"], "no folder elsewhere/cityscapes; expected leftImg8bit/train"),
        (
            ["domain=night", "editor.model=nowhere/at/all"],
            "editor.model=nowhere/at/all: no such folder; give editor.model=",
        ),
        (["domain=night", "editor.model=data"], "editor.model=data: no pipeline, model_index.json is missing"),
        (["domain=night", "canvas=[120,60]", "patch_size=60"], "the editor works on multiples of 8, e.g. 56x56"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing_behind(editor, folder, words, message):
    result = generate(folder, editor, *words)
    assert result.returncode == 2
    assert message in one_line(result)
    assert digests(folder / "data") == {}
    assert sorted(path.name for path in (folder / "data").iterdir()) == ["cityscapes"]


def test_a_set_made_with_other_settings_is_not_extended(reference, editor):
    before = digests(reference / "data")
    result = generate(reference, editor, "domain=night", "domain.text_guidance=9.0")
    assert result.returncode == 2
    line = one_line(result)
    assert "domain.text_guidance was 20.0 and is now 9.0" in line
    assert "domain.name=" in line
    assert digests(reference / "data") == before


def compose_generate(*words: str):
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return compose("generate", list(words))


def test_a_set_goes_on_with_the_same_editor_elsewhere(reference, editor, tmp_path):
    folder = tmp_path / "moved"
    shutil.copytree(reference, folder)
    result = generate(folder, shutil.copytree(editor, tmp_path / "renamed"), "domain=night")
    assert result.returncode == 0, result.stderr
    for name in SETS:
        assert f"{name}: 0 made, 12 were there already" in result.stdout
    assert "the newest edits" not in result.stdout
    assert digests(folder / "data") == digests(reference / "data")


def test_recipes_and_steps_are_the_published_ones_unless_changed():
    config = compose_generate("domain=snow")
    recipes = build(config.recipes)
    assert list(recipes) == ["intermediate", "target"]
    assert [recipe.canvas for recipe in recipes.values()] == [(1024, 512)] * 2
    assert [recipe.patch for recipe in recipes.values()] == [(512, 512)] * 2
    assert (build(config.editor).model, config.editor.steps) == ("timbrooks/instruct-pix2pix", 50)
    for words in ("recipe=whole", "recipe=[whole]"):
        assert list(build(compose_generate("domain=snow", words).recipes)) == ["whole"]
    assert len(build(compose_generate("domain=snow", "recipe=[whole,target,intermediate]").recipes)) == 3
    assert build(compose_generate("domain=snow", "patch_size=256").recipes)["target"].patches_per_image == 8
    assert config.retries == 3


def build_recipe(name: str, *options: str):
    words = [f"recipes.{name}.{option}" for option in options]
    return build(compose_generate("domain=snow", f"recipe=[{name}]", *words).recipes)[name]


def test_each_recipe_has_options_of_its_own():
    target = build_recipe("target", "patch_size=[384,256]", "overlap=32")
    assert (target.patch, target.patches_per_image) == ((384, 256), 9)
    assert target.describe() == {
        "name": "target",
        "canvas": [1024, 512],
        "resampling": "bicubic",
        "patch": [384, 256],
        "overlap": 32,
    }
    several = build_recipe("intermediate", "patch_size=[256,128]", "patches=3")
    assert (several.patch, several.patches_per_image) == ((256, 128), 3)
    for position, left in (("left", 0), ("right", 512), ("center", 256), ("[100,0]", 100)):
        assert build_recipe("intermediate", f"position={position}").boxes(0, "x", "snow") == [
            (left, 0, left + 512, 512)
        ]
    with pytest.raises(ConfigError, match=r"position=\[600,0\]: a patch of 512x512 leaves the canvas of 1024x512"):
        build_recipe("intermediate", "position=[600,0]")
