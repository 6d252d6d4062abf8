"""Worked out by hand; mIoU in per cent."""

import pytest

from zsda.errors import StoreError
from zsda.reporting.comparison import Comparison, Summary, summarise, summarise_over
from zsda.reporting.results import RunScores
from zsda.reporting.tables import comparison_table, markdown_table


def result(method, domain, seed, **settings):
    scores = {name: {"miou": 0.0, "miou_present": value / 100, "accuracy": 0.0} for name, value in settings.items()}
    return RunScores(f"{domain}_{method}_seed{seed}", method, domain, seed, "sdgpa", (64, 128), scores, {})


@pytest.fixture
def comparison():
    return Comparison(
        [
            result("oracle", "fog", 0, fog=50, day=30),
            result("mine", "fog", 0, fog=10, day=10),
            result("sdgpa", "snow", 0, snow=40, day=44),
            result("sdgpa", "snow", 1, snow=44, day=40),
            result("sdgpa", "fog", 0, fog=34, day=46),
            result("sdgpa", "fog", 1, fog=36, day=42, snow=1),
            result("source_only", None, 0, fog=20, snow=30, day=47),
            result("source_only", None, 1, fog=24, snow=30, day=51),
        ]
    )


def test_mean_deviation_and_number():
    summary = summarise({0: 0.2, 1: 0.24, 7: 0.25})
    assert summary.mean == pytest.approx(0.23)
    assert summary.deviation == pytest.approx(0.0264575, abs=1e-6)  # of the sample: divided by n - 1
    assert summary.seeds == 3
    assert summarise({3: 0.5}) == Summary(0.5, None, 1)
    assert summarise({}) is None


def test_over_conditions_seeds_are_averaged_first():
    # Seed 0 reaches 0.3 and seed 1 reaches 0.3: the domains differ, the seeds do not.
    assert summarise_over([{0: 0.2, 1: 0.4}, {0: 0.4, 1: 0.2}]) == Summary(pytest.approx(0.3), pytest.approx(0), 2)
    assert summarise_over([{0: 0.2, 1: 0.4}, {0: 0.5}]) == Summary(pytest.approx(0.4), None, 1)
    assert summarise_over([{0: 0.2}, {}]) is None
    assert summarise_over([]) is None


def test_rows_are_ordered_and_hold_only_what_was_run(comparison):
    assert comparison.domains == ["snow", "fog"]
    assert comparison.methods == ["source_only", "sdgpa", "oracle", "mine"]
    assert [(row.domain, row.method) for row in comparison.rows()] == [
        ("snow", "source_only"),
        ("snow", "sdgpa"),
        ("fog", "source_only"),
        ("fog", "sdgpa"),
        ("fog", "oracle"),
        ("fog", "mine"),
    ]


def test_gain_and_share(comparison):
    rows = {(row.domain, row.method): row for row in comparison.rows()}
    sdgpa = rows["fog", "sdgpa"]
    assert sdgpa.target == Summary(pytest.approx(0.35), pytest.approx(0.0141421, abs=1e-6), 2)
    assert sdgpa.day.mean == pytest.approx(0.44)
    assert sdgpa.gain == pytest.approx(0.13)
    # The oracle has seed 0 alone: 20 of the source, 34 of the edits, 50 at the best.
    assert sdgpa.share == pytest.approx(0.14 / 0.30)
    assert rows["fog", "oracle"].gain == pytest.approx(0.30)
    assert rows["fog", "oracle"].share == pytest.approx(1)
    assert rows["fog", "mine"].share == pytest.approx(-0.10 / 0.30)
    assert rows["snow", "sdgpa"].gain == pytest.approx(0.12)
    assert rows["snow", "sdgpa"].share is None
    assert rows["fog", "source_only"].gain is None
    assert rows["fog", "source_only"].day == rows["snow", "source_only"].day


def test_an_oracle_that_is_no_better_is_no_measure():
    rows = Comparison(
        [
            result("source_only", None, 0, fog=30),
            result("sdgpa", "fog", 0, fog=32),
            result("oracle", "fog", 0, fog=30),
        ]
    ).rows()
    assert [row.share for row in rows] == [None, None, None]
    assert rows[1].gain == pytest.approx(0.02)


def test_a_method_without_one_of_the_domains_has_no_mean_over_them(comparison):
    assert comparison.mean_target("oracle") is None
    # Seed 0: (40 + 34) / 2 = 37, seed 1: (44 + 36) / 2 = 40.
    assert comparison.mean_target("sdgpa") == Summary(pytest.approx(0.385), pytest.approx(0.0212132, abs=1e-6), 2)
    assert comparison.mean_day("sdgpa") == Summary(pytest.approx(0.43), pytest.approx(0.0282843, abs=1e-6), 2)
    assert comparison.mean_day("oracle").mean == pytest.approx(0.3)


def test_settings_that_are_no_condition_are_no_targets():
    comparison = Comparison([result("source_only", None, 0, fog=20, day=47, edited=40, rendered=30)])
    assert comparison.domains == ["fog"]


def test_domains_can_be_chosen(comparison):
    chosen = Comparison(comparison.results, ["fog"])
    assert {row.domain for row in chosen.rows()} == {"fog"}
    assert chosen.plain("fog")["sdgpa"] == {"target": pytest.approx(0.35), "day": pytest.approx(0.44)}
    assert list(chosen.plain("fog")) == ["source_only", "sdgpa", "oracle", "mine"]


def test_equal_runs_of_two_names_are_refused(comparison):
    twin = result("sdgpa", "fog", 1, fog=1)
    named = RunScores(
        "mine", *(getattr(twin, key) for key in ("method", "domain", "seed", "protocol", "size", "settings", "files"))
    )
    with pytest.raises(StoreError, match="fog_sdgpa_seed1 and mine are both sdgpa for fog at seed 1; choose one"):
        Comparison([*comparison.results, named])


def test_the_markdown_table(comparison):
    assert (
        markdown_table(comparison)
        == """\
| method | snow | fog | mean | day |
| --- | ---: | ---: | ---: | ---: |
| source_only | 30.0 ± 0.0 | 22.0 ± 2.8 | 26.0 ± 1.4 | 49.0 ± 2.8 |
| sdgpa | 42.0 ± 2.8 | 35.0 ± 1.4 | 38.5 ± 2.1 | 43.0 ± 2.8 |
| oracle | - | 50.0 (1) | - | 30.0 (1) |
| mine | - | 10.0 (1) | - | 10.0 (1) |

mIoU of labelled classes in %, protocol sdgpa, input 64x128, mean ± sample standard deviation over seeds 0, 1.
"""
    )


def test_the_markdown_table_of_day_alone():
    table = markdown_table(Comparison([result("source_only", None, 4, day=50)]))
    assert table.splitlines()[::2] == ["| method | day |", "| source_only | 50.0 |", table.splitlines()[-1]]
    assert "one seed." in table


def test_the_table_on_screen(comparison):
    cells = [list(column.cells) for column in comparison_table(comparison).columns]
    assert cells[0] == ["snow", "", "fog", "", "", ""]
    assert cells[2] == ["2", "2", "2", "2", "1", "1"]
    assert cells[3][3] == "35.0 ± 1.4"
    assert cells[5] == ["-", "+12.0", "-", "+13.0", "+30.0", "-10.0"]
    assert cells[6] == ["-", "-", "-", "47 %", "100 %", "-33 %"]


def test_the_table_on_screen_says_nothing_of_the_way_to_an_oracle_where_there_is_none():
    table = comparison_table(Comparison([result(name, "fog", 0, fog=50) for name in ("source_only", "sdgpa")]))
    assert [column.header for column in table.columns][-2:] == ["mIoU day", "gain"]
    assert [list(column.cells)[-1] for column in table.columns] == ["", "sdgpa", "1", "50.0", "-", "+0.0"]
