"""``python -m zsda.export set=...``, read back by those whom it is for: Hugging Face's ``datasets``, and Pillow alone."""

import json
import re
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from tests.conftest import one_line
from tools.foreign_folder import write_foreign_folder
from zsda.core.files import file_digest
from zsda.data.datasets.cityscapes import Cityscapes
from zsda.data.datasets.described import DescribedData
from zsda.data.datasets.generated import GeneratedSet

DOCS = Path(__file__).parent.parent / "docs"
SIZE = (32, 64)
MADE_WITH = {
    "domain": {"name": "night", "prompt": "Make it evening", "text_guidance": 7.5, "image_guidance": 1.5},
    "recipe": {"name": "target", "canvas": [64, 32], "patch": [32, 32], "resampling": "bicubic"},
    "editor": {"model": "some/editor", "revision": "abc123", "steps": 20, "scheduler": {"name": "DDIMScheduler"}},
    "gate": {"max_drift": 4.0, "align": False},
    "seed": 3,
}
NIGHT = "night_target"
SCORES = {"train": [0.8, 0.5, 0.3, 0.7, 0.2, 0.6, 0.4, 0.9], "val": [0.5, 0.6, 0.7, 0.8]}


def make_set(folder, sources, scores):
    """Writes a set as zsda.generate does, of half the size of its sources; none of an image whose score is None."""
    lines = []
    for source in sources:
        for number, (sample, score) in enumerate(zip(source.samples, scores[source.split], strict=True)):
            path = f"leftImg8bit/{source.split}/{sample.key}_leftImg8bit.png"
            line = {"source": path, "source_digest": file_digest(sample.image), "split": source.split}
            line |= {"boxes": [[0, 0, 32, 32], [32, 0, 64, 32]], "seeds": [number, 2**62 + number]}
            flaws = [{"patch": 0, "seed": 1, "flaw": "black"}] if score in (None, 0.2) else []
            line |= {"retries": flaws, "output": None, "digest": None}
            if score is not None:
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                dark = Image.open(sample.image).convert("RGB").resize(SIZE[::-1]).point(lambda value: value // 2)
                dark.save(folder / path)
                line |= {"output": path, "digest": file_digest(folder / path)}
                line |= {
                    "layout_score": score,
                    "layout_network": "a" * 64,
                    "drift": None if number == 1 else number / 2,
                }
            lines.append(line)
    (folder / "generation.json").write_text(json.dumps(MADE_WITH))
    (folder / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.fixture(scope="module")
def made(world, tmp_path_factory):
    """A read-only data_root with a generated set of both splits."""
    root = tmp_path_factory.mktemp("made") / "data"
    shutil.copytree(world, root)
    make_set(root / NIGHT, [Cityscapes(root / "cityscapes", split) for split in ("train", "val")], SCORES)
    return root


@pytest.fixture
def data(made, tmp_path):
    """The same, to be damaged."""
    return shutil.copytree(made, tmp_path / "data")


def opened(root, split="train", **choice):
    return GeneratedSet(root, "night", "target", Cityscapes(root / "cityscapes", split), **choice)


def export(zsda, root, *words):
    return zsda("export", f"set={NIGHT}", f"data_root={root}", *words)


def exported(zsda, root, *words):
    result = export(zsda, root, *words)
    assert result.returncode == 0, result.stdout + result.stderr
    return result


def card(out):
    """The front matter of a card, and its text."""
    _, front, text = (out / "README.md").read_text().split("---\n", 2)
    return yaml.safe_load(front), text


def check_images(rows, images):
    """Compares pictures and masks, as a reader of the export gives them, with what a training reads."""
    by_scene = {sample.key: index for index, sample in enumerate(images.samples)}
    assert {row["scene"] for row in rows} == by_scene.keys()
    for row in rows:
        own = images.load(by_scene[row["scene"]], SIZE, SIZE)
        assert row["mask"].mode == "L"
        assert np.array_equal(np.asarray(row["mask"]), own["mask"])
        assert np.array_equal(np.asarray(row["image"]), own["image"])


@pytest.fixture
def load_dataset(tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    return partial(datasets.load_dataset, cache_dir=str(tmp_path / "cache"))


def test_the_library_datasets_reads_images_and_masks(zsda, made, tmp_path, load_dataset):
    out = tmp_path / "out"
    result = exported(zsda, made, f"out={out}")
    assert f"written: 12 images of {NIGHT} with their masks, and README.md, a data card, in {out}" in result.stdout
    by_name, by_card = load_dataset("imagefolder", data_dir=str(out)), load_dataset(str(out))
    for found in (by_name, by_card):
        assert found.keys() == {"train", "validation"}
        check_images(list(found["train"]), opened(made))
        check_images(list(found["validation"]), opened(made, "val"))
    first = by_name["train"][1]
    told = {key: first[key] for key in ("domain", "recipe", "prompt", "editor", "steps", "seed", "text_guidance")}
    assert told == {
        "domain": "night", "recipe": "target", "prompt": "Make it evening", "editor": "some/editor@abc123", "steps": 20, "seed": 3,
        "text_guidance": 7.5,
    }  # fmt: skip
    assert (first["layout_score"], first["drift"], first["patch_seeds"]) == (0.5, None, [1, 2**62 + 1])
    assert first["patches"] == [[0, 0, 32, 32], [32, 0, 64, 32]]
    assert first["sha256"] == file_digest(opened(made).samples[1].image)
    text = card(out)[1]
    assert "| editor | `some/editor@abc123` |" in text
    assert "| canvas, patch (width, height) | 64x32, 32x32 |" in text
    assert "| farthest an edit may have moved | 4.0 pixels |" in text


def test_the_example_of_the_docs(zsda, made, tmp_path, load_dataset, monkeypatch):
    exported(zsda, made)
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setattr("datasets.load_dataset", load_dataset)
    (example,) = re.findall(r"```python\n(.*?load_dataset.*?)```", (DOCS / "export.md").read_text(), re.DOTALL)
    names = {}
    exec(example, names)
    assert names["picture"].size == names["mask"].size == SIZE[::-1]


@pytest.mark.parametrize("layout", ["imagefolder", "plain"])
def test_pillow_reads_them_as_the_card_says(zsda, made, tmp_path, layout, monkeypatch):
    out = tmp_path / "out"
    exported(zsda, made, f"out={out}", f"layout={layout}")
    (example,) = [code for code in re.findall(r"```python\n(.*?)```", card(out)[1], re.DOTALL) if "PIL" in code]
    monkeypatch.chdir(out)
    rows, names = [], {"rows": []}
    exec(f"{example}    rows.append({{**told, 'image': picture.copy(), 'mask': mask.copy()}})\n", names)
    rows = names["rows"]
    check_images([row for row in rows if row["split"] == "train"], opened(made))
    if layout == "plain":
        check_images([row for row in rows if row["split"] == "val"], opened(made, "val"))
        images, masks = (
            {p.relative_to(out / kind) for p in (out / kind).rglob("*.png")} for kind in ("images", "masks")
        )
        assert images == masks
        assert len(images) == 12
        assert sorted(path.name for path in out.iterdir()) == [
            "README.md", "export.json", "images", "masks", "metadata.jsonl",
        ]  # fmt: skip


def test_the_default_place_is_one_that_no_reader_of_sets_looks_at(zsda, made, tmp_path):
    exported(zsda, made)
    assert [path.name for path in (tmp_path / "work/runs/export/night_target").iterdir()] == ["imagefolder"]
    assert sorted(path.name for path in (made / NIGHT).iterdir()) == [
        "generation.json",
        "leftImg8bit",
        "manifest.jsonl",
    ]


def test_the_best_are_those_that_a_training_takes(zsda, made, tmp_path):
    out = tmp_path / "out"
    exported(zsda, made, "keep_best=0.5", f"out={out}")
    scenes = [json.loads(line)["scene"] for line in (out / "train/metadata.jsonl").read_text().splitlines()]
    assert scenes == [sample.key for sample in opened(made, keep_best=0.5).samples]
    assert len(list((out / "train").rglob("*.png"))) == 2 * len(scenes) == 8
    assert "| train | 4 | 64x32 | 0 | the best 50 % of 8 by layout score, from 0.600 |" in card(out)[1]


def test_what_the_gate_left_out_is_counted_and_not_written(zsda, data, tmp_path):
    shutil.rmtree(data / NIGHT)
    make_set(data / NIGHT, [Cityscapes(data / "cityscapes")], {"train": [None, 0.5, 0.3, 0.7, 0.2, 0.6, 0.4, 0.9]})
    out = tmp_path / "out"
    exported(zsda, data, f"out={out}")
    check = card(out)[1]
    assert "| train | 7 | 64x32 | 1 | all |" in check
    assert "which happened to 1 of these images" in check
    assert "| layout_score | 7 | 0.514 | 0.200 | 0.500 | 0.900 |" in check
    assert "| drift | 6 | 2.2 | 1.0 | 2.2 | 3.5 |" in check


def test_own_data_are_exported_with_their_own_classes(zsda, tmp_path):
    place = tmp_path / "work/own"
    write_foreign_folder(place, train=3, val=2, size=(64, 128))
    file = place / "neustadt.yaml"
    source = DescribedData(file)
    folder = tmp_path / "work/data/miniature/neustadt" / NIGHT
    make_set(folder, [source], {"train": [0.1, 0.2, 0.3]})
    words = ("world=miniature", "data=folder", f"data.file={file}", "out=out")
    result = zsda("export", f"set={NIGHT}", *words)
    assert result.returncode == 0, result.stderr
    text = card(tmp_path / "work/out")[1]
    assert "| 0 | Fahrbahn |" in text
    assert "street scenes of `neustadt`" in text
    assert "train ids of Cityscapes" not in text
    edits = GeneratedSet(folder.parent, "night", "target", source)
    for sample, index in zip(edits.samples, range(3), strict=True):
        mask = np.asarray(Image.open(tmp_path / f"work/out/train/masks/{sample.key}.png"))
        assert np.array_equal(mask, edits.mask(index, SIZE))


def beside(data):
    shutil.copy(data / NIGHT / "manifest.jsonl", data / NIGHT / "manifest.0.jsonl.part")


def changed(data):
    shutil.copy(opened(data).samples[0].image, opened(data).samples[3].image)


def untold(data):
    manifest = data / NIGHT / "manifest.jsonl"
    manifest.write_text("".join(manifest.read_text().splitlines(keepends=True)[1:]))


def anonymous(data):
    (data / NIGHT / "generation.json").unlink()


def unlabelled(data):
    frame = opened(data).samples[0].key.split("/")[1]
    for label in (data / "cityscapes/gtFine").rglob(f"{frame}_*"):
        label.unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (beside, "is not finished, 12 lines still lie beside its manifest; start its python -m zsda.generate again"),
        (
            changed,
            "1 of 12 images are not what python -m zsda.generate made of their source as it is now, the first is",
        ),
        (untold, "1 of 12 images are not what python -m zsda.generate made of their source as it is now, the first is"),
        (anonymous, "has no generation.json"),
        (unlabelled, "1 of 8 images have no label"),
    ],
)
def test_a_set_that_is_not_whole_is_refused(zsda, data, tmp_path, damage, message):
    damage(data)
    result = export(zsda, data, f"out={tmp_path / 'new/out'}")
    assert result.returncode == 2
    assert message in one_line(result)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([f"set={NIGHT}", "run=mine"], "run= is of networks; give either set= or a network"),
        ([f"set={NIGHT}", "ckpt=mine.pth"], "ckpt= is of networks"),
        ([f"set={NIGHT}", "format=onnx"], "format= is of networks"),
        ([f"set={NIGHT}", "size=[64,128]"], "size= is of networks"),
        ([f"set={NIGHT}", "data=gta5"], "data= goes with data.file=FILE, own data"),
        (["layout=plain"], "layout= goes with set=NAME only"),
        (["keep_best=0.5"], "keep_best= goes with set=NAME only"),
        ([f"set={NIGHT}", "layout=coco"], "layout=coco; expected imagefolder or plain"),
        (["set=fog_target"], "set=fog_target: neither a generated set nor a folder; there are"),
        ([f"set=[{NIGHT},fog_target]"], "neither a generated set nor a folder"),
    ],
)
def test_bad_input_gets_one_line(zsda, made, words, message):
    result = zsda("export", f"data_root={made}", *words)
    assert result.returncode == 2
    assert message in one_line(result)


def test_an_earlier_export_is_replaced_and_nothing_else_is(zsda, made, tmp_path):
    out = tmp_path / "out"
    exported(zsda, made, f"out={out}")
    before = file_digest(out / "README.md")
    exported(zsda, made, f"out={out}", "keep_best=0.5")
    assert len(list((out / "train").rglob("*.png"))) == 8
    exported(zsda, made, f"out={out}")
    assert file_digest(out / "README.md") == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "work"]

    (out / "train/notes.txt").write_text("mine")
    refused = export(zsda, made, f"out={out}")
    assert "train/notes.txt is there, and no export wrote it" in one_line(refused)
    assert (out / "train/notes.txt").read_text() == "mine"
    (out / "train/notes.txt").unlink()
    (out / "README.md").write_text("mine")
    assert f"{out / 'README.md'} was changed since it was exported" in one_line(export(zsda, made, f"out={out}"))
    within = made / NIGHT / "export"
    assert "is within the set" in one_line(export(zsda, made, f"out={within}"))
