"""What self-training did round by round: how much it labelled, how right that was, and what the network reached after it."""

import csv
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from zsda.core.files import file_digest
from zsda.core.runs import RunFolder
from zsda.reporting.results import scores_after
from zsda.reporting.run_scores import RunScores, Source

_log = logging.getLogger(__name__)

_SUMMARY = "pseudo_labels.csv"


@dataclass(frozen=True)
class Round:
    """One round of one run.

    Attributes:
        number: 1 for the first; 0 is the network that labels for it.
        labelled: the run in the phase that labels, and the file that tells of it; of number 0 the run itself.
        kept: share of the pixels that were labelled; None of number 0, or where it cannot be told.
        right: share of those with a real label that have its class; None where there are none.
        reached: what the student reached after the round; None where its phase is not scored.
    """

    number: int
    labelled: RunScores
    kept: float | None
    right: float | None
    reached: RunScores | None


def read_rounds(runs: Sequence[RunFolder], results: Sequence[RunScores]) -> list[Round]:
    """Returns the rounds of all runs that labelled images, in their order.

    Args:
        runs: their folders.
        results: what is compared of them; runs without, and chosen epochs, are left out.
    """
    compared = {result.run: result for result in results if result.epoch is None}
    return [one for run in runs if run.path.name in compared for one in _rounds_of(run, compared[run.path.name])]


def _rounds_of(run: RunFolder, last: RunScores) -> list[Round]:
    names = run.phase_names()
    labellings = [name for name in names if (run.path / name / _SUMMARY).is_file()]
    if not labellings:
        return []
    start = _network_of(run, labellings[0])
    rounds = [Round(0, last, None, None, scores_after(run, start, last))] if start in names else []
    for number, name in enumerate(labellings, 1):
        path = run.path / name / _SUMMARY
        kept, right = _told(path)
        digest = run.phase(name).report().digests.get("labels", "") if run.phase(name).finished else ""
        source = Source(digest, last.source.trained_by, [(str(path), file_digest(path), last.source.trained_by)])
        trained = next((later for later in names[names.index(name) + 1 :] if later not in labellings), None)
        reached = last if trained == names[-1] else trained and scores_after(run, trained, last)
        rounds.append(Round(number, replace(last, phase=name, source=source), kept, right, reached or None))
    return rounds


def _network_of(run: RunFolder, labelling: str) -> str:
    """Returns the phase whose network labels, as the run recorded it; empty where it did not."""
    found: Any = run.record().settings
    for key in ("method", "phases", labelling, "network"):
        found = found.get(key) if isinstance(found, Mapping) else None
    return found.partition("/")[0] if isinstance(found, str) else ""


def _told(path: Path) -> tuple[float | None, float | None]:
    """Returns the shares that were kept and are right, over all classes."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            row = next(row for row in csv.DictReader(file) if row["class"] == "all")
        kept, right = (float(row[key]) if row[key] else None for key in ("kept_share", "accuracy"))
        if not all(share is None or 0 <= share <= 1 for share in (kept, right)):
            raise ValueError("a share is from 0 to 1")
    except (OSError, ValueError, KeyError, TypeError, StopIteration, csv.Error):
        _log.warning("%s cannot be read, so its round is shown without its shares", path)
        return None, None
    return kept, right
