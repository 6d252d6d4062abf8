"""Documents say what their scores say, and what is committed is what would be written."""

import re
import shutil
from pathlib import Path

import pytest

from tests.reporting.made import result
from zsda.core.errors import ConfigError, RecordError, SeveralErrors, lines_of
from zsda.reporting.comparison import Comparison
from zsda.reporting.documents import fill_documents
from zsda.reporting.formats import markdown_table
from zsda.reporting.grids import grids
from zsda.reporting.run_scores import results_csv

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    path.relative_to(ROOT).as_posix()
    for path in sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
    if re.search(r"^<!-- report-of ", re.sub(r"^```.*?^```", "", path.read_text(), flags=re.DOTALL | re.M), re.M)
]
OF = "<!-- report-of {scores: scores.csv} -->\n"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_what_is_committed_is_what_its_scores_say(tmp_path, name):
    shutil.copytree(ROOT / "docs", tmp_path / "docs", ignore=shutil.ignore_patterns("*.jpg"))
    shutil.copy(ROOT / "README.md", tmp_path)
    for path, content in fill_documents([tmp_path / name]).items():
        if path.suffix == ".md":
            assert content.decode() == path.read_bytes().decode(), (
                f"python -m zsda.report documents={name} writes it anew"
            )
        else:
            assert path.is_file(), "a figure"


@pytest.fixture
def fill(comparison, tmp_path):
    """Returns what a text of scores beside it becomes."""
    (tmp_path / "scores.csv").write_bytes(results_csv(comparison.results))

    def filled(text, common=OF):
        path = tmp_path / "page.md"
        path.write_bytes(f"{common}{text}".encode())
        return fill_documents([path])[path].decode().removeprefix(common)

    return filled


def block(said, content=""):
    return f"<!-- report {said} -->\n{content}<!-- end -->\n"


def value(said, content=""):
    return f"<!-- report {said} -->{content}<!-- end -->"


def rows(text):
    return [line for line in text.splitlines() if line.startswith("|")]


def wrong(fill, text, **more):
    """Returns the lines that are told, each without the folder of the document."""
    with pytest.raises((ConfigError, SeveralErrors)) as refused:
        fill(text, **more)
    return [re.sub(r"^(documents=)?\S*/", "", str(error)) for error in lines_of(refused.value)]


def test_tables_are_those_of_a_report(fill, comparison):
    scores, gains, source_gains, *_, shares = (
        (markdown_table(grid), " ".join(grid.caption)) for grid in grids(comparison, ["source_only", "sdgpa"])
    )
    for said, (lines, caption) in (
        ("table: scores", scores),
        ("table: gains, against: source_only", gains),
        ("table: source_gains, against: source_only", source_gains),
        ("table: shares", shares),
    ):
        assert rows(fill(block(f"{{{said}}}"))) == lines
        shown = fill(block(f"{{{said}, caption: true}}"))
        assert shown == block(f"{{{said}, caption: true}}", "\n".join(["", *lines, "", caption, "", ""]))


def test_rows_and_columns_are_chosen_and_ordered(fill):
    said = "{table: scores, methods: [sdgpa, source_only], targets: [fog, snow]}"
    assert rows(fill(block(said))) == [
        "| method | fog | snow | mean | day |",
        "| --- | ---: | ---: | ---: | ---: |",
        "| sdgpa | 35.0 ± 1.4 | 42.0 ± 2.8 | 38.5 ± 2.1 | 43.0 ± 2.8 |",
        "| source_only | 22.0 ± 2.8 | 30.0 ± 0.0 | 26.0 ± 1.4 | 49.0 ± 2.8 |",
    ]
    assert rows(fill(block(said.replace("}", ", mean: false}"))))[0] == "| method | fog | snow | day |"
    assert rows(fill(block(said.replace("fog, snow", "fog"))))[0] == "| method | fog | day |"
    gains = "{table: gains, against: source_only, methods: [sdgpa], mean: false}"
    assert rows(fill(block(gains)))[::2] == ["| method | snow | fog |", "| sdgpa | ≈ +12.0 ± 2.0 | +13.0 ± 1.0 |"]
    shares = "{table: shares, methods: [sdgpa], targets: [fog]}"
    assert rows(fill(block(shares)))[-1] == "| sdgpa | 47 % (1) |", "of a way whose ends are no rows"
    with_reference = "{table: gains, against: source_only, methods: [source_only, sdgpa]}"
    assert len(rows(fill(block(with_reference)))) == 3, "it is no row of its own differences"


def test_what_is_not_shown_does_not_count_its_seeds(tmp_path):
    results = [result("source_only", None, seed, fog=20 + seed) for seed in range(3)]
    results += [result("sdgpa", "fog", seed, fog=30 + seed) for seed in range(5)]
    (tmp_path / "scores.csv").write_bytes(results_csv(results))
    path = tmp_path / "page.md"
    path.write_text(f"{OF}{block('{table: scores, methods: [source_only], caption: true}')}{value('{value: seeds}')}")
    shown = fill_documents([path])[path].decode()
    assert "| source_only | 21.0 ± 1.0 | - |" in shown
    assert "over seeds 0, 1, 2." in shown
    assert shown.endswith("-->0, 1, 2, 3, 4<!-- end -->"), "of all"


def test_a_row_without_numbers_is_left_out_unless_it_is_asked_for(tmp_path):
    results = [result(name, "fog", 0, fog=20) for name in ("source_only", "sdgpa")] + [result("mine", "fog", 1, fog=20)]
    (tmp_path / "scores.csv").write_bytes(results_csv(results))
    path = tmp_path / "page.md"
    figure = "{figure: gains, against: source_only, file: a.svg, alt: a}"
    for said in ("{table: gains, against: source_only}", figure):
        path.write_text(f"{OF}{block(said)}")
        assert b"mine" not in b"".join(fill_documents([path]).values())
        path.write_text(f"{OF}{block(said.replace('}', ', methods: [mine, sdgpa]}'))}")
        with pytest.raises(ConfigError, match=r"line 2: (table|figure): gains: no numbers of mine"):
            fill_documents([path])


def test_values_stand_in_lines_lists_and_cells(fill):
    for said, shown in (
        ("{value: score, of: sdgpa, on: fog}", "35.0 ± 1.4"),
        ("{value: score, of: sdgpa, on: mean}", "38.5 ± 2.1"),
        ("{value: score, of: sdgpa, on: source}", "43.0 ± 2.8"),
        ("{value: score, of: oracle, on: fog}", "50.0 (1)"),
        ("{value: gain, of: sdgpa, over: source_only, on: snow}", "≈ +12.0 ± 2.0"),
        ("{value: gain, of: source_only, over: sdgpa, on: fog}", "-13.0 ± 1.0"),
        ("{value: gain, of: sdgpa, over: source_only, on: mean}", "+12.5 ± 0.5"),
        ("{value: gain, of: sdgpa, over: source_only, on: source}", "≈ -6.0 ± 4.0"),
        ("{value: gain, of: sdgpa, over: source_only, on: source, targets: [fog]}", "≈ -5.0 ± 4.0"),
        ("{value: share, of: sdgpa, on: fog}", "47 % (1)"),
        ("{value: verdict, of: sdgpa, over: source_only, on: fog}", "more"),
        ("{value: verdict, of: source_only, over: sdgpa, on: fog}", "less"),
        ("{value: verdict, of: sdgpa, over: source_only, on: snow}", "noise"),
        ("{value: verdict, of: oracle, over: sdgpa, on: fog}", "unknown"),
        ("{value: runs}", "8"),
        ("{value: runs, methods: [sdgpa, mine], targets: [fog]}", "3"),
        ("{value: seeds}", "0, 1"),
        (
            "{value: caption}",
            "mIoU in %, protocol sdgpa, input 64x128, mean ± sample standard deviation over seeds 0, 1.",
        ),
    ):
        for text in ("So {}.\n", "| a | {} |\n", "- {}", "* {0}, {0}", "{}\r\n"):
            assert fill(text.format(value(said, "old"))) == text.format(value(said, shown)), said
    assert fill(value("{value: score, score: miou_present, of: sdgpa, on: fog}")).endswith("-->17.5 ± 0.7<!-- end -->")


def test_all_else_is_kept_byte_for_byte_and_filling_again_changes_nothing(fill):
    in_a_list = block("{table: scores}", "what was there\n").replace("<!-- end", "  <!-- end")
    text = (
        f"\ufeff# Title \r\n\n  <!-- a comment -->\n- a list\n\n  {in_a_list}"
        f"{block('{table: shares}')}\u2028no newline {value('{value: seeds}')} at the end"
    )
    once = fill(text)
    assert once != text
    assert fill(once) == once

    def kept(whole):
        return re.sub(r"(?s)(<!-- report .*?-->).*?(<!-- end -->)", r"\1\2", whole)

    assert kept(once) == kept(text)
    assert "\n  | method | snow | fog | mean | day |\n" in once, "as deep as its mark"
    crlf = block("{table: scores}").replace("\n", "\r\n")
    assert "\n" not in fill(crlf).replace("\r\n", "")


def test_code_is_left_alone(fill):
    bad = block("{table: nonsense}")
    for text in (
        f"```\n{bad}```\n",
        f"~~~~ markdown\n{bad}~~~\n```\n~~~~\n",
        f"  ````\n  {bad}```\n  ````\n",
        "as `<!-- report {nothing} -->` and `<!-- end -->` say\n",
    ):
        filled = fill(f"{text}{value('{value: seeds}')}")
        assert filled == f"{text}{value('{value: seeds}', '0, 1')}"


def test_what_holds_for_all_can_be_said_anew(fill):
    seeds = value("{value: caption}")
    other = "<!-- report-of {scores: scores.csv, score: miou_present} -->"
    one, two = fill(f"{seeds}\n{other}\n{seeds}\n").splitlines()[::2]
    assert ("mIoU in %" in one, "mIoU of labelled classes in %" in two) == (True, True)
    common = "<!-- report-of {scores: scores.csv, methods: [source_only], targets: [fog]} -->\n"
    assert rows(fill(block("{table: scores}"), common))[::2] == [
        "| method | fog | day |",
        "| source_only | 22.0 ± 2.8 | 49.0 ± 2.8 |",
    ]


def test_runs_of_one_source_are_told_apart_from_those_of_another(comparison, from_game, tmp_path):
    (tmp_path / "scores.csv").write_bytes(results_csv([*comparison.results, *from_game]))
    path = tmp_path / "page.md"
    path.write_text(f"{OF}{block('{table: scores, source: game}')}{value('{value: runs, source: day}')}")
    filled = fill_documents([path])[path].decode()
    assert rows(filled) == markdown_table(grids(Comparison(from_game), [])[0])
    assert filled.endswith("-->8<!-- end -->")
    day = OF.replace("}", ", source: day}")
    path.write_text(f"{day}{value('{value: runs}')}{value('{value: runs, methods: [hiast]}')}")
    shown = re.findall(r"-->(\d+)<", fill_documents([path])[path].decode())
    assert shown == ["12", "2"], "of all, but for what the mark itself says"
    path.write_text(f"{OF}{value('{value: seeds}')}")
    with pytest.raises(
        ConfigError, match=r"page.md, line 2: the scores have more than one source; give source: day or"
    ):
        fill_documents([path])


def test_a_figure_is_drawn_beside_its_document_always_the_same(comparison, tmp_path):
    (tmp_path / "scores.csv").write_bytes(results_csv(comparison.results))
    path = tmp_path / "page.md"
    said = (
        '{figure: gains, against: source_only, methods: [sdgpa, mine], file: pictures/gains.svg, alt: "Gains, drawn"}'
    )
    path.write_text(f"{OF}{block(said)}")
    files = fill_documents([path])
    assert list(files) == [tmp_path / "pictures/gains.svg", path]
    assert f"\n\n![Gains, drawn](pictures/gains.svg)\n\n{'<!-- end -->'}" in files[path].decode()
    assert fill_documents([path]) == files
    svg = files[tmp_path / "pictures/gains.svg"].decode()
    shown = re.findall(r">([^<>]+)</text>", svg)
    assert {"snow", "fog", "mean", "sdgpa", "mine", "points more than source_only"} <= set(shown)
    assert "oracle" not in shown
    assert "var(--" not in svg, "no page gives it colours"
    assert svg.startswith("<svg")
    path.write_text(f"{OF}{block(said.replace('}', ', mean: false}'))}")
    without = fill_documents([path])[tmp_path / "pictures/gains.svg"].decode()
    assert "mean" not in re.findall(r">([^<>]+)</text>", without)
    path.write_text(f"{OF}{block(said)}{block(said.replace('[sdgpa, mine]', '[sdgpa]'))}")
    with pytest.raises(ConfigError, match=r"line 4: file: pictures/gains.svg is already that of another figure"):
        fill_documents([path])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (block("{table: nonsense}"), "table: nonsense; expected scores, gains, source_gains or shares"),
        (block("{table: scores, against: sdgpa}"), "a mark: against; expected table, caption, mean, scores"),
        (block("{table: gains}"), "table: gains says no against:; expected against:"),
        (block("{table: gains, against: nobody}"), "against: nobody; expected source_only, sdgpa, oracle or mine"),
        (block("{table: scores, methods: [nobody]}"), "methods: nobody; expected source_only"),
        (block("{table: scores, methods: sdgpa}"), "methods: expected a list, [NAME, ...]"),
        (block("{table: scores, methods: []}"), "methods: expected a name, or a list of them"),
        (block("{table: scores, targets: [fog, dusk]}"), "targets: dusk: no run was adapted to it"),
        (block("{table: scores, score: miou_16}"), "score: miou_16; expected miou, miou_present or accuracy"),
        (block("{table: scores, protocol: full}"), "protocol: full; expected sdgpa"),
        (block("{table: scores, source: game}"), "source: game; expected day"),
        (block("{table: scores, mean: no}"), "mean: no; expected true or false"),
        (block("{table: shares, methods: [sdgpa], targets: [snow]}"), "table: shares: no numbers of sdgpa"),
        (block("{table: scores, value: runs}"), "a mark says table, value of what it shows; expected one of table, figure or value"),
        (block("{of: sdgpa}"), "a mark says nothing of what it shows"),
        (block("{value: runs}"), "value: runs; expected it within a line"),
        (f"so {value('{table: scores}')}", "table: scores; expected a line of its own"),
        (block("{table: [scores"), "a mark cannot be read ("),
        (block("scores"), "a mark holds no names and values; expected as in <!-- report {table: scores} -->"),
        ("<!-- report {table: scores}\n-->\n<!-- end -->\n", "a mark has no --> in its line"),
        ("<!-- report {table: scores} -->\n\n| a |\n", "no <!-- end --> follows in a line of its own"),
        (f"so <!-- report {{value: runs}} -->8 and {value('{value: seeds}')}", "no <!-- end --> follows in this line"),
        (value("{value: score, of: sdgpa, on: dusk}") + ".", "on: dusk; expected snow, fog, mean or source"),
        (value("{value: share, of: sdgpa, on: source}") + ".", "on: source; expected snow, fog or mean"),
        (value("{value: score, of: oracle, on: snow}") + ".", "value: score: oracle has none on snow"),
        (value("{value: gain, of: oracle, over: sdgpa, on: mean}"), "value: gain: oracle has none on mean over sdgpa"),
        (block("{figure: gains, against: sdgpa, file: ../a.svg, alt: a}"), "file: ../a.svg; expected the name of an SVG"),
        (block("{figure: gains, against: sdgpa, file: a.png, alt: a}"), "file: a.png; expected the name of an SVG"),
        ("<!-- report-of {scores: scores.csv, against: sdgpa} -->\n", "a mark: against; expected scores, score"),
    ],
)  # fmt: skip
def test_a_mark_that_cannot_be_filled_is_told_with_its_line(fill, text, message):
    (said,) = wrong(fill, f"\n{text}")
    assert said.startswith("page.md, line 3: ")
    assert message in said


def test_all_that_is_wrong_is_told_at_once(fill, tmp_path):
    text = f"{block('{table: nonsense}')}{value('{value: runs, of: sdgpa}')} {value('{value: more}')}\n<!-- report {{"
    said = wrong(fill, text)
    assert [line.split(": ")[0] for line in said] == ["page.md, line 5", *["page.md, line 2"], *["page.md, line 4"] * 2]
    (tmp_path / "other.md").write_text(f"{OF}{value('{value: nothing}')}")
    with pytest.raises(SeveralErrors) as refused:
        fill_documents([tmp_path / "page.md", tmp_path / "other.md", tmp_path / "nowhere.md"])
    assert len(refused.value.errors) == 6
    assert "nowhere.md: cannot be read (No such file or directory); expected Markdown" in str(refused.value)


def test_documents_without_marks_or_scores_are_refused(fill):
    assert wrong(fill, "# Title\n", common="") == [
        "page.md: holds no mark; expected some, <!-- report {table: scores} -->"
    ]
    (said,) = wrong(fill, value("{value: runs}"), common="")
    assert said.startswith("page.md, line 1: no scores: for it; expected <!-- report-of")
    with pytest.raises(RecordError, match=r"gone.csv: no such file"):
        fill(2 * value("{value: runs, scores: gone.csv}"))  # told once
