"""What is read of the manifest of a generated set, and what is wrong with one."""

import json
import os

import pytest

from zsda.core.errors import DataError
from zsda.data.manifest import LayoutScore, count_flaws, has_none, read_manifest


def write(path, *lines):
    path.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines))


def made(source, **more):
    return {"source": source, "output": source, "split": "train", **more}


def left_out(source, *flaws, split="train"):
    return {"source": source, "output": None, "split": split, "retries": [{"seed": 1, "flaw": flaw} for flaw in flaws]}


def test_a_line_tells_what_was_looked_for(tmp_path):
    write(
        tmp_path / "manifest.jsonl",
        made("a", layout_score=1, layout_network="n", drift=0, boxes=[[0, 0, 1, 1]], digest="d"),
        made("b", layout_score=None, drift=None),
        made("c"),
        left_out("d", "noise", "uniform", "noise"),
    )
    manifest = read_manifest(tmp_path)
    manifest.check()
    first, second, third, last = manifest.of_split("train")
    assert (first.layout, first.measured, first.drift, first.digest) == (LayoutScore(1, "n"), True, 0, "d")
    assert (second.layout, second.measured, second.drift) == (LayoutScore(None, None), True, None)
    assert (third.layout, third.measured, third.left_out) == (None, False, False)
    assert last.left_out
    assert count_flaws(manifest.lines.values()) == {"noise": 2, "uniform": 1}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "no JSON"),
        ("", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("[]", "no JSON object"),
        ({"output": "a"}, "it names no source"),
        (made("../a"), "source '../a' is no path below the set"),
        (made("a", output="b"), "output 'b' is not at the path of its source"),
        (made("a", layout_score=2), "layout_score: input should be less than or equal to 1, found 2"),
        (made("a", layout_score=True), "layout_score: input should be a valid number, found true"),
        (made("a", layout_score="0.5"), "layout_score: input should be a valid number"),
        (made("a", layout_score=float("nan")), "layout_score: input should be a finite number"),
        (made("a", layout_network=3), "layout_network: input should be a valid string, found 3"),
        (made("a", drift=-1), "drift: input should be greater than or equal to 0, found -1"),
        (made("a", drift=10**400), "drift: input should be a valid number, found 1000"),
        (made("a", retries=5), "retries: input should be a valid list, found 5"),
        (made("a", split="\x1b", retries=[{}]), "it names no retries.0.flaw"),
    ],
    ids=lambda found: found[:20] if isinstance(found, str) else "",
)
def test_what_is_no_line_is_passed_over_and_told(tmp_path, line, said):
    write(tmp_path / "manifest.jsonl", made("x"), line, "torn", made("y"))
    manifest = read_manifest(tmp_path)
    assert list(manifest.lines) == ["x", "y"]
    assert manifest.fault.startswith(f"line 2: {said}")
    with pytest.raises(
        DataError, match=r"manifest.jsonl: cannot be read \(line 2: .*\); expected what python -m zsda.generate"
    ):
        manifest.check()


def test_of_a_source_the_last_line_counts_and_lines_beside_the_manifest_win(tmp_path):
    write(tmp_path / "manifest.jsonl", made("a", drift=1), made("b", drift=1), made("a", drift=2))
    write(tmp_path / "manifest.0.jsonl.part", made("b", drift=3), made("c", drift=4), '{"source": "d", "out')
    write(tmp_path / "manifest.1.jsonl.part", made("e", split="val"), left_out("c", "noise"))
    manifest = read_manifest(tmp_path)
    manifest.check()  # a line that a kill tore is no fault of the manifest
    assert {source: line.drift for source, line in manifest.lines.items()} == {"a": 2, "b": 1}
    assert list(manifest.beside) == ["b", "c", "e"]
    assert [(line.source, line.drift, line.left_out) for line in manifest.of_split("train")] == [
        ("a", 2, False),
        ("b", 3, False),
        ("c", None, True),
    ]


def test_where_there_is_no_manifest_nothing_is_told(tmp_path):
    assert read_manifest(tmp_path / "nowhere").newest == {}
    with pytest.raises(DataError, match=r"manifest.jsonl: cannot be read \(No such file or directory\)"):
        read_manifest(tmp_path).check()
    write(tmp_path / "manifest.0.jsonl.part", made("a"), left_out("b", "noise"))
    with pytest.raises(DataError, match=r"is not finished, 2 lines still lie beside its manifest; start its python -m"):
        read_manifest(tmp_path).check()
    os.mkfifo(tmp_path / "manifest.jsonl")
    assert read_manifest(tmp_path).fault == "no regular file"


def test_names_that_are_no_text_are_read_as_they_stand(tmp_path):
    (tmp_path / "manifest.jsonl").write_bytes(b'{"source": "a\\udcff", "output": "a\\udcff"}\n')
    assert list(read_manifest(tmp_path).newest) == ["a\udcff"]


def test_a_set_says_that_it_has_no_image_of_a_split(tmp_path):
    write(
        tmp_path / "manifest.jsonl", left_out("a", "noise"), made("b", split="val"), left_out("c", "black", split="val")
    )
    assert not has_none(tmp_path, "train"), "nothing says that it was made here"
    (tmp_path / "generation.json").write_text("{}")
    assert has_none(tmp_path, "train")
    assert not has_none(tmp_path, "val")
    write(tmp_path / "manifest.0.jsonl.part", made("a"))
    assert not has_none(tmp_path, "train")
