"""What the tables say, and how they are written down."""

import csv
import io
import re
import shutil
import subprocess
from dataclasses import replace

import pytest
from rich.console import Console

from tests.reporting.made import result
from zsda.reporting.comparison import Comparison
from zsda.reporting.formats import latex, markdown, screen, sources_csv, table_csv, wide_console
from zsda.reporting.grids import grids
from zsda.reporting.layout import kept_layouts
from zsda.reporting.published import Quoted
from zsda.reporting.rounds import Round
from zsda.reporting.run_scores import Source
from zsda.reporting.seeds import Summary

AGAINST = ["source_only", "sdgpa"]
MEASURED = "mIoU in %, protocol sdgpa, input 64x128, mean"
CAPTION = f"{MEASURED} ± sample standard deviation over seeds 0, 1."
GAINED = f"{MEASURED} ± paired standard error over seeds 0, 1."
NOISE = (
    "≈ marks a difference that the seeds alone may explain: its 95 % interval over the seeds (Student's paired t) contains 0, "
    "each comparison by itself; without ± this cannot be told."
)
COUNTED = "(n) is the number of seeds where it is not all of them."
COMMAND = "python -m zsda.report"
QUOTED = [
    Quoted("sdgpa (paper)", "somebody, somewhere", {"snow": Summary(0.474, 0.007, 0), "fog": Summary(0.588, 0.007, 0)})
]
SETS = {"rendered": "fog_oracle", "edited": "fog_target"}


def titles(tables):
    return [table.title for table in tables]


def rows(csv_bytes):
    return list(csv.DictReader(io.StringIO(csv_bytes.decode())))


def plain_markdown(tables):
    """Without what the numbers are from."""
    return re.sub(r"\n<details>.*?</details>\n", "", markdown(tables, COMMAND), flags=re.DOTALL)


def test_the_markdown(comparison):
    assert (
        plain_markdown(grids(comparison, AGAINST))
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
| sdgpa | ≈ +12.0 ± 2.0 | +13.0 ± 1.0 | +12.5 ± 0.5 |
| oracle | - | +30.0 (1) | - |
| mine | - | -10.0 (1) | - |

Points more than source_only on the target, seed by seed. {GAINED} {NOISE} {COUNTED}

### Against source_only, by day

| method | snow | fog | mean |
| --- | ---: | ---: | ---: |
| sdgpa | ≈ -7.0 ± 4.0 | ≈ -5.0 ± 4.0 | ≈ -6.0 ± 4.0 |
| oracle | - | -17.0 (1) | - |
| mine | - | -37.0 (1) | - |

Points more than source_only by day, seed by seed. {GAINED} {NOISE} {COUNTED}

### Against sdgpa, on the target

| method | snow | fog | mean |
| --- | ---: | ---: | ---: |
| oracle | - | +16.0 (1) | - |
| mine | - | -24.0 (1) | - |

Points more than sdgpa on the target, seed by seed. {GAINED} {NOISE} {COUNTED}

### Against sdgpa, by day

| method | snow | fog | mean |
| --- | ---: | ---: | ---: |
| oracle | - | -16.0 (1) | - |
| mine | - | -36.0 (1) | - |

Points more than sdgpa by day, seed by seed. {GAINED} {NOISE} {COUNTED}

### Of the way from source_only to oracle

| method | snow | fog | mean |
| --- | ---: | ---: | ---: |
| sdgpa | - | 47 % (1) | - |
| mine | - | -33 % (1) | - |

Mean gain over source_only on the target in % of that of oracle. {MEASURED} over seeds 0, 1. {COUNTED}
"""
    )


def test_the_tables_of_another_source_say_so(from_game):
    tables = grids(Comparison(from_game), ["source_only"])
    assert (
        plain_markdown(tables)
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

Points more than source_only on the target, seed by seed. {GAINED} {NOISE}

### Against source_only, in game

| method | day |
| --- | ---: |
| hiast | ≈ -3.5 ± 0.5 |

Points more than source_only in game, seed by seed. {GAINED} {NOISE}
"""
    )
    text = latex(tables, COMMAND)
    assert "\\caption{On the target and in game. mIoU" in text
    assert "method & day & game \\\\\n" in text
    assert "\\caption{Against source\\_only, in game. Points more than source\\_only in game, seed by seed." in text


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
        ["share", "53 % (2)"],
    ]
    assert [message.split("; ")[0] for message in caplog.messages] == [
        "night_oracle_seed0 was scored on fog_oracle, fog_target",
        "fog_oracle_seed2 was scored on sets that are not named",
    ]
    assert "run=fog_oracle_seed2 'setting=[edited,rendered]' edits_of=fog" in caplog.messages[1]


def test_quoted_rows_stand_beside_and_are_said_to_be_quoted(comparison):
    tables = grids(comparison, AGAINST, quoted=QUOTED)
    assert tables[0].rows[-1] == ["sdgpa (paper)", "47.4 ± 0.7", "58.8 ± 0.7", "53.1", "-"]
    assert tables[0].caption[1].startswith("Quoted, not measured here")
    assert tables[0].caption[1].endswith("sdgpa (paper), from somebody, somewhere.")
    quoted = [row for row in rows(table_csv(tables, comparison)) if row["row"] == "sdgpa (paper)"]
    assert [(row["column"], row["value"], row["spread"]) for row in quoted] == [
        ("snow", "47.4", "0.7"),
        ("fog", "58.8", "0.7"),
        ("mean", "53.1", ""),
    ]
    assert {(row["origin"], row["seeds"], row["selection"], row["runs"]) for row in quoted} == {("quoted", "", "", "")}


def test_markdown_latex_and_csv_agree_to_the_digit(comparison):
    layouts = [replace(one, settings={**one.settings, **SHOWN}, generated_sets=SETS) for one in comparison.results]
    comparison = Comparison(
        [run if run.method == "oracle" else one for one, run in zip(comparison.results, layouts, strict=True)]
    )
    tables = grids(comparison, AGAINST, kept_layouts(comparison), QUOTED, rounds_of(comparison))
    assert len(tables) == 8
    found = {}
    for row in rows(table_csv(tables, comparison)):
        sign = {"1": "≈ ", "0": "", "": ""}[row["noise"]]
        spread = f" ± {row['spread']}" if row["spread"] else ""
        found[row["table"], row["row"], row["column"]] = f"{sign}{row['value']}{spread}"
    shown = {}
    for table in markdown(tables, COMMAND).split("### ")[1:]:
        title, lines = table.splitlines()[0], [line for line in table.splitlines() if line.startswith("| ")]
        head, _, *body = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
        for name, *cells in body:
            for column, cell in zip(head[1:], cells, strict=True):
                if cell != "-":
                    shown[title, name, column] = re.sub(r"( %)?( \(\d+\))?$", "", cell)
    assert found == shown
    assert len(shown) > 40
    text = latex(tables, COMMAND)
    for cell in shown.values():
        assert cell.replace("±", "$\\pm$").replace("≈", "$\\approx$").replace("-", "$-$") in text


SHOWN = {
    name: {"miou": score, "miou_present": score / 2, "accuracy": 0.9}
    for name, score in (("rendered", 0.7), ("edited", 0.35))
}


def rounds_of(comparison):
    """Two rounds of one run and one of another seed, the first of them scored in between."""
    one, other = (run for run in comparison.results if run.run.startswith("fog_sdgpa"))
    after = replace(one, phase="round1", settings={"fog": {"miou": 0.31}, "day": {"miou": 0.44}})
    return [
        Round(0, one, None, None, None),
        Round(1, replace(one, phase="labels1"), 0.5, 0.9, after),
        Round(2, replace(one, phase="labels2"), 0.6, None, one),
        Round(1, replace(other, phase="labels1"), 0.6, 0.7, None),
    ]


def test_self_training_is_shown_round_by_round(comparison):
    table = grids(comparison, [], rounds=rounds_of(comparison))[-1]
    assert table.title == "Self-training, round by round"
    assert list(table.head) == ["round", "kept", "right", "on the target", "by day"]
    assert table.rows == [
        ["sdgpa, fog, round 1", "55.0 ± 7.1", "80.0 ± 14.1", "31.0 (1)", "44.0 (1)"],
        ["sdgpa, fog, round 2", "60.0 (1)", "-", "34.0 (1)", "46.0 (1)"],
    ]
    assert [run.label for run in table.runs] == [
        *(f"fog_sdgpa_seed{seed}/labels1" for seed in (0, 1)),
        *(f"fog_sdgpa_seed0{part}" for part in ("/round1", "/labels2", "")),
    ]
    csv_rows = {(row["row"], row["column"]): row for row in rows(table_csv([table], comparison))}
    kept, score = (csv_rows["sdgpa, fog, round 1", column] for column in ("kept", "on the target"))
    assert (kept["quantity"], kept["score"], score["quantity"], score["score"]) == (
        "share of pixels",
        "",
        "score",
        "miou",
    )


def test_every_number_names_the_runs_that_it_is_from(comparison):
    digests = {run.run: f"{number:064x}"[::-1] for number, run in enumerate(comparison.results, 1)}
    files = [("runs/a/eval/x/scores.json", "f" * 64, "python -m zsda.eval")]
    traced = Comparison(
        [replace(run, source=Source(digests[run.run], "python -m zsda.train", files)) for run in comparison.results]
    )
    tables = grids(traced, AGAINST)

    def told(*names):
        return " ".join(f"{name}@{digests[name][:12]}" for name in names)

    written_rows = rows(table_csv(tables, traced))
    assert {(row["quantity"], row["unit"]) for row in written_rows} == {
        ("score", "%"),
        ("gain", "points"),
        ("share", "%"),
    }
    by_cell = {(row["table"], row["row"], row["column"]): row["runs"] for row in written_rows}
    assert by_cell["On the target and by day", "sdgpa", "fog"] == told("fog_sdgpa_seed0", "fog_sdgpa_seed1")
    share = by_cell["Of the way from source_only to oracle", "sdgpa", "fog"]
    assert share == told("fog_sdgpa_seed0", "day_source_only_seed0", "fog_oracle_seed0")
    assert all(by_cell.values())
    for text in (markdown(tables, COMMAND).split("### ")[1:], latex(tables, COMMAND).split("\\end{table}")[:-1]):
        assert len(text) == len(tables)
        for written, table in zip(text, tables, strict=True):
            assert COMMAND in written
            assert all(run.label in written and digests[run.run][:12] in written for run in table.runs)
    listed = rows(sources_csv(traced.results))
    assert [row["run"] for row in listed] == [run.run for run in traced.results]
    assert listed[0]["weights"] == digests[listed[0]["run"]]
    keys = ("trained_by", "scores", "scores_digest", "evaluated_by")
    assert [listed[0][key] for key in keys] == ["python -m zsda.train", *files[0]]


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no TeX engine is at hand")
def test_the_latex_compiles(comparison, tmp_path):
    odd = Comparison([*comparison.results, result("50%_of{x}&\\y~^#$", "fog", 0, fog=10)])
    tables = grids(odd, AGAINST, quoted=QUOTED, rounds=rounds_of(odd))
    (tmp_path / "table.tex").write_text(latex(tables, "python -m zsda.report 'runs=\\x%{'"))
    document = "\\documentclass{article}\\usepackage{booktabs}\\begin{document}\\input{table}\\end{document}"
    (tmp_path / "paper.tex").write_text(document)
    words = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "paper.pdf").stat().st_size > 10_000


def test_latex_is_booktabs_with_every_sign_escaped(comparison):
    odd = Comparison([*comparison.results, result("50%_of{x}&\\y", "fog", 0, fog=10)])
    text = latex(grids(odd, AGAINST, quoted=QUOTED), COMMAND)
    assert text.startswith("% needs \\usepackage{booktabs}\n")
    assert r"source\_only & 30.0 $\pm$ 0.0 & 22.0 $\pm$ 2.8 &" in text
    assert r"sdgpa & $\approx$ +12.0 $\pm$ 2.0 & +13.0 $\pm$ 1.0 & +12.5 $\pm$ 0.5 \\" in text
    assert r"sdgpa & $\approx$ $-$7.0 $\pm$ 4.0" in text
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
        printed = "\n".join(line for line in table.splitlines() if not line.startswith("%"))
        plain = re.sub(r"\\[%&#_${}]", "", printed)
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
    assert lines.count(f"Points more than source_only on the target, seed by seed. {GAINED} {NOISE}") == 1
    assert lines.count("Points more than source_only by day, seed by seed.") == 1
    assert ["sdgpa", "≈ +12.0 ± 2.0", "+13.0 ± 1.0", "+12.5 ± 0.5"] in [re.split(r" {2,}", line) for line in lines]


def test_without_a_terminal_there_is_no_edge_to_wrap_at(monkeypatch):
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    monkeypatch.setenv("COLUMNS", "90")
    assert wide_console().width == 200
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert wide_console().width == 90, "as a terminal has it"


def test_chosen_epochs_of_one_run_are_told_apart():
    chosen = [
        replace(result("source_only", None, 0, fog=20, snow=30, day=40), target=target, epoch=epoch)
        for target, epoch in (("fog", 3), ("snow", 7))
    ]
    comparison = Comparison([*chosen, result("sdgpa", "fog", 0, fog=30), result("sdgpa", "snow", 0, snow=30)])
    cells = {(row["row"], row["column"]): row["runs"] for row in rows(table_csv(grids(comparison, []), comparison))}
    both = "day_source_only_seed0/epoch7@unknown day_source_only_seed0/epoch3@unknown"
    assert (cells["source_only", "mean"], cells["source_only", "day"]) == (both, both)
    files = [("scores.json", "f", "python")]
    same = [replace(run, epoch=3, source=Source("w", "python", files)) for run in chosen]
    assert len(rows(sources_csv(same))) == 1
