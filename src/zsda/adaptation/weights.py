"""The kind of phase that takes weights from a file."""

import logging
from dataclasses import dataclass
from pathlib import Path

from zsda.adaptation.phases import Facts, Given
from zsda.core.errors import ConfigError
from zsda.core.files import file_digest
from zsda.core.run_records import PhaseReport
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
