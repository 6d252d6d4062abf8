"""Whether edits keep the layout of their source: what the oracle reaches on them, beside what it reaches on rendered scenes."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from zsda.data.set_names import ORACLE, set_name
from zsda.reporting.comparison import UPPER_BOUND, Comparison
from zsda.reporting.run_scores import RunScores
from zsda.reporting.seeds import Summary, summarise

_log = logging.getLogger(__name__)

_SETS = {"rendered": ORACLE, "edited": "target"}


@dataclass(frozen=True)
class Kept:
    """One target, over the seeds of the oracle that were scored on both.

    Attributes:
        target: what was rendered and edited.
        rendered: the score on rendered validation scenes.
        edited: that on edited ones, against the labels of their source.
        share: the latter of the former, a ratio of means.
        runs: the oracles.
    """

    target: str
    rendered: Summary
    edited: Summary
    share: float
    runs: Sequence[RunScores]


def kept_layouts(comparison: Comparison) -> list[Kept]:
    """Returns what the oracles of each target were scored with; nothing for a target where they were not.

    Scores that do not tell that the images were of the oracle's own target are named in a warning and left out.
    """
    rows = []
    for target in comparison.targets:
        oracles = [run for run in comparison.results if (run.method, run.target) == (UPPER_BOUND, target)]
        scored = [run for run in oracles if _is_scored(run, comparison.score) and _is_own(run)]
        rendered, edited = (
            summarise({run.seed: run.settings[setting][comparison.score] for run in scored}) for setting in _SETS
        )
        if rendered and edited and rendered.mean > 0:
            rows.append(Kept(target, rendered, edited, edited.mean / rendered.mean, scored))
    return rows


def _is_scored(run: RunScores, score: str) -> bool:
    return all(score in run.settings.get(setting, {}) for setting in _SETS)


def _is_own(run: RunScores) -> bool:
    expected = {setting: set_name(str(run.target), recipe) for setting, recipe in _SETS.items()}
    found = {setting: run.generated_sets.get(setting) for setting in _SETS}
    if found != expected:
        shown = ", ".join(str(name) for name in found.values()) if all(found.values()) else "sets that are not named"
        _log.warning(
            "%s was scored on %s; for the table of layouts: python -m zsda.eval run=%s 'setting=[edited,rendered]' edits_of=%s",
            *(run.run, shown, run.run, run.target),
        )
    return found == expected
