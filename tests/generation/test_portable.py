import re
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.generation.conftest import NegativeEditor, always, contents
from zsda.core.errors import StoreError
from zsda.core.exported import check_place
from zsda.data.datasets.generated import GeneratedSet
from zsda.data.labels import CITYSCAPES
from zsda.generation import portable
from zsda.generation.card import About, Split, data_card, editor_name
from zsda.generation.portable import export_set


@pytest.fixture
def images(make, source, tmp_path):
    """A set of five images that was made, one of them left out."""
    make("night_target", NegativeEditor(flaws=always("black", 1, source)))
    return GeneratedSet(tmp_path, "night", "target", source)


def test_what_was_generated_is_exported_to_the_byte(images, tmp_path):
    assert export_set([images], tmp_path / "out", "plain") == 4
    copies = {path.name: path.read_bytes() for path in (tmp_path / "out/images").rglob("*.png")}
    assert copies == {f"{s.key.split('/')[1]}.png": s.image.read_bytes() for s in images.samples}
    text = (tmp_path / "out/README.md").read_text()
    assert "street scenes of `cityscapes`" in text
    assert "Cityscapes among them, often forbid" in text
    assert "| train | 4 | 128x64 | 1 | all |" in text


def test_a_copy_may_be_changed_without_the_set(images, tmp_path):
    export_set([images], tmp_path / "out", "plain")
    before = contents(images.root)
    for path in (tmp_path / "out").rglob("*.png"):
        path.write_bytes(b"mine")
    assert contents(images.root) == before


def fail_at(monkeypatch, number):
    """Lets the disk be full at the write of this number."""
    written, write = [], portable.write_atomic

    def fail(path, content):
        written.append(path)
        if len(written) == number:
            raise StoreError("the disk is full")
        write(path, content)

    monkeypatch.setattr(portable, "write_atomic", fail)


@pytest.mark.parametrize("number", [1, 6, 9])
def test_an_export_that_fails_leaves_what_was_there(images, tmp_path, monkeypatch, number):
    out = tmp_path / "place/out"
    out.parent.mkdir()
    with monkeypatch.context() as patch:
        fail_at(patch, number)
        with pytest.raises(StoreError, match="the disk is full"):
            export_set([images], out, "imagefolder")
    assert not list(out.parent.iterdir())
    export_set([images], out, "imagefolder")
    before = contents(out)
    with monkeypatch.context() as patch:
        fail_at(patch, number)
        with pytest.raises(StoreError, match="the disk is full"):
            export_set([images], out, "plain")
    assert contents(out) == before
    assert [path.name for path in out.parent.iterdir()] == ["out"]


def test_what_a_killed_export_left_is_in_nobodys_way(images, tmp_path, monkeypatch):
    out = tmp_path / "place/out"
    export_set([images], out, "imagefolder")
    whole = contents(out)
    out.rename(out.with_name(".out.before"))
    with monkeypatch.context() as patch:
        fail_at(patch, 1)
        with pytest.raises(StoreError, match="the disk is full"):
            export_set([images], out, "plain")
    assert contents(out) == whole
    shutil.copytree(out, out.with_name(".out.part"))
    (out.with_name(".out.part") / "half.png").touch()
    out.rename(out.with_name(".out.before"))
    export_set([images], out, "imagefolder")
    assert contents(out) == whole
    assert [path.name for path in out.parent.iterdir()] == ["out"]


@pytest.mark.parametrize("changed", ["metadata.jsonl", "README.md", "mask"])
def test_what_was_changed_since_its_export_is_left_alone(images, tmp_path, changed):
    out = tmp_path / "out"
    export_set([images], out, "plain")
    path = next((out / "masks").rglob("*.png")) if changed == "mask" else out / changed
    path.write_bytes(b"mine")
    with pytest.raises(StoreError, match=rf"{re.escape(str(path))} was changed since it was exported"):
        export_set([images], out, "plain")
    assert path.read_bytes() == b"mine"


def test_a_swap_that_fails_leaves_what_was_there(images, tmp_path, monkeypatch):
    out = tmp_path / "place/out"
    export_set([images], out, "imagefolder")
    before, rename = contents(out), Path.rename

    def fail(path, target):
        if path.name.endswith(".part"):
            raise OSError(16, "busy")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(StoreError, match="busy"):
        export_set([images], out, "plain")
    assert contents(out) == before
    assert [path.name for path in out.parent.iterdir()] == ["out"]


def test_a_network_and_a_set_do_not_share_a_folder(images, tmp_path):
    export_set([images], tmp_path / "out", "plain")
    with pytest.raises(StoreError, match="holds an exported generated set"):
        check_place(tmp_path / "out", "network", [])


def about(**more):
    said = {"domain": {"name": "fog", "prompt": "Make it foggy"}}
    rows = [{"retries": 0}] * 1000
    return About(
        more.pop("name", "fog_whole"),
        more.pop("made_with", said),
        "0" * 64,
        more.pop("source", "cityscapes"),
        more.pop("rendered", False),
        "plain",
        CITYSCAPES,
        [Split("train", rows, Counter(), np.zeros(256, int), 0, None)],
    )


def card(**more):
    return data_card(about(**more))


def test_a_card_of_a_rendered_city_speaks_of_no_photograph():
    text = card(rendered=True)
    assert "no photograph is in them" in text
    assert "licence and the terms" not in text
    assert "number plates" not in text
    assert "number plates" in card()


def test_a_card_may_quote_anything():
    prompt = 'a: "`b`" | c\n---\nlicense: mit'
    _, front, text = card(made_with={"domain": {"name": "x: [", "prompt": prompt}}).split("---\n", 2)
    said = yaml.safe_load(front)
    assert (said["license"], said["tags"][-1], said["size_categories"]) == ("other", "x: [", ["1K<n<10K"])
    assert '| sentence | `` a: "`b`" \\| c --- license: mit `` |' in text


def test_no_value_of_a_set_acts_on_its_card():
    hostile = "<img src=x>|"
    made_with = {
        "domain": {"name": hostile, "prompt": hostile, "text_guidance": hostile, "image_guidance": [hostile]},
        "editor": {
            "model": hostile,
            "digest": hostile,
            "steps": hostile,
            "scheduler": hostile,
            "versions": {hostile: hostile},
        },
        "recipe": {"name": hostile, "canvas": [hostile], "patch": hostile},
        "gate": {"max_drift": hostile},
        "seed": hostile,
    }
    text = card(made_with=made_with, name=hostile, source=hostile).split("---\n", 2)[2]
    outside = re.sub(r"`[^`]*`", "", text)
    assert "<img" in text
    assert "<img" not in outside
    assert "None" not in card(made_with=dict.fromkeys(made_with, hostile))


def test_what_was_not_recorded_is_not_made_up():
    text = card()
    assert "| editor | not recorded |" in text
    assert "| canvas, patch (width, height) | not recorded, not recorded |" in text
    assert "None" not in text
    assert "| farthest an edit may have moved | not checked |" in text
    assert "No score was recorded when this set was made." in text


@pytest.mark.parametrize(
    ("editor", "name"),
    [
        ({"model": "a/b", "revision": "12"}, "a/b@12"),
        ({"model": "own", "digest": "0123456789abcdef"}, "own@0123456789ab"),
        ({"model": "own"}, "own"),
        ({}, None),
    ],
)
def test_an_editor_is_named_with_its_version(editor, name):
    assert editor_name(editor) == name
