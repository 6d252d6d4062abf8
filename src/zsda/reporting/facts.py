"""What was run: everything that a run recorded of itself, as texts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from zsda.core.runs import RunFolder
from zsda.reporting.edits import plain_rows
from zsda.reporting.run_scores import RunScores, told_command


@dataclass(frozen=True)
class PhaseFacts:
    """One phase: its name, how long it was, and the digest of what it left."""

    name: str
    epochs: str
    steps: str
    time: str
    left_out: int
    digest: str


@dataclass(frozen=True)
class RunFacts:
    """One run.

    Attributes:
        name: of its folder.
        about: what it is, label -> text.
        phases: in their order.
        starts: when, with what revision and by which command it was started, label -> text.
        files: what it read -> digest.
        settings: dotted key -> value.
    """

    name: str
    about: Mapping[str, str]
    phases: Sequence[PhaseFacts]
    starts: Sequence[Mapping[str, str]]
    files: Mapping[str, str]
    settings: Mapping[str, str]


def run_facts(run: RunFolder, results: Sequence[RunScores]) -> RunFacts:
    """Gathers what is known of a run that was scored, with one result, or one for each of its chosen epochs.

    Raises:
        StoreError: the folder is not what ``zsda.train`` wrote.
    """
    record, header, scores = run.record(), run.header(), results[0]
    size = "x".join(map(str, header.size))
    about = {
        "method": header.method,
        "seed": str(header.seed),
        "source": header.source,
        "target": header.target or "none, it saw the source alone",
        "unlabelled images": header.unlabelled or "none",
        "classes": f"{len(scores.classes)} ({scores.class_set})",
        "network": f"{scores.network}, input {size}",
        "start weights": header.start_weights or "none",
        "batch size": str(header.batch_size),
        "optimizer": _short(plain_rows(header.optimizer)),
        "schedule": _short(plain_rows(header.schedule)),
        "world": header.world,
        "experiment": header.experiment or "none",
        **{f"weights{result.label.removeprefix(result.run)}": result.source.weights for result in results},
        "damaged images left out of its scores": str(scores.left_out),
    }
    phases = [phase for name in record.phases if (phase := _phase(run, name))]
    starts = [
        {
            "started": str(start.get("started", "unknown")),
            "git revision": str(start.get("git") or "none, an installed package"),
            "versions": ", ".join(f"{name} {version}" for name, version in _versions(start).items()),
            "command": told_command(start),
        }
        for start in record.starts
    ]
    return RunFacts(run.path.name, about, phases, starts, record.files, plain_rows(record.settings))


def clock(seconds: float) -> str:
    """Writes a time as people do: 48 s, 12 min, 3 h 05 min."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"


def _phase(run: RunFolder, name: str) -> PhaseFacts | None:
    folder = run.phase(name)
    if not folder.finished:
        return None
    report = folder.report()
    resumed = " after its last checkpoint" if report.resumed else ""
    digests = {**report.digests}
    digest = digests.get("weights.safetensors") or digests.get("labels", "")
    trained = (str(report.epochs), str(report.steps)) if report.steps else ("", "")
    return PhaseFacts(name, *trained, f"{clock(report.seconds)}{resumed}", len(report.left_out), digest)


def _short(values: Mapping[str, str]) -> str:
    name = values.get("class", "").rpartition(".")[2]
    return ", ".join(
        [*([name] if name else []), *(f"{key} {value}" for key, value in values.items() if key != "class")]
    )


def _versions(start: Mapping[str, object]) -> Mapping[str, object]:
    found = start.get("versions")
    return found if isinstance(found, Mapping) else {}
