"""Whether runs that stand side by side were trained alike, told from what they recorded."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from zsda.reporting.results import identity
from zsda.runs import RunFolder, differences, without

_log = logging.getLogger(__name__)

_SEEDS = ("seed", "data.seed")
# What no method needs to change; in its phases and data each is as it must be.
_SHARED = ("model", "optimizer", "schedule")
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

    Runs of one method for one domain are to differ in their seed alone, of all that ``zsda.train`` records. Of several methods or
    domains, the first seeds are to have one model, optimiser, schedule, batch size and world.
    """
    groups: dict[tuple[str, str | None], list[tuple[str, Mapping[str, Any]]]] = {}
    for run in sorted(runs, key=lambda run: identity(run)["seed"]):
        about, settings = identity(run), run.record().settings
        # As `identity` has it, a domain that no phase looks at made no difference.
        unread = ("domain", "data.domain") if about["domain"] is None else ()
        group = groups.setdefault((about["method"], about["domain"]), [])
        group.append((run.path.name, without(settings, (*_SEEDS, *unread))))
    for group in groups.values():
        if _warn("averaged as seeds, but trained with other settings", group):
            break
    firsts = [(name, _shared(settings)) for (name, settings), *_ in groups.values()]
    _warn("compared, but trained with other settings", firsts)


def _shared(settings: Mapping[str, Any]) -> dict[str, Any]:
    nested = {}
    for section, key in (("data", "batch_size"), ("world", "name")):
        found = settings.get(section)
        nested[section] = {key: found.get(key) if isinstance(found, Mapping) else None}
    return {**{key: settings.get(key) for key in _SHARED}, **nested}


def _warn(words: str, named: Sequence[tuple[str, Mapping[str, Any]]]) -> bool:
    """Names the keys in which the first that differs from the head of the list does so; tells whether there is one."""
    for name, settings in named[1:]:
        first, expected = named[0]
        keys = list(differences(expected, settings))
        if keys:
            shown = f"{', '.join(keys[:_SHOWN])}{', ...' if len(keys) > _SHOWN else ''}"
            _log.warning("%s: %s (%s, %s)", words, shown, first, name)
            return True
    return False
