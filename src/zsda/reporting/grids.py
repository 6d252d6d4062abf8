"""The tables of a report, as titles, captions and cells; `zsda.reporting.formats` writes them down."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from zsda.evaluation.protocols import SCORE_NAMES, find_protocol
from zsda.reporting.comparison import BASELINE, UPPER_BOUND, Comparison
from zsda.reporting.layout import Kept
from zsda.reporting.published import NOTE, Quoted
from zsda.reporting.seeds import Summary, is_noise, summarise

ORACLE_SELECTION = "oracle selection"
NOISE = "≈"
_NONE = "-"
_RULE = (
    f"{NOISE} marks a difference that the seeds alone may explain: its 95 % interval over the seeds (Student's paired t) contains 0, "
    "each comparison by itself; without ± this cannot be told."
)
_ONE_SEED = "One seed cannot tell a difference from noise."
_SEEDS = "(n) is the number of seeds where it is not all of them."
_COUNTED = re.compile(r" \(\d+\)$")


@dataclass(frozen=True)
class Grid:
    """One table.

    Attributes:
        title: what it shows, in a few words.
        head: the columns' names; that of the first stands over the rows' names.
        rows: cells, as many in each row as in the head.
        caption: what the numbers are, in sentences, of which several tables may share some.
    """

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: Sequence[str]


def grids(
    comparison: Comparison, against: Sequence[str], layouts: Sequence[Kept] = (), quoted: Sequence[Quoted] = ()
) -> list[Grid]:
    """Makes all tables of a comparison, in per cent; one without rows is left out.

    Args:
        comparison: of the runs.
        against: the methods that the others are held against, each difference once; those without runs are skipped.
        layouts: what `zsda.reporting.layout.kept_layouts` returned.
        quoted: rows of others to show beside the scores.
    """
    tables = [_scores(comparison, quoted)]
    references = [method for method in against if method in comparison.methods]
    for number, reference in enumerate(references):
        held = [method for method in comparison.methods if method not in references[: number + 1]]
        tables.append(_differences(comparison, held, reference, comparison.gain, "on the target"))
        tables.append(_differences(comparison, held, reference, comparison.source_gain, _on_source(comparison)))
    tables += [_shares(comparison), _layouts(comparison, layouts)]
    return [table for table in tables if table.rows]


def caption(comparison: Comparison) -> str:
    """Says what the numbers of a comparison are."""
    first, seeds = comparison.results[0], comparison.seeds
    # Several sizes stand in the name of the protocol.
    seen = "" if find_protocol(first.protocol).scales else f", input {'x'.join(map(str, first.size))}"
    measured = f"{SCORE_NAMES[comparison.score]} in %, protocol {first.protocol}{seen}"
    if comparison.oracle_selection:
        measured += f", {ORACLE_SELECTION} (each run's best kept epoch, chosen with the labels of the target)"
    if len(seeds) == 1:
        return f"{measured}, one seed."
    return f"{measured}, mean ± sample standard deviation over seeds {', '.join(map(str, seeds))}."


def spread(summary: Summary | None, all_seeds: int | None = None) -> str:
    """Writes mean ± deviation in per cent; behind it the number of seeds in brackets where it is not ``all_seeds``."""
    if summary is None:
        return _NONE
    deviation = "" if summary.deviation is None else f" ± {100 * summary.deviation:.1f}"
    return f"{100 * summary.mean:.1f}{deviation}{_count(summary, all_seeds)}"


def signed(difference: Summary | None, all_seeds: int | None = None) -> str:
    """Writes a difference in points as `spread` does, with its sign, and the sign for noise before it."""
    if difference is None:
        return _NONE
    noise = f"{NOISE} " if is_noise(difference) else ""
    return f"{noise}{'+' if difference.mean >= 0 else ''}{spread(difference, all_seeds)}"


def per_cent(share: float | None) -> str:
    """Writes a share as whole per cent."""
    return _NONE if share is None else f"{100 * share:.0f} %"


def _count(summary: Summary, all_seeds: int | None) -> str:
    return "" if all_seeds in (None, summary.seeds) else f" ({summary.seeds})"


def _scores(comparison: Comparison, quoted: Sequence[Quoted]) -> Grid:
    seeds, several = len(comparison.seeds), len(comparison.targets) > 1
    rows = []
    for method in comparison.methods:
        cells = [summarise(comparison.target(method, target)) for target in comparison.targets]
        means = [comparison.mean_target(method)] if several else []
        shown = [spread(cell, seeds) for cell in (*cells, *means, comparison.mean_source(method))]
        if set(shown) != {_NONE}:
            rows.append([method, *shown])
    for row in quoted:
        rows.append([row.name, *(spread(row.mean(targets)) for targets in _averaged(comparison)), _NONE])
    note = [f"{NOTE}: {', '.join(row.name for row in quoted)}."] if quoted else []
    title = _title(comparison, f"On the target and {_on_source(comparison)}")
    head = ["method", *_columns(comparison), comparison.source_setting]
    return _grid(title, head, rows, [caption(comparison), *note])


def _differences(
    comparison: Comparison,
    methods: Sequence[str],
    reference: str,
    gain: Callable[[str, str, Sequence[str]], Summary | None],
    where: str,
) -> Grid:
    seeds = len(comparison.seeds)
    found = {name: [gain(name, reference, targets) for targets in _averaged(comparison)] for name in methods}
    rows = [[name, *(signed(cell, seeds) for cell in cells)] for name, cells in found.items() if any(cells)]
    title = _title(comparison, f"Against {reference}, {where}")
    about = f"Points more than {reference} {where}, seed by seed."
    rule = _ONE_SEED if seeds == 1 else _RULE
    return _grid(title, ["method", *_columns(comparison)], rows, [about, caption(comparison), rule])


def _shares(comparison: Comparison) -> Grid:
    between = [method for method in comparison.methods if method not in (BASELINE, UPPER_BOUND)]
    found = {name: [comparison.share(name, targets) for targets in _averaged(comparison)] for name in between}
    rows = [[name, *map(per_cent, cells)] for name, cells in found.items() if any(cell is not None for cell in cells)]
    title = _title(comparison, f"Of the way from {BASELINE} to {UPPER_BOUND}")
    about = f"Mean gain over {BASELINE} on the target in % of that of {UPPER_BOUND}."
    return Grid(title, ["method", *_columns(comparison)], rows, [about, caption(comparison)])


def _layouts(comparison: Comparison, layouts: Sequence[Kept]) -> Grid:
    seeds = len(comparison.seeds)
    rows = [
        [f"{UPPER_BOUND} on rendered scenes", *(spread(row.rendered, seeds) for row in layouts)],
        ["on edited ones", *(spread(row.edited, seeds) for row in layouts)],
        ["share", *(per_cent(row.share) for row in layouts)],
    ]
    about = "Validation scenes as they really look and as they were edited, against the labels of the source."
    title = _title(comparison, "What edits keep of the layout")
    return _grid(title, ["", *(row.target for row in layouts)], rows if layouts else [], [about, caption(comparison)])


def _grid(title: str, head: Sequence[str], rows: Sequence[Sequence[str]], words: Sequence[str]) -> Grid:
    """Makes a table whose caption explains the numbers in brackets where there are any."""
    counted = any(_COUNTED.search(cell) for row in rows for cell in row[1:])
    return Grid(title, head, rows, [*words, *([_SEEDS] if counted else [])])


def _columns(comparison: Comparison) -> list[str]:
    return [*comparison.targets, *(["mean"] if len(comparison.targets) > 1 else [])]


def _averaged(comparison: Comparison) -> list[list[str]]:
    """Returns, for each of `_columns`, the targets that it is the mean of."""
    targets = comparison.targets
    return [*([target] for target in targets), *([targets] if len(targets) > 1 else [])]


def _on_source(comparison: Comparison) -> str:
    setting = comparison.source_setting
    return "by day" if setting == "day" else f"in {setting}"


def _title(comparison: Comparison, words: str) -> str:
    return f"{words} ({ORACLE_SELECTION})" if comparison.oracle_selection else words
