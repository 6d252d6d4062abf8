import json
import resource
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.generation.conftest import pixels
from zsda.core.errors import StoreError
from zsda.core.files import digest
from zsda.generation.gates import Rejected
from zsda.generation.recipes import Box
from zsda.generation.store import Edited, GeneratedStore

SETTINGS = {"domain": {"prompt": "make it rain"}, "editor": {"steps": 50, "versions": {"torch": "2.15"}}, "seed": 0}
SOURCES = [f"leftImg8bit/train/aachen/aachen_000000_{number:06d}_leftImg8bit.png" for number in range(3)]


def below(root: Path, sources: Sequence[str]) -> dict[str, Path]:
    return {source: root / source for source in sources}


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
    store.recover(below(origin, SOURCES))
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
    store.recover(below(origin, SOURCES))
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
    store.recover(below(origin, SOURCES))
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
    store.recover(below(origin, SOURCES))
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
    store.recover(below(origin, SOURCES))
    assert store.finished() == {SOURCES[0], SOURCES[1]}


def test_lines_are_not_written_through_a_link(root, origin, tmp_path):
    root.mkdir()
    (tmp_path / "precious").write_text("as it was")
    (root / "manifest.0.jsonl.part").symlink_to(tmp_path / "precious")
    with pytest.raises(StoreError, match=r"cannot write or read .*manifest.0.jsonl.part"):
        fill(root, origin)
    assert (tmp_path / "precious").read_text() == "as it was"


def test_other_splits_stay(root, origin):
    fill(root, origin)
    store = GeneratedStore(root, SETTINGS)
    store.recover(below(origin, ["leftImg8bit/val/aachen/x_leftImg8bit.png"]))
    assert store.finished() == set(SOURCES)


def test_lines_never_lead_out_of_the_set(root, origin, tmp_path):
    fill(root, origin)
    outside = tmp_path / "precious.png"
    outside.write_text("precious")
    line = json.dumps({"source": "../precious.png", "output": "../precious.png", "digest": "0"}) + "\n"
    (root / "manifest.0.jsonl.part").write_text(line)
    GeneratedStore(root, SETTINGS).recover(below(origin, SOURCES))
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
    store.recover(below(origin, SOURCES))
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


def refused(source: str, attempts: int = 2) -> Edited:
    """An image of which the second patch was black in every attempt."""
    rejected = [Rejected(0, 11, "flat"), *(Rejected(1, 20 + attempt, "black") for attempt in range(attempts))]
    return edited(source)._replace(image=None, seeds=[12, 19 + attempts], rejected=rejected)


def fill_around(root, origin, retries=1):
    """A set of which the second image was left out, made by two processes."""
    store = GeneratedStore(root, SETTINGS, retries)
    store.recover(below(origin, SOURCES))
    store.finished()
    store.add(edited(SOURCES[0]), rank=0)
    store.add(refused(SOURCES[1], retries + 1), rank=1)
    store.add(edited(SOURCES[2])._replace(rejected=[Rejected(1, 7, "unchanged")]), rank=1)
    return store


def test_a_left_out_image_has_a_line_and_no_file(root, origin):
    store = fill_around(root, origin)
    assert list(store.left_out()) == [SOURCES[1]]
    store.conclude()
    assert sorted(contents(root)) == ["generation.json", SOURCES[0], SOURCES[2], "manifest.jsonl"]
    lines = [json.loads(line) for line in (root / "manifest.jsonl").read_text().splitlines()]
    assert "retries" not in lines[0]
    assert lines[1] == {
        "source": SOURCES[1],
        "source_digest": digest((origin / SOURCES[1]).read_bytes()),
        "split": "train",
        "boxes": [[0, 0, 8, 8], [8, 0, 16, 8]],
        "seeds": [12, 21],
        "output": None,
        "digest": None,
        "retries": [
            {"patch": 0, "seed": 11, "flaw": "flat"},
            {"patch": 1, "seed": 20, "flaw": "black"},
            {"patch": 1, "seed": 21, "flaw": "black"},
        ],
    }
    assert lines[2]["retries"] == [{"patch": 1, "seed": 7, "flaw": "unchanged"}]
    assert lines[2]["output"] == SOURCES[2]


@pytest.mark.parametrize("concluded", [True, False])
def test_a_left_out_image_is_dealt_with(root, origin, concluded):
    store = fill_around(root, origin)
    if concluded:
        store.conclude()
    store = GeneratedStore(root, SETTINGS, retries=1)
    store.recover(below(origin, SOURCES))
    assert store.finished() == set(SOURCES)
    assert list(store.records()) == [SOURCES[0], SOURCES[2]]
    assert list(store.left_out()) == [SOURCES[1]]
    before = contents(root)
    store.add(edited(SOURCES[1]))  # with its group, for the sake of another image
    store.conclude()
    assert contents(root) == before


@pytest.mark.parametrize("why", ["a changed source", "more retries", "a file of the same name"])
def test_when_a_left_out_image_is_tried_again(root, origin, why):
    fill_around(root, origin).conclude()
    if why == "a changed source":
        (origin / SOURCES[1]).write_text("another photograph")
    if why == "a file of the same name":
        (root / SOURCES[1]).write_bytes(b"from elsewhere")
    store = GeneratedStore(root, SETTINGS, retries=2 if why == "more retries" else 1)
    store.recover(below(origin, SOURCES))
    assert store.finished() == {SOURCES[0], SOURCES[2]}
    assert not (root / SOURCES[1]).exists()
    store.add(edited(SOURCES[1]))
    store.conclude()
    assert list(store.records()) == SOURCES
    assert store.left_out() == {}


def test_an_image_without_line_goes_when_it_is_left_out_now(root, origin):
    fill(root, origin, SOURCES[:1])
    (root / SOURCES[1]).write_bytes(b"its line was torn when the run was killed")
    store = GeneratedStore(root, SETTINGS)
    store.recover(below(origin, SOURCES))
    store.finished()
    store.add(refused(SOURCES[1]))
    store.conclude()
    assert sorted(contents(root)) == ["generation.json", SOURCES[0], "manifest.jsonl"]


def test_amended_lines_are_kept_and_hold(root, origin):
    fill_around(root, origin).conclude()
    before = contents(root)
    store = GeneratedStore(root, SETTINGS, retries=1)
    for number, source in enumerate(store.records()):
        store.amend(source, {"layout": {"score": number / 2}}, rank=number)
    store.amend(SOURCES[2], {"layout": {"score": 0.75}}, rank=1)
    store.conclude()
    records = store.records()
    assert [record.pop("layout") for record in records.values()] == [{"score": 0.0}, {"score": 0.75}]
    lines = [json.loads(line) for line in before["manifest.jsonl"].splitlines()]
    assert list(records.values()) == [lines[0], lines[2]]
    assert {name: value for name, value in contents(root).items() if name != "manifest.jsonl"} == {
        name: value for name, value in before.items() if name != "manifest.jsonl"
    }
    amended = contents(root)
    store = GeneratedStore(root, SETTINGS, retries=1)
    store.recover(below(origin, SOURCES))
    assert store.finished() == set(SOURCES)
    assert contents(root) == amended


def test_amendments_survive_a_kill(root, origin):
    fill(root, origin)
    store = GeneratedStore(root, SETTINGS)
    store.records()
    store.amend(SOURCES[1], {"layout": 0.5})
    again = GeneratedStore(root, SETTINGS)
    again.recover(below(origin, SOURCES))
    again.conclude()
    assert [record.get("layout") for record in again.records().values()] == [None, 0.5, None]


def test_only_images_that_are_there_are_amended(root, origin):
    store = fill_around(root, origin)
    store.conclude()
    store.records()
    with pytest.raises(StoreError, match=f"no image of {SOURCES[1]}"):
        store.amend(SOURCES[1], {"layout": 1.0})


@pytest.mark.parametrize("lacking", ["patch", "seed", "flaw", None])
def test_an_image_is_left_out_only_by_a_whole_line(root, origin, lacking):
    fill(root, origin)
    attempt = {"patch": 0, "seed": 1, "flaw": "black"}
    attempt.pop(lacking, None)
    (root / SOURCES[1]).unlink()
    path = root / "manifest.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    lines[1] |= {"output": None, "digest": None, "retries": [attempt]}
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    store = GeneratedStore(root, SETTINGS)
    store.recover(below(origin, SOURCES))
    assert (SOURCES[1] in store.finished()) == (lacking is None)


@pytest.mark.parametrize(
    "values",
    [
        {"drift": -1},
        {"drift": "far"},
        {"drift": [0]},
        {"retries": [{"patch": 0, "seed": 1, "flaw": "drifted", "drift": {"x": 1.0}}]},
        {"retries": [{"patch": 0, "seed": 1, "flaw": "drifted", "drift": 7}]},
    ],
)
def test_a_drift_that_is_none_makes_no_line(root, origin, values):
    fill(root, origin)
    path = root / "manifest.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    lines[1] |= values
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    store = GeneratedStore(root, SETTINGS)
    store.recover(below(origin, SOURCES))
    assert SOURCES[1] not in store.finished()
    assert SOURCES[0] in store.finished()


def test_deleting_the_folder_starts_anew(root, origin):
    fill(root, origin)
    shutil.rmtree(root)
    assert GeneratedStore(root, {"seed": 1}).finished() == set()
