"""Whether runs that stand side by side were trained alike, told from what they recorded."""

import logging
from collections.abc import Callable, Sequence

from zsda.core.runs import RunFolder
from zsda.core.settings import differences

_log = logging.getLogger(__name__)

_SHOWN = 4


def warn_of_unequal_lengths(runs: Sequence[RunFolder]) -> None:
    """Says so where finished runs, compared with one another, did not take the same number of optimiser steps."""
    by_steps: dict[int, list[str]] = {}
    for run in runs:
        steps = sum(run.phase(name).report().steps for name in run.phase_names())
        by_steps.setdefault(steps, []).append(run.path.name)
    if len(by_steps) > 1:
        shown = (f"{n} {', '.join(names[:2])}{', ...' if len(names) > 2 else ''}" for n, names in by_steps.items())
        _log.warning("not trained equally long, in steps: %s", "; ".join(shown))


def warn_of_other_settings(runs: Sequence[RunFolder]) -> None:
    """Says so where runs differ in more than they are compared for, one line for each of two kinds.

    Runs of one method for one target are to differ in their seed alone, of all that ``zsda.train`` records. Of several methods or
    targets, the first seeds are to have in common what `RunHeader.shared` names.
    """
    groups: dict[tuple[str, str | None], list[RunFolder]] = {}
    for run in sorted(runs, key=lambda run: run.header().seed):
        groups.setdefault((run.header().method, run.header().target), []).append(run)
    for group in groups.values():
        if _warn("averaged as seeds, but trained with other settings", group, RunFolder.differing_settings):
            break
    firsts = [first for first, *_ in groups.values()]
    _warn("compared, but trained with other settings", firsts, _differing_in_common)


def _differing_in_common(run: RunFolder, other: RunFolder) -> list[str]:
    return list(differences(run.header().shared(), other.header().shared()))


def _warn(words: str, runs: Sequence[RunFolder], differing: Callable[[RunFolder, RunFolder], list[str]]) -> bool:
    """Names the keys in which the first that differs from the head of the list does so; tells whether there is one."""
    for run in runs[1:]:
        keys = differing(runs[0], run)
        if keys:
            shown = f"{', '.join(keys[:_SHOWN])}{', ...' if len(keys) > _SHOWN else ''}"
            _log.warning("%s: %s (%s, %s)", words, shown, runs[0].path.name, run.path.name)
            return True
    return False
