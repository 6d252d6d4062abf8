"""``python -m zsda.report`` over run folders made by hand."""

import csv
import subprocess
import sys

import pytest

from tests.conftest import one_line
from tests.reporting.made import make_run


@pytest.fixture
def runs(tmp_path):
    """The folder of two seeds of three methods; commands of the fixture ``zsda`` run beside it."""
    root = tmp_path / "work/runs"
    for seed, (day, low, middle, high) in enumerate([(0.50, 0.20, 0.30, 0.40), (0.54, 0.24, 0.34, 0.44)]):
        make_run(root, "source_only", None, seed, {"day": day, "fog": low})
        make_run(root, "sdgpa", "fog", seed, {"day": day - 0.1, "fog": middle})
        make_run(root, "oracle", "fog", seed, {"fog": high})
    return root


def test_table_markdown_and_csv(zsda, runs):
    result = zsda("report")
    assert result.returncode == 0, result.stderr
    rows = [[cell.strip() for cell in line.split("│")[2:-1]] for line in result.stdout.splitlines() if "│" in line]
    assert rows == [
        ["source_only", "2", "22.0 ± 2.8", "52.0 ± 2.8", "-", "-"],
        ["sdgpa", "2", "32.0 ± 2.8", "42.0 ± 2.8", "+10.0", "50 %"],
        ["oracle", "2", "42.0 ± 2.8", "-", "+20.0", "100 %"],
    ]
    assert "mIoU of labelled classes in %, protocol sdgpa" in result.stdout
    assert result.stdout.splitlines()[-1].endswith("table.md and scores.csv in runs/report")
    assert "| sdgpa | 32.0 ± 2.8 | 32.0 ± 2.8 | 42.0 ± 2.8 |" in (runs / "report/table.md").read_text()
    assert len(list(csv.DictReader((runs / "report/scores.csv").open()))) == 10
    again = zsda("report", "runs=[day_source_only_seed1,fog_sdgpa*]", "out=elsewhere")
    assert again.returncode == 0, "its own folder is no run"
    assert "+10.0" in again.stdout, "the gain over the seed that both have"
    assert (runs.parent / "elsewhere/table.md").is_file()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["runs=snow_*"], "no run under runs matches snow_*; there are day_source_only_seed0, "),
        (["runs_root=nowhere"], "no run under nowhere matches *; train one with python -m zsda.train"),
        (["protocol=full"], "no scores of protocol full in 6 runs; give protocol=sdgpa, or evaluate with"),
    ],
)
def test_bad_input_gets_one_line_and_leaves_nothing(zsda, runs, more, message):
    result = zsda("report", *more)
    assert result.returncode == 2, result.stderr
    assert message in one_line(result)
    assert not (runs / "report").exists()


def test_it_needs_nothing_heavy():
    code = (
        "import sys, zsda.report, zsda.reporting.comparison, zsda.reporting.results, zsda.reporting.tables;"
        "print({'torch', 'lightning', 'matplotlib', 'cv2'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"
