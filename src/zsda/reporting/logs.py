"""How trainings went, step by step, from the CSV logs in their folders."""

import csv
import io
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from zsda.core.files import read_regular
from zsda.core.records import printable
from zsda.core.runs import RunFolder

_log = logging.getLogger(__name__)

_LOSSES = ("train/loss_step", "train/loss_epoch")
_WATCHED = re.compile(r"val/(?P<name>.+)/miou")
_DIGITS, _LARGEST = 10, 1e12  # of what is drawn
_SMOOTH = 40  # a running mean over this part of a phase


class Log(NamedTuple):
    """What one phase logged.

    Attributes:
        phase: its name.
        loss: step -> training loss, a running mean.
        watched: watched set -> step -> mIoU, a share of 1.
    """

    phase: str
    loss: Mapping[int, float]
    watched: Mapping[str, Mapping[int, float]]


def read_logs(run: RunFolder) -> list[Log]:
    """Returns what the phases of a run logged, in their order; without those that logged nothing, such as labellings."""
    logs = []
    for name in run.phase_names():
        columns = _columns(sorted((run.path / name / "csv").glob("version_*/metrics.csv"), key=_version))
        loss = next((columns[key] for key in _LOSSES if key in columns), {})
        watched = {m["name"]: of for key, of in columns.items() if (m := _WATCHED.fullmatch(key))}
        if loss or watched:
            logs.append(Log(name, _running_mean(loss), {key: dict(sorted(of.items())) for key, of in watched.items()}))
    return logs


def _version(path: Path) -> tuple[int, str]:
    number = path.parent.name.removeprefix("version_")
    return int(number) if number.isdecimal() else -1, path.parent.name


def _columns(paths: Sequence[Path]) -> dict[str, dict[int, float]]:
    """Returns column -> step -> value; a later start writes over what it went through again."""
    columns: dict[str, dict[int, float]] = {}
    for path in paths:
        try:
            rows = list(csv.DictReader(io.StringIO(read_regular(path).decode())))
        except (OSError, ValueError, csv.Error) as error:
            _log.warning("%s cannot be read as a log of a training: %s", path, printable(str(error)))
            continue
        for row in rows:
            for key, step, value in _numbers(row):
                columns.setdefault(key, {})[step] = value
    return columns


def _numbers(row: Mapping[str, str | None]) -> Iterator[tuple[str, int, float]]:
    """Yields column, step and value of what can be drawn of a row."""
    step = row.get("step") or ""
    if not (step.isdecimal() and len(step) < _DIGITS):
        return
    for key, text in row.items():
        if key and isinstance(text, str) and key.startswith(("train/", "val/")):
            with suppress(ValueError):
                if abs(value := float(text)) < _LARGEST:  # which NaN is not
                    yield key, int(step), value


def _running_mean(values: Mapping[int, float]) -> dict[int, float]:
    steps = sorted(values)
    width = max(1, len(steps) // _SMOOTH)
    sums = [0.0]
    for step in steps:
        sums.append(sums[-1] + values[step])
    starts = [max(0, place + 1 - width) for place in range(len(steps))]
    return {
        step: (sums[place + 1] - sums[start]) / (place + 1 - start)
        for (place, step), start in zip(enumerate(steps), starts, strict=True)
    }
