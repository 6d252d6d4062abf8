"""Tables written down: on the screen, in Markdown, in LaTeX, and the numbers behind them as CSV."""

import csv
import io
import re
from collections.abc import Sequence

from rich import box
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from zsda.reporting.comparison import Comparison
from zsda.reporting.grids import NOISE, ORACLE_SELECTION, Grid
from zsda.reporting.published import SCORE, Quoted
from zsda.reporting.seeds import Summary, is_noise, summarise_over

_TEX = {
    **{sign: f"\\{sign}" for sign in "_%&#${}"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{"±": r"$\pm$", NOISE: r"$\approx$"},
}
_TEX_SIGNS = re.compile("|".join([*(re.escape(sign) for sign in _TEX), r"(?<!\S)-(?=\d)"]))


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


def markdown(grids: Sequence[Grid]) -> str:
    """Writes tables as Markdown, each under its title and over its caption."""
    return "\n".join(_markdown(grid) for grid in grids)


def _markdown(grid: Grid) -> str:
    lines = [grid.head, ["---", *["---:"] * (len(grid.head) - 1)], *grid.rows]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"### {grid.title}\n\n{table}\n\n{' '.join(grid.caption)}\n"


def latex(grids: Sequence[Grid]) -> str:
    """Writes each table as a float with a booktabs tabular; the document reads the file as a whole, or takes parts of it."""
    return "% needs \\usepackage{booktabs}\n" + "\n".join(_latex(grid) for grid in grids)


def _latex(grid: Grid) -> str:
    head, *rows = (" & ".join(map(_tex, line)) + r" \\" for line in (grid.head, *grid.rows))
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{_tex('. '.join([grid.title, ' '.join(grid.caption)]))}}}",
        rf"\begin{{tabular}}{{l{'r' * (len(grid.head) - 1)}}}",
        *(r"\toprule", head, r"\midrule", *rows, r"\bottomrule"),
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _tex(text: str) -> str:
    return "--" if text == "-" else _TEX_SIGNS.sub(lambda found: _TEX.get(found.group(), "$-$"), text)


def table_csv(comparison: Comparison, against: Sequence[str], quoted: Sequence[Quoted] = ()) -> bytes:
    """Returns one row for each method and target, and for the mean over the targets, as CSV.

    Scores, differences and their standard deviations are shares of 1. ``<difference>_noise`` is 1 where it is noise, 0 where it is
    more, and empty where that cannot be told; see `zsda.reporting.seeds.is_noise`.

    Args:
        comparison: of the runs.
        against: the methods that all are held against; those without runs are skipped.
        quoted: rows of others.
    """
    held = [name for name in against if name in comparison.methods]
    gains = [f"{kind}_over_{name}" for name in held for kind in ("gain", "source_gain")]
    head = ["method", "target", "origin", "score", "selection", "seeds"]
    head += [f"{where}_{number}" for where in ("target", "source") for number in ("mean", "std")]
    head += [f"{gain}{ending}" for gain in gains for ending in ("", "_std", "_noise")]
    text = io.StringIO()
    writer = csv.DictWriter(text, [*head, "share_of_oracle"], restval="")
    writer.writeheader()
    about = {
        "score": comparison.score,
        "selection": ORACLE_SELECTION if comparison.oracle_selection else "last",
    }
    for name, targets in _named_targets(comparison):
        for method in comparison.methods:
            numbers = _numbers_of(comparison, method, targets, against)
            if numbers["target_mean"] != "" or numbers["source_mean"] != "":
                writer.writerow({"method": method, "target": name, "origin": "measured", **about, **numbers})
    for row in quoted:
        for name, targets in _named_targets(comparison):
            value = row.mean(targets)
            if value is not None:
                numbers = _spread("target_mean", "target_std", value)
                writer.writerow({"method": row.name, "target": name, "origin": "quoted", "score": SCORE, **numbers})
    return text.getvalue().encode()


def _named_targets(comparison: Comparison) -> list[tuple[str, list[str]]]:
    targets = comparison.targets
    return [*((target, [target]) for target in targets), *([("mean", targets)] if len(targets) > 1 else [])]


def _numbers_of(
    comparison: Comparison, method: str, targets: Sequence[str], against: Sequence[str]
) -> dict[str, float | str]:
    on_target = summarise_over([comparison.target(method, target) for target in targets])
    on_source = summarise_over([comparison.source(method, target) for target in targets])
    counted = on_target or on_source
    numbers: dict[str, float | str] = {
        "seeds": counted.seeds if counted else "",
        **_spread("target_mean", "target_std", on_target),
        **_spread("source_mean", "source_std", on_source),
    }
    for reference in (name for name in against if name in comparison.methods):
        for kind, gain in (("gain", comparison.gain), ("source_gain", comparison.source_gain)):
            difference = gain(method, reference, targets) if method != reference else None
            noise = is_noise(difference) if difference else None
            numbers |= _spread(f"{kind}_over_{reference}", f"{kind}_over_{reference}_std", difference)
            numbers[f"{kind}_over_{reference}_noise"] = "" if noise is None else int(noise)
    share = comparison.share(method, targets)
    return {**numbers, "share_of_oracle": "" if share is None else share}


def _spread(mean: str, deviation: str, summary: Summary | None) -> dict[str, float | str]:
    if summary is None:
        return {mean: "", deviation: ""}
    return {mean: summary.mean, deviation: "" if summary.deviation is None else summary.deviation}
