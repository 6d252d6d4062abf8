"""What one run reached, and what that is from."""

import csv
import io
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zsda.core.records import printable
from zsda.evaluation.protocols import SUBSETS
from zsda.evaluation.records import SUMMARY

OF_EDITS = {"edited", "rendered"}
"""Settings that show what edits keep; their images depend on ``edits_of``."""
ABOUT = ("run", "method", "source", "target", "seed", "setting", "protocol", "size")
"""Columns of raw scores before the scores themselves; ``source`` is the setting that shows it, ``size`` height x width."""
CHOSEN_EPOCH = "oracle selection: epoch"
"""A further column, where epochs were chosen."""


@dataclass(frozen=True)
class Source:
    """What the scores of a run are from.

    Attributes:
        weights: digest of the network's weights, SHA-256.
        trained_by: the command of the last start of its training.
        files: each file of scores: its path, its digest, and the command that wrote it.
    """

    weights: str
    trained_by: str
    files: Sequence[tuple[str, str, str]]


@dataclass(frozen=True)
class Detail:
    """What is known of one setting beyond its scores.

    Attributes:
        iou: class -> share of 1; None is undefined.
        confusion: pixels, a row for each labelled class, a column for each predicted one and for none.
        folder: of the evaluation.
        root: where the images lay.
        scenes: file in the folder that tells of single scenes -> its digest.
    """

    iou: Mapping[str, float | None]
    confusion: Sequence[Sequence[int]]
    folder: Path
    root: Path
    scenes: Mapping[str, str]


@dataclass(frozen=True)
class RunScores:
    """What one run reached.

    Attributes:
        run: its name.
        method: how it was trained.
        source_setting: the setting that shows its source by itself.
        target: the setting that it was adapted to, or that its epoch was chosen for; None where it saw the source alone, or no
            target was named.
        seed: of its training.
        protocol: of its evaluation.
        size: height, width that the network saw.
        classes: what it tells apart.
        settings: setting -> ``miou``, ``miou_present`` and ``accuracy``, shares of 1, and where there are some, those of `SUBSETS`.
        files: setting -> what tells its images and labels from others.
        generated_sets: setting -> the generated set that its images are from.
        epoch: the epoch that was chosen by its score in ``target``, which is oracle selection; None is the last checkpoint.
        world: where its data came from.
        experiment: the option that was chosen, if any.
        class_set: name of its classes.
        network: its class and backbone.
        phase: after which it was scored; empty for the last.
        source: what the scores are from.
        details: setting -> more of it; none of chosen epochs.
        left_out: how many damaged files its scores lack.
    """

    run: str
    method: str
    source_setting: str
    target: str | None
    seed: int
    protocol: str
    size: tuple[int, ...]
    classes: tuple[str, ...]
    settings: Mapping[str, Mapping[str, float]]
    files: Mapping[str, str]
    generated_sets: Mapping[str, str] = field(default_factory=dict)
    epoch: int | None = None
    world: str = ""
    experiment: str | None = None
    class_set: str = ""
    network: str = ""
    phase: str = ""
    source: Source = Source("", "", ())
    details: Mapping[str, Detail] = field(default_factory=dict)
    left_out: int = 0

    @property
    def label(self) -> str:
        """Its name, and the phase or the epoch if it is not the last."""
        part = self.phase or ("" if self.epoch is None else f"epoch{self.epoch}")
        return f"{self.run}/{part}" if part else self.run


def told_command(provenance: Mapping[str, Any]) -> str:
    """Returns the command line that a file tells it was made by; empty where it tells none."""
    words = provenance.get("command")
    if not isinstance(words, list) or words[:1] != ["python"]:  # other texts may act in a spreadsheet
        return ""
    return printable(shlex.join(map(str, words)))


def results_csv(results: Sequence[RunScores]) -> bytes:
    """Returns the raw scores as CSV, one row for each run and setting; chosen epochs stand in a column of their own.

    `zsda.reporting.scores_file.read_scores_csv` reads them back.
    """
    chosen = any(result.epoch is not None for result in results)
    text = io.StringIO()
    writer = csv.writer(text)
    extra = [CHOSEN_EPOCH] if chosen else []
    known = {key for result in results for scores in result.settings.values() for key in scores}
    columns = [*SUMMARY, *(key for key in SUBSETS if key in known)]
    writer.writerow([*ABOUT, *columns, *extra])
    for result in results:
        about = [result.run, result.method, result.source_setting, result.target or "", result.seed]
        seen = [result.protocol, "x".join(map(str, result.size))]
        epoch = [result.epoch] if chosen else []
        for setting, scores in sorted(result.settings.items()):
            writer.writerow([*about, setting, *seen, *(scores.get(key, "") for key in columns), *epoch])
    return text.getvalue().encode()
