"""The files of scores: what they hold, how they are written, how they are read back."""

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import Field

from zsda.core.errors import RecordError, StoreError
from zsda.core.files import to_json, write_atomic
from zsda.core.records import PlainName, Record, read_record
from zsda.core.run_records import ClassesRecord, Plain
from zsda.evaluation.scenes import has_scenes

SUMMARY = ("miou", "miou_present", "accuracy")
"""Scores that sum up a setting."""

_Share = Annotated[float, Field(ge=0, le=1)]
_Mean = Annotated[float, Field(ge=0)]  # of the published rule, which can exceed 1
_Epoch = Annotated[str, Field(pattern=r"^\d{1,9}$")]


class Summary(Record):
    """The scores that sum up a setting, shares of 1."""

    miou: _Share
    miou_present: _Share
    accuracy: _Share


class SettingScores(Summary):
    """All scores of a setting.

    Attributes:
        iou: class -> share of 1; None is undefined.
        means: of smaller class sets; see `zsda.evaluation.metrics.subset_means`.
        confusion: pixels, a row for each labelled class, a column for each predicted one.
    """

    iou: dict[str, _Share | None]
    means: dict[PlainName, _Mean | None] = Field(default_factory=dict)
    confusion: list[list[Annotated[int, Field(ge=0)]]]


class Evaluated(Record):
    """What stands in every file of scores: what was evaluated, how, and on what.

    Attributes:
        title: as tables call it.
        weights: the file of the network's weights.
        weights_digest: its SHA-256.
        network: what network it is; empty where that is not known.
        protocol: by which it was scored.
        precision: of the network.
        size: height, width that the network saw, of several the largest.
        scales: heights, widths that were summed over; empty for one size.
        mirror: whether mirrored images were summed, too.
        classes: what was told apart.
        files: setting -> fingerprint of the contents of its images and labels.
        images: setting -> how many.
        names: setting -> digest of the names of its images.
        roots: setting -> the folder that they lay in.
        generated_sets: setting -> the generated set that its images are from.
        left_out: damaged files that were not scored.
        scenes: file beside this one that tells of single scenes -> its SHA-256; empty where there are none.
        provenance: command, time, host and versions.
    """

    title: str
    weights: str
    weights_digest: str
    network: dict[str, Plain] = Field(default_factory=dict)
    protocol: PlainName
    precision: str
    size: list[int]
    scales: list[list[int]] = Field(default_factory=list)
    mirror: bool = False
    classes: ClassesRecord
    files: dict[PlainName, str]
    images: dict[PlainName, int]
    names: dict[PlainName, str] = Field(default_factory=dict)
    roots: dict[PlainName, str] = Field(default_factory=dict)
    generated_sets: dict[PlainName, PlainName] = Field(default_factory=dict)
    left_out: list[str]
    scenes: dict[PlainName, str] = Field(default_factory=dict)
    provenance: dict[str, Any]


class ScoresFile(Evaluated):
    """``scores.json``: setting -> scores."""

    settings: dict[PlainName, SettingScores]


class EpochsFile(Evaluated):
    """``epochs.json``: epoch -> setting -> scores."""

    epochs: dict[_Epoch, dict[PlainName, Summary]]


E = TypeVar("E", bound=Evaluated)


def read_scores(folder: Path, conditions: Mapping[str, Any]) -> dict[str, dict[str, Any]] | None:
    """Returns the results that `write_scores` wrote, if they are complete and were obtained under these conditions.

    Args:
        folder: where they would be.
        conditions: plain values that must stand in ``scores.json``.

    Returns:
        Setting -> plain scores; None where they are missing, unreadable, of other conditions, or lack damaged images or what
        tells of single scenes.
    """
    found = _read_known(ScoresFile, folder / "scores.json", conditions)
    if found is None or not has_scenes(folder, found.scenes):
        return None
    return {name: scores.model_dump() for name, scores in found.settings.items()}


def read_epochs(folder: Path, conditions: Mapping[str, Any]) -> dict[int, dict[str, Any]]:
    """Returns the epochs that were scored so far, epoch -> setting -> summary scores; for the rest see `read_scores`."""
    found = _read_known(EpochsFile, folder / "epochs.json", conditions)
    epochs = {} if found is None else found.epochs
    return {int(epoch): {name: s.model_dump() for name, s in settings.items()} for epoch, settings in epochs.items()}


def _read_known(kind: type[E], path: Path, conditions: Mapping[str, Any]) -> E | None:
    try:
        found = read_scores_file(kind, path)
    except StoreError:
        return None  # whatever is wrong with it, evaluating again mends it
    stored = found.model_dump()
    same = all(stored[key] == value for key, value in json.loads(to_json(conditions)).items())
    return found if same and not found.left_out else None


_ASKED = ("size", "classes", "generated_sets")
"""What a command line decides; the protocol stands in the name of the folder."""


def check_replaced(folder: Path, about: Mapping[str, Any], shared: bool = True) -> list[str]:
    """Refuses to write over the result of another evaluation.

    Of the same, weights and files may have changed since, and the precision follows the machine.

    Args:
        folder: where results are, or will be.
        about: what will be written there, of `Evaluated`.
        shared: whether it may hold the result of another network; otherwise it is this one's own, wherever it lay then.

    Returns:
        In what the result differs that is there and is replaced; empty if it does not, or none is there.

    Raises:
        StoreError: it is of other weights, images or classes, or at another size.
    """
    now, changed = {"generated_sets": {}, **json.loads(to_json(about))}, list[str]()
    for name, kind in (("scores.json", ScoresFile), ("epochs.json", EpochsFile)):
        try:
            found = read_scores_file(kind, folder / name).model_dump()
        except StoreError:
            continue
        another = [key for key in _ASKED if found[key] != now[key]]
        if shared and found["network"] and found["network"] != now["network"]:
            another.append("network")
        if shared and found["weights_digest"] != now["weights_digest"] and found["weights"] != now["weights"]:
            another.append("weights")
        another += [f"images of {setting}" for setting in found["files"] if _are_others(setting, found, now)]
        if another:
            raise StoreError(
                f"{folder} holds the result of other {', '.join(sorted(another))}; give out=FOLDER to keep both, or delete it"
            )
        changed += [key for key in ("weights_digest", "files", "precision") if found[key] != now[key]]
    return [key.removesuffix("_digest") for key in dict.fromkeys(changed)]


def _are_others(setting: str, found: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Tells whether a setting showed other images, and not the same ones before they were mended."""
    if setting not in now["files"] or found["files"][setting] == now["files"][setting]:
        return False
    names, root = now["names"][setting], now["roots"][setting]
    # An earlier version recorded neither.
    return found["names"].get(setting, names) != names or found["roots"].get(setting, root) != root


def read_scores_file(kind: type[E], path: Path) -> E:
    """Reads ``scores.json`` or ``epochs.json``.

    Raises:
        RecordError: the file is missing, or not what ``zsda.eval`` wrote.
    """
    way_out = "it is not what python -m zsda.eval wrote: evaluate this run again"
    found = read_record(kind, path, way_out, told=["left_out", "provenance", "title", "weights", "roots"])
    tables = found.epochs.values() if isinstance(found, EpochsFile) else [getattr(found, "settings", {})]
    if not found.files or not tables or any(table.keys() != found.files.keys() for table in tables):
        raise RecordError(f"{path}: its scores are not those of the settings in files; {way_out}")
    classes = len(found.classes.classes)
    for name, scores in found.settings.items() if isinstance(found, ScoresFile) else ():
        if scores.confusion and [len(row) for row in scores.confusion] != [classes + 1] * classes:
            raise RecordError(f"{path}: the confusion of {name} is not {classes}x{classes + 1}; {way_out}")
    return found


def write_scores(folder: Path, results: Mapping[str, Mapping[str, Any]], provenance: Mapping[str, Any]) -> None:
    """Writes ``scores.json`` (all, with provenance) and ``scores.csv`` (a row for each setting and class).

    Args:
        folder: is created.
        results: setting -> what `zsda.evaluation.metrics.plain_scores` returned.
        provenance: plain values that say what was evaluated, how and on what.
    """
    write_atomic(folder / "scores.json", to_json({**provenance, "settings": results}))
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["setting", "class", "iou"])
    for setting, scores in results.items():
        for name in SUMMARY:
            writer.writerow([setting, name, scores[name]])
        writer.writerows(
            [setting, f"miou_{name}", "" if mean is None else mean] for name, mean in scores["means"].items()
        )
        writer.writerows([setting, name, "" if iou is None else iou] for name, iou in scores["iou"].items())
    write_atomic(folder / "scores.csv", text.getvalue().encode())


def best_epochs(epochs: Mapping[int, Mapping[str, Mapping[str, Any]]], score: str) -> dict[str, int]:
    """Returns setting -> the epoch with the best score there, of equals the first; such a choice is oracle selection."""
    settings = next(iter(epochs.values()))
    return {name: max(sorted(epochs), key=lambda epoch: epochs[epoch][name][score]) for name in settings}


def write_epochs(
    folder: Path, epochs: Mapping[int, Mapping[str, Mapping[str, Any]]], provenance: Mapping[str, Any]
) -> None:
    """Writes ``epochs.json`` (with provenance) and ``epochs.csv``, a row for each epoch and setting, the best mIoU of each marked.

    Args:
        folder: is created.
        epochs: epoch -> setting -> summary scores.
        provenance: plain values that say what was evaluated, how and on what.
    """
    numbered = {f"{epoch:04d}": settings for epoch, settings in epochs.items()}
    write_atomic(folder / "epochs.json", to_json({**provenance, "epochs": numbered}))
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["epoch", "setting", *SUMMARY, "oracle selection"])
    best = best_epochs(epochs, SUMMARY[0])
    for epoch, settings in epochs.items():
        for name, scores in settings.items():
            writer.writerow([epoch, name, *(scores[key] for key in SUMMARY), "best" if best[name] == epoch else ""])
    write_atomic(folder / "epochs.csv", text.getvalue().encode())
