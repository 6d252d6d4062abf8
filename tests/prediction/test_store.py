import json

import pytest

from zsda.core.errors import StoreError
from zsda.prediction.store import PredictionStore, Work


@pytest.fixture
def root(tmp_path):
    return tmp_path / "out"


@pytest.fixture
def source(tmp_path):
    """A file of which something is made."""
    path = tmp_path / "photos/a.png"
    path.parent.mkdir()
    path.write_bytes(b"a")
    return path


def store(root, again=False, **settings):
    return PredictionStore(root, settings, {}, again)


def make(root, work, content=b"made", **more):
    """Makes all outputs of one file, as a whole start of the command does."""
    one = store(root, **more)
    begun = one.begin([work])
    for output in work.outputs if begun else []:
        (root / output).parent.mkdir(parents=True, exist_ok=True)
        (root / output).write_bytes(content)
        one.note(work)
    return bool(begun)


def test_what_is_made_of_the_present_content_is_kept(root, source):
    work = Work(source, "1", ["x/a.png", "y/a.png"])
    assert make(root, work)
    assert not make(root, work)
    (root / "y/a.png").unlink()
    assert make(root, work)
    assert (root / "x/a.png").is_file()


@pytest.mark.parametrize("digest", ["2", None])
def test_what_is_made_of_a_former_content_is_removed(root, source, digest):
    """Also what is not asked for now."""
    make(root, Work(source, "1", ["x/a.png", "y/a.png", "frames"]))
    (root / "frames").unlink()
    (root / "frames").mkdir()
    (root / "frames/0.png").touch()
    other = source.with_name("b.png")
    make(root, Work(other, "1", ["x/b.png"]))
    now = Work(source, digest, ["x/a.png"])
    assert store(root).begin([now]) == [now]
    assert sorted(path.name for path in root.rglob("*.*")) == ["b.png", "predicted.jsonl", "predictions.json"]


def test_what_was_begun_is_known_as_its_own_and_made_anew(root, source):
    work = Work(source, "1", ["x/a.png"])
    store(root).begin([work])
    (root / "x").mkdir()
    (root / "x/a.png").write_bytes(b"half")
    assert make(root, work)
    assert (root / "x/a.png").read_bytes() == b"made"


def test_what_was_not_written_by_it_is_refused(root, source):
    (root / "x").mkdir(parents=True)
    (root / "x/a.png").write_bytes(b"mine")
    for again in (False, True):
        with pytest.raises(StoreError, match=r"x/a\.png would be written over, and is no prediction"):
            make(root, Work(source, "1", ["x/a.png"]), again=again)
    assert [path.name for path in root.rglob("*")] == ["x", "a.png"]
    assert (root / "x/a.png").read_bytes() == b"mine"


def test_a_link_that_leads_nowhere_is_refused_too(root, source):
    (root / "x").mkdir(parents=True)
    (root / "x/a.png").symlink_to("nothing")
    with pytest.raises(StoreError, match=r"x/a\.png would be written over"):
        make(root, Work(source, "1", ["x/a.png"]))


def test_an_output_is_never_one_of_the_files(root, source):
    """Neither by its name, nor through a link, nor where it was an output before."""
    root.mkdir()
    (root / "x").symlink_to(source.parent)
    with pytest.raises(StoreError, match=r"x/a\.png is to be predicted, and would be written over"):
        make(root, Work(source, "1", ["x/a.png"]))
    make(root, Work(source, "1", ["y/a.png"]))
    with pytest.raises(StoreError, match=r"y/a\.png is to be predicted"):
        make(root, Work(root / "y/a.png", "2", ["y/a.png"]), again=True)


def test_the_prediction_of_another_file_is_kept_unless_all_is_made_anew(root, source):
    other = Work(source.with_name("b.png"), "2", ["x/a.png"])
    make(root, Work(source, "1", ["x/a.png"]))
    with pytest.raises(StoreError, match=r"x/a\.png is the prediction of .*photos/a\.png; give out=FOLDER"):
        make(root, other)
    assert make(root, other, again=True)


def test_what_is_made_anew_in_part_stays_its_own(root, source):
    work, other = Work(source, "1", ["x/a.png"]), Work(source.with_name("b.png"), "1", ["x/b.png"])
    make(root, work, size=1)
    make(root, other, size=2, again=True)
    assert (root / "x/a.png").is_file()
    assert make(root, work, b"new", size=2)
    assert (root / "x/a.png").read_bytes() == b"new"


@pytest.mark.parametrize("output", ["../photos/a.png", "", ".", "/{}"])
def test_a_record_removes_nothing_outside_its_folder(root, source, output):
    work = Work(source, "2", ["x/a.png"])
    make(root, work)
    place = output.format(source)
    with (root / "predicted.jsonl").open("a") as file:
        file.write(json.dumps([place, "1", str(source)]) + "\n")
    store(root).begin([work._replace(digest="3")])
    assert source.read_bytes() == b"a"
    assert (root / "predictions.json").is_file()
