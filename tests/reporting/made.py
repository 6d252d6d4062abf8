"""Run folders as ``zsda.train`` and ``zsda.eval`` leave them, with scores of one's choice."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from zsda.core.files import digest, to_json, write_atomic
from zsda.core.run_records import NetworkRecord, PhaseReport, RunHeader, RunRecord
from zsda.core.runs import RunFolder
from zsda.data.classes import find_classes
from zsda.data.labels import CITYSCAPES
from zsda.evaluation.pictures import mask_png
from zsda.evaluation.scenes import LABELS, PREDICTION, SceneScores, picture_name, scene_files
from zsda.reporting.run_scores import RunScores

VIEWS = {
    "source_only": ["source"],
    "source_2x": ["source", "source"],
    "weather": ["source", "weather"],
    "oracle": ["oracle"],
    "sdgpa": ["source", "intermediate"],
}


WEIGHTS = b"weights"

PUBLISHED = {"world": "real", "model": "zsda.models.deeplab.DeepLabV3Plus", "arguments": {"backbone": "resnet50"}}
"""What else a run of SDGPA's own setting is made with, beside its size."""


def make_run(root: Path, method: str, target: str | None, seed: int, scores: Mapping[str, float] | None = None, **more):
    """A run called ``<target or source setting>_<method>_seed<seed>`` with ``scores``, setting -> mIoU.

    ``settings`` are recorded beside those that every run has.
    """
    source_setting = more.pop("source_setting", "day")
    path = root / more.pop("name", f"{target or source_setting}_{method}_seed{seed}")
    phases = {"only": {"views": VIEWS.get(method, ["target"])}}
    settings = {"method": {"name": method, "phases": phases}, "seed": seed, **more.pop("settings", {})}
    seen = None if set(phases["only"]["views"]) == {"source"} else target
    if seen is not None:
        settings["domain"] = {"name": target}
    world = more.pop("world", "miniature")
    header = RunHeader(
        method=method,
        source="cityscapes train",
        source_setting=source_setting,
        target=seen,
        unlabelled=None,
        classes=more.pop("classes", find_classes(19).plain()),
        seed=seed,
        world=world,
        experiment=target,
        size=[64, 128],
        network=NetworkRecord(
            option="smp",
            classes={"model": more.pop("model", "zsda.models.library.library_model")},
            arguments=more.pop("arguments", {}),
        ),
        **{
            "domain": seen,
            "start_weights": None,
            "batch_size": 4,
            "optimizer": {},
            "schedule": {},
            **more.pop("header", {}),
        },
    )
    choices = {"world": world, "experiment": str(target), "model": "smp"}
    record = RunRecord(header=header, settings=settings, choices=choices, phases=["only"])
    write_atomic(path / "run.json", to_json(record.model_dump()))
    write_atomic(path / "only/weights.safetensors", WEIGHTS)
    RunFolder(path).phase("only").finish(phase_report())
    if scores is not None:
        add_scores(path, scores, **more)
    return path


def phase_report(steps=60, epochs=30, **more):
    return PhaseReport(
        epochs=epochs, steps=steps, **{"seconds": 1.0, "resumed": False, "left_out": [], "watched": {}, **more}
    )


def add_scores(path: Path, scores: Mapping[str, float], protocol="sdgpa", **about):
    """Scores as ``zsda.eval`` writes them; that of labelled classes is half the mIoU, so they cannot be confused."""
    settings = {name: {**summary(value), "iou": {}, "confusion": []} for name, value in scores.items()}
    stored = {"settings": settings, **head(scores, protocol, **about)}
    write_atomic(path / f"eval/{'+'.join(scores)}_{protocol}/scores.json", to_json(stored))


def add_epochs(path: Path, epochs: Mapping[int, Mapping[str, float]], protocol="sdgpa", **about):
    """The same for ``epochs=all``, epoch -> setting -> score, of a run that kept the weights of all of them; its last is 30."""
    for epoch in epochs:
        if epoch != 30:
            write_atomic(path / f"only/epochs/{epoch:04d}.safetensors", WEIGHTS)
    names = next(iter(epochs.values()))
    numbered = {f"{epoch:04d}": {name: summary(v) for name, v in scores.items()} for epoch, scores in epochs.items()}
    stored = {"epochs": numbered, **head(names, protocol, **about)}
    write_atomic(path / f"eval/{'+'.join(names)}_{protocol}/epochs.json", to_json(stored))


def summary(value):
    return {"miou": value, "miou_present": value / 2, "accuracy": 0.9}


def head(names, protocol, size=(64, 128), weights=WEIGHTS, files="a", left_out=(), generated_sets=None):
    return {
        "title": "a run",
        "weights": "weights.safetensors",
        "precision": "32-true",
        "images": dict.fromkeys(names, 3),
        "provenance": {},
        "protocol": protocol,
        "size": list(size),
        "classes": find_classes(19).plain(),
        "weights_digest": digest(weights),
        "files": dict.fromkeys(names, files),
        "left_out": list(left_out),
        **({"generated_sets": generated_sets} if generated_sets else {}),
    }


def result(method, target, seed, generated_sets=None, source_setting="day", **settings):
    """What would be read of a run; scores in per cent."""
    return RunScores(
        run=f"{target or source_setting}_{method}_seed{seed}",
        method=method,
        source_setting=source_setting,
        target=target,
        seed=seed,
        protocol="sdgpa",
        size=(64, 128),
        classes=find_classes(19).names,
        settings={name: summary(value / 100) for name, value in settings.items()},
        files={},
        generated_sets=generated_sets or {},
    )


def add_details(path: Path, details: Mapping[str, Mapping], protocol="sdgpa", **about):
    """Scores with a root of the images, an IoU of every class and a confusion, and scenes with pictures.

    Of a setting: ``miou``, ``root``, and ``scenes``, name -> mIoU, image below the root, labels and prediction, uint8 [H, W].
    """
    folder = path / f"eval/{'+'.join(details)}_{protocol}"
    names = find_classes(19).names
    settings, scenes, pictures = {}, {}, {}
    for setting, told in details.items():
        iou = {name: round(told["miou"] * (1 - number / 40), 4) for number, name in enumerate(names)}
        confusion = (100 * np.eye(19, 20, dtype=int) + np.eye(19, 20, 1, dtype=int)).tolist()
        settings[setting] = {**summary(told["miou"]), "iou": iou, "confusion": confusion}
        scenes[setting] = []
        for number, (name, (miou, image, labels, prediction)) in enumerate(sorted(told.get("scenes", {}).items())):
            scenes[setting].append(SceneScores(number, name, image, miou, 0.9))
            for what, ids in ((LABELS, labels), (PREDICTION, prediction)):
                pictures[picture_name(setting, number, what)] = mask_png(ids, CITYSCAPES, 1)
    roots = {setting: str(told.get("root", "")) for setting, told in details.items()}
    files = scene_files(scenes, pictures)
    for name, content in files.items():
        write_atomic(folder / name, content)
    digests = {name: digest(content) for name, content in files.items()}
    stored = {"settings": settings, "roots": roots, "scenes": digests, **head(details, protocol, **about)}
    write_atomic(folder / "scores.json", to_json(stored))
