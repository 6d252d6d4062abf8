"""What the paper says it reaches, to stand beside runs that compare with it.

Luo, Zhao, Liu: Zero Shot Domain Adaptive Semantic Segmentation by Synthetic Data Generation and Progressive Adaptation, IROS 2025,
arXiv 2508.03300; both rows as the table in the README of the published code (github.com/ROUJINN/SDGPA) has them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from zsda.reporting.results import RunScores
from zsda.reporting.seeds import Summary

SCORE = "miou"
"""The paper averages over all 19 classes."""

_SOURCE, _SIZE, _PROTOCOL = "day", (512, 1024), "sdgpa"


@dataclass(frozen=True)
class Quoted:
    """A row that others measured.

    Attributes:
        name: how tables call it.
        values: target -> mIoU, a share of 1, and its standard deviation where it is published.
    """

    name: str
    values: Mapping[str, Summary]

    def mean(self, targets: Sequence[str]) -> Summary | None:
        """Returns the mean over targets, None where it lacks one; of one target, what is published."""
        if not all(target in self.values for target in targets):
            return None
        if len(targets) == 1:
            return self.values[targets[0]]
        return Summary(fmean(self.values[target].mean for target in targets), None, 0)


def _quoted(name: str, **per_cent: tuple[float, float | None]) -> Quoted:
    shares = {
        target: Summary(mean / 100, None if deviation is None else deviation / 100, 0)
        for target, (mean, deviation) in per_cent.items()
    }
    return Quoted(name, shares)


QUOTED = (
    _quoted("sdgpa (paper)", night=(26.9, 0.8), snow=(47.4, 0.7), rain=(48.6, 0.8), fog=(58.8, 0.7), game=(43.4, 0.4)),
    _quoted(
        "sdgpa (released checkpoints)",
        night=(27.6, None),
        snow=(46.8, None),
        rain=(49.0, None),
        fog=(59.8, None),
        game=(43.1, None),
    ),
)
NOTE = "Quoted from Luo et al. (IROS 2025, arXiv 2508.03300) and their code, not measured here, the mean taken of what is quoted"


def compares(results: Sequence[RunScores]) -> bool:
    """Tells whether runs are measured as the paper's: its method, source and targets, its protocol and its input size."""
    return any(
        result.as_published
        and (result.source_setting, tuple(result.size), result.protocol) == (_SOURCE, _SIZE, _PROTOCOL)
        for result in results
    )
