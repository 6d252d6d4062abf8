"""``scores.csv``, the raw scores of a report, read back: from it alone the tables can be made again."""

import csv
import io
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Annotated

from pydantic import ConfigDict, Field, ValidationError

from zsda.core.errors import RecordError
from zsda.core.files import read_regular
from zsda.core.records import PlainName, Record, first_fault, printable
from zsda.evaluation.protocols import SUBSETS
from zsda.evaluation.records import SUMMARY
from zsda.reporting.run_scores import ABOUT, CHOSEN_EPOCH, RunScores

_WAY_OUT = "expected the scores.csv of a report"
_Share = Annotated[float, Field(ge=0, le=1)]
_Mean = Annotated[float, Field(ge=0, allow_inf_nan=False)]  # of the published rule, which can exceed 1


class _Row(Record):
    """One row: what a run reached in a setting."""

    model_config = ConfigDict(strict=False)  # all that a CSV holds are texts

    run: PlainName
    method: PlainName
    source: PlainName
    target: PlainName | None
    seed: int
    setting: PlainName
    protocol: PlainName
    size: Annotated[str, Field(pattern=r"^[1-9]\d{0,5}(x[1-9]\d{0,5})*$")]
    miou: _Share
    miou_present: _Share
    accuracy: _Share
    miou_16: _Share | None = None
    miou_13: _Share | None = None
    miou_16_published: _Mean | None = None
    miou_13_published: _Mean | None = None

    def scores(self) -> dict[str, float]:
        told = {key: getattr(self, key) for key in (*SUMMARY, *SUBSETS)}
        return {key: value for key, value in told.items() if value is not None}


def read_scores_csv(path: Path) -> list[RunScores]:
    """Reads what `zsda.reporting.run_scores.results_csv` wrote, as far as tables need it.

    Args:
        path: of the file.

    Returns:
        What each run reached by each protocol, in the order of the file, without the classes, the files and the sources.

    Raises:
        RecordError: the file cannot be read, lacks a column, has a value that is none of its column, a setting of a run twice, or
            holds chosen epochs, which are no results without labels of the target.
    """
    rows: dict[tuple[str, str], list[tuple[int, _Row]]] = {}
    for line, row in _rows(path):
        rows.setdefault((row.run, row.protocol), []).append((line, row))
    if not rows:
        raise RecordError(f"{path}: holds no scores; {_WAY_OUT}")
    return [_run(path, found) for found in rows.values()]


def _rows(path: Path) -> Iterator[tuple[int, _Row]]:
    """Yields lines, counted from one, and what stands in them."""
    try:
        reader = csv.DictReader(io.StringIO(read_regular(path).decode()), strict=True)
        names = reader.fieldnames or []
        rows = [(reader.line_num, row) for row in reader]
    except FileNotFoundError as error:
        raise RecordError(f"{path}: no such file; {_WAY_OUT}") from error
    except (OSError, ValueError, csv.Error) as error:
        raise RecordError(f"{path}: cannot be read ({printable(str(error))}); {_WAY_OUT}") from error
    if CHOSEN_EPOCH in names:
        raise RecordError(
            f"{path}: its epochs were chosen with labels of the target; expected scores of selection=last, which are results"
        )
    missing = [name for name in (*ABOUT, *SUMMARY) if name not in names]
    if missing:
        raise RecordError(f"{path}: has no column {', '.join(missing)}; {_WAY_OUT}")
    for line, row in rows:
        if None in row or None in row.values():
            raise RecordError(f"{path}, line {line}: expected {len(names)} cells, as many as columns")
        told = {key: text for key, text in row.items() if text or key not in ("target", *SUBSETS)}
        try:
            yield line, _Row.model_validate({"target": None, **told})
        except ValidationError as error:
            raise RecordError(f"{path}, line {line}: {first_fault(error)}") from error


def _run(path: Path, rows: list[tuple[int, _Row]]) -> RunScores:
    first = rows[0][1]
    settings: dict[str, dict[str, float]] = {}
    for line, row in rows:
        if row.setting in settings:
            raise RecordError(
                f"{path}, line {line}: {row.run} in {row.setting} stands there twice; expected one row for each"
            )
        settings[row.setting] = row.scores()
    for (_, one), (line, other) in pairwise(rows):
        unlike = [
            key for key in ("method", "source", "target", "seed", "size") if getattr(one, key) != getattr(other, key)
        ]
        if unlike:
            raise RecordError(f"{path}, line {line}: {other.run} has another {unlike[0]} than in the rows before")
    return RunScores(
        run=first.run,
        method=first.method,
        source_setting=first.source,
        target=first.target,
        seed=first.seed,
        protocol=first.protocol,
        size=tuple(map(int, first.size.split("x"))),
        classes=(),
        settings=settings,
        files={},
    )
