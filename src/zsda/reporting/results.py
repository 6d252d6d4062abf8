"""The scores of many runs, read from their folders."""

import csv
import io
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zsda.errors import StoreError
from zsda.runs import RunFolder, file_digest

_log = logging.getLogger(__name__)

SCORES = ("miou", "miou_present", "accuracy")
OF_EDITS = {"edited", "rendered"}
"""Settings that show what edits keep; their images depend on ``edits_of``, so they compare within a run only."""


@dataclass(frozen=True)
class RunScores:
    """What one run reached.

    Attributes:
        run: its name.
        method: how it was trained.
        domain: what it was adapted to; None where it saw the source alone.
        seed: of its training.
        protocol: of its evaluation.
        size: height, width that the network saw.
        settings: setting -> ``miou``, ``miou_present`` and ``accuracy``, shares of 1.
        files: setting -> what tells its images and labels from others.
    """

    run: str
    method: str
    domain: str | None
    seed: int
    protocol: str
    size: tuple[int, ...]
    settings: Mapping[str, Mapping[str, float]]
    files: Mapping[str, str]


def read_results(runs: Sequence[RunFolder], protocol: str) -> list[RunScores]:
    """Reads the scores of the last phase of each run; where a setting was scored twice, the newer scores count.

    Runs without scores of this protocol are named in a warning and left out.

    Raises:
        StoreError: nothing is left; a file is no longer what ``zsda.eval`` wrote; a run was scored with weights that it no longer
            has; or the networks did not all see the same images at one size.
    """
    results, elsewhere = [], set()
    for run in runs:
        files = sorted(run.path.glob("eval/*/scores.json"), key=lambda path: path.stat().st_mtime_ns)
        found = [_read(path) for path in files]
        asked = [stored for stored in found if stored["protocol"] == protocol]
        if asked:
            results.append(_merge(run, asked))
        else:
            others = sorted({stored["protocol"] for stored in found})
            elsewhere.update(others)
            reason = f"scored with protocol {', '.join(others)} only" if others else "not evaluated yet"
            _log.warning("left out: %s, %s", run.path.name, reason)
    if not results:
        way_out = f"give protocol={'|'.join(sorted(elsewhere))}, or evaluate" if elsewhere else "evaluate them"
        raise StoreError(
            f"no scores of protocol {protocol} in {len(runs)} run{'s' * (len(runs) != 1)}; {way_out} with "
            "python -m zsda.eval run='*' 'setting=[day,...]'"
        )
    sizes = {result.size: result.run for result in results}
    if len(sizes) > 1:
        shown = ", ".join(f"{'x'.join(map(str, size))} ({run})" for size, run in sizes.items())
        raise StoreError(
            f"scores at different input sizes: {shown}; choose runs that compare with runs=..., or evaluate with size=..."
        )
    _check_same_files(results)
    return results


def _check_same_files(results: Sequence[RunScores]) -> None:
    first: dict[str, RunScores] = {}
    for result in results:
        for setting in sorted(result.settings.keys() - OF_EDITS):
            other = first.setdefault(setting, result)
            if other.files[setting] != result.files[setting]:
                raise StoreError(
                    f"{other.run} and {result.run} were scored on different images of {setting}; evaluate both with one data_root, "
                    "or choose runs that compare with runs=..."
                )


def _read(path: Path) -> dict[str, Any]:
    try:
        stored = json.loads(path.read_bytes())
        return {
            "protocol": stored["protocol"],
            "size": tuple(stored["size"]),
            "weights_digest": stored["weights_digest"],
            "files": stored["files"],
            "left_out": len(stored["left_out"]),
            "settings": {name: {key: scores[key] for key in SCORES} for name, scores in stored["settings"].items()},
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise StoreError(f"{path}: not what python -m zsda.eval wrote ({reason}); evaluate this run again") from error


def _merge(run: RunFolder, oldest_first: Sequence[dict[str, Any]]) -> RunScores:
    owner = {name: stored for stored in oldest_first for name in stored["settings"]}
    for what in ("weights_digest", "size"):
        if len({stored[what] for stored in owner.values()}) > 1:
            raise StoreError(
                f"{run.path.name}: its settings were scored with different {what.replace('_digest', '')}; score them together: "
                f"python -m zsda.eval run={run.path.name} 'setting=[{','.join(sorted(owner))}]'"
            )
    if any(stored["left_out"] for stored in owner.values()):
        _log.warning("%s: damaged images were left out of its scores", run.path.name)
    try:
        method, domain, seed = _identity(run.record()["settings"])
    except (KeyError, TypeError, AttributeError) as error:
        raise StoreError(f"{run.path}/run.json names no {error}; expected what python -m zsda.train writes") from error
    weights = run.finished_phase().weights
    if next(iter(owner.values()))["weights_digest"] != file_digest(weights):
        raise StoreError(
            f"{weights} is not what was scored; evaluate again: python -m zsda.eval run={run.path.name} ..."
        )
    return RunScores(
        run=run.path.name,
        method=method,
        domain=domain,
        seed=seed,
        protocol=oldest_first[-1]["protocol"],
        size=next(iter(owner.values()))["size"],
        settings={name: stored["settings"][name] for name, stored in owner.items()},
        files={name: stored["files"][name] for name, stored in owner.items()},
    )


def _identity(settings: Mapping[str, Any]) -> tuple[str, str | None, int]:
    views = {view for phase in settings["method"]["phases"].values() for view in phase["views"]}
    # A domain that was named but whose images no phase looks at made no difference.
    domain = None if views == {"source"} else settings["domain"]["name"]
    return settings["method"]["name"], domain, settings["seed"]


def warn_of_unequal_lengths(runs: Sequence[RunFolder]) -> None:
    """Says so where finished runs, compared with one another, did not take the same number of optimiser steps."""
    by_steps: dict[int, list[str]] = {}
    for run in runs:
        steps = sum(run.phase(name).report()["steps"] for name in run.phase_names())
        by_steps.setdefault(steps, []).append(run.path.name)
    if len(by_steps) > 1:
        shown = (f"{n} {', '.join(names[:2])}{', ...' if len(names) > 2 else ''}" for n, names in by_steps.items())
        _log.warning("not trained equally long, in steps: %s", "; ".join(shown))


def results_csv(results: Sequence[RunScores]) -> bytes:
    """Returns the raw scores as CSV, one row for each run and setting."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["run", "method", "domain", "seed", "setting", "protocol", *SCORES])
    for result in results:
        about = [result.run, result.method, result.domain or "", result.seed]
        for setting, scores in sorted(result.settings.items()):
            writer.writerow([*about, setting, result.protocol, *(scores[key] for key in SCORES)])
    return text.getvalue().encode()
