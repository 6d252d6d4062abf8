"""Raw scores read back are what was written, and nothing else is taken for them."""

from dataclasses import replace

import pytest

from zsda.core.errors import RecordError
from zsda.reporting.comparison import Comparison
from zsda.reporting.formats import markdown_table
from zsda.reporting.grids import grids
from zsda.reporting.run_scores import results_csv
from zsda.reporting.scores_file import read_scores_csv

HEAD = "run,method,source,target,seed,setting,protocol,size,miou,miou_present,accuracy"
ROW = "fog_sdgpa_seed0,sdgpa,day,fog,0,fog,sdgpa,64x128,0.5,0.25,0.9"
DAY = ROW.replace(",fog,sdgpa", ",day,sdgpa")


def tables(comparison):
    return [markdown_table(grid) + list(grid.caption) for grid in grids(comparison, ["source_only", "sdgpa"])]


def test_tables_made_of_what_is_read_back_are_the_same(comparison, tmp_path):
    path = tmp_path / "scores.csv"
    path.write_bytes(results_csv(comparison.results))
    read = read_scores_csv(path)
    assert tables(Comparison(read)) == tables(comparison)
    assert [(run.run, run.target, run.size) for run in read] == [
        (run.run, run.target, run.size) for run in comparison.results
    ]
    assert [run.settings for run in read] == [run.settings for run in comparison.results], "to the last digit"


def test_protocols_sources_and_means_of_a_part_of_the_classes_are_kept(from_game, tmp_path):
    first = from_game[0]
    more = {**first.settings["day"], "miou_16": 1 / 3, "miou_16_published": 1.2}
    other = replace(first, protocol="hiast", size=(96, 256), settings={"day": more})
    path = tmp_path / "scores.csv"
    path.write_bytes(results_csv([*from_game, other]))
    *before, last = read_scores_csv(path)
    assert [run.settings for run in before] == [run.settings for run in from_game], "no empty cells"
    assert {run.source_setting for run in before} == {"game"}
    assert (last.run, last.protocol, last.size, last.settings) == (first.run, "hiast", (96, 256), {"day": more})


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "has no column run, method, source"),
        (
            [HEAD.replace(",source", "").replace(",size", "")],
            "scores.csv: has no column source, size; expected the scores.csv",
        ),
        ([HEAD], "scores.csv: holds no scores"),
        ([HEAD, ROW.replace("0.25", "high")], "scores.csv, line 2: miou_present: input should be a valid number"),
        ([HEAD, ROW.replace("0.25", "")], "line 2: miou_present"),
        ([HEAD, DAY, ROW.replace("0.25", "25")], "line 3: miou_present: input should be less than or equal to 1"),
        ([HEAD, ROW.replace("0.25", "nan")], "line 2: miou_present: "),
        ([HEAD, ROW.replace(",0,", ",zero,")], "line 2: seed: "),
        ([HEAD, ROW.replace("64x128", "64")[:-4]], "line 2: expected 11 cells"),
        ([HEAD, ROW + ",1"], "line 2: expected 11 cells"),
        ([HEAD, ROW.replace("64x128", "64 x 128")], "line 2: size: "),
        ([HEAD, ROW.replace(",sdgpa,day", ",a|b,day")], "line 2: method: "),
        ([HEAD, ROW, DAY, ROW], "line 4: fog_sdgpa_seed0 in fog stands there twice"),
        ([HEAD, ROW, DAY.replace(",0,", ",1,")], "line 3: fog_sdgpa_seed0 has another seed than in the rows before"),
        ([HEAD + ",more", ROW + ",1"], "line 2: more is no name that zsda writes"),
        ([HEAD + ",oracle selection: epoch", ROW + ",3"], "its epochs were chosen with labels of the target"),
    ],
)
def test_another_file_is_refused_with_its_line(tmp_path, lines, message):
    path = tmp_path / "scores.csv"
    path.write_text("".join(f"{line}\r\n" for line in lines))
    with pytest.raises(RecordError) as refused:
        read_scores_csv(path)
    assert message in str(refused.value)


def test_a_missing_file_and_one_that_is_no_text_are_refused(tmp_path):
    with pytest.raises(RecordError, match=r"nowhere.csv: no such file; expected the scores.csv of a report"):
        read_scores_csv(tmp_path / "nowhere.csv")
    (tmp_path / "scores.csv").write_bytes(b"\xff\xfe")
    with pytest.raises(RecordError, match=r"scores.csv: cannot be read"):
        read_scores_csv(tmp_path / "scores.csv")
