import json
import resource
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch

from tests.generation.conftest import pixels
from zsda.errors import StoreError
from zsda.generation.recipes import Box
from zsda.generation.store import Edited, GeneratedStore
from zsda.runs import digest

SETTINGS = {"domain": {"prompt": "make it rain"}, "editor": {"steps": 50, "versions": {"torch": "2.15"}}, "seed": 0}
SOURCES = [f"leftImg8bit/train/aachen/aachen_000000_{number:06d}_leftImg8bit.png" for number in range(3)]


@pytest.fixture
def origin(tmp_path):
    """A stand-in for the source data set: the store only ever takes digests of its files."""
    for source in SOURCES:
        path = tmp_path / "cityscapes" / source
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    return tmp_path / "cityscapes"


@pytest.fixture
def root(tmp_path):
    return tmp_path / "rain_target"


def edited(source: str, value: int = 100) -> Edited:
    image = torch.full((3, 8, 16), value, dtype=torch.uint8)
    image[:, 2, 3] = torch.tensor([1, 2, 3], dtype=torch.uint8)
    return Edited(source, digest(source.encode()), [Box(0, 0, 8, 8), Box(8, 0, 16, 8)], [11, 12], image)


def fill(root, origin, sources=SOURCES):
    store = GeneratedStore(root, SETTINGS)
    store.recover(origin, SOURCES)
    store.finished()
    for source in sources:
        store.add(edited(source))
    store.conclude()


def contents(root):
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_set_explains_itself(root, origin):
    fill(root, origin, reversed(SOURCES))
    assert sorted(contents(root)) == ["generation.json", *SOURCES, "manifest.jsonl"]
    assert json.loads((root / "generation.json").read_text()) == SETTINGS
    lines = [json.loads(line) for line in (root / "manifest.jsonl").read_text().splitlines()]
    assert [line["source"] for line in lines] == SOURCES
    assert lines[0] == {
        "source": SOURCES[0],
        "source_digest": digest((origin / SOURCES[0]).read_bytes()),
        "split": "train",
        "boxes": [[0, 0, 8, 8], [8, 0, 16, 8]],
        "seeds": [11, 12],
        "output": SOURCES[0],
        "digest": digest((root / SOURCES[0]).read_bytes()),
    }


def test_pixels_survive(root, origin):
    fill(root, origin)
    image = pixels(root / SOURCES[0])
    assert image.shape == (8, 16, 3)
    assert image[2, 3].tolist() == [1, 2, 3]
    assert np.unique(image[3:]).tolist() == [100]


def test_looking_at_a_set_writes_nothing(root, origin):
    store = GeneratedStore(root, SETTINGS)
    store.recover(origin, SOURCES)
    assert store.finished() == set()
    store.conclude()
    assert not root.exists()


def test_what_a_killed_run_left_is_taken_over(root, origin):
    fill(root, origin)
    complete = contents(root)
    manifest = (root / "manifest.jsonl").read_bytes().splitlines(keepends=True)
    (root / "manifest.jsonl").unlink()
    (root / "manifest.0.jsonl.part").write_bytes(manifest[2] + manifest[0][:40])  # torn in the middle of a line
    (root / "manifest.1.jsonl.part").write_bytes(manifest[1])
    (root / "leftImg8bit/train/aachen/.x3k.part").write_bytes(b"half a PNG")
    store = GeneratedStore(root, SETTINGS)
    store.recover(origin, SOURCES)
    assert store.finished() == {SOURCES[1], SOURCES[2]}
    store.add(edited(SOURCES[0]))
    store.conclude()
    assert contents(root) == complete


def test_killed_before_the_first_image(root, origin):
    root.mkdir()
    (root / ".abc.part").write_bytes(b'{"dom')
    fill(root, origin)
    assert sorted(contents(root)) == ["generation.json", *SOURCES, "manifest.jsonl"]


@pytest.mark.parametrize("damage", ["truncate", "remove", "replace"])
def test_damaged_images_are_made_again(root, origin, damage):
    fill(root, origin)
    complete, victim = contents(root), root / SOURCES[1]
    if damage == "remove":
        victim.unlink()
    else:
        victim.write_bytes(
            victim.read_bytes()[:50] if damage == "truncate" else (root / SOURCES[0]).read_bytes() + b"x"
        )
    store = GeneratedStore(root, SETTINGS)
    store.recover(origin, SOURCES)
    assert store.finished() == {SOURCES[0], SOURCES[2]}
    assert not victim.exists()
    for source in SOURCES:  # a group is recomputed as a whole; what is finished stays as it is
        store.add(edited(source, 100 if source == SOURCES[1] else 0))
    store.conclude()
    assert contents(root) == complete


def test_a_changed_source_is_edited_again(root, origin):
    fill(root, origin)
    (origin / SOURCES[2]).write_text("another photograph")
    store = GeneratedStore(root, SETTINGS)
    store.recover(origin, SOURCES)
    assert store.finished() == {SOURCES[0], SOURCES[1]}


def test_other_splits_stay(root, origin):
    fill(root, origin)
    store = GeneratedStore(root, SETTINGS)
    store.recover(origin, ["leftImg8bit/val/aachen/x_leftImg8bit.png"])
    assert store.finished() == set(SOURCES)


def test_lines_never_lead_out_of_the_set(root, origin, tmp_path):
    fill(root, origin)
    outside = tmp_path / "precious.png"
    outside.write_text("precious")
    line = json.dumps({"source": "../precious.png", "output": "../precious.png", "digest": "0"}) + "\n"
    (root / "manifest.0.jsonl.part").write_text(line)
    GeneratedStore(root, SETTINGS).recover(origin, SOURCES)
    assert outside.read_text() == "precious"


def test_other_settings_are_named_and_refused(root, origin):
    fill(root, origin)
    before = contents(root)
    asked = {"domain": {"prompt": "make it snow"}, "editor": {"steps": 50}, "seed": 0, "limit": 3}
    with pytest.raises(StoreError) as caught:
        GeneratedStore(root, asked)
    message = str(caught.value)
    assert 'domain.prompt was "make it rain" and is now "make it snow"' in message
    assert 'limit was "nothing" and is now 3' in message
    assert "steps" not in message
    assert "seed" not in message
    assert "domain.name=" in message
    assert "\n" not in message
    assert contents(root) == before


def test_other_versions_are_told_but_accepted(root, origin, caplog):
    fill(root, origin)
    newer = {**SETTINGS, "editor": {"steps": 50, "versions": {"torch": "2.16"}}}
    assert GeneratedStore(root, newer).finished() == set(SOURCES)
    assert 'editor.versions.torch was "2.15" and is now "2.16"' in caplog.text


def test_a_set_of_the_published_code_is_not_touched(root):
    image = root / SOURCES[0]
    image.parent.mkdir(parents=True)
    image.write_bytes(b"made elsewhere")
    with pytest.raises(StoreError, match=r"no generation\.json, so zsda did not make it and will not add to it"):
        GeneratedStore(root, SETTINGS)
    assert list(contents(root)) == [SOURCES[0]]


def test_a_damaged_description_is_one_line(root, origin):
    fill(root, origin)
    (root / "generation.json").write_text("{")
    with pytest.raises(StoreError, match="cannot be read"):
        GeneratedStore(root, SETTINGS)


def test_a_full_disk_leaves_nothing_half_written(root, origin):
    store = GeneratedStore(root, SETTINGS)
    store.recover(origin, SOURCES)
    store.add(edited(SOURCES[0]))
    noise = torch.randint(0, 256, (3, 64, 64), dtype=torch.uint8)  # compresses to about 12 KiB
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(StoreError, match="no space left"):
            store.add(edited(SOURCES[1])._replace(image=noise))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    store.conclude()
    assert sorted(contents(root)) == ["generation.json", SOURCES[0], "manifest.jsonl"]


HOLD = """
import sys
from pathlib import Path
from zsda.generation.store import GeneratedStore
store = GeneratedStore(Path(sys.argv[1]), {settings})
store.recover(Path(sys.argv[2]), [])
sys.stdout.write("locked\\n"); sys.stdout.flush(); sys.stdin.read()
"""


def test_two_runs_never_write_to_one_set(root, origin):
    fill(root, origin)
    program = HOLD.format(settings=SETTINGS)
    holder = subprocess.Popen(
        [sys.executable, "-c", program, root, origin], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout.readline() == "locked\n"
        with pytest.raises(StoreError, match="another run is writing to this set"):
            GeneratedStore(root, SETTINGS).recover(origin, SOURCES)
    finally:
        holder.communicate("")
    GeneratedStore(root, SETTINGS).recover(origin, SOURCES)


def test_deleting_the_folder_starts_anew(root, origin):
    fill(root, origin)
    shutil.rmtree(root)
    assert GeneratedStore(root, {"seed": 1}).finished() == set()
