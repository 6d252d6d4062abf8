"""What the tables say, and how they are written down."""

import csv
import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from tests.reporting.made import result
from zsda.reporting.comparison import Comparison
from zsda.reporting.formats import latex, markdown, screen, table_csv, wide_console
from zsda.reporting.grids import grids
from zsda.reporting.layout import kept_layouts
from zsda.reporting.published import QUOTED, compares

DOCS = Path(__file__).parents[2] / "docs"
AGAINST = ["source_only", "sdgpa"]
CAPTION = "mIoU in %, protocol sdgpa, input 64x128, mean ± sample standard deviation over seeds 0, 1."
NOISE = (
    "≈ marks a difference that the seeds alone may explain: its 95 % interval over the seeds (Student's paired t) contains 0, "
    "each comparison by itself; without ± this cannot be told."
)
COUNTED = "(n) is the number of seeds where it is not all of them."
SETS = {"rendered": "fog_oracle", "edited": "fog_target"}


def titles(tables):
    return [table.title for table in tables]


def rows(csv_bytes):
    return {(row["method"], row["target"]): row for row in csv.DictReader(io.StringIO(csv_bytes.decode()))}


def test_the_markdown(comparison):
    assert (
        markdown(grids(comparison, AGAINST))
        == f"""\
### On the target and by day

| method | snow | fog | mean | day |
| --- | ---: | ---: | ---: | ---: |
| source_only | 30.0 ± 0.0 | 22.0 ± 2.8 | 26.0 ± 1.4 | 49.0 ± 2.8 |
| sdgpa | 42.0 ± 2.8 | 35.0 ± 1.4 | 38.5 ± 2.1 | 43.0 ± 2.8 |
| oracle | - | 50.0 (1) | - | 30.0 (1) |
| mine | - | 10.0 (1) | - | 10.0 (1) |

{CAPTION} {COUNTED}

### Against source_only, on the target

| method | snow | fog | mean |
| --- | ---: | ---: | ---: |
| sdgpa | ≈ +12.0 ± 2.8 | +13.0 ± 1.4 | +12.5 ± 0.7 |
| oracle | - | +30.0 (1) | - |
| mine | - | -10.0 (1) | - |

Points more than source_only on the target, seed by seed. {CAPTION} {NOISE} {COUNTED}

### Against source_only, by day

| method | snow | fog | mean |
| --- | ---: | ---: | ---: |
| sdgpa | ≈ -7.0 ± 5.7 | ≈ -5.0 ± 5.7 | ≈ -6.0 ± 5.7 |
| oracle | - | -17.0 (1) | - |
| mine | - | -37.0 (1) | - |

Points more than source_only by day, seed by seed. {CAPTION} {NOISE} {COUNTED}

### Against sdgpa, on the target

| method | snow | fog | mean |
| --- | ---: | ---: | ---: |
| oracle | - | +16.0 (1) | - |
| mine | - | -24.0 (1) | - |

Points more than sdgpa on the target, seed by seed. {CAPTION} {NOISE} {COUNTED}

### Against sdgpa, by day

| method | snow | fog | mean |
| --- | ---: | ---: | ---: |
| oracle | - | -16.0 (1) | - |
| mine | - | -36.0 (1) | - |

Points more than sdgpa by day, seed by seed. {CAPTION} {NOISE} {COUNTED}

### Of the way from source_only to oracle

| method | snow | fog | mean |
| --- | ---: | ---: | ---: |
| sdgpa | - | 47 % | - |
| mine | - | -33 % | - |

Mean gain over source_only on the target in % of that of oracle. {CAPTION}
"""
    )


def test_the_tables_of_another_source_say_so(from_game):
    tables = grids(Comparison(from_game), ["source_only"])
    assert (
        markdown(tables)
        == f"""\
### On the target and in game

| method | day | game |
| --- | ---: | ---: |
| source_only | 30.5 ± 0.7 | 60.5 ± 0.7 |
| hiast | 40.5 ± 0.7 | 57.0 ± 1.4 |

{CAPTION}

### Against source_only, on the target

| method | day |
| --- | ---: |
| hiast | +10.0 ± 0.0 |

Points more than source_only on the target, seed by seed. {CAPTION} {NOISE}

### Against source_only, in game

| method | day |
| --- | ---: |
| hiast | ≈ -3.5 ± 0.7 |

Points more than source_only in game, seed by seed. {CAPTION} {NOISE}
"""
    )
    text = latex(tables)
    assert "\\caption{On the target and in game. mIoU" in text
    assert "method & day & game \\\\\n" in text
    assert "\\caption{Against source\\_only, in game. Points more than source\\_only in game, seed by seed." in text
    hiast = rows(table_csv(Comparison(from_game), ["source_only"]))["hiast", "day"]
    assert (float(hiast["target_mean"]), float(hiast["source_mean"])) == (pytest.approx(0.405), pytest.approx(0.57))
    assert float(hiast["source_gain_over_source_only"]) == pytest.approx(-0.035)
    assert hiast["source_gain_over_source_only_noise"] == "1"


def test_the_tables_of_the_study_are_those_of_its_scores():
    by_run = {}
    for row in csv.DictReader((DOCS / "miniature_scores.csv").open()):
        by_run.setdefault((row["method"], row["target"] or None, int(row["seed"])), {})[row["setting"]] = row
    results = [
        result(*about, **{setting: 200 * float(row["miou_present"]) for setting, row in of_run.items()})
        for about, of_run in by_run.items()
    ]
    comparison = Comparison(results, ["night", "snow", "fog"], "miou_present")
    made = [table.split("\n\n")[:2] for table in markdown(grids(comparison, AGAINST)).split("### ")[1:]]
    assert [title for title, _ in made] == [
        "On the target and by day",
        "Against source_only, on the target",
        "Against source_only, by day",
        "Against sdgpa, on the target",
        "Against sdgpa, by day",
        "Of the way from source_only to oracle",
    ]
    study = (DOCS / "study.md").read_text()
    for title, table in made:
        assert f"### {title}\n\n{table}\n\n" in study


def test_tables_without_rows_are_left_out():
    day = grids(Comparison([result("source_only", None, 4, day=50)]), AGAINST)
    assert titles(day) == ["On the target and by day"]
    assert (list(day[0].head), day[0].rows) == (["method", "day"], [["source_only", "50.0"]])
    assert day[0].caption[0].endswith(", one seed.")
    pair = Comparison([result("source_only", None, 0, fog=20), result("sdgpa", "fog", 0, fog=30)])
    tables = grids(pair, AGAINST)
    assert titles(tables) == ["On the target and by day", "Against source_only, on the target"], (
        "not once more mirrored"
    )
    assert tables[1].head == ["method", "fog"], "no mean of one domain"
    assert tables[1].caption[-1] == "One seed cannot tell a difference from noise."
    assert titles(grids(pair, ["sdgpa", "nobody"]))[1] == "Against sdgpa, on the target"


def test_numbers_in_brackets_are_explained_where_there_are_any():
    results = [
        result(method, "fog", seed, fog=20 + seed) for method in ("source_only", "one_phase") for seed in range(3)
    ]
    alike = grids(Comparison(results), ["source_only"])
    assert [table.caption[-1] == NOISE for table in alike] == [False, True]
    assert not any(COUNTED in table.caption for table in alike)
    more = [result("sdgpa", "fog", seed, fog=30 + seed) for seed in range(5)]
    differing = grids(Comparison([*results, *more]), ["source_only"])
    assert differing[1].rows == [["one_phase", "≈ +0.0 ± 0.0 (3)"], ["sdgpa", "+10.0 ± 0.0 (3)"]]
    assert all(table.caption[-1] == COUNTED for table in differing)
    assert not any(word in " ".join(differing[1].caption) for word in ("2.48", "1.24", "5 seeds", "3 seeds"))


def test_a_table_of_chosen_targets_tells_of_runs_for_them_alone():
    night = [result(name, "night", seed, night=20 + seed) for name in ("whole", "sdgpa") for seed in range(3)]
    fog = [result(name, "fog", seed, fog=20 + seed) for name in ("oracle", "sdgpa") for seed in range(5)]
    unscored = result("reversed", "night", 4, fog=20)
    (table,) = grids(Comparison([*night, *fog, unscored], ["night"]), [])
    assert table.rows == [["whole", "21.0 ± 1.0", "-"], ["sdgpa", "21.0 ± 1.0", "-"]]
    assert len(table.caption) == 1
    assert table.caption[0].endswith("over seeds 0, 1, 2.")


def test_layouts_are_compared_for_oracles_scored_on_edits_of_their_own_target(caplog):
    comparison = Comparison(
        [
            result("oracle", "fog", 0, SETS, fog=60, rendered=70, edited=35),
            result("oracle", "fog", 1, SETS, fog=60, rendered=80, edited=45),
            result("oracle", "fog", 2, fog=60, rendered=80, edited=1),
            result("oracle", "night", 0, SETS, night=60, rendered=10, edited=5),
            result("sdgpa", "night", 0, {"edited": "night_target"}, night=60, edited=5),
        ]
    )
    table = grids(comparison, AGAINST, kept_layouts(comparison))[-1]
    assert table.title == "What edits keep of the layout"
    assert list(table.head) == ["", "fog"]
    assert table.rows == [
        ["oracle on rendered scenes", "75.0 ± 7.1 (2)"],
        ["on edited ones", "40.0 ± 7.1 (2)"],
        ["share", "53 %"],
    ]
    assert [message.split("; ")[0] for message in caplog.messages] == [
        "night_oracle_seed0 was scored on fog_oracle, fog_target",
        "fog_oracle_seed2 was scored on sets that are not named",
    ]
    assert "run=fog_oracle_seed2 'setting=[edited,rendered]' edits_of=fog" in caplog.messages[1]


def test_quoted_rows_stand_beside_and_are_said_to_be_quoted(comparison):
    table = grids(comparison, AGAINST, quoted=QUOTED)[0]
    assert table.rows[-2:] == [
        ["sdgpa (paper)", "47.4 ± 0.7", "58.8 ± 0.7", "53.1", "-"],
        ["sdgpa (released checkpoints)", "46.8", "59.8", "53.3", "-"],
    ]
    assert "not measured here" in table.caption[1]
    assert "arXiv 2508.03300" in table.caption[1]
    quoted = rows(table_csv(comparison, AGAINST, QUOTED))["sdgpa (paper)", "fog"]
    assert (quoted["origin"], quoted["score"], quoted["seeds"]) == ("quoted", "miou", "")
    assert (float(quoted["target_mean"]), float(quoted["target_std"])) == (
        pytest.approx(0.588),
        pytest.approx(0.007),
    )


def test_what_is_quoted_is_of_a_day_source():
    run = replace(result("sdgpa", "fog", 0, fog=60), as_published=True, size=(512, 1024))
    assert compares([run])
    assert not compares([replace(run, source_setting="game")])
    assert not compares([replace(run, protocol="full")])
    assert not compares([replace(run, as_published=False)])


def test_the_means_of_what_is_quoted_are_those_of_the_papers_table():
    five = ["night", "snow", "rain", "fog", "game"]
    assert [row.mean(five).mean for row in QUOTED] == [pytest.approx(0.4502), pytest.approx(0.4526)]
    assert QUOTED[0].mean(["night", "dusk"]) is None


def test_the_csv_holds_shares_of_one_for_each_method_and_target(comparison):
    found = rows(table_csv(comparison, [*AGAINST, "nobody"]))
    assert len(found) == 4 + 2 + 2, "two methods in both domains, two in fog alone; means of those in both"
    sdgpa = found["sdgpa", "fog"]
    assert (sdgpa["origin"], sdgpa["score"], sdgpa["selection"], sdgpa["seeds"]) == (
        "measured",
        "miou",
        "last",
        "2",
    )
    assert float(sdgpa["target_mean"]) == pytest.approx(0.35)
    assert float(sdgpa["target_std"]) == pytest.approx(0.0141421, abs=1e-6)
    assert float(sdgpa["source_mean"]) == pytest.approx(0.44)
    assert float(sdgpa["gain_over_source_only"]) == pytest.approx(0.13)
    assert float(sdgpa["gain_over_source_only_std"]) == pytest.approx(0.0141421, abs=1e-6)
    assert (sdgpa["gain_over_source_only_noise"], sdgpa["source_gain_over_source_only_noise"]) == ("0", "1")
    assert float(sdgpa["share_of_oracle"]) == pytest.approx(0.14 / 0.30)
    assert sdgpa["gain_over_sdgpa"] == ""
    assert float(found["source_only", "fog"]["gain_over_sdgpa"]) == pytest.approx(-0.13)
    assert found["mine", "fog"]["gain_over_sdgpa_noise"] == "", "one seed"
    assert float(found["sdgpa", "mean"]["gain_over_source_only"]) == pytest.approx(0.125)
    assert not any("nobody" in column for column in sdgpa)


def test_latex_is_booktabs_with_every_sign_escaped(comparison):
    odd = Comparison([*comparison.results, result("50%_of{x}&\\y", "fog", 0, fog=10)])
    text = latex(grids(odd, AGAINST, quoted=QUOTED))
    assert text.startswith("% needs \\usepackage{booktabs}\n")
    assert r"source\_only & 30.0 $\pm$ 0.0 & 22.0 $\pm$ 2.8 &" in text
    assert r"sdgpa & $\approx$ +12.0 $\pm$ 2.8 & +13.0 $\pm$ 1.4 & +12.5 $\pm$ 0.7 \\" in text
    assert r"sdgpa & $\approx$ $-$7.0 $\pm$ 5.7" in text
    assert r"oracle & -- & 50.0 (1) & -- & 30.0 (1) \\" in text
    assert r"50\%\_of\{x\}\&\textbackslash{}y & --" in text
    assert r"47 \%" in text
    assert r"method & snow & fog & mean & day \\" in text
    assert r"\caption{On the target and by day. mIoU in \%, protocol sdgpa" in text
    assert r"\caption{Against sdgpa, by day. Points more than sdgpa by day, seed by seed." in text
    assert text.isascii()
    for number, table in enumerate(text.split("\\begin{table}")[1:]):
        columns = len(re.search(r"\\begin{tabular}{(l?r*)}", table).group(1))
        body = table.split("\\toprule\n")[1].split("\\bottomrule")[0].replace("\\midrule\n", "")
        for line in body.splitlines():
            assert line.endswith(" \\\\"), line
            assert len(re.findall(r"(?<!\\)&", line)) == columns - 1, (number, line)
        plain = re.sub(r"\\[%&#_${}]", "", table)
        assert plain.count("{") == plain.count("}")
        assert plain.count("$") % 2 == 0
        assert not re.search(r"[_%#]", plain)
        for rule in ("\\toprule", "\\midrule", "\\bottomrule", "\\end{tabular}", "\\end{table}", "\\caption{"):
            assert table.count(rule) == 1


def test_on_the_screen_a_caption_says_what_was_not_said_before(comparison):
    console = Console(width=400, record=True, file=io.StringIO())
    for table in screen(grids(comparison, AGAINST)):
        console.print(table)
    lines = [line.strip() for line in console.export_text().splitlines()]
    assert lines[0] == "On the target and by day"
    assert lines.count(f"{CAPTION} {COUNTED}") == 1
    assert lines.count(f"Points more than source_only on the target, seed by seed. {NOISE}") == 1
    assert lines.count("Points more than source_only by day, seed by seed.") == 1
    assert ["sdgpa", "≈ +12.0 ± 2.8", "+13.0 ± 1.4", "+12.5 ± 0.7"] in [re.split(r" {2,}", line) for line in lines]


def test_without_a_terminal_there_is_no_edge_to_wrap_at(monkeypatch):
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    monkeypatch.setenv("COLUMNS", "90")
    assert wide_console().width == 200
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert wide_console().width == 90, "as a terminal has it"
