"""The tables of a report, made of a comparison; `zsda.reporting.formats` writes them down."""

from collections.abc import Callable, Sequence

from zsda.evaluation.protocols import SCORE_NAMES, SUBSETS, find_protocol
from zsda.reporting.cells import DEVIATION, ERROR, NOISE, ORACLE_SELECTION, PIXELS, SHARE, Cell, Grid
from zsda.reporting.comparison import UPPER_BOUND, Comparison
from zsda.reporting.layout import Kept
from zsda.reporting.published import Quoted
from zsda.reporting.rounds import Round
from zsda.reporting.run_scores import RunScores
from zsda.reporting.seeds import Summary, is_noise, summarise

_RULE = (
    f"{NOISE} marks a difference that the seeds alone may explain: its 95 % interval over the seeds (Student's paired t) contains 0, "
    "each comparison by itself; without ± this cannot be told."
)
_ONE_SEED = "One seed cannot tell a difference from noise."
_SEEDS = "(n) is the number of seeds where it is not all of them."


def grids(
    comparison: Comparison,
    against: Sequence[str],
    layouts: Sequence[Kept] = (),
    quoted: Sequence[Quoted] = (),
    rounds: Sequence[Round] = (),
) -> list[Grid]:
    """Makes all tables of a comparison, in per cent; one without rows is left out.

    Args:
        comparison: of the runs.
        against: the methods that the others are held against, each difference once; those without runs are skipped.
        layouts: what `zsda.reporting.layout.kept_layouts` returned.
        quoted: rows of others to show beside the scores.
        rounds: what `zsda.reporting.rounds.read_rounds` returned.
    """
    tables = [scores_table(comparison, comparison.methods, quoted)]
    references = [method for method in against if method in comparison.methods]
    for number, reference in enumerate(references):
        held = [method for method in comparison.methods if method not in references[: number + 1]]
        tables += [differences_table(comparison, held, reference, on_source) for on_source in (False, True)]
    tables += [shares_table(comparison, comparison.methods), _layouts(comparison, layouts), _rounds(comparison, rounds)]
    return [table for table in tables if table.body]


def scores_table(comparison: Comparison, methods: Sequence[str], quoted: Sequence[Quoted] = ()) -> Grid:
    """Makes the table of what methods reach on each target, on the mean of several, and on the source, in this order.

    Args:
        comparison: of the runs.
        methods: its rows; one without any number is left out.
        quoted: rows of others to show below them.
    """
    seeds, columns = len(comparison.seeds), _averaged(comparison)
    body: list[tuple[str, list[Cell]]] = []
    for method in methods:
        found = [summarise(comparison.target(method, target)) for target in comparison.targets]
        means = [comparison.mean_target(method)] if len(columns) > len(found) else []
        cells = [
            _number(summary, comparison.runs([method], targets), seeds)
            for summary, targets in zip([*found, *means], columns, strict=True)
        ]
        places = comparison.targets or [comparison.source_setting]
        on_source = comparison.runs([method], places, on_source=True)
        cells.append(_number(comparison.mean_source(method), on_source, seeds))
        body.append((method, cells))
    for row in quoted:
        body.append((row.name, [*(_number(row.mean(targets), measured=False) for targets in columns), Cell()]))
    names = [row.name for row in quoted]
    note = [
        f"Quoted, not measured here, the mean taken of what is quoted: {', '.join(n for n in names if _by(quoted, n) == by)}, from {by}."
        for by in dict.fromkeys(row.by for row in quoted)
    ]
    return _grid(
        _title(comparison, f"On the target and {_on_source(comparison)}"),
        ["method", *_columns(comparison), comparison.source_setting],
        [row for row in body if any(cell.number for cell in row[1])],
        [caption(comparison), *note],
        quoted=names,
    )


def differences_table(comparison: Comparison, methods: Sequence[str], reference: str, on_source: bool) -> Grid:
    """Makes the table of what methods have over another for each target, and on the mean of several.

    Args:
        comparison: of the runs.
        methods: its rows; one without any number is left out.
        reference: the method that they are held against.
        on_source: whether scores on the source are compared, and not those on the target.
    """
    gain: Callable[[str, str, Sequence[str]], Summary | None]
    gain = comparison.source_gain if on_source else comparison.gain
    where, seeds = _on_source(comparison) if on_source else "on the target", len(comparison.seeds)
    body = [
        (
            name,
            [
                _difference(
                    gain(name, reference, targets), comparison.runs([name, reference], targets, on_source), seeds
                )
                for targets in _averaged(comparison)
            ],
        )
        for name in methods
    ]
    return _grid(
        _title(comparison, f"Against {reference}, {where}"),
        ["method", *_columns(comparison)],
        [row for row in body if any(cell.number for cell in row[1])],
        [
            f"Points more than {reference} {where}, seed by seed.",
            caption(comparison, ERROR),
            _ONE_SEED if seeds == 1 else _RULE,
        ],
        ERROR,
    )


def shares_table(comparison: Comparison, methods: Sequence[str]) -> Grid:
    """Makes the table of how much of the way from the baseline to the oracle methods go, for each target and their mean.

    Args:
        comparison: of the runs.
        methods: its rows; both ends of the way, and methods without any number, are left out.
    """
    baseline, seeds = str(comparison.baseline), len(comparison.seeds)
    between = [method for method in methods if method not in (baseline, UPPER_BOUND)]
    body = [
        (
            name,
            [
                _per_cent(
                    comparison.share(name, targets), comparison.runs([name, baseline, UPPER_BOUND], targets), seeds
                )
                for targets in _averaged(comparison)
            ],
        )
        for name in between
    ]
    about = f"Mean gain over {baseline} on the target in % of that of {UPPER_BOUND}."
    return _grid(
        _title(comparison, f"Of the way from {baseline} to {UPPER_BOUND}"),
        ["method", *_columns(comparison)],
        [row for row in body if any(cell.number for cell in row[1])],
        [about, caption(comparison, "")],
        "",
    )


def caption(comparison: Comparison, spread: str = DEVIATION) -> str:
    """Says what the numbers of a comparison are, and what stands behind ±."""
    first, seeds = comparison.results[0], comparison.seeds
    # Several sizes stand in the name of the protocol.
    seen = "" if find_protocol(first.protocol).scales else f", input {'x'.join(map(str, first.size))}"
    measured = f"{(SCORE_NAMES | SUBSETS)[comparison.score]} in %, protocol {first.protocol}{seen}"
    if comparison.oracle_selection:
        measured += f", {ORACLE_SELECTION} (each run's best kept epoch, chosen with the labels of the target)"
    if len(seeds) == 1:
        return f"{measured}, one seed."
    return f"{measured}, mean{f' ± {spread}' if spread else ''} over seeds {', '.join(map(str, seeds))}."


def _number(
    summary: Summary | None,
    runs: Sequence[RunScores] = (),
    all_seeds: int | None = None,
    measured: bool = True,
    quantity: str = "score",
) -> Cell:
    """Shows mean ± deviation in per cent; with the number of seeds where it is not ``all_seeds``."""
    if summary is None:
        return Cell()
    seeds = summary.seeds if measured else None
    return Cell(
        number=f"{100 * summary.mean:.1f}",
        spread="" if summary.deviation is None else f"{100 * summary.deviation:.1f}",
        quantity=quantity,
        seeds=seeds,
        counted=seeds is not None and all_seeds not in (None, seeds),
        runs=runs,
    )


def _difference(summary: Summary | None, runs: Sequence[RunScores], all_seeds: int) -> Cell:
    """Shows a difference in points ± its standard error, with its sign, and whether it is noise."""
    if summary is None:
        return Cell()
    return Cell(
        number=f"{'+' if summary.mean >= 0 else ''}{100 * summary.mean:.1f}",
        spread="" if summary.error is None else f"{100 * summary.error:.1f}",
        unit="points",
        quantity="gain",
        seeds=summary.seeds,
        counted=summary.seeds != all_seeds,
        noise=is_noise(summary),
        runs=runs,
    )


def _per_cent(share: Summary | None, runs: Sequence[RunScores], all_seeds: int) -> Cell:
    """Shows a share as whole per cent."""
    if share is None:
        return Cell()
    counted = share.seeds != all_seeds
    return Cell(number=f"{100 * share.mean:.0f}", quantity=SHARE, seeds=share.seeds, counted=counted, runs=runs)


def _by(quoted: Sequence[Quoted], name: str) -> str:
    return next(row.by for row in quoted if row.name == name)


def _layouts(comparison: Comparison, layouts: Sequence[Kept]) -> Grid:
    seeds = len(comparison.seeds)
    body = [
        (f"{UPPER_BOUND} on rendered scenes", [_number(row.rendered, row.runs, seeds) for row in layouts]),
        ("on edited ones", [_number(row.edited, row.runs, seeds) for row in layouts]),
        ("share", [_per_cent(Summary(row.share, None, row.edited.seeds), row.runs, seeds) for row in layouts]),
    ]
    about = "Validation scenes as they really look and as they were edited, against the labels of the source."
    title = _title(comparison, "What edits keep of the layout")
    return _grid(title, ["", *(row.target for row in layouts)], body if layouts else [], [about, caption(comparison)])


def _rounds(comparison: Comparison, rounds: Sequence[Round]) -> Grid:
    seeds = len(comparison.seeds)
    found: dict[tuple[str, str, int], list[Round]] = {}
    for one in rounds:
        found.setdefault((one.labelled.method, str(one.labelled.target), one.number), []).append(one)

    def pixels(shares: Sequence[tuple[RunScores, float | None]]) -> Cell:
        told = {run.seed: share for run, share in shares if share is not None}
        return _number(summarise(told), [run for run, _ in shares if run.seed in told], seeds, quantity=PIXELS)

    def score(reached: Sequence[RunScores | None], setting: str) -> Cell:
        scored = [run for run in reached if run is not None and comparison.score in run.settings.get(setting, {})]
        return _number(summarise({run.seed: run.settings[setting][comparison.score] for run in scored}), scored, seeds)

    body = [
        (
            f"{method}, {target}, {f'round {number}' if number else 'start'}",
            [
                pixels([(one.labelled, one.kept) for one in of_round]),
                pixels([(one.labelled, one.right) for one in of_round]),
                score([one.reached for one in of_round], target),
                score([one.reached for one in of_round], comparison.source_setting),
            ],
        )
        for (method, target, number), of_round in found.items()
    ]
    about = (
        "Kept is the share of pixels with a pseudo label that a round is trained on, right that of those with the real class, where real "
        "labels are there, both in %; scores are those of the student after the round, or of the network that labels first, where its "
        "phase is scored."
    )
    head = ["round", "kept", "right", "on the target", _on_source(comparison)]
    return _grid(
        _title(comparison, "Self-training, round by round"),
        head,
        [row for row in body if any(cell.number for cell in row[1])],
        [about, caption(comparison)],
    )


def _grid(
    title: str,
    head: Sequence[str],
    body: Sequence[tuple[str, Sequence[Cell]]],
    words: Sequence[str],
    spread: str = DEVIATION,
    quoted: Sequence[str] = (),
) -> Grid:
    """Makes a table whose caption explains the numbers in brackets where there are any."""
    counted = any(cell.counted for _, cells in body for cell in cells)
    return Grid(title, head, body, [*words, *([_SEEDS] if counted else [])], spread, quoted)


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
