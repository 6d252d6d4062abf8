"""``python -m zsda.report`` over run folders made by hand."""

import csv
import shutil
import subprocess
import sys

import pytest

from tests.conftest import one_line
from tests.reporting.made import PUBLISHED, add_epochs, add_scores, make_run
from zsda.core.files import file_digest


@pytest.fixture
def runs(tmp_path):
    """The folder of two seeds of three methods; commands of the fixture ``zsda`` run beside it."""
    root = tmp_path / "work/runs"
    for seed, (day, low, middle, high) in enumerate([(0.50, 0.20, 0.30, 0.40), (0.54, 0.24, 0.34, 0.44)]):
        make_run(root, "source_only", None, seed, {"day": day, "fog": low})
        make_run(root, "sdgpa", "fog", seed, {"day": day - 0.1, "fog": middle})
        make_run(root, "oracle", "fog", seed, {"fog": high})
    return root


def cells(line):
    return [cell.strip() for cell in line.split("  ") if cell.strip()]


def test_the_screen_and_the_files(zsda, runs):
    result = zsda("report")
    assert result.returncode == 0, result.stderr
    lines = [cells(line) for line in result.stdout.splitlines()]
    assert ["sdgpa", "32.0 ± 2.8", "42.0 ± 2.8"] in lines
    assert ["oracle", "+20.0 ± 0.0"] in lines
    assert ["sdgpa", "50 %"] in lines
    assert ["Against sdgpa, on the target"] in lines
    assert "mIoU in %, protocol sdgpa" in result.stdout
    assert result.stdout.splitlines()[-1].endswith("table.tex, table.csv, scores.csv, sources.csv in runs/report")
    assert "| sdgpa | 32.0 ± 2.8 | 42.0 ± 2.8 |" in (runs / "report/table.md").read_text()
    assert r"sdgpa & 32.0 $\pm$ 2.8 & 42.0 $\pm$ 2.8 \\" in (runs / "report/table.tex").read_text()
    table = list(csv.DictReader((runs / "report/table.csv").open()))
    (number,) = (row for row in table if row["table"] == "Against source_only, on the target" and row["row"] == "sdgpa")
    assert (number["column"], number["value"], number["spread"], number["noise"]) == ("fog", "+10.0", "0.0", "0")
    digest = file_digest(runs / "fog_sdgpa_seed0/only/weights.safetensors")
    assert number["runs"].split() == [
        f"{name}_seed{seed}@{digest[:12]}" for seed in (0, 1) for name in ("fog_sdgpa", "day_source_only")
    ]
    sources = {row["run"]: row for row in csv.DictReader((runs / "report/sources.csv").open())}
    assert len(sources) == 6
    source = sources["fog_sdgpa_seed0"]
    assert (source["weights"], source["scores"]) == (digest, "runs/fog_sdgpa_seed0/eval/day+fog_sdgpa/scores.json")
    assert source["scores_digest"] == file_digest(runs.parent / source["scores"])
    for name in ("table.md", "table.tex"):
        assert (runs / "report" / name).read_text().count("python -m zsda.report") == 5, "under every table"
    assert len(list(csv.DictReader((runs / "report/scores.csv").open()))) == 10
    again = zsda("report", "runs=[day_source_only_seed1,fog_sdgpa*]", "out=elsewhere", "against=[oracle,source_only]")
    assert again.returncode == 0, "its own folder is no run"
    assert "against: there are no runs of oracle" in again.stdout
    assert ["sdgpa", "+10.0 (1)"] in [cells(line) for line in again.stdout.splitlines()], "over the seed that both have"
    assert (runs.parent / "elsewhere/table.md").is_file()


def test_a_variant_of_a_protocol_is_compared_under_its_own_name(zsda, tmp_path):
    root = tmp_path / "work/runs"
    for protocol, score in (("hiast_512x1024+640x1280_mirror", 0.5), ("hiast", 0.4)):
        for method, more in (("source_only", 0), ("sdgpa", 0.1)):
            target = None if method == "source_only" else "fog"
            add_scores(make_run(root, method, target, 0), {"day": 0.6, "fog": score + more}, protocol)
    for protocol, shown in (("hiast", "50.0"), ("hiast_512x1024+640x1280_mirror", "60.0")):
        result = zsda("report", f"protocol={protocol}")
        assert result.returncode == 0, result.stderr
        assert ["sdgpa", shown, "60.0"] in [cells(line) for line in result.stdout.splitlines()]
        seen = ", input " if protocol == "hiast" else ", one seed."  # several sizes stand in the name
        assert f"mIoU in %, protocol {protocol}{seen}" in " ".join(result.stdout.split())
    refused = zsda("report", "protocol=hiast_mirror")
    assert "give protocol=hiast|hiast_512x1024+640x1280_mirror, or evaluate" in one_line(refused)


def test_domains_can_be_chosen(zsda, runs):
    for seed in range(2):
        make_run(runs, "sdgpa", "snow", seed, {"snow": 0.7})
    assert "snow" in zsda("report").stdout
    result = zsda("report", "domains=[fog]")
    assert ["sdgpa", "32.0 ± 2.8", "42.0 ± 2.8"] in [cells(line) for line in result.stdout.splitlines()]
    assert "snow" not in result.stdout
    wrong = one_line(zsda("report", "domains=[fog,dusk]"))
    assert "domains=dusk: no run was adapted to it, and none without a target was scored in it" in wrong
    assert "expected some of fog, snow" in wrong
    assert "domains=day: no run" in one_line(zsda("report", "domains=[day]")), "the source"
    make_run(runs, "whole", "fog", 0, {"fog": 0.4, "rain": 0.7})
    assert "domains=rain: no run" in one_line(zsda("report", "domains=[rain]")), "a score that no table shows"


def test_runs_that_differ_in_more_than_their_seed_are_mentioned(zsda, runs):
    assert "settings" not in zsda("report").stdout
    other = {"settings": {"model": {"encoder": "resnet101"}}, "arguments": {"encoder": "resnet101"}}
    make_run(runs, "sdgpa", "fog", 0, {"day": 0.4, "fog": 0.3}, **other)
    make_run(runs, "sdgpa", "snow", 0, {"day": 0.4, "snow": 0.3}, settings={"optimizer": {"lr": 1}})
    result = zsda("report", "domains=[fog]")
    assert (
        "averaged as seeds, but trained with other settings: model (fog_sdgpa_seed0, fog_sdgpa_seed1)" in result.stdout
    )
    assert "compared, but trained with other settings: model.encoder (" in result.stdout
    assert "optimizer" not in result.stdout, "of a domain that is not compared"


def test_a_run_without_a_target_is_compared_in_all(zsda, runs):
    make_run(runs, "weather", None, 0, {"fog": 0.25}, settings={"data": {"weather": "rain"}})
    result = zsda("report")
    assert ["weather", "25.0 (1)", "-"] in [cells(line) for line in result.stdout.splitlines()], result.stderr


def test_another_source_than_the_day_is_reported_as_such(zsda, tmp_path, runs):
    root = tmp_path / "work/others"
    make_run(root, "source_only", None, 0, {"game": 0.6, "day": 0.3}, source_setting="game")
    make_run(root, "hiast", "day", 0, {"game": 0.5, "day": 0.4}, source_setting="game")
    result = zsda("report", "runs_root=others", "domains=[day]")
    assert result.returncode == 0, result.stderr
    lines = [cells(line) for line in result.stdout.splitlines()]
    assert ["On the target and in game"] in lines
    assert ["method", "day", "game"] in lines
    assert ["hiast", "40.0", "50.0"] in lines
    assert ["Against source_only, in game"] in lines
    assert "| hiast | 40.0 | 50.0 |" in (root / "report/table.md").read_text()
    shutil.copytree(root / "day_hiast_seed0", runs / "day_hiast_seed0")
    mixed = zsda("report")
    assert mixed.returncode == 2
    assert "day_hiast_seed0 starts from game and day_source_only_seed0 from day" in one_line(mixed)
    assert not (runs / "report").exists()
    assert zsda("report", "runs=[*sdgpa*,*source*]").returncode == 0, "the way out"


def test_the_papers_rows_stand_beside_runs_that_compare(zsda, tmp_path):
    root = tmp_path / "work/runs"
    make_run(root, "sdgpa", "fog", 0, {"fog": 0.6}, size=(512, 1024), **PUBLISHED)
    hint = zsda("report", "score=miou_present")
    assert "which score=miou shows" in hint.stdout
    assert "paper)" not in hint.stdout
    result = zsda("report")
    lines = [cells(line) for line in result.stdout.splitlines()]
    assert ["sdgpa", "60.0", "-"] in lines, result.stderr
    assert ["sdgpa (paper)", "58.8 ± 0.7", "-"] in lines
    for name in ("table.md", "table.tex", "table.csv"):
        text = (root / "report" / name).read_text()
        assert "sdgpa (released checkpoints)" in text
        assert "uoted" in text
    assert "mIoU in %, protocol sdgpa, input 512x1024" in result.stdout
    shutil.rmtree(root)
    make_run(root, "sdgpa", "fog", 0, {"fog": 0.6}, size=(256, 512), **PUBLISHED)
    assert "paper" not in zsda("report").stdout, "another size"


def test_oracle_selection_is_said_everywhere(zsda, runs):
    for seed in (0, 1):
        add_epochs(runs / f"fog_sdgpa_seed{seed}", {10: {"day": 0.4, "fog": 0.5}, 30: {"day": 0.6, "fog": 0.3}})
        add_epochs(runs / f"day_source_only_seed{seed}", {10: {"day": 0.6, "fog": 0.1}, 30: {"day": 0.5, "fog": 0.2}})
    words = ["report", "runs=[*sdgpa*,*source*]"]
    assert zsda(*words).returncode == 0
    before = (runs / "report/table.md").read_bytes()
    result = zsda(*words, "selection=best_on_target")
    assert result.returncode == 0, result.stderr
    lines = [cells(line) for line in result.stdout.splitlines()]
    assert ["sdgpa", "50.0 ± 0.0", "40.0 ± 0.0"] in lines, "the day of that epoch"
    assert ["source_only", "20.0 ± 0.0", "50.0 ± 0.0"] in lines
    written = (runs / "report/table_oracle_selection.md").read_text()
    for table in written.split("### ")[1:]:
        title, caption = (
            table.splitlines()[0],
            next(line for line in table.splitlines() if line.startswith(("mIoU", "Points"))),
        )
        assert "oracle selection" in title
        assert "oracle selection (each run's best kept epoch, chosen with the labels of the target)" in caption
    assert (runs / "report/table_oracle_selection.tex").read_text().count("oracle selection (each") == len(
        written.split("### ")[1:]
    )
    table, scores = (
        list(csv.DictReader((runs / f"report/{name}_oracle_selection.csv").open())) for name in ("table", "scores")
    )
    assert {row["selection"] for row in table} == {"oracle selection"}
    assert {row["oracle selection: epoch"] for row in scores} == {"10", "30"}
    assert (runs / "report/table.md").read_bytes() == before


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["runs=snow_*"], "no run under runs matches snow_*; there are day_source_only_seed0, "),
        (["runs_root=nowhere"], "no run under nowhere matches *; train one with python -m zsda.train"),
        (["protocol=full"], "no scores of protocol full in 6 runs; give protocol=sdgpa, or evaluate with"),
        (["score=accuracy"], "score=accuracy; expected null, miou, miou_present"),
        (["score=miou_16"], "score=miou_16: no run was scored so"),
        (["score=miou_16", "selection=best_on_target"], "score=miou_16 is not known of every epoch"),
        (["selection=best"], "selection=best; expected last or best_on_target"),
        (["selection=best_on_target"], "protocol sdgpa: 6 of 6 runs, day_source_only_seed0, "),
    ],
)
def test_bad_input_gets_one_line_and_leaves_nothing(zsda, runs, more, message):
    result = zsda("report", *more)
    assert result.returncode == 2, result.stderr
    assert message in one_line(result)
    assert not (runs / "report").exists()


def test_documents_are_filled_from_the_scores_of_a_report(zsda, runs):
    assert zsda("report", "scenes=0").returncode == 0
    before = (runs / "report/report.html").stat().st_mtime_ns
    document = runs / "report/study.md"
    mark = "<!-- report {value: score, of: sdgpa, on: fog, scores: scores.csv} -->"
    document.write_text(f"It reaches {mark}<!-- end -->.\n")
    first = zsda("report", "documents=runs/report/study.md")
    assert first.returncode == 0, first.stderr
    assert first.stdout.endswith("written: runs/report/study.md\n")
    assert document.read_text() == f"It reaches {mark}32.0 ± 2.8<!-- end -->.\n"
    changed = document.stat().st_mtime_ns
    again = zsda("report", "documents=[runs/report/study.md]")
    assert again.stdout.endswith("unchanged: runs/report/study.md\n")
    assert document.stat().st_mtime_ns == changed
    assert (runs / "report/report.html").stat().st_mtime_ns == before, "no page is made"
    refused = zsda("report", "documents=runs/report/study.md", "runs=fog_*", "out=elsewhere")
    assert one_line(refused).endswith("leave out runs=, out=")
    document.write_text(f"{mark}\n")
    assert "runs/report/study.md, line 1: no <!-- end --> follows" in one_line(zsda("report", f"documents={document}"))
    assert document.read_text() == f"{mark}\n"


def test_it_needs_nothing_heavy():
    code = (
        "import sys, zsda.report; from zsda.reporting import formats, layout, published, results, tables;"
        "print({'torch', 'lightning', 'matplotlib', 'cv2'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"
