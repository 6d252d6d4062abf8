"""The scores of many runs, read from their folders."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from zsda.core.digests import content_digest
from zsda.core.errors import RecordError, StoreError
from zsda.core.files import file_digest
from zsda.core.runs import RunFolder
from zsda.evaluation.protocols import SUBSETS, find_protocol
from zsda.evaluation.records import (
    SUMMARY,
    EpochsFile,
    Evaluated,
    ScoresFile,
    SettingScores,
    Summary,
    best_epochs,
    read_scores_file,
)
from zsda.reporting.run_scores import OF_EDITS, Detail, RunScores, Source, told_command

_log = logging.getLogger(__name__)


def read_results(runs: Sequence[RunFolder], protocol: str, select_by: str | None = None) -> list[RunScores]:
    """Reads the scores of the last phase of each run; where a setting was scored twice, the newer scores count.

    Runs without scores of this protocol, and those with a damaged file, are named in a warning and left out.

    Args:
        runs: whose.
        protocol: of the evaluation.
        select_by: None takes the last checkpoint. A score takes, for each target that a run was scored in, the kept epoch where
            it is highest there, the earliest of equals, with all that this epoch reached: one result for each target.

    Raises:
        StoreError: nothing is left; a run was scored with weights that it no longer has; the networks did not all see the same images at
            one size; or an epoch is to be chosen and a run's are not scored.
    """
    name = "scores.json" if select_by is None else "epochs.json"
    results, without, elsewhere, damaged = [], [], set(), []
    asking = find_protocol(protocol).words
    for run in runs:
        files = sorted(run.path.glob(f"eval/*/{name}"), key=lambda path: path.stat().st_mtime_ns)
        try:
            _check_records(run)
            found = [_read(path) for path in files]
            asked = [stored for stored in found if stored["protocol"] == protocol]
            read = _of_run(run, asked, select_by) if asked else []
        except RecordError as error:
            damaged.append(error)
            continue
        others = sorted({stored["protocol"] for stored in found})
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
            f"with keep=all, then python -m zsda.eval run=NAMES 'setting=[NAME,...]' {asking} epochs=all, or choose others with "
            "runs=..."
        )
    if damaged and not results:
        raise damaged[0]
    for flaw in damaged:
        _log.warning("left out: %s", flaw)
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


def scores_after(run: RunFolder, phase: str, last: RunScores) -> RunScores | None:
    """Returns what the network after an earlier phase reached, where it was scored as the last one, on the same images.

    Args:
        run: whose phase it is.
        phase: that left weights.
        last: what the last phase reached.
    """
    weights = run.phase(phase).weights
    files = sorted((run.path / "eval" / phase).glob("*/scores.json"), key=lambda path: path.stat().st_mtime_ns)
    if not files or not weights.is_file():
        return None
    digest = file_digest(weights)
    asked = (last.protocol, last.size, digest)
    found = list(_readable(files))
    owner = {
        name: stored
        for stored in found
        if (stored["protocol"], stored["size"], stored["weights_digest"]) == asked
        for name in stored["files"]
    }
    others = [name for name, stored in owner.items() if last.files.get(name) not in (None, stored["files"][name])]
    if others:
        _log.warning("%s/%s was scored on other images of %s; left out", last.run, phase, ", ".join(others))
    same = {name: stored for name, stored in owner.items() if name not in others}
    if not same:
        return None
    if any(stored["left_out"] for stored in same.values()):
        _log.warning("%s/%s: damaged images were left out of its scores", last.run, phase)
    return replace(
        last,
        phase=phase,
        settings={name: stored["epochs"][None][name] for name, stored in same.items()},
        files={name: stored["files"][name] for name, stored in same.items()},
        generated_sets={n: stored["generated_sets"][n] for n, stored in same.items() if n in stored["generated_sets"]},
        source=_source(run, list(same.values())),
    )


def _check_records(run: RunFolder) -> None:
    """Reads what the run and its phases recorded, all of which is reported; raises RecordError where it cannot be."""
    run.header()
    for phase in map(run.phase, run.phase_names()):
        if phase.finished:
            phase.report()


def _readable(files: Sequence[Path]) -> Iterator[dict[str, Any]]:
    for path in files:
        try:
            yield _read(path)
        except RecordError as error:
            _log.warning("left out: %s", error)


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
        details: dict[str, Detail] = {}
    else:
        stored = of_last = read_scores_file(ScoresFile, path)
        epochs = {None: of_last.settings}
        details = {
            name: Detail(scores.iou, scores.confusion, path.parent, Path(stored.roots.get(name, "")), stored.scenes)
            for name, scores in of_last.settings.items()
        }
    return {
        "path": path,
        "evaluated_by": told_command(stored.provenance),
        "protocol": stored.protocol,
        "size": tuple(stored.size),
        "weights_digest": stored.weights_digest,
        "files": stored.files,
        "generated_sets": stored.generated_sets,
        "left_out": len(stored.left_out),
        "details": details,
        "epochs": {
            epoch: {name: _told_scores(scores) for name, scores in settings.items()}
            for epoch, settings in epochs.items()
        },
    }


def _told_scores(scores: Summary) -> dict[str, float]:
    means = scores.means if isinstance(scores, SettingScores) else {}
    subsets = {f"miou_{name}": mean for name, mean in means.items() if mean is not None}
    return {**{key: getattr(scores, key) for key in SUMMARY}, **{k: v for k, v in subsets.items() if k in SUBSETS}}


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
        details={name: stored["details"][name] for name, stored in owner.items() if name in stored["details"]},
        left_out=sum({stored["path"]: stored["left_out"] for stored in owner.values()}.values()),
    )
    source_of = _source(run, list(owner.values()))

    def reached(epoch: int | None) -> dict[str, dict[str, float]]:
        return {name: stored["epochs"][epoch][name] for name, stored in owner.items()}

    if select_by is None:
        return [make(settings=reached(None), source=source_of)]
    kept, digests = run.finished_phase().kept(), run.finished_phase().digests()
    if any(epoch not in stored["epochs"] for stored in owner.values() for epoch in kept):
        return []
    own, source = about["target"], about["source_setting"]
    chosen = []
    for target in sorted(owner.keys() - {source} - OF_EDITS if own is None else owner.keys() & {own}):
        best = best_epochs({epoch: {target: reached(epoch)[target]} for epoch in kept}, select_by)[target]
        found = replace(source_of, weights=digests.get(kept[best], ""))
        chosen.append(make(target=target, settings=reached(best), epoch=best, source=found))
    return chosen


def _source(run: RunFolder, owners: Sequence[dict[str, Any]]) -> Source:
    starts = run.record().starts
    once = {stored["path"]: stored["evaluated_by"] for stored in owners}
    return Source(
        weights=owners[0]["weights_digest"],
        trained_by=told_command(starts[-1]) if starts else "",
        files=[(str(path), file_digest(path), command) for path, command in once.items()],
    )


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
    if next(iter(owner.values()))["weights_digest"] != content_digest(weights):
        raise StoreError(
            f"{weights} is not what was scored; evaluate again: python -m zsda.eval run={run.path.name} ..."
        )
    if any(stored["left_out"] for stored in owner.values()):
        _log.warning("%s: damaged images were left out of its scores", run.path.name)
    return owner


def identity(run: RunFolder) -> dict[str, Any]:
    """Returns what a run is: of `RunScores` all but what was scored, and how.

    Raises:
        StoreError: the folder holds no run.
    """
    header = run.header()
    about = {key: getattr(header, key) for key in ("method", "source_setting", "target", "seed", "world", "experiment")}
    classes = tuple(one.name for one in header.classes.classes)
    network = [header.network.classes["model"].rpartition(".")[2], str(header.network.arguments.get("backbone", ""))]
    return {**about, "classes": classes, "class_set": header.classes.name, "network": " ".join(network).strip()}
