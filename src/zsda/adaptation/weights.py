"""The kind of phase that takes weights from a file, and trainings that start from what a finished run trained."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from zsda.adaptation.phases import LABELS, Facts, Given, Phase
from zsda.core.errors import ConfigError
from zsda.core.files import file_digest
from zsda.core.run_records import PhaseReport, RunHeader
from zsda.core.runs import RunFolder
from zsda.core.settings import differences
from zsda.core.trained import check_weights
from zsda.models.weights import load_weights, save_weights

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class WeightsPhase:
    """Stands for a training that was done elsewhere: leaves the weights of a file, which must be those of the run's network.

    Attributes:
        name: names its folder; unique within the method.
        file: what `zsda.models.weights.read_weights` reads; the checkpoints of the papers, too.
    """

    name: str
    file: str | None

    needs = ()
    leaves = ("weights",)

    def check(self, number: int, processes: int, synchronised: bool) -> Facts:
        """Finds the file; see `zsda.adaptation.phases.Phase`.

        Raises:
            ConfigError: none is given.
            ModelError: it is not there.
        """
        return Facts(files={self.name: file_digest(self._path())})

    def run(self, given: Given) -> None:
        """Reads the file and writes it into the folder.

        Raises:
            ModelError: it is damaged, or of another network.
        """
        _log.info("%s: the weights of %s", given.title, self.file)
        load_weights(given.model, self._path())
        # By each of several processes, none of which may go on before it is there; all write the same.
        save_weights(given.model, given.folder.network())
        report = PhaseReport(epochs=0, steps=0, seconds=0.0, resumed=False, left_out=[], watched={})
        given.folder.finish(report)

    def _path(self) -> Path:
        if not self.file:
            raise ConfigError(f"which weights? give method.phases.{self.name}.file=FILE")
        return check_weights(Path(self.file))


def taken_phases(run: RunFolder, phases: Sequence[Phase]) -> list[WeightsPhase]:
    """Returns what stands for the trainings that a method begins with, where a finished run has phases of the same names.

    Args:
        run: trained before, by this or another method.
        phases: of the method, all of them; from its first labelling on none is taken.

    Raises:
        StoreError: there is no such run, or one of these phases is not finished, or not as it was then.
        ConfigError: it has none of them, or leaves nothing to train.
    """
    names = run.phase_names()
    count = next(
        (i for i, phase in enumerate(phases) if phase.name not in names or LABELS in phase.leaves), len(phases)
    )
    if not 0 < count < len(phases):
        raise ConfigError(
            f"start_run={run.path.name} has the phases {', '.join(names)}, the method {', '.join(phase.name for phase in phases)}; "
            "expected a run that has the first of these, and not all"
        )
    taken = [run.finished_phase(phase.name) for phase in phases[:count]]
    for folder in taken:
        folder.check_unchanged()
    return [WeightsPhase(folder.path.name, str(folder.weights)) for folder in taken]


def check_taken(run: RunFolder, header: RunHeader) -> None:
    """Refuses to start from a run of another network or of other classes, and says in what else it was trained otherwise.

    Args:
        run: that `taken_phases` took from.
        header: of the run that starts from it.

    Raises:
        ConfigError: it is.
        StoreError: see `RunFolder.header`.
    """
    found, name = run.header(), run.path.name
    for key in ("network", "classes"):
        differing = differences(getattr(found, key).model_dump(), getattr(header, key).model_dump())
        if differing:
            raise ConfigError(
                f"start_run={name} is of another {key} ({'; '.join(list(differing.values())[:3])}); expected the same"
            )
    other = differences({**found.shared(), "target": found.target}, {**header.shared(), "target": header.target})
    _log.info("starts from %s, method=%s seed=%d", name, found.method, found.seed)
    if other:
        _log.warning("start_run=%s was trained otherwise: %s", name, "; ".join(other.values()))
