"""The scores of many runs, read from their folders."""

import csv
import io
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from zsda.core.errors import StoreError
from zsda.core.files import file_digest
from zsda.core.runs import RunFolder
from zsda.evaluation.protocols import find_protocol
from zsda.evaluation.records import SUMMARY, EpochsFile, Evaluated, ScoresFile, Summary, read_scores_file

_log = logging.getLogger(__name__)

_OF_THE_PAPER = "19"  # class set
OF_EDITS = {"edited", "rendered"}
"""Settings that show what edits keep; their images depend on ``edits_of``."""


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
        settings: setting -> ``miou``, ``miou_present`` and ``accuracy``, shares of 1.
        files: setting -> what tells its images and labels from others.
        generated_sets: setting -> the generated set that its images are from.
        epoch: the epoch that was chosen by its score in ``target``, which is oracle selection; None is the last checkpoint.
        as_published: whether it is a training of the paper's method and experiment on real photographs.
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
    as_published: bool = False


def read_results(runs: Sequence[RunFolder], protocol: str, select_by: str | None = None) -> list[RunScores]:
    """Reads the scores of the last phase of each run; where a setting was scored twice, the newer scores count.

    Runs without scores of this protocol are named in a warning and left out.

    Args:
        runs: whose.
        protocol: of the evaluation.
        select_by: None takes the last checkpoint. A score takes, for each target that a run was scored in, the kept epoch where
            it is highest there, the earliest of equals, with all that this epoch reached: one result for each target.

    Raises:
        StoreError: nothing is left; a file is no longer what ``zsda.eval`` wrote; a run was scored with weights that it no longer
            has; the networks did not all see the same images at one size; or an epoch is to be chosen and a run's are not scored.
    """
    name = "scores.json" if select_by is None else "epochs.json"
    results, without, elsewhere = [], [], set()
    asking = find_protocol(protocol).words
    for run in runs:
        files = sorted(run.path.glob(f"eval/*/{name}"), key=lambda path: path.stat().st_mtime_ns)
        found = [_read(path) for path in files]
        asked = [stored for stored in found if stored["protocol"] == protocol]
        others = sorted({stored["protocol"] for stored in found})
        read = _of_run(run, asked, select_by) if asked else []
        if select_by is None and not read:
            elsewhere.update(others)
            reason = f"scored with protocol {', '.join(others)} only" if others else "not evaluated yet"
            _log.warning("left out: %s, %s", run.path.name, reason)
        elif not read:
            without.append(run.path.name)
        results += read
    if without:
        shown = ", ".join([*without[:3], *(["..."] if len(without) > 3 else [])])
        raise StoreError(
            f"not every kept epoch is scored on a target with protocol {protocol}: {len(without)} of {len(runs)} runs, {shown}; train "
            f"with keep_every=N, then python -m zsda.eval run=NAMES 'setting=[NAME,...]' {asking} epochs=true, or choose others with "
            "runs=..."
        )
    if not results:
        way_out = f"give protocol={'|'.join(sorted(elsewhere))}, or evaluate" if elsewhere else "evaluate them"
        raise StoreError(
            f"no scores of protocol {protocol} in {len(runs)} run{'s' * (len(runs) != 1)}; {way_out} with "
            f"python -m zsda.eval run='*' 'setting=[NAME,...]' {asking}"
        )
    sizes = {result.size: result.run for result in results}
    if len(sizes) > 1:
        shown = ", ".join(f"{'x'.join(map(str, size))} ({run})" for size, run in sizes.items())
        raise StoreError(
            f"scores at different input sizes: {shown}; choose runs that compare with runs=..., or evaluate with size=..."
        )
    first = results[0]
    other = next((result for result in results if result.classes != first.classes), None)
    if other is not None:
        raise StoreError(
            f"{first.run} tells {len(first.classes)} classes apart and {other.run} others, {len(other.classes)}; choose runs that compare "
            "with runs=..."
        )
    _check_same_files(results)
    return results


def _check_same_files(results: Sequence[RunScores]) -> None:
    first: dict[tuple[str, str | None], RunScores] = {}
    for result in results:
        for setting in sorted(result.settings):
            images = result.generated_sets.get(setting)
            if setting in OF_EDITS and images is None:
                continue  # of which set is not known
            other = first.setdefault((setting, images), result)
            if other.files[setting] != result.files[setting]:
                raise StoreError(
                    f"{other.run} and {result.run} were scored on different images of {setting}; evaluate both with one data_root, "
                    "or choose runs that compare with runs=..."
                )


def _read(path: Path) -> dict[str, Any]:
    """Reads ``scores.json`` or ``epochs.json``; ``epochs`` is epoch -> setting -> scores, of the last checkpoint under None."""
    if path.stem == "epochs":
        stored: Evaluated = (of_epochs := read_scores_file(EpochsFile, path))
        epochs: dict[int | None, Mapping[str, Summary]] = {int(epoch): s for epoch, s in of_epochs.epochs.items()}
    else:
        stored = of_last = read_scores_file(ScoresFile, path)
        epochs = {None: of_last.settings}
    return {
        "protocol": stored.protocol,
        "size": tuple(stored.size),
        "weights_digest": stored.weights_digest,
        "files": stored.files,
        "generated_sets": stored.generated_sets,
        "left_out": len(stored.left_out),
        "epochs": {
            epoch: {name: {key: getattr(scores, key) for key in SUMMARY} for name, scores in settings.items()}
            for epoch, settings in epochs.items()
        },
    }


def _of_run(run: RunFolder, oldest_first: Sequence[dict[str, Any]], select_by: str | None) -> list[RunScores]:
    """Returns the last checkpoint, or the best epoch for each target; nothing where an epoch is not scored."""
    about = identity(run)
    owner = _newest(run, oldest_first)
    make = partial(
        RunScores,
        **{"run": run.path.name, **about, "protocol": oldest_first[-1]["protocol"]},
        size=next(iter(owner.values()))["size"],
        files={name: stored["files"][name] for name, stored in owner.items()},
        generated_sets={n: stored["generated_sets"][n] for n, stored in owner.items() if n in stored["generated_sets"]},
    )

    def reached(epoch: int | None) -> dict[str, dict[str, float]]:
        return {name: stored["epochs"][epoch][name] for name, stored in owner.items()}

    if select_by is None:
        return [make(settings=reached(None))]
    kept = list(run.finished_phase().kept())
    if any(epoch not in stored["epochs"] for stored in owner.values() for epoch in kept):
        return []
    own, source = about["target"], about["source_setting"]
    chosen = []
    for target in sorted(owner.keys() - {source} - OF_EDITS if own is None else owner.keys() & {own}):
        scores = {epoch: reached(epoch)[target][select_by] for epoch in kept}
        best = max(scores, key=scores.__getitem__)  # of equals the first
        chosen.append(make(target=target, settings=reached(best), epoch=best))
    return chosen


def _newest(run: RunFolder, oldest_first: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Returns setting -> the newest file with its scores, once they are of one network as it is now."""
    owner = {name: stored for stored in oldest_first for name in stored["files"]}
    for what in ("weights_digest", "size"):
        if len({stored[what] for stored in owner.values()}) > 1:
            raise StoreError(
                f"{run.path.name}: its settings were scored with different {what.replace('_digest', '')}; score them together: "
                f"python -m zsda.eval run={run.path.name} 'setting=[{','.join(sorted(owner))}]' "
                f"{find_protocol(oldest_first[0]['protocol']).words}"
            )
    weights = run.finished_phase().weights
    if next(iter(owner.values()))["weights_digest"] != file_digest(weights):
        raise StoreError(
            f"{weights} is not what was scored; evaluate again: python -m zsda.eval run={run.path.name} ..."
        )
    if any(stored["left_out"] for stored in owner.values()):
        _log.warning("%s: damaged images were left out of its scores", run.path.name)
    return owner


def identity(run: RunFolder) -> dict[str, Any]:
    """Returns what a run is: ``method``, ``source_setting``, ``target``, ``seed``, ``classes`` and ``as_published`` of `RunScores`.

    Raises:
        StoreError: the folder holds no run.
    """
    header = run.header()
    published = header.world == "real" and header.method == "sdgpa" and header.domain is not None
    as_published = published and header.experiment == header.domain and header.classes.name == _OF_THE_PAPER
    about = {key: getattr(header, key) for key in ("method", "source_setting", "target", "seed")}
    classes = tuple(one.name for one in header.classes.classes)
    return {**about, "classes": classes, "as_published": as_published}


def results_csv(results: Sequence[RunScores]) -> bytes:
    """Returns the raw scores as CSV, one row for each run and setting; chosen epochs stand in a column of their own."""
    chosen = any(result.epoch is not None for result in results)
    text = io.StringIO()
    writer = csv.writer(text)
    extra = ["oracle selection: epoch"] if chosen else []
    writer.writerow(["run", "method", "target", "seed", "setting", "protocol", *SUMMARY, *extra])
    for result in results:
        about = [result.run, result.method, result.target or "", result.seed]
        epoch = [result.epoch] if chosen else []
        for setting, scores in sorted(result.settings.items()):
            writer.writerow([*about, setting, result.protocol, *(scores[key] for key in SUMMARY), *epoch])
    return text.getvalue().encode()
