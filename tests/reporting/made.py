"""Run folders as ``zsda.train`` and ``zsda.eval`` leave them, with scores of one's choice."""

from collections.abc import Mapping
from pathlib import Path

from zsda.runs import digest, to_json, write_atomic

VIEWS = {"source_only": ["source"], "oracle": ["oracle"], "sdgpa": ["source", "intermediate"]}


WEIGHTS = b"weights"


def make_run(root: Path, method: str, domain: str | None, seed: int, scores: Mapping[str, float] | None = None, **more):
    """A run called ``<domain or day>_<method>_seed<seed>`` with ``scores``, setting -> mIoU of labelled classes."""
    path = root / more.pop("name", f"{domain or 'day'}_{method}_seed{seed}")
    phases = {"only": {"views": VIEWS.get(method, ["target"])}}
    settings = {"method": {"name": method, "phases": phases}, "seed": seed, "domain": {"name": domain}}
    write_atomic(path / "run.json", to_json({"settings": settings, "choices": {}, "phases": ["only"], "starts": []}))
    write_atomic(path / "only/weights.safetensors", WEIGHTS)
    write_atomic(path / "only/phase.json", to_json({"steps": 60}))
    if scores is not None:
        add_scores(path, scores, **more)
    return path


def add_scores(
    path: Path, scores: Mapping[str, float], protocol="sdgpa", size=(64, 128), weights=WEIGHTS, files="a", left_out=()
):
    """Scores as ``zsda.eval`` writes them; mIoU of all classes is half that of the labelled ones, so they cannot be confused."""
    settings = {
        name: {"miou": value / 2, "miou_present": value, "accuracy": 0.9, "iou": {}, "confusion": []}
        for name, value in scores.items()
    }
    about = {
        "protocol": protocol,
        "size": list(size),
        "weights_digest": digest(weights),
        "files": dict.fromkeys(scores, files),
        "left_out": list(left_out),
    }
    write_atomic(path / f"eval/{'+'.join(scores)}_{protocol}/scores.json", to_json({**about, "settings": settings}))
