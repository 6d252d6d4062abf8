"""Tables written down: on the screen, in Markdown, in LaTeX, and the numbers behind them as CSV."""

import csv
import io
import re
from collections.abc import Sequence

from rich import box
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from zsda.reporting.cells import NOISE, NONE, ORACLE_SELECTION, PIXELS, Grid
from zsda.reporting.comparison import Comparison
from zsda.reporting.run_scores import RunScores, results_csv

_TEX = {
    **{sign: f"\\{sign}" for sign in "_%&#${}"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{"±": r"$\pm$", NOISE: r"$\approx$"},
}
_COLUMNS = (
    *("table", "row", "column", "quantity", "value", "unit", "spread", "spread_is", "seeds", "noise"),
    *("origin", "score", "protocol", "selection", "runs"),
)
_TEX_SIGNS = re.compile("|".join([*(re.escape(sign) for sign in _TEX), r"(?<!\S)-(?=\d)"]))


def report_files(
    grids: Sequence[Grid], comparison: Comparison, results: Sequence[RunScores], command: str
) -> dict[str, bytes]:
    """Returns file name -> content of all that a report writes.

    What is oracle selection has names of its own, so that it is never taken for results without target labels.

    Args:
        grids: the tables.
        comparison: that they are of.
        results: all scores that were read.
        command: that made them.
    """
    used = [run for grid in grids for run in grid.runs]
    content = {
        ("table", "md"): markdown(grids, command).encode(),
        ("table", "tex"): latex(grids, command).encode(),
        ("table", "csv"): table_csv(grids, comparison),
        ("scores", "csv"): results_csv(results),
        ("sources", "csv"): sources_csv([*results, *used]),
    }
    return {f"{file_name(name, comparison)}.{kind}": found for (name, kind), found in content.items()}


def file_name(name: str, comparison: Comparison) -> str:
    """Returns how a file of a report is called, without its ending; for oracle selection see `report_files`."""
    return f"{name}_oracle_selection" if comparison.oracle_selection else name


def wide_console() -> Console:
    """Returns where to print tables: as wide as the terminal, or wide enough for them where there is none."""
    console = Console()
    return console if console.is_terminal else Console(width=200)  # a file has no edge to wrap a table at


def screen(grids: Sequence[Grid]) -> list[Group]:
    """Makes tables for the terminal; a sentence that several captions share stands under the first."""
    said: set[str] = set()
    shown = []
    for grid in grids:
        caption = " ".join(sentence for sentence in grid.caption if sentence not in said)
        said.update(grid.caption)
        table = Table(box=box.SIMPLE)
        for number, name in enumerate(grid.head):
            table.add_column(name, justify="right" if number else "left")
        for row in grid.rows:
            table.add_row(*row)
        # Not as the table's own, which would wrap them at its width.
        shown.append(Group(Text(grid.title, style="bold"), table, Text(f"{caption}\n", style="dim")))
    return shown


def markdown(grids: Sequence[Grid], command: str) -> str:
    """Writes tables as Markdown, each under its title, over its caption and over what its numbers are from.

    Args:
        grids: the tables.
        command: that made them.
    """
    return "\n".join(_markdown(grid, command) for grid in grids)


def markdown_table(grid: Grid) -> list[str]:
    """Returns the lines of a table alone in Markdown."""
    lines = [grid.head, ["---", *["---:"] * (len(grid.head) - 1)], *grid.rows]
    return [f"| {' | '.join(line)} |" for line in lines]


def _markdown(grid: Grid, command: str) -> str:
    table = "\n".join(markdown_table(grid))
    runs = ", ".join(f"{run.label} `{_short(run)}`" for run in grid.runs)
    origin = f"<details><summary>Source: {_count(grid)}</summary>\n\n`{_code(command)}`; weights: {runs}\n\n</details>"
    return f"### {grid.title}\n\n{table}\n\n{' '.join(grid.caption)}\n\n{origin}\n"


def latex(grids: Sequence[Grid], command: str) -> str:
    """Writes each table as a float with a booktabs tabular; the document reads the file as a whole, or takes parts of it.

    Comments over each say what its numbers are from.

    Args:
        grids: the tables.
        command: that made them.
    """
    return "% needs \\usepackage{booktabs}\n" + "\n".join(f"{_origin(grid, command)}{_latex(grid)}" for grid in grids)


def _origin(grid: Grid, command: str) -> str:
    lines = [f"Source: {_count(grid)}", command, *(f"weights {_short(run)} {run.label}" for run in grid.runs)]
    return "".join(f"% {line.encode('ascii', 'backslashreplace').decode()}\n" for line in lines)


def _count(grid: Grid) -> str:
    count = len(grid.runs)
    return f"{count} run{'s' * (count != 1)}, by digest of their weights; in full in sources.csv"


def _short(run: RunScores) -> str:
    return run.source.weights[:12] or "unknown"


def _code(text: str) -> str:
    return text.replace("`", "'")


def _latex(grid: Grid) -> str:
    head, *rows = (" & ".join(map(_tex, line)) + r" \\" for line in (grid.head, *grid.rows))
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{_tex('. '.join([grid.title, ' '.join(grid.caption)]))}}}",
        r"\smallskip",
        rf"\begin{{tabular}}{{l{'r' * (len(grid.head) - 1)}}}",
        *(r"\toprule", head, r"\midrule", *rows, r"\bottomrule"),
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _tex(text: str) -> str:
    return "--" if text == NONE else _TEX_SIGNS.sub(lambda found: _TEX.get(found.group(), "$-$"), text)


def table_csv(grids: Sequence[Grid], comparison: Comparison) -> bytes:
    """Returns all tables as CSV, a row for each number, with the digits that the other formats show.

    ``spread`` is what ``spread_is`` says; ``noise`` is 1 where a difference is noise, 0 where it is more, and empty where that cannot
    be told (`zsda.reporting.seeds.is_noise`); ``runs`` names the runs that the number is from, each with the start of the digest of its
    weights. Numbers in full are in `zsda.reporting.run_scores.results_csv`.
    """
    selection = ORACLE_SELECTION if comparison.oracle_selection else "last"
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(_COLUMNS)
    for grid in grids:
        for row, cells in grid.body:
            for column, cell in zip(grid.head[1:], cells, strict=True):
                if not cell.number:
                    continue
                noise = "" if cell.noise is None else int(cell.noise)
                spread_is = grid.spread if cell.spread else ""
                quoted = row in grid.quoted
                runs = " ".join(f"{run.label}@{_short(run)}" for run in cell.runs)
                seeds = "" if cell.seeds is None else cell.seeds
                number = [cell.quantity, cell.number, cell.unit, cell.spread, spread_is, seeds, noise]
                score = "" if cell.quantity == PIXELS else comparison.score
                about = [score, comparison.results[0].protocol, "" if quoted else selection, runs]
                writer.writerow([grid.title, row, column, *number, "quoted" if quoted else "measured", *about])
    return text.getvalue().encode()


def sources_csv(results: Sequence[RunScores]) -> bytes:
    """Returns what numbers are from as CSV, a row for each run, phase or epoch, and file.

    Digests are SHA-256; ``weights`` has that of the labels where a phase labelled.
    """
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["run", "weights", "trained_by", "scores", "scores_digest", "evaluated_by"])
    rows = [
        (result.label, result.source.weights, result.source.trained_by, *file)
        for result in results
        for file in result.source.files
    ]
    writer.writerows(dict.fromkeys(rows))  # of two targets that chose one epoch
    return text.getvalue().encode()
